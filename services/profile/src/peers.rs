//! Which daemons live, and which run of each: crash-restart detection. Pure.

use std::{collections::BTreeMap, fmt};

use dbus_interfaces::profile::DaemonRow;

/// The daemons of this project. The hub reports on both, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DaemonName {
    /// The health hub: this daemon.
    Profile,
    /// The vaults.
    Secrets,
}

impl DaemonName {
    /// The name on the bus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Profile => "daemon-profile",
            Self::Secrets => "daemon-secrets",
        }
    }
}

impl fmt::Display for DaemonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A daemon's state (contract, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It owns its name and answers.
    Running,
    /// It owns its name and does not answer.
    Unresponsive,
    /// It is gone without having been asked to.
    Lost,
    /// It was stopped on purpose, or was never seen.
    Stopped,
}

impl State {
    /// The word on the bus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Unresponsive => "unresponsive",
            Self::Lost => "lost",
            Self::Stopped => "stopped",
        }
    }
}

/// What a daemon says of its run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Introduction {
    /// The daemon id.
    pub id: String,
    /// When the run began (CLOCK_REALTIME, microseconds).
    pub started_usec: u64,
    /// What its sandbox enforces.
    pub sandbox: String,
}

/// What became known of a daemon; each is a signal to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are the signals' arguments")]
pub enum PeerChange {
    /// `DaemonChanged`.
    Changed { name: DaemonName, state: State, id: String, reason: String },
    /// `DaemonLost`.
    Lost { name: DaemonName, id: String, reason: String },
    /// `DaemonRestarted`.
    Restarted { name: DaemonName, old: String, new: String },
}

/// One daemon as the hub knows it.
#[derive(Clone, Debug)]
struct Peer {
    state: State,
    since_usec: u64,
    run: Option<Introduction>,
    // Whether `run` is the run that owns the name now, not the last one.
    present: bool,
    pid: Option<u32>,
    last_seen_usec: Option<u64>,
    reason: Option<String>,
}

/// Every daemon, by name.
#[derive(Clone, Debug)]
pub struct DaemonTracker {
    peers: BTreeMap<DaemonName, Peer>,
}

impl DaemonTracker {
    /// Both daemons, none seen yet.
    pub fn new(now_usec: u64) -> Self {
        let unseen = Peer {
            state: State::Stopped,
            since_usec: now_usec,
            run: None,
            present: false,
            pid: None,
            last_seen_usec: None,
            reason: None,
        };
        Self { peers: [(DaemonName::Profile, unseen.clone()), (DaemonName::Secrets, unseen)].into() }
    }

    /// A daemon's state.
    pub fn state(&self, name: DaemonName) -> State {
        self.peers[&name].state
    }

    /// When that state began.
    pub fn since_usec(&self, name: DaemonName) -> u64 {
        self.peers[&name].since_usec
    }

    /// Whether the run that owns the name has said who it is.
    pub fn is_introduced(&self, name: DaemonName) -> bool {
        self.peers[&name].present
    }

    /// Records that `name` runs as `id`. The old id where a known name announces a new one.
    pub fn track(&mut self, name: DaemonName, run: Introduction) -> Option<String> {
        let peer = self.peer(name);
        peer.present = true;
        let old = peer.run.replace(run.clone()).filter(|old| old.id != run.id)?;
        Some(old.id)
    }

    /// `name` says who it is: it runs. A new id where the last run did not end on purpose is a crash-restart.
    pub fn introduce(&mut self, name: DaemonName, run: Introduction, now_usec: u64) -> Vec<PeerChange> {
        let stopped = self.state(name) == State::Stopped;
        let new = run.id.clone();
        let old = self.track(name, run);
        let restarted = old.filter(|_| !stopped).map(|old| PeerChange::Restarted { name, old, new });
        let is_new_run = restarted.is_some();
        restarted.into_iter().chain(self.set(name, State::Running, now_usec, is_new_run)).collect()
    }

    /// The process behind `name`.
    pub fn set_pid(&mut self, name: DaemonName, pid: u32) {
        self.peer(name).pid = Some(pid);
    }

    /// `name` sent something: whatever it was, it lives. A run that did not say yet who it is stays what it was.
    pub fn heard(&mut self, name: DaemonName, now_usec: u64) -> Option<PeerChange> {
        let peer = self.peer(name);
        peer.last_seen_usec = Some(now_usec);
        if peer.state != State::Unresponsive || !peer.present {
            return None;
        }
        self.set(name, State::Running, now_usec, false)
    }

    /// `name` owns its name and let a deadline pass.
    pub fn unanswered(&mut self, name: DaemonName, now_usec: u64) -> Option<PeerChange> {
        self.set(name, State::Unresponsive, now_usec, false)
    }

    /// `name` has left the bus, and nobody can say why.
    pub fn lose(&mut self, name: DaemonName, now_usec: u64) -> Vec<PeerChange> {
        let peer = self.peer(name);
        peer.present = false;
        peer.pid = None;
        peer.reason = Some("unknown".into());
        let Some(changed) = self.set(name, State::Lost, now_usec, false) else { return Vec::new() };
        let lost = PeerChange::Lost { name, id: self.id(name), reason: "unknown".into() };
        vec![changed, lost]
    }

