//! Crashes: what is told of them, what is shown, and what mends them.

use dbus_interfaces::profile::Report;
use rustix::process::Signal;
use session_tests::{
    bus::Kind,
    recorder,
    user_session::{PROFILE_UNIT, SECRETS_UNIT, UserSession},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    let mut all = scenarios!(&Kind::ALL, &[];
        a_killed_daemon_secrets_is_lost_with_systemds_reason,
        a_daemon_secrets_that_is_told_to_end_by_somebody_else_is_restarted,
        both_killed_at_once_come_back,
        a_death_while_the_hub_is_stopped_is_told_when_it_wakes,
        a_daemon_secrets_that_cannot_start_again_is_failed,
    );
    all.extend(scenarios!(&[Kind::DbusDaemon], &[];
        at_the_start_limit_the_advice_given_works,
        a_hub_that_starts_late_knows_that_systemd_gave_up,
        a_reloaded_service_manager_still_tells_the_reason,
    ));
    all
}

/// What both vaults are after a crash, once the new daemon-secrets has reported.
fn assert_all_locked_again(report: &Report) {
    assert!(report.locked && report.active_profiles.is_empty(), "{report:?}");
    assert_eq!(report.lock_state, [("personal".into(), true), ("work".into(), true)].into());
    assert_eq!(report.vaults["personal"].reason, "daemon-restarted");
    assert_eq!(report.vaults["personal"].known, "reported");
}

async fn until_restarted(session: &UserSession, old: &str) -> Report {
    let is_new = |report: &Report| report.health == "ok" && report.daemons["daemon-secrets"].id.as_deref() != Some(old);
    session.until_report("a new daemon-secrets", is_new).await
}

async fn id_of_secrets(session: &UserSession) -> String {
    session.report().await.daemons["daemon-secrets"].id.clone().unwrap()
}

async fn a_killed_daemon_secrets_is_lost_with_systemds_reason(session: UserSession) {
    session.start().await;
    let old = id_of_secrets(&session).await;
    let mut recorder = session.recorder().await;
    session.signal(SECRETS_UNIT, Signal::KILL).await;
    let lost = format!("DaemonLost daemon-secrets {old} signal:SIGKILL");
    let is_lost = |message: &zbus::Message| recorder::line(message).as_deref() == Some(lost.as_str());
    recorder.until("DaemonLost with its reason", |heard| heard.iter().any(is_lost)).await;
    let report = until_restarted(&session, &old).await;
    assert_all_locked_again(&report);
    let row = &report.daemons["daemon-secrets"];
    assert_eq!((row.reason.as_deref(), row.restarts), (Some("signal:SIGKILL"), Some(1)), "{row:?}");
    let new = row.id.clone().unwrap();
    let shown = session.sesame(&["status"]).await.stdout_of_success();
    assert!(shown.contains("personal  locked (daemon-secrets restarted: signal:SIGKILL)\n"), "{shown}");

    let mut signals = recorder.signals("Profile").await;
    signals.retain(|line| line.starts_with("Daemon") || line.starts_with("VaultChanged"));
    let expected = [
        "VaultChanged personal true false daemon-lost".to_owned(),
        format!("DaemonChanged daemon-secrets lost {old} unknown"),
        format!("DaemonChanged daemon-secrets lost {old} signal:SIGKILL"),
        lost.clone(),
        format!("DaemonRestarted daemon-secrets {old} {new}"),
        format!("DaemonChanged daemon-secrets running {new} signal:SIGKILL"),
    ];
    let told: Vec<&String> = signals.iter().filter(|line| expected.contains(line)).collect();
    assert_eq!(told, expected.iter().collect::<Vec<_>>(), "each once, in this order: {signals:#?}");
}

