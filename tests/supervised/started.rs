//! Starting and stopping: the units, either order, READY, and what is no crash.

use std::time::Duration;

use session_tests::{
    bus::Kind,
    user_session::{PROFILE_UNIT, SECRETS_UNIT, TARGET, UNITS, UserSession},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    let mut all = scenarios!(&Kind::ALL, &[];
        the_target_starts_both_and_the_status_is_right,
        either_daemon_may_start_first,
        a_clean_stop_is_no_crash,
        the_bus_starts_a_daemon_as_its_unit,
    );
    all.extend(scenarios!(&[Kind::DbusDaemon], &[];
        the_installed_units_are_flawless,
        init_lets_the_daemons_start_with_the_session,
        a_daemon_started_by_hand_needs_no_service_manager,
        ready_is_told_to_either_kind_of_socket,
    ));
    all
}

async fn the_target_starts_both_and_the_status_is_right(session: UserSession) {
    session.start().await;
    for unit in UNITS {
        // `Type=notify`: active is what systemd calls a unit that said READY.
        assert_eq!(session.property(unit, "Type").await, "notify");
        assert_eq!(session.property(unit, "ActiveState").await, "active");
        assert_eq!(session.property(unit, "NRestarts").await, "0");
        let status = session.property(unit, "StatusText").await;
        assert!(status.contains("1 of 2"), "{unit} says {status:?}");
    }
    let shown = session.sesame(&["status"]).await.stdout_of_success();
    let sample = "Vaults:\n  personal  unlocked\n  work      locked\nDefault profile: personal\nActive profiles:\n  \
                  - personal (default)\n";
    assert_eq!(shown, sample);
    let report = session.report().await;
    for (daemon, unit) in [("daemon-profile", PROFILE_UNIT), ("daemon-secrets", SECRETS_UNIT)] {
        let row = &report.daemons[daemon];
        assert_eq!(
            (row.state.as_str(), row.unit.as_deref(), row.restarts),
            ("running", Some(unit), Some(0)),
            "{row:?}"
        );
        assert_eq!(row.id.as_deref(), Some(session.property(unit, "InvocationID").await.as_str()));
        assert_eq!(row.pid.map(|pid| pid.to_string()), Some(session.property(unit, "MainPID").await));
    }
}

async fn either_daemon_may_start_first(session: UserSession) {
    for [first, second] in [[PROFILE_UNIT, SECRETS_UNIT], [SECRETS_UNIT, PROFILE_UNIT]] {
        session.systemctl(&["start", first]).await;
        session.systemctl(&["start", second]).await;
        session.until_report("health to be ok", |report| report.health == "ok").await;
        session.systemctl(&["stop", first, second]).await;
    }
}

/// Neither a loss nor a restart, whatever the signal that ended it.
async fn a_clean_stop_is_no_crash(session: UserSession) {
    session.start().await;
    let mut recorder = session.recorder().await;
    session.systemctl(&["stop", SECRETS_UNIT]).await;
    let stopped = |report: &dbus_interfaces::profile::Report| report.daemons["daemon-secrets"].state == "stopped";
    let report = session.until_report("daemon-secrets to be stopped", stopped).await;
    assert!(report.locked && report.vaults.values().all(|vault| vault.locked), "{report:?}");
    assert_eq!(report.health, "degraded");
    assert_eq!(report.problems[0].1, "stopped", "{:?}", report.problems);
    assert_eq!(report.daemons["daemon-secrets"].reason.as_deref(), Some("stopped"));
    session.systemctl(&["start", SECRETS_UNIT]).await;
    session.until_report("health to be ok", |report| report.health == "ok").await;
    let signals = recorder.signals("Profile").await;
    let crashes = ["DaemonLost ", "DaemonRestarted "];
    assert!(!signals.iter().any(|line| crashes.iter().any(|crash| line.starts_with(crash))), "{signals:?}");
}

async fn the_bus_starts_a_daemon_as_its_unit(session: UserSession) {
    let file = session.passphrase_file();
    session.sesame(&["init", "--passphrase-file", &file]).await.stdout_of_success();
    for unit in UNITS {
        assert_eq!(session.property(unit, "ActiveState").await, "active", "{unit}");
    }
}

async fn the_installed_units_are_flawless(session: UserSession) {
    let units = [&UNITS[..], &[TARGET, "open-sesame-unlocked@personal.target"]].concat();
    // It looks each manual page up, where it can.
    let man = if session.run(&["sh", "-c", "command -v man"]).await.code == 0 { "--man=yes" } else { "--man=no" };
    let verified = session.run(&[&["systemd-analyze", "--user", man, "verify"], &units[..]].concat()).await;
    assert_eq!((verified.code, verified.stdout.as_str(), verified.stderr.as_str()), (0, "", ""), "{verified:?}");
}

async fn init_lets_the_daemons_start_with_the_session(session: UserSession) {
    let file = session.passphrase_file();
    session.sesame(&["init", "--passphrase-file", &file]).await.stdout_of_success();
    assert_eq!(session.systemctl(&["is-enabled", TARGET]).await, "enabled\n");
}

/// Beside a service manager that knows of the unit, and knows that it does not run.
async fn a_daemon_started_by_hand_needs_no_service_manager(session: UserSession) {
    session.systemctl(&["start", PROFILE_UNIT]).await;
    let mut daemon = session.by_hand("daemon-secrets").spawn().unwrap();
    let report = session.until_report("health to be ok", |report| report.health == "ok").await;
    assert_eq!(report.daemons["daemon-secrets"].state, "running");
    assert_eq!(report.daemons["daemon-secrets"].pid, daemon.id());
    let file = session.passphrase_file();
    for words in [["profile", "add", "personal"], ["unlock", "-p", "personal"]] {
        session.sesame(&[&words[..], &["--passphrase-file", &file]].concat()).await.stdout_of_success();
    }
    daemon.kill().await.unwrap();
    let lost = |report: &dbus_interfaces::profile::Report| report.daemons["daemon-secrets"].state != "running";
    let report = session.until_report("daemon-secrets to be gone", lost).await;
    assert_eq!(report.daemons["daemon-secrets"].state, "lost", "{report:?}");
    assert_eq!(report.daemons["daemon-secrets"].reason.as_deref(), Some("unknown"));
    assert!(report.vaults["personal"].locked);
}

async fn ready_is_told_to_either_kind_of_socket(session: UserSession) {
    use std::os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    };
    let path = session.runtime("notify-test");
    let sockets = [
        (path.to_str().unwrap().to_owned(), SocketAddr::from_pathname(&path).unwrap()),
        ("@notify-test".into(), SocketAddr::from_abstract_name("notify-test").unwrap()),
    ];
    for (name, address) in sockets {
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut daemon = session.by_hand("daemon-secrets").env("NOTIFY_SOCKET", &name).spawn().unwrap();
        let mut told = String::new();
        let mut buffer = [0; 4096];
        while !told.contains("READY=1\n") {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{name}: {error} after {told:?}"));
            told += &String::from_utf8_lossy(&buffer[..length]);
        }
        // Told only when calls are answered.
        session.client().await.secrets().await.lock_all().await.unwrap();
        rustix::process::kill_process(session_tests::user_session::pid_of(&daemon), rustix::process::Signal::TERM)
            .unwrap();
        assert!(daemon.wait().await.unwrap().success());
        while !told.contains("STOPPING=1\n") {
            let length = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{name}: {error} after {told:?}"));
            told += &String::from_utf8_lossy(&buffer[..length]);
        }
    }
}