    /// The row of `Daemons`.
    pub fn row(&self, name: DaemonName) -> DaemonRow {
        let peer = &self.peers[&name];
        let lives = matches!(peer.state, State::Running | State::Unresponsive);
        DaemonRow {
            id: peer.run.as_ref().map(|run| run.id.clone()),
            state: peer.state.as_str().into(),
            since_usec: peer.since_usec,
            unit: None,
            pid: peer.pid,
            started_usec: peer.run.as_ref().map(|run| run.started_usec),
            last_seen_usec: peer.last_seen_usec,
            restarts: None,
            sandbox: peer.run.as_ref().filter(|_| lives).map(|run| run.sandbox.clone()),
            reason: peer.reason.clone(),
        }
    }

    fn set(&mut self, name: DaemonName, state: State, now_usec: u64, anyway: bool) -> Option<PeerChange> {
        let peer = self.peer(name);
        if peer.state == state && !anyway {
            return None;
        }
        peer.state = state;
        peer.since_usec = now_usec;
        let reason = peer.reason.clone().unwrap_or_default();
        Some(PeerChange::Changed { name, state, id: self.id(name), reason })
    }

    fn id(&self, name: DaemonName) -> String {
        self.peers[&name].run.as_ref().map(|run| run.id.clone()).unwrap_or_default()
    }

    fn peer(&mut self, name: DaemonName) -> &mut Peer {
        // Both names are put in by `new`, and none is ever taken out.
        self.peers.get_mut(&name).expect("every daemon is tracked")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRETS: DaemonName = DaemonName::Secrets;

    fn run(id: &str) -> Introduction {
        Introduction { id: id.into(), started_usec: 1, sandbox: "none".into() }
    }

    fn changed(state: State, id: &str, reason: &str) -> PeerChange {
        PeerChange::Changed { name: SECRETS, state, id: id.into(), reason: reason.into() }
    }

    #[test]
    fn the_first_run_is_no_restart() {
        let mut peers = DaemonTracker::new(0);
        assert_eq!(peers.introduce(SECRETS, run("a"), 1), [changed(State::Running, "a", "")]);
        assert_eq!(peers.introduce(SECRETS, run("a"), 2), [], "the same run twice is no news");
    }

    #[test]
    fn a_new_id_after_a_loss_is_a_crash_restart() {
        let mut peers = DaemonTracker::new(0);
        peers.introduce(SECRETS, run("a"), 1);
        let lost = PeerChange::Lost { name: SECRETS, id: "a".into(), reason: "unknown".into() };
        assert_eq!(peers.lose(SECRETS, 2), [changed(State::Lost, "a", "unknown"), lost]);
        assert_eq!(peers.lose(SECRETS, 3), [], "lost once");
        let restarted = PeerChange::Restarted { name: SECRETS, old: "a".into(), new: "b".into() };
        assert_eq!(peers.introduce(SECRETS, run("b"), 4), [restarted, changed(State::Running, "b", "unknown")]);
        assert_eq!(peers.row(SECRETS).reason.as_deref(), Some("unknown"), "kept while it runs");
    }

    #[test]
    fn a_restart_whose_loss_was_not_seen_is_still_one() {
        let mut peers = DaemonTracker::new(0);
        peers.introduce(SECRETS, run("a"), 1);
        let restarted = PeerChange::Restarted { name: SECRETS, old: "a".into(), new: "b".into() };
        assert_eq!(peers.introduce(SECRETS, run("b"), 4), [restarted, changed(State::Running, "b", "")]);
    }

    #[test]
    fn a_hang_ends_with_the_first_sign_of_life() {
        let mut peers = DaemonTracker::new(0);
        peers.introduce(SECRETS, run("a"), 1);
        assert_eq!(peers.heard(SECRETS, 2), None);
        assert_eq!(peers.unanswered(SECRETS, 3), Some(changed(State::Unresponsive, "a", "")));
        assert_eq!(peers.unanswered(SECRETS, 4), None);
        assert_eq!(peers.since_usec(SECRETS), 3);
        assert_eq!(peers.heard(SECRETS, 5), Some(changed(State::Running, "a", "")));
    }

    #[test]
    fn a_dead_process_has_no_pid_and_no_sandbox() {
        let mut peers = DaemonTracker::new(0);
        peers.introduce(SECRETS, run("a"), 1);
        peers.set_pid(SECRETS, 42);
        assert_eq!((peers.row(SECRETS).pid, peers.row(SECRETS).sandbox.as_deref()), (Some(42), Some("none")));
        peers.lose(SECRETS, 2);
        assert_eq!((peers.row(SECRETS).pid, peers.row(SECRETS).sandbox), (None, None));
        assert_eq!(peers.row(SECRETS).id.as_deref(), Some("a"), "the journal is searched by it");
    }
}