/// SIGTERM from outside, of an out-of-memory daemon for one: a clean end that nobody wished.
async fn a_daemon_secrets_that_is_told_to_end_by_somebody_else_is_restarted(session: UserSession) {
    session.start().await;
    let old = id_of_secrets(&session).await;
    let mut recorder = session.recorder().await;
    session.signal(SECRETS_UNIT, Signal::TERM).await;
    let report = until_restarted(&session, &old).await;
    assert_all_locked_again(&report);
    assert_eq!(report.daemons["daemon-secrets"].reason.as_deref(), Some("exit-code:0"));
    let signals = recorder.signals("Profile").await;
    let lost = format!("DaemonLost daemon-secrets {old} exit-code:0");
    assert_eq!(signals.iter().filter(|line| **line == lost).count(), 1, "{signals:?}");
}

async fn both_killed_at_once_come_back(session: UserSession) {
    session.start().await;
    let before = session.report().await;
    let (secrets, profile) = (session.pid(SECRETS_UNIT).await, session.pid(PROFILE_UNIT).await);
    for pid in [secrets, profile] {
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
    }
    let is_new = |report: &Report| {
        report.health == "ok" && before.daemons.iter().all(|(name, row)| report.daemons[name].id != row.id)
    };
    let report = session.until_report("two new daemons", is_new).await;
    assert!(report.locked && report.active_profiles.is_empty(), "{report:?}");
    assert_eq!(report.lock_state, [("personal".into(), true), ("work".into(), true)].into());
    session.unlock("personal").await;
    assert!(!session.report().await.locked);
}

async fn a_death_while_the_hub_is_stopped_is_told_when_it_wakes(session: UserSession) {
    session.start().await;
    let old = id_of_secrets(&session).await;
    let mut recorder = session.recorder().await;
    session.signal(PROFILE_UNIT, Signal::STOP).await;
    session.signal(SECRETS_UNIT, Signal::KILL).await;
    session.until_property(SECRETS_UNIT, "NRestarts", "1").await;
    session.until_property(SECRETS_UNIT, "ActiveState", "active").await;
    session.signal(PROFILE_UNIT, Signal::CONT).await;
    let report = until_restarted(&session, &old).await;
    assert_all_locked_again(&report);
    let signals = recorder.signals("Profile").await;
    let lost = format!("DaemonLost daemon-secrets {old} signal:SIGKILL");
    for begin in [lost, format!("DaemonRestarted daemon-secrets {old} ")] {
        assert_eq!(signals.iter().filter(|line| line.starts_with(&begin)).count(), 1, "{begin}: {signals:#?}");
    }
}

/// Kills daemon-secrets as often as it comes back, until systemd gives up.
async fn crash_until_systemd_gives_up(session: &UserSession) {
    session.drop_in(SECRETS_UNIT, "[Unit]\nStartLimitBurst=3\n[Service]\nRestartSec=100ms\n").await;
    loop {
        let ended = |state: &str| matches!(state, "active" | "failed");
        if session.until_property_is(SECRETS_UNIT, "ActiveState", ended).await == "failed" {
            // systemd shows a failure for a moment at each crash: this one is final where nothing is queued after it.
            let after = session.property(SECRETS_UNIT, "SubState").await;
            if after == "failed" {
                return;
            }
            continue;
        }
        let kill = session.run(&["systemctl", "--user", "kill", "--signal=KILL", SECRETS_UNIT]).await;
        assert!(kill.code == 0 || kill.stderr.contains("No "), "{kill:?}");
    }
}

/// Runs the commands that `status` advises, word by word as they stand there.
async fn follow_the_advice(session: &UserSession, reason: &str) {
    let shown = session.sesame(&["status"]).await.stdout_of_success();
    assert!(shown.contains("Health: failed\n"), "{shown}");
    assert!(shown.contains(reason), "{shown}");
    let begin = shown.find("systemctl --user reset-failed").unwrap_or_else(|| panic!("no advice: {shown}"));
    let advice = shown[begin..].lines().next().unwrap();
    let advised = session.run(&["sh", "-c", advice]).await;
    assert_eq!(advised.code, 0, "{advice}: {advised:?}");
    session.until_report("health to be ok", |report| report.health == "ok").await;
    // The journal's lines of that run, by the command beside it.
    let begin = shown.find("journalctl --user").unwrap_or_else(|| panic!("no way to the journal: {shown}"));
    let command = shown[begin..].lines().next().unwrap().split(';').next().unwrap();
    let read = session.run(&["sh", "-c", &format!("{command} --no-pager")]).await;
    assert!(read.code == 0 && read.stdout.contains("daemon-secrets"), "{command}: {read:?}");
}

