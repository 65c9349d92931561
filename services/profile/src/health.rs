//! What is wrong, in words: problems, and the health that follows from them. Pure.

use dbus_interfaces::profile::{Problem, Report};

use crate::{
    peers::{DaemonName, DaemonTracker, State},
    units,
    vaults::{Source, Vaults},
};

/// `ok` exactly while there is no problem; `failed` when systemd gave up on a daemon.
pub fn health(problems: &[Problem], peers: &DaemonTracker) -> &'static str {
    match (peers.state(DaemonName::Secrets), problems.is_empty()) {
        (State::Failed, _) => "failed",
        (_, true) => "ok",
        (_, false) => "degraded",
    }
}

/// Every problem: daemons first, then vaults in name order, then the configuration.
pub fn problems(vaults: &Vaults, peers: &DaemonTracker, bad_config: Option<&str>) -> Vec<Problem> {
    let daemon = of_secrets(vaults, peers);
    let vaults = vaults.rows().iter().filter_map(|(profile, row)| {
        let sentence = row.error.clone()?;
        let code = row.error_code.as_deref().unwrap_or("corrupt");
        Some(problem(profile, code, sentence))
    });
    let config = bad_config.map(|sentence| problem("config", "bad-config", sentence.into()));
    daemon.into_iter().chain(vaults).chain(config).collect()
}

/// The state in one line.
pub fn line(report: &Report) -> String {
    let unlocked = report.lock_state.values().filter(|locked| !**locked).count();
    let codes: Vec<String> = report.problems.iter().map(|(subject, code, _)| format!("{subject} {code}")).collect();
    let vaults = format!("{unlocked} of {} vaults unlocked; health {}", report.lock_state.len(), report.health);
    if codes.is_empty() { vaults } else { format!("{vaults}: {}", codes.join(", ")) }
}

fn of_secrets(vaults: &Vaults, peers: &DaemonTracker) -> Option<Problem> {
    let name = DaemonName::Secrets;
    let row = peers.row(name);
    let why = row.reason.as_deref().filter(|reason| *reason != "unknown").map(|reason| format!(" ({reason})"));
    let why = why.unwrap_or_default();
    let (come_back, start, kill) = match row.unit {
        Some(unit) => (
            "systemd restarts it; if it does not come back",
            format!("systemctl --user restart {unit}"),
            format!("systemctl --user kill -s KILL {unit}"),
        ),
        None => ("start it again", "sesame unlock".to_owned(), kill_by_hand(row.pid)),
    };
    let (code, sentence) = match (peers.state(name), vaults.source()) {
        (State::Running, Source::Report) => return None,
        (State::Unresponsive, _) => (
            "unresponsive",
            format!(
                "daemon-secrets does not answer, and what is shown of the vaults is what it said last; if it stays so, \
                 kill it, which locks them: {kill}"
            ),
        ),
        (State::Failed, _) => (
            "failed",
            format!(
                "daemon-secrets keeps failing{why} and systemd has given up on it, so every vault is locked; see why: {}; \
                 then: {}",
                units::journal(),
                units::advice_when_given_up()
            ),
        ),
        (State::Running, Source::Assumption) => (
            "not-reported",
            "daemon-secrets was restarted and has not reported yet; wait a moment and look again".into(),
        ),
        (_, Source::None) => (
            "not-reported",
            format!("daemon-secrets has not reported yet, so nothing is known of the vaults; start it: {start}"),
        ),
        (State::Lost, _) => (
            "lost",
            format!("daemon-secrets is gone{why} and its keys with it, so every vault is locked; {come_back}: {start}"),
        ),
        (State::Stopped, _) => {
            ("stopped", format!("daemon-secrets is stopped, so every vault is locked; start it again: {start}"))
        }
    };
    Some(problem(name.as_str(), code, sentence))
}

fn kill_by_hand(pid: Option<u32>) -> String {
    pid.map_or_else(|| "pkill -KILL -x daemon-secrets".into(), |pid| format!("kill -KILL {pid}"))
}

fn problem(subject: &str, code: &str, sentence: String) -> Problem {
    (subject.into(), code.into(), sentence)
}
