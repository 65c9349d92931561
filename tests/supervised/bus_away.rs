//! The bus stuck, and the bus away: neither is a daemon's fault.

use std::time::Duration;

use session_tests::{
    bus::Kind,
    user_session::{UNITS, UserSession},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    scenarios!(&Kind::ALL, &[];
        a_stuck_bus_kills_no_daemon_and_locks_no_vault,
        daemons_come_back_with_a_bus_that_was_away,
        a_killed_bus_leaves_a_manager_that_answers,
    )
}

/// dbus-broker runs below its launcher; both are the bus.
async fn signal_the_bus(session: &UserSession, signal: &str) {
    session.systemctl(&["kill", "--kill-whom=all", &format!("--signal={signal}"), "dbus.service"]).await;
}

async fn a_stuck_bus_kills_no_daemon_and_locks_no_vault(session: UserSession) {
    const WATCHDOG: u32 = 3;
    session.short_watchdog(WATCHDOG).await;
    session.start().await;
    let before = [session.pid(UNITS[0]).await, session.pid(UNITS[1]).await];
    signal_the_bus(&session, "STOP").await;
    let stuck = tokio::time::Instant::now();
    for unit in UNITS {
        let says = |status: &str| status.contains("bus does not answer");
        session.until_property_is(unit, "StatusText", says).await;
        let shown = session.systemctl(&["status", unit]).await;
        assert!(shown.contains("bus does not answer"), "{shown}");
    }
    // The time itself is what is tested.
    tokio::time::sleep_until(stuck + Duration::from_secs(u64::from(3 * WATCHDOG))).await;
    signal_the_bus(&session, "CONT").await;
    for (unit, pid) in UNITS.iter().zip(before) {
        assert_eq!((session.pid(unit).await, session.property(unit, "NRestarts").await), (pid, "0".into()), "{unit}");
        session.until_property_is(unit, "StatusText", |status| !status.contains("bus does not answer")).await;
    }
    let report = session.until_report("health to be ok", |report| report.health == "ok").await;
    assert!(!report.vaults["personal"].locked, "{report:?}");
    let is = session.sesame(&["is", "unlocked", "-p", "personal"]).await;
    assert_eq!(is.code, 0, "{is:?}");
    // Fed again for a whole watchdog's time, by proofs of life and not by excuses.
    tokio::time::sleep(Duration::from_secs(u64::from(WATCHDOG) + 1)).await;
    for (unit, pid) in UNITS.iter().zip(before) {
        assert_eq!(session.pid(unit).await, pid, "{unit}");
    }
}

/// systemd asks for the bus to be started, by way of that bus, and waits 90 s for it, where a unit ends while its own
/// connection does.
async fn a_killed_bus_leaves_a_manager_that_answers(session: UserSession) {
    session.start().await;
    for _ in 0..4 {
        signal_the_bus(&session, "KILL").await;
        let asked = session.run(&["timeout", "20", "systemctl", "--user", "is-active", "dbus.socket"]).await;
        assert_ne!(asked.code, 124, "the manager waits for the bus, and everybody for the manager");
        session.until_report("health to be ok", |report| report.health == "ok").await;
    }
}

async fn daemons_come_back_with_a_bus_that_was_away(session: UserSession) {
    session.start().await;
    session.systemctl(&["stop", "dbus.socket"]).await;
    signal_the_bus(&session, "KILL").await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    for unit in UNITS {
        let state = session.property(unit, "ActiveState").await;
        assert!(state == "activating" || state == "active", "{unit} is {state}");
        session.until_property_is(unit, "StatusText", |status| status.contains("bus")).await;
    }
    session.systemctl(&["start", "dbus.socket"]).await;
    for unit in UNITS {
        session.until_property(unit, "ActiveState", "active").await;
    }
    let report = session.until_report("health to be ok", |report| report.health == "ok").await;
    assert!(report.locked && report.vaults.len() == 2, "{report:?}");
}
