//! Signals that never arrive, and the reconciliation that heals it.

use session_tests::{
    bus::Kind,
    recorder,
    user_session::{SECRETS_UNIT, UserSession},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    scenarios!(&[Kind::DbusDaemon], &[]; a_dropped_signal_is_healed_by_the_next_reconciliation)
}

/// A bus that drops what daemon-secrets signals, without a word, as a full queue would.
const DEAF: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <include>/usr/share/dbus-1/session.conf</include>
  <policy context="mandatory"><deny receive_type="signal" receive_path="/org/opensesame/Secrets"/></policy>
</busconfig>
"#;

async fn a_dropped_signal_is_healed_by_the_next_reconciliation(session: UserSession) {
    let config = session.write("deaf.conf", DEAF);
    let start = "/usr/bin/dbus-daemon --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only";
    let settings = format!("[Service]\nExecStart=\nExecStart={start} --config-file={}\n", config.display());
    session.drop_in("dbus.service", &settings).await;
    session.systemctl(&["restart", "dbus.service"]).await;
    session.short_watchdog(4).await;
    session.systemctl(&["start", "open-sesame.target"]).await;
    let file = session.passphrase_file();
    session.sesame(&["profile", "add", "personal", "--passphrase-file", &file]).await.stdout_of_success();
    session.until_report("the new vault", |report| report.lock_state.contains_key("personal")).await;

    let mut recorder = session.recorder().await;
    session.unlock("personal").await;
    let healed = |message: &zbus::Message| {
        recorder::line(message).is_some_and(|line| line.starts_with("Reconciled ") && line.ends_with(" true"))
    };
    recorder.until("a reconciliation that changed something", |heard| heard.iter().any(healed)).await;
    let report = session.report().await;
    assert!(!report.locked && report.active_profiles == ["personal"], "{report:?}");
    assert!(recorder.signals("Secrets").await.is_empty(), "no signal of daemon-secrets went through");
    assert_eq!(session.property(SECRETS_UNIT, "NRestarts").await, "0");
}
