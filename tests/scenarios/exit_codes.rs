//! Every exit code of `sesame`, each by the cause that the contract gives for it (section 5).

use std::time::Duration;

use dbus_interfaces::{profile, secrets};
use rustix::process::{Pid, Signal, kill_process};
use session_tests::{bus::Kind, home::Home, program, scenarios, sesame, session::Session, suite::Suite};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        three_where_a_daemon_does_not_run,
        three_where_the_private_socket_is_gone,
        five_where_a_daemon_hangs,
        five_where_the_bus_hangs,
        one_two_six_and_seven_where_it_is_the_users_to_mend,
        lock_is_done_when_the_keys_are_gone,
    );
    scenarios!(suite.on_dbus_daemon(&[]);
        four_without_a_bus,
    );
}

async fn three_where_a_daemon_does_not_run(session: Session) {
    for words in [
        &["status"][..],
        &["is", "running"],
        &["is", "unlocked"],
        &["profile", "list"],
        &["profile", "activate", "personal"],
        &["profile", "default", "personal"],
        &["secret", "get", "x"],
        &["secret", "list"],
        &["run", "--", "true"],
        // Can be started by nobody here.
        &["unlock"],
        &["init"],
    ] {
        let ended = session.sesame(words).await;
        assert_eq!(ended.code, 3, "{words:?}: {ended:?}");
        ended.stderr_of(3);
    }
    let hint = session.sesame(&["secret", "list"]).await.stderr_of(3);
    assert!(hint.contains("sesame unlock"), "{hint}");
    // The hub is there, and what is behind it is not.
    let _profile = session.profile().await;
    session.sesame(&["profile", "activate", "personal"]).await.stderr_of(3);
    session.sesame(&["is", "unlocked"]).await.stderr_of(3);
    assert_eq!(session.sesame(&["is", "running"]).await.code, 8);
    assert_eq!(session.sesame(&["is", "healthy"]).await.code, 8);
}

/// To start what runs would mend nothing.
async fn three_where_the_private_socket_is_gone(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    std::fs::remove_file(session.home.private_socket()).unwrap();
    let found = session.sesame(&["doctor", "--format", "json"]).await.stdout;
    assert!(found.contains("no-private-socket"), "{found}");
    for told in [session.sesame(&["secret", "get", "x"]).await, session.sesame_with_passphrase(&["unlock"]).await] {
        let told = told.stderr_of(3);
        assert!(told.contains("is gone") && told.contains("systemctl --user restart open-sesame-secrets"), "{told}");
    }
}

async fn four_without_a_bus(session: Session) {
    let home = Home::new();
    let nowhere = format!("unix:path={}", home.path().join("nowhere").display());
    for words in [
        &["status"][..],
        &["is", "running"],
        &["profile", "list"],
        &["lock"],
        &["unlock"],
        &["init"],
        &["profile", "activate", "x"],
    ] {
        let all: Vec<_> =
            std::iter::once(program("sesame").into_os_string()).chain(words.iter().map(Into::into)).collect();
        let failure = sesame::run(&home, Some(&nowhere), &all, b"").await.stderr_of(4);
        assert!(failure.contains(&nowhere), "{words:?}: {failure}");
        assert!(failure.contains("loginctl enable-linger") || failure.contains("dbus-run-session"), "{failure}");
        // Where the variable is not set, the runtime folder's bus is tried.
        let failure = sesame::run(&home, None, &all, b"").await.stderr_of(4);
        assert!(failure.contains(&*home.runtime().join("bus").to_string_lossy()), "{words:?}: {failure}");
    }
    // Another bus than the one whose id the address has.
    let (place, _) = session.bus.address().split_once(",guid=").unwrap_or((session.bus.address(), ""));
    let other = format!("{place},guid={}", "0".repeat(32));
    for words in [&["status"][..], &["lock"]] {
        let all: Vec<_> =
            std::iter::once(program("sesame").into_os_string()).chain(words.iter().map(Into::into)).collect();
        let failure = sesame::run(&home, Some(&other), &all, b"").await.stderr_of(4);
        assert!(failure.contains("another bus"), "{words:?}: {failure}");
    }
}

async fn five_where_a_daemon_hangs(session: Session) {
    let daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    daemons.profile.signal(Signal::STOP);
    for words in [&["status", "--timeout", "0.3"][..], &["is", "running", "--timeout", "0.3"]] {
        let ended = session.sesame(words).await;
        assert!(ended.took >= Duration::from_millis(300), "{ended:?}");
        ended.stderr_of(5);
    }
    let ended = session.sesame(&["status"]).await;
    assert!(ended.took >= Duration::from_secs(2), "2 s where nothing else is said: {ended:?}");
    ended.stderr_of(5);
    daemons.profile.signal(Signal::CONT);
    daemons.secrets.signal(Signal::STOP);
    for words in [
        &["secret", "list", "--timeout", "0.3"][..],
        &["secret", "get", "x", "--timeout", "0.3"],
        &["profile", "deactivate", "personal"],
    ] {
        session.sesame(words).await.stderr_of(5);
    }
    // More than a socket holds.
    let stored = session.sesame_fed(&["secret", "set", "x", "--timeout", "2"], &[b'x'; 1 << 20]).await;
    assert!((2..4).contains(&stored.took.as_secs()), "{stored:?}");
    stored.stderr_of(5);
    let failure = session.sesame(&["lock", "--timeout", "0.3"]).await.stderr_of(5);
    assert!(failure.contains(&format!("{}", daemons.secrets.pid().as_raw_pid())), "the command that kills: {failure}");
    // The hub says what it knows, and that it is old.
    let mut recorder = session.recorder().await;
    recorder.until_report("a hang to be seen", |report| report.daemons["daemon-secrets"].state == "unresponsive").await;
    let text = session.sesame(&["status"]).await.stdout_of_success();
    assert!(text.contains("  personal  unlocked (last known)\n"), "{text}");
    session.sesame(&["is", "unlocked"]).await.stderr_of(5);
    daemons.secrets.signal(Signal::CONT);
    recorder.until_report("health to be ok again", |report| report.health == "ok").await;
    // What nobody waited for any more was done all the same.
    recorder.until_report("the lock", |report| report.vaults["personal"].locked).await;
    session.sesame(&["is", "locked"]).await.stdout_of_success();
}

