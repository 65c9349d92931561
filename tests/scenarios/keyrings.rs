//! `sesame status --all`: the real other stores of a session, running, locked and stopped; and nothing started.

use std::{
    fs,
    os::{fd::OwnedFd, unix::net::UnixListener},
    time::{Duration, Instant},
};

use rustix::process::Signal;
use serde_json::{Value, json};
use session_tests::{
    DEADLINE, needs::Need, process::Process, program, scenarios, session::Session, suite::Suite, within_deadline,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use zbus::{OwnedObjectPath, connection, interface};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        a_session_without_other_keyrings_says_so,
        wallets_and_keepassxc_are_told,
        whoever_lies_or_is_silent_is_unknown,
        the_secret_service_of_daemon_secrets_is_not_another,
    );
    scenarios!(suite.on_dbus_daemon(&[]);
        nothing_is_started_by_asking,
    );
    scenarios!(suite.on_each_bus(&[Need::Program("gnome-keyring-daemon")]);
        gnome_keyring_is_told_running_locked_and_stopped,
        a_hub_that_hangs_hides_no_keyring,
    );
    scenarios!(suite.on_each_bus(&[Need::Program("oo7-daemon")]);
        oo7_daemon_is_told_running_and_stopped,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("gpg-agent"), Need::Program("gpg")]);
        gpg_agent_is_told_running_locked_and_stopped,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("ssh-agent"), Need::Program("ssh-add")]);
        ssh_agent_is_told_running_and_stopped,
        an_agent_in_the_background_is_known_by_its_process_id,
        an_agent_that_is_not_openssh_is_not_asked_for_keys,
    );
}

const NAME: &str = "org.freedesktop.secrets";
const SERVICE: &str = "/org/freedesktop/secrets";

/// `keyrings` of the status as JSON, which must be printed soon, and end as it would without them.
async fn all(session: &Session, environment: &[&str]) -> Value {
    let sesame = program("sesame");
    let sesame = sesame.to_str().unwrap();
    let words = [&["env"], environment, &[sesame, "status", "--all", "--format", "json"]].concat();
    let ended = session.run(&words).await;
    assert_eq!(ended.code, 3, "no hub runs in this session: {ended:?}");
    // One second, and what a busy machine adds.
    assert!(ended.took < Duration::from_secs(10), "{ended:?}");
    serde_json::from_str::<Value>(&ended.stdout).unwrap()["keyrings"].take()
}

/// The only keyring that there is.
async fn only(session: &Session, environment: &[&str]) -> Value {
    let mut all = all(session, environment).await;
    assert_eq!(all.as_array().map(Vec::len), Some(1), "{all}");
    all[0].take()
}

/// As a person sees it.
async fn text(session: &Session) -> String {
    session.sesame(&["status", "--all"]).await.stdout
}

/// What has been stopped is seen to be there and silent; then it goes on, and answers.
async fn assert_seen_when_stopped(session: &Session, process: &Process, environment: &[&str]) {
    let before = only(session, environment).await;
    process.signal(Signal::STOP);
    let stopped = only(session, environment).await;
    assert_eq!((&stopped["alive"], &stopped["answers"]), (&json!(true), &json!(false)), "{stopped}");
    assert_eq!(stopped["lock"], "unknown", "{stopped}");
    assert!(stopped["why"].as_str().unwrap().ends_with("did not answer within 1 s"), "{stopped}");
    process.signal(Signal::CONT);
    assert_eq!(only(session, environment).await, before);
}

async fn a_session_without_other_keyrings_says_so(session: Session) {
    let _daemons = session.daemons().await;
    let plain = session.sesame(&["status"]).await.stdout_of_success();
    let all = session.sesame(&["status", "--all"]).await.stdout_of_success();
    assert_eq!(all, format!("{plain}Other keyrings: none\n"));
    let json = session.sesame(&["status", "--all", "--format", "json"]).await.stdout_of_success();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["keyrings"], json!([]));
    let json = session.sesame(&["status", "--format", "json"]).await.stdout_of_success();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap().get("keyrings"), None);
}

/// gnome-keyring with the collection `Login`, unlocked.
pub async fn gnome_keyring(session: &Session) -> Process {
    let passphrase = fs::File::open(session.home.passphrase_file()).unwrap();
    let words = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"];
    let process = session.recipe("gnome-keyring", words).stdin(passphrase).start();
    session.client().await.wait_for_owner(NAME).await;
    process
}

