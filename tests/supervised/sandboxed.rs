//! The sandbox under the shipped units: what it says of itself, and what is refused from inside of each daemon. What
//! else the kernel refuses under the same rules is tested beside them, in the runtime crate.

use std::{fs, net::TcpListener, os::unix::fs::symlink, path::Path};

use dbus_interfaces::daemon::DaemonProxy;
use session_tests::{
    bus::Kind,
    manager::HOME,
    needs::Need,
    user_session::{SECRETS_UNIT, UNITS, UserSession},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    scenarios!(&[Kind::DbusDaemon], &[Need::FullSandbox];
        under_the_units_the_sandbox_is_full,
        daemon_secrets_cannot_write_outside_of_its_folders,
        daemon_profile_cannot_write_outside_of_its_folder,
        no_daemon_reaches_a_tcp_port,
        less_than_the_whole_sandbox_is_fatal_where_that_is_required,
    )
}

async fn under_the_units_the_sandbox_is_full(session: UserSession) {
    session.start().await;
    let client = session.client().await;
    for name in [dbus_interfaces::profile::NAME, dbus_interfaces::secrets::NAME] {
        let proxy = DaemonProxy::builder(&client.connection).destination(name).build().await.unwrap();
        assert_eq!(proxy.sandbox().await.unwrap(), "full", "{name}");
    }
    let report = client.report().await;
    assert!(report.daemons.values().all(|row| row.sandbox.as_deref() == Some("full")), "{report:?}");
    for unit in UNITS {
        let status = format!("/proc/{}/status", session.pid(unit).await.as_raw_pid());
        let status = fs::read_to_string(status).unwrap();
        for line in ["Seccomp:\t2", "NoNewPrivs:\t1"] {
            assert!(status.contains(line), "{unit}: {line}");
        }
    }
}

/// A vault that is a link leads it out: it may read there, and write nothing.
async fn daemon_secrets_cannot_write_outside_of_its_folders(session: UserSession) {
    session.start().await;
    let vault = Path::new(HOME).join(".local/share/open-sesame/vaults/personal");
    let outside = Path::new(HOME).join("outside");
    session.systemctl(&["stop", SECRETS_UNIT]).await;
    fs::rename(&vault, &outside).unwrap();
    symlink(&outside, &vault).unwrap();
    let before = fs::read(outside.join("items.age")).unwrap();
    session.systemctl(&["start", SECRETS_UNIT]).await;
    session.unlock("personal").await;
    let secret = session.write("secret", "hunter2");
    let command = format!("{HOME}/.local/bin/sesame secret set name < {}", secret.display());
    let refused = session.run(&["sh", "-c", &command]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("ermission denied"), "{refused:?}");
    assert_eq!(fs::read(outside.join("items.age")).unwrap(), before);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 2, "nothing was made there");
}

async fn daemon_profile_cannot_write_outside_of_its_folder(session: UserSession) {
    session.start().await;
    let outside = session.write("outside", "as it was");
    let folder = Path::new(HOME).join(".local/state/open-sesame");
    symlink(&outside, folder.join("default-profile.new")).unwrap();
    let refused = session.sesame(&["profile", "default", "work"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("ermission denied"), "{refused:?}");
    assert_eq!(fs::read_to_string(outside).unwrap(), "as it was");
    assert_eq!(session.report().await.default_profile, "personal");
}

/// By hand, where nothing but the sandbox forbids it: the units allow no such socket to begin with.
async fn no_daemon_reaches_a_tcp_port(session: UserSession) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = format!("tcp:host=127.0.0.1,port={}", listener.local_addr().unwrap().port());
    for daemon in ["daemon-profile", "daemon-secrets"] {
        let mut command = session.by_hand(daemon);
        let output = command.env("DBUS_SESSION_BUS_ADDRESS", &address).output().await.unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains("ermission denied"), "{daemon}: {text}");
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "{daemon}");
    }
}

/// A bus with an abstract address needs one scope left out, so that the sandbox is not whole.
async fn less_than_the_whole_sandbox_is_fatal_where_that_is_required(session: UserSession) {
    for (wish, sentence) in [("best-effort", "no session bus"), ("required", "what this system enforces is: partial")] {
        session.write(".config/open-sesame/config.toml", &format!("sandbox = \"{wish}\"\n"));
        for daemon in ["daemon-profile", "daemon-secrets"] {
            let mut command = session.by_hand(daemon);
            command.env("DBUS_SESSION_BUS_ADDRESS", "unix:abstract=nobody-listens-here");
            let output = command.output().await.unwrap();
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success() && text.contains(sentence), "{daemon}: {text}");
        }
    }
}
