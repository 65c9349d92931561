//! Whole programs, from their start to their end, in pairs with what would be used instead.

use std::{
    fs,
    process::{Command, Stdio},
    time::Instant,
};

use session_tests::{needs::Need, process::Process, program, session::Session, within_deadline};

use crate::{
    Amount, micros,
    table::{Row, Spread},
};

/// `sesame status` beside other ways to ask, and `sesame secret get` beside a keyring's.
pub async fn programs(session: &Session, amount: Amount, rows: &mut Vec<Row>) {
    let sesame = program("sesame");
    let sesame = sesame.to_str().unwrap();
    let (name, path) = ("org.opensesame.Profile", "/org/opensesame/Profile");
    let member = format!("{name}.Status");
    let busctl = ["busctl", "--user", "call", name, path, name, "Status"];
    let dbus_send = ["dbus-send", "--session", "--print-reply", "--dest=org.opensesame.Profile", path, &member];
    let gdbus = ["gdbus", "call", "--session", "--dest", name, "--object-path", path, "--method", &member];
    let status = [sesame, "status"];
    let others: [(&str, &[&str], _); 4] = [
        ("busctl", &busctl, Some(0.30)),
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
        rows.push(pairs(session, amount, figure, (&status, words), target));
    }
    let _keyring = gnome_keyring(session).await;
    let figure = format!("cold `sesame secret get` over secret-tool of gnome-keyring, µs, {}", session.kind.name());
    let lookup = ["secret-tool", "lookup", "server", "example.org"];
    rows.push(pairs(session, amount, figure, (&[sesame, "secret", "get", "token"], &lookup), Some(0.12)));
}

fn pairs(
    session: &Session,
    amount: Amount,
    figure: String,
    (ours, theirs): (&[&str], &[&str]),
    target: Option<f64>,
) -> Row {
    let times: (Vec<f64>, Vec<f64>) = (0..amount.pairs).map(|_| (run(session, ours), run(session, theirs))).unzip();
    Row { figure, ours: Spread::of(times.0), theirs: Some(Spread::of(times.1)), target }
}

fn run(session: &Session, words: &[&str]) -> f64 {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().envs(session.home.environment());
    command.env("DBUS_SESSION_BUS_ADDRESS", session.bus.address());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status().unwrap();
    let took = micros(started);
    assert!(status.success(), "{words:?} ended with {status}");
    took
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