async fn gnome_keyring_is_told_running_locked_and_stopped(session: Session) {
    let process = gnome_keyring(&session).await;
    let found = only(&session, &[]).await;
    assert_eq!((&found["name"], &found["program"]), (&json!(NAME), &json!("gnome-keyring-d")), "{found}");
    assert_eq!(found["pid"], json!(process.pid().as_raw_pid()));
    assert_eq!((&found["alive"], &found["answers"]), (&json!(true), &json!(true)), "{found}");
    assert_eq!(found["lock"], "unlocked", "{found}");
    let login = |locked: bool| json!({"label": "Login", "locked": locked});
    assert_eq!(found["collections"][0], login(false), "{found}");
    assert_seen_when_stopped(&session, &process, &[]).await;

    let path = OwnedObjectPath::try_from("/org/freedesktop/secrets/collection/login").unwrap();
    let client = session.client().await;
    let interface = Some("org.freedesktop.Secret.Service");
    client.connection.call_method(Some(NAME), SERVICE, interface, "Lock", &vec![path]).await.unwrap();
    let found = only(&session, &[]).await;
    assert_eq!((&found["lock"], &found["collections"][0]), (&json!("locked"), &login(true)), "{found}");
    let text = text(&session).await;
    let whole = format!("  org.freedesktop.secrets  locked (gnome-keyring-d, process {})\n", process.pid());
    assert!(text.starts_with(&format!("Other keyrings:\n{whole}    Login                  locked\n")), "{text}");
    // Only what is asked for waits for them.
    process.signal(Signal::STOP);
    let plain = session.sesame(&["status"]).await;
    assert!(plain.stdout.is_empty(), "{plain:?}");
    process.signal(Signal::CONT);
}

async fn a_hub_that_hangs_hides_no_keyring(session: Session) {
    let _keyring = gnome_keyring(&session).await;
    let hub = session.profile().await;
    hub.signal(Signal::STOP);
    let ended = session.sesame(&["status", "--all", "--timeout", "0.5"]).await;
    hub.signal(Signal::CONT);
    assert!(ended.stdout.contains("  org.freedesktop.secrets  unlocked (gnome-keyring-d, "), "{ended:?}");
    assert_eq!(ended.code, 5, "{ended:?}");
}

async fn oo7_daemon_is_told_running_and_stopped(session: Session) {
    let passphrase = fs::File::open(session.home.passphrase_file()).unwrap();
    let process = session.recipe("oo7", ["oo7-daemon", "--login"]).stdin(passphrase).start();
    session.client().await.wait_for_owner(NAME).await;
    // It takes its name before it has its collections, and tells of these before they can be asked anything.
    let end = Instant::now() + DEADLINE;
    let mut found = only(&session, &[]).await;
    while found["lock"] != "unlocked" && Instant::now() < end {
        found = only(&session, &[]).await;
    }
    assert_eq!((&found["program"], &found["lock"]), (&json!("oo7-daemon"), &json!("unlocked")), "{found}");
    assert_seen_when_stopped(&session, &process, &[]).await;
}

/// As systemd starts it: with a socket that listens already.
async fn gpg_agent(session: &Session) -> (Process, String) {
    let home = session.home.path().join(".gnupg");
    fs::DirBuilder::new().create(&home).unwrap();
    rustix::fs::chmod(&home, 0o700.into()).unwrap();
    let listener = UnixListener::bind(home.join("S.gpg-agent")).unwrap();
    let script = "exec 3<&0 0</dev/null && LISTEN_FDS=1 LISTEN_PID=$$ LISTEN_FDNAMES=std exec gpg-agent --supervised";
    let home = home.to_str().unwrap();
    // Said, although it is the usual one: in the usual one sockets lie in the machine's own /run/user.
    let recipe = session.recipe("gpg-agent", ["sh", "-c", script]).with("GNUPGHOME", home);
    (recipe.stdin(OwnedFd::from(listener)).start(), format!("GNUPGHOME={home}"))
}

