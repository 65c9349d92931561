//! Which daemons live, and which run of each: crash-restart detection. Pure.

use std::{collections::BTreeMap, fmt};

use dbus_interfaces::{daemon, profile::DaemonRow};

use crate::units::{Fate, UnitFacts};

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

    /// Its systemd unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Profile => daemon::PROFILE_UNIT,
            Self::Secrets => daemon::SECRETS_UNIT,
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
    /// It is gone, and systemd has given up on it.
    Failed,
}

impl State {
    /// The word on the bus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Unresponsive => "unresponsive",
            Self::Lost => "lost",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
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
    sessions: Option<u32>,
    reason: Option<String>,
    // How the last run ended, which an owner of the name that never said who it is does not change.
    ended: State,
    // Its end is known, but not why: `DaemonLost` waits for that.
    unexplained: bool,
    unit: Option<UnitFacts>,
    // Whether `run` is the unit's, as a reading showed: what is read once that has ended may be of a run after it.
    of_unit: bool,
    // It is read as failed, which passes at every crash.
    doubtful: bool,
}

impl Peer {
    fn facts(&self) -> Option<&UnitFacts> {
        self.unit.as_ref().filter(|facts| facts.is_loaded())
    }

    /// Whether `facts` are of the last run. Of one that was never seen all are.
    fn is_of_run(&self, facts: &UnitFacts) -> bool {
        self.run.as_ref().is_none_or(|run| run.id == facts.invocation)
    }
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
            sessions: None,
            reason: None,
            ended: State::Stopped,
            unexplained: false,
            unit: None,
            of_unit: false,
            doubtful: false,
        };
        Self { peers: [(DaemonName::Profile, unseen.clone()), (DaemonName::Secrets, unseen)].into() }
    }

    /// A daemon's state.
    pub fn state(&self, name: DaemonName) -> State {
        self.peers[&name].state
    }

    /// Whether the run that owns the name has said who it is.
    pub fn is_introduced(&self, name: DaemonName) -> bool {
        self.peers[&name].present
    }

    /// Records that `name` runs as `id`. The old id where a known name announces a new one.
    pub fn track(&mut self, name: DaemonName, run: Introduction) -> Option<String> {
        let peer = self.peer(name);
        (peer.present, peer.doubtful) = (true, false);
        let old = peer.run.replace(run.clone()).filter(|old| old.id != run.id);
        peer.of_unit = peer.unit.as_ref().is_some_and(|facts| peer.is_of_run(facts));
        old.map(|old| old.id)
    }

    /// `name` says who it is: it runs. A new id where the last run did not end on purpose is a crash-restart.
    pub fn introduce(&mut self, name: DaemonName, run: Introduction, now_usec: u64) -> Vec<PeerChange> {
        // How the last run ended must be settled before the next one counts.
        let mut changes = self.explain_by_now(name, now_usec);
        let stopped = !self.is_introduced(name) && self.peers[&name].ended == State::Stopped;
        let new = run.id.clone();
        let old = self.track(name, run);
        let restarted = old.filter(|_| !stopped).map(|old| PeerChange::Restarted { name, old, new });
        let is_new_run = restarted.is_some();
        changes.extend(restarted);
        changes.extend(self.set(name, State::Running, now_usec, is_new_run));
        changes
    }

    /// The process behind `name`.
    pub fn set_pid(&mut self, name: DaemonName, pid: u32) {
        self.peer(name).pid = Some(pid);
    }

    /// Applications have so many sessions open with `name`.
    pub fn set_sessions(&mut self, name: DaemonName, sessions: u32) {
        self.peer(name).sessions = Some(sessions);
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

    /// `name` has left the bus. Why is not known yet. An owner that never said which run it is was none: a stranger,
    /// or one that came and went unheard. Its end is nobody's loss.
    pub fn lose(&mut self, name: DaemonName, now_usec: u64) -> Vec<PeerChange> {
        let peer = self.peer(name);
        (peer.pid, peer.sessions) = (None, None);
        if !std::mem::take(&mut peer.present) {
            let ended = peer.ended;
            return self.set(name, ended, now_usec, false).into_iter().collect();
        }
        peer.unexplained = true;
        peer.reason = Some("unknown".into());
        let mut changes: Vec<_> = self.set(name, State::Lost, now_usec, false).into_iter().collect();
        // systemd may have said already that it asked for it, or that it killed it.
        changes.extend(self.explain(name, now_usec, Fate::lasts));
        changes
    }

    /// Whether a loss of `name` waits for its reason, or systemd may have given up on it.
    pub fn is_unsettled(&self, name: DaemonName) -> bool {
        self.peers[&name].unexplained || self.peers[&name].doubtful
    }

    /// systemd was read. What that tells of the run that ended, or of one that was never seen.
    pub fn read_unit(&mut self, name: DaemonName, facts: UnitFacts, now_usec: u64) -> Vec<PeerChange> {
        let peer = self.peer(name);
        // Between a stop and a start the reading says "stopped"; that the last one said "asked" is worth keeping,
        // and a reading of the next run says nothing of this one.
        let of_next_run = !peer.is_of_run(&facts) && !peer.present;
        if of_next_run && peer.unexplained {
            return Vec::new();
        }
        peer.of_unit |= peer.is_of_run(&facts);
        peer.unit = Some(facts);
        if peer.unexplained {
            return self.explain(name, now_usec, Fate::lasts);
        }
        let passes_perhaps = !self.lives(name) && matches!(self.fate_of_unit(name), Some(Fate::Failed(_)));
        self.peer(name).doubtful = passes_perhaps;
        if passes_perhaps { Vec::new() } else { self.follow_unit(name, now_usec) }
    }

    /// It has been waited for long enough: what was read last is believed.
    pub fn settle(&mut self, name: DaemonName, now_usec: u64) -> Vec<PeerChange> {
        let mut changes = self.explain_by_now(name, now_usec);
        if std::mem::take(&mut self.peer(name).doubtful) {
            changes.extend(self.follow_unit(name, now_usec));
        }
        changes
    }

    fn explain_by_now(&mut self, name: DaemonName, now_usec: u64) -> Vec<PeerChange> {
        let mut changes = self.explain(name, now_usec, |_| true);
        if std::mem::take(&mut self.peer(name).unexplained) {
            changes.push(PeerChange::Lost { name, id: self.id(name), reason: "unknown".into() });
        }
        changes
    }

    /// Settles how the last run ended, where a reading that is `believed` says so.
    fn explain(&mut self, name: DaemonName, now_usec: u64, believed: impl Fn(&Fate) -> bool) -> Vec<PeerChange> {
        let peer = &self.peers[&name];
        let fate = peer.facts().filter(|facts| peer.is_of_run(facts)).map(UnitFacts::fate);
        let Some(fate) = fate.filter(|fate| peer.unexplained && believed(fate)) else { return Vec::new() };
        let (state, reason) = match fate {
            Fate::Alive => return Vec::new(),
            Fate::Asked | Fate::Stopped => (State::Stopped, "stopped".to_owned()),
            Fate::Lost(reason) => (State::Lost, reason),
            Fate::Failed(reason) => (State::Failed, reason),
        };
        let peer = self.peer(name);
        peer.unexplained = false;
        peer.reason = Some(reason.clone());
        let mut changes: Vec<_> = self.set(name, state, now_usec, true).into_iter().collect();
        if state != State::Stopped {
            changes.push(PeerChange::Lost { name, id: self.id(name), reason });
        }
        changes
    }

    /// A daemon that is not there, and whose end is settled: systemd may give up on it, or forget that it did.
    fn follow_unit(&mut self, name: DaemonName, now_usec: u64) -> Vec<PeerChange> {
        let Some(fate) = self.fate_of_unit(name).filter(|_| !self.lives(name)) else { return Vec::new() };
        let peer = &self.peers[&name];
        let of_run = peer.facts().is_some_and(|facts| peer.is_of_run(facts));
        let (state, reason) = match fate {
            Fate::Failed(reason) => (State::Failed, Some(reason)),
            Fate::Lost(reason) => (State::Lost, Some(reason)),
            Fate::Stopped if self.state(name) == State::Failed => (State::Stopped, None),
            // That the last run was asked to is known from its own end.
            Fate::Asked if !of_run => (State::Stopped, Some("stopped".into())),
            Fate::Alive | Fate::Asked | Fate::Stopped => return Vec::new(),
        };
        let peer = self.peer(name);
        let anyway = reason.is_some() && peer.reason != reason;
        peer.reason = reason.or_else(|| peer.reason.take());
        self.set(name, state, now_usec, anyway).into_iter().collect()
    }

    /// What systemd says of the last run, if it was systemd's; or of one after it, that ended before it said who it was.
    fn fate_of_unit(&self, name: DaemonName) -> Option<Fate> {
        let peer = &self.peers[&name];
        let of_later_run = peer.of_unit && !peer.present;
        peer.facts().filter(|facts| peer.is_of_run(facts) || of_later_run).map(UnitFacts::fate)
    }

    fn lives(&self, name: DaemonName) -> bool {
        matches!(self.state(name), State::Running | State::Unresponsive)
    }

    /// The row of `Daemons`.
    pub fn row(&self, name: DaemonName) -> DaemonRow {
        let peer = &self.peers[&name];
        let (run, lives) = (self.run(name), self.lives(name));
        let run_by_systemd = self.fate_of_unit(name).and(peer.unit.as_ref());
        DaemonRow {
            id: run.map(|run| run.id.clone()),
            state: peer.state.as_str().into(),
            since_usec: peer.since_usec,
            unit: run_by_systemd.map(|_| name.unit().into()),
            pid: peer.pid,
            started_usec: run.map(|run| run.started_usec),
            last_seen_usec: run.and(peer.last_seen_usec),
            restarts: run_by_systemd.map(|facts| facts.restarts),
            sandbox: run.filter(|_| lives).map(|run| run.sandbox.clone()),
            sessions: peer.sessions,
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
        if matches!(state, State::Lost | State::Stopped | State::Failed) {
            peer.ended = state;
        }
        let reason = peer.reason.clone().unwrap_or_default();
        Some(PeerChange::Changed { name, state, id: self.id(name), reason })
    }

    fn id(&self, name: DaemonName) -> String {
        self.run(name).map(|run| run.id.clone()).unwrap_or_default()
    }

    /// The run that the state is of: the last one, unless somebody owns the name who never said who it is.
    fn run(&self, name: DaemonName) -> Option<&Introduction> {
        let peer = &self.peers[&name];
        peer.run.as_ref().filter(|_| peer.present || !self.lives(name))
    }

    fn peer(&mut self, name: DaemonName) -> &mut Peer {
        // Both names are put in by `new`, and none is ever taken out.
        self.peers.get_mut(&name).expect("every daemon is tracked")
    }
}

#[cfg(test)]
mod tests;
