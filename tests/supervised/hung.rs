//! Hangs: a stopped process stands for a daemon that lives and does nothing.

use std::time::{Duration, Instant};

use dbus_interfaces::daemon::DaemonProxy;
use rustix::process::Signal;
use session_tests::{
    bus::Kind,
    recorder,
    user_session::{PROFILE_UNIT, SECRETS_UNIT, UNITS, UserSession, until},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    let mut all = scenarios!(&Kind::ALL, &[];
        a_hung_daemon_secrets_is_seen_and_then_restarted_by_the_watchdog,
        a_hung_daemon_profile_is_restarted_by_the_watchdog_and_right_again,
    );
    all.extend(scenarios!(&[Kind::DbusDaemon], &[];
        a_daemon_whose_owner_of_the_state_is_wedged_is_not_fed,
        a_feeding_daemon_outlives_its_watchdogs_time,
    ));
    all
}

async fn a_hung_daemon_secrets_is_seen_and_then_restarted_by_the_watchdog(session: UserSession) {
    // Long enough for a hang to be seen before it is ended.
    session.short_watchdog(6).await;
    session.start().await;
    let mut recorder = session.recorder().await;
    session.signal(SECRETS_UNIT, Signal::STOP).await;
    let hung = Instant::now();
    until("status to say so", async || {
        let shown = session.sesame(&["status"]).await;
        assert!(shown.took < Duration::from_secs(1), "answered at once: {shown:?}");
        let text = shown.stdout_of_success();
        let says = text.contains("unlocked (last known)") && text.contains("daemon-secrets (unresponsive");
        if says { Ok(()) } else { Err(text) }
    })
    .await;
    assert!(hung.elapsed() < Duration::from_millis(2_500), "watched, it took {:?}", hung.elapsed());

    session.until_property(SECRETS_UNIT, "NRestarts", "1").await;
    let report = session.until_report("health to be ok", |report| report.health == "ok" && report.locked).await;
    let row = &report.daemons["daemon-secrets"];
    assert_eq!((row.reason.as_deref(), row.restarts), (Some("watchdog"), Some(1)), "{row:?}");
    assert!(report.vaults.values().all(|vault| vault.locked && vault.known == "reported"), "{report:?}");
    let shown = session.sesame(&["status"]).await.stdout_of_success();
    assert!(shown.contains("personal  locked (daemon-secrets restarted: watchdog)\n"), "{shown}");
    let signals = recorder.signals("Profile").await;
    let count = |begin: &str| signals.iter().filter(|line| line.starts_with(begin)).count();
    assert_eq!((count("DaemonLost daemon-secrets "), count("DaemonRestarted daemon-secrets ")), (1, 1), "{signals:?}");
    assert!(signals.iter().any(|line| line.starts_with("DaemonLost ") && line.ends_with(" watchdog")), "{signals:?}");
    assert!(!signals.iter().any(|line| line.contains(" failed")), "systemd has not given up: {signals:?}");
}

async fn a_hung_daemon_profile_is_restarted_by_the_watchdog_and_right_again(session: UserSession) {
    session.short_watchdog(3).await;
    session.start().await;
    let before = session.report().await;
    let mut recorder = session.recorder().await;
    session.signal(PROFILE_UNIT, Signal::STOP).await;
    let is_start = |message: &zbus::Message| {
        recorder::line(message).is_some_and(|line| line.starts_with("DaemonStarted daemon-profile "))
    };
    recorder.until("a new daemon-profile", |heard| heard.iter().any(is_start)).await;
    assert_eq!(session.property(PROFILE_UNIT, "NRestarts").await, "1");
    let after = session.until_report("health to be ok", |report| report.health == "ok").await;
    assert_eq!((&after.lock_state, &after.active_profiles), (&before.lock_state, &before.active_profiles));
    assert_eq!(after.daemons["daemon-secrets"].id, before.daemons["daemon-secrets"].id, "untouched by it");
    assert_ne!(after.daemons["daemon-profile"].id, before.daemons["daemon-profile"].id);
    assert_eq!(after.daemons["daemon-profile"].restarts, Some(1));
}

/// Its other tasks live: it still says who it is, and its timer ticks.
async fn a_daemon_whose_owner_of_the_state_is_wedged_is_not_fed(session: UserSession) {
    session.short_watchdog(3).await;
    session.start().await;
    for (unit, name) in UNITS.iter().zip(&[dbus_interfaces::profile::NAME, dbus_interfaces::secrets::NAME]) {
        let mut recorder = session.recorder().await;
        // What debug builds do at this signal.
        session.signal(unit, Signal::USR2).await;
        let client = session.client().await;
        let other_task = DaemonProxy::builder(&client.connection).destination(*name).build().await.unwrap();
        assert!(!other_task.version().await.unwrap().is_empty());
        let is_start =
            |message: &zbus::Message| recorder::line(message).is_some_and(|line| line.starts_with("DaemonStarted "));
        recorder.until("a new run", |heard| heard.iter().any(is_start)).await;
        assert_eq!(session.property(unit, "NRestarts").await, "1", "{unit}");
        let report = session.until_report("health to be ok", |report| report.health == "ok").await;
        if *unit == SECRETS_UNIT {
            assert_eq!(report.daemons["daemon-secrets"].reason.as_deref(), Some("watchdog"));
            assert!(report.locked);
        }
    }
}

async fn a_feeding_daemon_outlives_its_watchdogs_time(session: UserSession) {
    session.short_watchdog(3).await;
    session.start().await;
    let before = session.report().await;
    let mut recorder = session.recorder().await;
    let ticks = |heard: &[zbus::Message]| {
        let of = |daemon: &str| {
            let begin = format!("WatchdogTick {daemon} ");
            heard.iter().filter_map(recorder::line).filter(|line| line.starts_with(&begin)).count()
        };
        of("daemon-profile").min(of("daemon-secrets"))
    };
    // Half the watchdog's time each: three times its time.
    recorder.until("six ticks of each", |heard| ticks(heard) >= 6).await;
    let after = session.report().await;
    for (name, row) in &before.daemons {
        assert_eq!(after.daemons[name].id, row.id, "{name}");
        assert_eq!(after.daemons[name].restarts, Some(0), "{name}");
    }
    let reconciled = recorder.signals("Profile").await;
    let reconciled = reconciled.iter().filter(|line| line.starts_with("Reconciled ")).count();
    assert!((2..=4).contains(&reconciled), "every other tick: {reconciled}");
}