async fn gpg_agent_is_told_running_locked_and_stopped(session: Session) {
    let (process, home) = gpg_agent(&session).await;
    let found = only(&session, &[]).await;
    assert_eq!((&found["name"], &found["program"]), (&json!("gpg-agent"), &json!("gpg-agent")), "{found}");
    assert_eq!(found["pid"], json!(process.pid().as_raw_pid()), "not that of who made the socket: {found}");
    if found["asked"] == "GETINFO version" {
        // From 2.3 on it is not asked for its keys, since that would start scdaemon.
        assert_eq!(found["lock"], "unknown", "{found}");
        return assert_seen_when_stopped(&session, &process, &[]).await;
    }
    assert_eq!(found["lock"], "none", "{found}");
    let gpg = ["env", &home, "gpg", "--batch", "--quiet", "--pinentry-mode=loopback", "--passphrase=hunter2"];
    let made = session.run(&[&gpg[..], &["--quick-gen-key", "a@example.org", "default", "sign"]].concat()).await;
    assert_eq!(made.code, 0, "{made:?}");
    let forget = ["env", &home, "gpg-connect-agent", "--no-autostart", "RELOADAGENT", "/bye"];
    assert_eq!(session.run(&forget).await.code, 0);
    assert_eq!(only(&session, &[]).await["lock"], "locked");
    let signed = session.run(&[&gpg[..], &["--clear-sign", "--output=/dev/null", "/dev/null"]].concat()).await;
    assert_eq!(signed.code, 0, "{signed:?}");
    assert_eq!(only(&session, &[]).await["lock"], "unlocked");
    assert_seen_when_stopped(&session, &process, &[]).await;
}

/// An agent at a socket of the home, and the variable that names it.
async fn ssh_agent(session: &Session, name: &str) -> (Process, String) {
    let socket = session.home.path().join(name);
    // Bound, and then listening, before it says so.
    let mut process = session.recipe("ssh-agent", ["ssh-agent", "-D", "-a", socket.to_str().unwrap()]).start();
    let mut said = BufReader::new(process.stdout().unwrap()).lines();
    within_deadline("the word of ssh-agent", said.next_line()).await.unwrap();
    (process, format!("SSH_AUTH_SOCK={}", socket.display()))
}