/// A process that stands still until this is dropped: a stopped broker would outlive its launcher.
struct Stopped(Pid);

impl Stopped {
    fn new(process: Pid) -> Self {
        kill_process(process, Signal::STOP).unwrap();
        Self(process)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = kill_process(self.0, Signal::CONT);
    }
}

async fn five_where_the_bus_hangs(mut session: Session) {
    // It runs: dbus-broker-launch starts the broker after itself.
    session.client().await;
    let mut bus = session.bus.process().pid();
    if session.kind == Kind::DbusBroker {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", bus.as_raw_pid())).unwrap();
        bus = children.split_whitespace().next().and_then(|pid| Pid::from_raw(pid.parse().ok()?)).unwrap();
    }
    let _stopped = Stopped::new(bus);
    session.sesame(&["status", "--timeout", "0.3"]).await.stderr_of(5);
    session.sesame(&["lock", "--timeout", "0.3"]).await.stderr_of(5);
}

async fn one_two_six_and_seven_where_it_is_the_users_to_mend(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    let wrong = session.home.write("wrong", "not it");
    let empty = session.home.write("empty", "\n");
    let control = session.home.write("control", "a\u{7}b");
    let file = |path: &std::path::Path| path.to_str().unwrap().to_owned();
    let (wrong, empty, control, good) =
        (file(&wrong), file(&empty), file(&control), file(&session.home.passphrase_file()));
    for (words, code) in [
        (vec!["unlock", "--passphrase-file", &wrong], 6),
        (vec!["unlock"], 6),
        (vec!["unlock", "--passphrase-file", &empty], 2),
        (vec!["unlock", "--passphrase-file", &control], 2),
        (vec!["unlock", "--passphrase-file", "/nonexistent"], 1),
        (vec!["unlock", "-p", "nobody", "--passphrase-file", &wrong], 7),
        (vec!["unlock", "-p", "a/b"], 2),
        (vec!["unlock", "--no-such-flag"], 2),
        (vec!["no-such-command"], 2),
        (vec!["secret", "list"], 6),
        (vec!["secret", "get", "x"], 6),
        (vec!["secret", "get", "x", "-p", "nobody"], 7),
        (vec!["secret", "get", "a b"], 2),
        (vec!["lock", "-p", "nobody"], 7),
        (vec!["status", "-p", "nobody"], 7),
        (vec!["profile", "default", "nobody"], 7),
        (vec!["profile", "activate", "work"], 6),
        (vec!["profile", "add", "work", "--passphrase-file", &wrong], 1),
        (vec!["profile", "remove", "work", "--passphrase-file", &wrong], 6),
        (vec!["passphrase", "--passphrase-file", &wrong, "--new-passphrase-file", &good], 6),
        (vec!["completions", "tcsh"], 2),
    ] {
        let ended = session.sesame(&words).await;
        assert_eq!(ended.code, code, "{words:?}: {ended:?}");
        assert!(ended.stdout.is_empty() && ended.stderr.starts_with("sesame: "), "{words:?}: {ended:?}");
        assert!(!ended.stderr.contains("not it"), "a passphrase is shown: {ended:?}");
    }
    session.unlock(&["personal"]).await;
    session.sesame(&["secret", "get", "absent"]).await.stderr_of(7);
    session.sesame(&["secret", "rm", "absent"]).await.stderr_of(7);
    session.sesame(&["profile", "deactivate", "personal"]).await.stdout_of_success();
    session.sesame(&["secret", "list"]).await.stderr_of(6);
}

async fn lock_is_done_when_the_keys_are_gone(session: Session) {
    // Nobody holds a key.
    session.sesame(&["lock"]).await.stdout_of_success();
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal", "work"]).await;
    session.sesame(&["lock", "-p", "work"]).await.stdout_of_success();
    session.sesame(&["lock", "-p", "work"]).await.stdout_of_success();
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    assert!(session.client().await.status().await.3);
    daemons.secrets.kill9().await;
    session.client().await.wait_until_gone(secrets::NAME).await;
    session.sesame(&["lock"]).await.stdout_of_success();
    assert!(session.client().await.owner(profile::NAME).await.is_some());
}
