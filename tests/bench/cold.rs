//! Whole programs, from their start to their end, in pairs with what would be used instead.

use std::{
    fs,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use session_tests::{
    bus::Kind, home::Home, needs::Need, process::Process, program, session::Session, user_session::until,
    within_deadline,
};

use crate::{
    Amount, micros,
    table::{Row, Spread},
};

/// How a script asks for the status without sesame.
pub const BUSCTL: [&str; 7] = [
    "busctl",
    "--user",
    "call",
    "org.opensesame.Profile",
    "/org/opensesame/Profile",
    "org.opensesame.Profile",
    "Status",
];

/// `sesame status` beside other ways to ask, and `sesame secret get` beside a keyring's.
pub async fn programs(session: &Session, amount: Amount, rows: &mut Vec<Row>) {
    let sesame = program("sesame");
    let sesame = sesame.to_str().unwrap();
    let (name, path) = ("org.opensesame.Profile", "/org/opensesame/Profile");
    let member = format!("{name}.Status");
    let dbus_send = ["dbus-send", "--session", "--print-reply", "--dest=org.opensesame.Profile", path, &member];
    let gdbus = ["gdbus", "call", "--session", "--dest", name, "--object-path", path, "--method", &member];
    let status = [sesame, "status"];
    let others: [(&str, &[&str], _); 4] = [
        ("busctl", &BUSCTL, Some(0.30)),
        ("true", &["true"], Some(3.2)),
        ("dbus-send", &dbus_send, None),
        ("gdbus", &gdbus, None),
    ];
    for (other, words, target) in others {
        if let Some(reason) = Need::Program(other).missing() {
            eprintln!("skipped: {reason}");
            continue;
        }
        let figure = format!("cold `sesame status` over {other}, µs, {}", session.kind.name());
        rows.push(pairs(|words| run(session, words), amount, figure, (&status, words), target));
    }
    peak(session, rows).await;
    let _keyring = gnome_keyring(session).await;
    let figure = format!("cold `sesame secret get` over secret-tool of gnome-keyring, µs, {}", session.kind.name());
    let lookup = ["secret-tool", "lookup", "server", "example.org"];
    let get = [sesame, "secret", "get", "token"];
    rows.push(pairs(|words| run(session, words), amount, figure, (&get, &lookup), Some(0.12)));
}

/// secret-tool at daemon-secrets, beside the same program at the keyrings that it would be used with else.
pub async fn applications(amount: Amount, rows: &mut Vec<Row>) {
    if let Some(reason) = Need::Program("secret-tool").missing() {
        return eprintln!("skipped: {reason}");
    }
    let fresh = async || Session::start(Kind::DbusDaemon, Arc::new(Home::new())).await;
    let ours = fresh().await;
    ours.home.write("config/open-sesame/config.toml", "work_factor = 15\nsecret_service = true\n");
    let _daemons = ours.daemons().await;
    ours.client().await.wait_for_owner("org.freedesktop.secrets").await;
    ours.create(&["personal"]).await;
    ours.unlock(&["personal"]).await;
    let store = ["secret-tool", "store", "--label=Mail", "server", "example.org"];
    ours.run_fed(&store, b"0123456789").await.stdout_of_success();
    let gnome = fresh().await;
    let _gnome = gnome_keyring(&gnome).await;
    let oo7 = fresh().await;
    let _oo7 = oo7_daemon(&oo7).await;
    let lookup = ["secret-tool", "lookup", "server", "example.org"];
    for (other, session) in [("gnome-keyring", Some(&gnome)), ("oo7-daemon", _oo7.as_ref().map(|_| &oo7))] {
        let Some(session) = session else { continue };
        let pair = |_| Some((took(&ours, &lookup).expect("ours answers"), took(session, &lookup)?));
        let times: (Vec<f64>, Vec<f64>) = (0..amount.pairs).map_while(pair).unzip();
        if times.0.len() < amount.pairs {
            eprintln!("{other} did not answer any more after {} lookups", times.0.len());
        }
        let figure = format!("`secret-tool lookup` here over {other}, µs");
        rows.push(Row { figure, ours: Spread::of(times.0), theirs: Some(Spread::of(times.1)), target: Some(0.9) });
    }
}

/// With one item; nothing where it is not installed.
async fn oo7_daemon(session: &Session) -> Option<Process> {
    if let Some(reason) = Need::Program("oo7-daemon").missing() {
        eprintln!("skipped: {reason}");
        return None;
    }
    let passphrase = fs::File::open(session.home.passphrase_file()).unwrap();
    let process = session.recipe("oo7", ["oo7-daemon", "--login"]).stdin(passphrase).start();
    session.client().await.wait_for_owner("org.freedesktop.secrets").await;
    // It takes its name before it has its collections.
    let store = ["secret-tool", "store", "--label=Mail", "server", "example.org"];
    until("oo7-daemon to store", async || {
        let ended = session.run_fed(&store, b"0123456789").await;
        if ended.code == 0 { Ok(()) } else { Err(ended) }
    })
    .await;
    Some(process)
}

/// The most memory that a program had, in MiB, by GNU time.
async fn peak(session: &Session, rows: &mut Vec<Row>) {
    if let Some(reason) = Need::File("/usr/bin/time").missing() {
        return eprintln!("skipped: {reason}");
    }
    let sesame = program("sesame");
    let words = ["/usr/bin/time", "-f", "%M", sesame.to_str().unwrap(), "status"];
    let kib: f64 = session.run(&words).await.stderr.trim().parse().unwrap();
    let figure = format!("`sesame status`, peak RSS, MiB, {}", session.kind.name());
    rows.push(Row { figure, ours: Spread::exactly(kib / 1024.0), theirs: None, target: Some(5.0) });
}

/// `run` runs one of the two, and says how long it took, in µs.
pub fn pairs(
    run: impl Fn(&[&str]) -> f64,
    amount: Amount,
    figure: String,
    (ours, theirs): (&[&str], &[&str]),
    target: Option<f64>,
) -> Row {
    let times: (Vec<f64>, Vec<f64>) = (0..amount.pairs).map(|_| (run(ours), run(theirs))).unzip();
    Row { figure, ours: Spread::of(times.0), theirs: Some(Spread::of(times.1)), target }
}

fn run(session: &Session, words: &[&str]) -> f64 {
    took(session, words).unwrap_or_else(|| panic!("{words:?} failed"))
}

/// In the session's environment.
fn took(session: &Session, words: &[&str]) -> Option<f64> {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().envs(session.home.environment());
    timed(command.env("DBUS_SESSION_BUS_ADDRESS", session.bus.address()))
}

/// How long it took, in µs; nothing where it failed.
pub fn timed(command: &mut Command) -> Option<f64> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status().unwrap();
    let took = micros(started);
    status.success().then_some(took)
}

/// With one item, as `secret-tool` finds it.
async fn gnome_keyring(session: &Session) -> Process {
    let passphrase = fs::File::open(session.home.passphrase_file()).unwrap();
    let words = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"];
    let process = session.recipe("gnome-keyring", words).stdin(passphrase).start();
    session.client().await.wait_for_owner("org.freedesktop.secrets").await;
    let store = ["secret-tool", "store", "--label=Mail", "server", "example.org"];
    let stored = session.run_fed(&store, b"0123456789");
    within_deadline("gnome-keyring to store", stored).await.stdout_of_success();
    process
}