async fn ssh_agent_is_told_running_and_stopped(session: Session) {
    let (mut process, variable) = ssh_agent(&session, "agent").await;
    let variable = [variable.as_str()];
    let found = only(&session, &variable).await;
    assert_eq!((&found["name"], &found["answers"]), (&json!("ssh-agent"), &json!(true)), "{found}");
    assert_eq!(found["lock"], "unknown", "without keys it could as well be locked: {found}");
    let key = session.home.path().join("key");
    let key = key.to_str().unwrap();
    assert_eq!(session.run(&["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]).await.code, 0);
    assert_eq!(session.run(&["env", variable[0], "ssh-add", "-q", key]).await.code, 0);
    let found = only(&session, &variable).await;
    assert_eq!((&found["lock"], &found["why"]), (&json!("unlocked"), &Value::Null), "{found}");
    assert_seen_when_stopped(&session, &process, &variable).await;
    // Killed, it leaves its socket behind.
    process.kill9().await;
    let found = only(&session, &variable).await;
    assert_eq!((&found["alive"], &found["answers"]), (&json!(false), &Value::Null), "{found}");
    assert_eq!(found["why"], "nobody listens at its socket");
}

async fn an_agent_in_the_background_is_known_by_its_process_id(session: Session) {
    let sesame = program("sesame");
    let words = ["ssh-agent", sesame.to_str().unwrap(), "status", "--all", "--format", "json"];
    let ended = session.run(&words).await;
    let shown: Value = serde_json::from_str(&ended.stdout).unwrap();
    let found = &shown["keyrings"][0];
    assert_eq!((&found["program"], &found["asked"]), (&json!("ssh-agent"), &json!("a list of its keys")), "{found}");
}

/// It may be one that asks its user before it lists anything.
async fn an_agent_that_is_not_openssh_is_not_asked_for_keys(session: Session) {
    for (place, asked) in [("agent", Some("a query of extensions")), ("keyring/ssh", None)] {
        let path = session.home.path().join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let agent = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = [0; 14];
            stream.read_exact(&mut heard).await.unwrap();
            stream.write_all(&[0, 0, 0, 1, 5]).await.unwrap();
            heard
        });
        let found = only(&session, &[&format!("SSH_AUTH_SOCK={}", path.display())]).await;
        assert_eq!(found["lock"], "unknown", "{found}");
        assert!(found["why"].as_str().unwrap().starts_with("not asked"), "{found}");
        assert_eq!(found["asked"].as_str(), asked, "{found}");
        if asked.is_some() {
            assert_eq!(agent.await.unwrap(), *b"\0\0\0\x0a\x1b\0\0\0\x05query");
        } else {
            assert!(!agent.is_finished(), "it was connected to");
            agent.abort();
        }
    }
}

/// kwalletd, as far as it is asked.
struct Wallets;

#[interface(name = "org.kde.KWallet")]
impl Wallets {
    #[zbus(name = "wallets")]
    fn wallets(&self) -> Vec<String> {
        vec!["kdewallet".into(), "work\u{1b}[2J".into()]
    }

    #[zbus(name = "isOpen")]
    fn is_open(&self, wallet: &str) -> bool {
        wallet == "kdewallet"
    }
}

async fn wallets_and_keepassxc_are_told(session: Session) {
    let builder = connection::Builder::address(session.bus.address()).method_timeout(DEADLINE);
    let builder = builder.serve_at("/modules/kwalletd6", Wallets).name("org.kde.kwalletd6");
    let connection = builder.name("org.keepassxc.KeePassXC.MainWindow").build().await.unwrap();
    let all = all(&session, &[]).await;
    assert_eq!((&all[0]["name"], &all[0]["lock"]), (&json!("org.kde.kwalletd6"), &json!("mixed")), "{all}");
    assert_eq!(all[0]["collections"][0], json!({"label": "kdewallet", "locked": false}));
    assert_eq!(all[1]["name"], "org.keepassxc.KeePassXC.MainWindow", "{all}");
    assert_eq!((&all[1]["answers"], &all[1]["lock"]), (&json!(true), &json!("unknown")), "{all}");
    let text = text(&session).await;
    assert!(text.contains("    work [2J ") && !text.contains('\u{1b}'), "{text:?}");
    drop(connection);
}

/// A Secret Service that is none.
struct Liar;

#[interface(name = "org.freedesktop.Secret.Service")]
impl Liar {
    #[zbus(property)]
    fn collections(&self) -> &str {
        "none of your business"
    }
}

async fn whoever_lies_or_is_silent_is_unknown(session: Session) {
    let builder = || connection::Builder::address(session.bus.address()).method_timeout(DEADLINE);
    let liar = builder().serve_at(SERVICE, Liar).name(NAME).build().await.unwrap();
    let found = only(&session, &[]).await;
    assert_eq!((&found["answers"], &found["lock"]), (&json!(true), &json!("unknown")), "{found}");
    assert_eq!(found["why"], "org.freedesktop.secrets: Collections is of another type");
    liar.close().await.unwrap();
    // Owns the name, and reads nothing that comes.
    let silent = builder().name(NAME).build().await.unwrap();
    let _unread = zbus::MessageStream::from(&silent);
    let found = only(&session, &[]).await;
    assert_eq!(found["lock"], "unknown", "{found}");
    assert!(found["why"].is_string(), "{found}");
}

async fn the_secret_service_of_daemon_secrets_is_not_another(session: Session) {
    let builder = connection::Builder::address(session.bus.address()).method_timeout(DEADLINE);
    let builder = builder.serve_at(SERVICE, Liar).name(NAME);
    let _ours = builder.name(dbus_interfaces::secrets::NAME).build().await.unwrap();
    assert_eq!(all(&session, &[]).await, json!([]));
}

async fn nothing_is_started_by_asking(session: Session) {
    let names = [NAME, "org.kde.kwalletd6", "org.kde.kwalletd5", "org.keepassxc.KeePassXC.MainWindow"];
    for name in names {
        let started = session.home.path().join("started");
        let text = format!("[D-BUS Service]\nName={name}\nExec=/bin/sh -c \"touch {}; exit 1\"\n", started.display());
        session.home.write(&format!("data/dbus-1/services/{name}.service"), text);
    }
    let client = session.client().await;
    let bus = zbus::fdo::DBusProxy::new(&client.connection).await.unwrap();
    bus.reload_config().await.unwrap();
    assert_eq!(all(&session, &[]).await, json!([]));
    assert!(!session.home.path().join("started").exists());
    // That they would have been: the same, asked for.
    let _ = bus.start_service_by_name(NAME.try_into().unwrap(), 0).await;
    assert!(session.home.path().join("started").exists(), "the activation files do not work: the test shows nothing");
}
