//! Reports for tests.

use std::collections::BTreeMap;

use dbus_interfaces::profile::{DaemonRow, Report, VaultRow};

/// A healthy report of these vaults: name, locked, active. The default profile is `personal`.
pub fn report(vaults: &[(&str, bool, bool)]) -> Report {
    let row = |&(name, locked, active): &(&str, bool, bool)| {
        let row = VaultRow {
            locked,
            active,
            default: name == "personal",
            since_usec: 1_000_000,
            reason: "user".into(),
            known: "reported".into(),
            error: None,
        };
        (name.to_owned(), row)
    };
    let vaults: BTreeMap<_, _> = vaults.iter().map(row).collect();
    let daemon = |name: &str| (name.to_owned(), DaemonRow { state: "running".into(), ..DaemonRow::default() });
    Report {
        lock_state: vaults.iter().map(|(name, row)| (name.clone(), row.locked)).collect(),
        default_profile: "personal".into(),
        active_profiles: vaults.iter().filter(|(_, row)| row.active).map(|(name, _)| name.clone()).collect(),
        locked: vaults.values().all(|row| row.locked),
        health: "ok".into(),
        problems: Vec::new(),
        generation: 7,
        reconciled_usec: 2_000_000,
        vaults,
        daemons: ["daemon-profile", "daemon-secrets"].into_iter().map(daemon).collect(),
    }
}

/// Puts one daemon into another state.
pub fn set_state(report: &mut Report, daemon: &str, state: &str) {
    report.daemons.get_mut(daemon).unwrap().state = state.into();
}

/// What the hub says 3 s after daemon-secrets was killed, at 13 s.
pub fn lost() -> Report {
    let mut report = report(&[("personal", true, false), ("work", true, false)]);
    set_state(&mut report, "daemon-secrets", "lost");
    report.daemons.get_mut("daemon-secrets").unwrap().since_usec = 10_000_000;
    for row in report.vaults.values_mut() {
        row.known = "assumed".into();
    }
    report.health = "degraded".into();
    report.problems = vec![("daemon-secrets".into(), "lost".into(), "it is gone; start it: sesame unlock".into())];
    report
}

/// What a hub says that has not heard of daemon-secrets yet.
pub fn not_reported() -> Report {
    let mut report = report(&[]);
    set_state(&mut report, "daemon-secrets", "stopped");
    report.reconciled_usec = 0;
    report.health = "degraded".into();
    report.problems = vec![("daemon-secrets".into(), "not-reported".into(), "start it: sesame unlock".into())];
    report
}

/// A healthy report under systemd, with all that can be known.
pub fn full() -> Report {
    let mut report = report(&[("personal", false, true), ("work", true, false)]);
    for (pid, (name, row)) in (1_u32..).zip(&mut report.daemons) {
        *row = DaemonRow {
            id: Some(format!("{pid:032x}")),
            state: "running".into(),
            since_usec: 1_500_000,
            unit: Some(format!("{}.service", name.replace("daemon", "open-sesame"))),
            pid: Some(pid),
            started_usec: Some(1_500_000),
            last_seen_usec: Some(2_500_000),
            restarts: Some(pid - 1),
            sandbox: Some("full".into()),
            sessions: (name == "daemon-secrets").then_some(2),
            reason: None,
        };
    }
    report
}