async fn at_the_start_limit_the_advice_given_works(session: UserSession) {
    session.start().await;
    crash_until_systemd_gives_up(&session).await;
    let report = session.until_report("health to be failed", |report| report.health == "failed").await;
    assert_eq!(report.daemons["daemon-secrets"].state, "failed");
    assert_eq!(report.daemons["daemon-secrets"].reason.as_deref(), Some("signal:SIGKILL"));
    assert!(report.locked);
    follow_the_advice(&session, "signal:SIGKILL").await;
}

/// Of the runs after the crash nobody hears but from systemd.
async fn a_daemon_secrets_that_cannot_start_again_is_failed(session: UserSession) {
    session.start().await;
    let old = id_of_secrets(&session).await;
    let mut recorder = session.recorder().await;
    let broken = "[Unit]\nStartLimitBurst=3\n[Service]\nExecStart=\nExecStart=/bin/false\nRestartSec=200ms\n";
    session.drop_in(SECRETS_UNIT, broken).await;
    session.signal(SECRETS_UNIT, Signal::KILL).await;
    let report = session.until_report("health to be failed", |report| report.health == "failed").await;
    let row = &report.daemons["daemon-secrets"];
    assert_eq!((row.state.as_str(), row.reason.as_deref()), ("failed", Some("exit-code:1")), "{row:?}");
    assert!(row.restarts.is_some_and(|restarts| restarts >= 2), "{row:?}");
    assert_eq!(session.sesame(&["check"]).await.code, 2);
    let mut signals = recorder.signals("Profile").await;
    signals.retain(|line| line.starts_with("DaemonChanged daemon-secrets"));
    let told = ["lost", "failed"].map(|state| format!("DaemonChanged daemon-secrets {state} {old} exit-code:1"));
    assert_eq!(signals[signals.len() - 2..], told, "each crash passes through failed: {signals:#?}");
    if session.kind == Kind::DbusBroker {
        // The bus says only that nobody is there.
        let unlocked = session.sesame(&["unlock"]).await;
        assert_eq!(unlocked.code, 3, "{unlocked:?}");
        assert!(
            unlocked.stderr.contains("(its unit does not start, or it ended before it was ready)\n"),
            "{unlocked:?}"
        );
        assert!(unlocked.stderr.contains("sesame doctor\n"), "{unlocked:?}");
    }
    session.drop_in(SECRETS_UNIT, "").await;
    follow_the_advice(&session, "exit-code:1").await;
}

async fn a_hub_that_starts_late_knows_that_systemd_gave_up(session: UserSession) {
    session.start().await;
    crash_until_systemd_gives_up(&session).await;
    session.systemctl(&["restart", PROFILE_UNIT]).await;
    let report = session.until_report("health to be failed", |report| report.health == "failed").await;
    assert_eq!(report.daemons["daemon-secrets"].state, "failed");
    assert_eq!(report.daemons["daemon-secrets"].reason.as_deref(), Some("signal:SIGKILL"));
}

async fn a_reloaded_service_manager_still_tells_the_reason(session: UserSession) {
    session.start().await;
    session.systemctl(&["daemon-reload"]).await;
    session.systemctl(&["daemon-reexec"]).await;
    let old = id_of_secrets(&session).await;
    session.signal(SECRETS_UNIT, Signal::ABORT).await;
    let report = until_restarted(&session, &old).await;
    let reason = report.daemons["daemon-secrets"].reason.clone();
    assert!(matches!(reason.as_deref(), Some("signal:SIGABRT" | "core-dump:SIGABRT")), "{reason:?}");
}
