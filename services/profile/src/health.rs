//! What is wrong, in words: problems, and the health that follows from them. Pure.

use dbus_interfaces::profile::{Problem, Report};

use crate::{
    peers::{DaemonName, DaemonTracker, State},
    vaults::{Source, Vaults},
};

/// `ok` exactly while there is no problem.
pub fn health(problems: &[Problem]) -> &'static str {
    if problems.is_empty() { "ok" } else { "degraded" }
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
    let (code, sentence) = match (peers.state(name), vaults.source()) {
        (State::Unresponsive, _) => (
            "unresponsive",
            "daemon-secrets does not answer; what is shown of the vaults is what it said last; \
             if it stays so, kill it: pkill -KILL -x daemon-secrets (its vaults are then locked)",
        ),
        (State::Running, Source::Report) => return None,
        (_, Source::None) => (
            "not-reported",
            "daemon-secrets has not reported yet, so nothing is known of the vaults; start it: sesame unlock",
        ),
        (State::Lost, _) => (
            "lost",
            "daemon-secrets is gone and its keys with it, so every vault is locked; start it again: sesame unlock",
        ),
        (State::Stopped, _) => {
            ("stopped", "daemon-secrets is stopped, so every vault is locked; start it again: sesame unlock")
        }
        (State::Running, Source::Assumption) => (
            "not-reported",
            "daemon-secrets was restarted and has not reported yet; wait a moment, then: sesame status",
        ),
    };
    Some(problem(name.as_str(), code, sentence.into()))
}

fn problem(subject: &str, code: &str, sentence: String) -> Problem {
    (subject.into(), code.into(), sentence)
}
