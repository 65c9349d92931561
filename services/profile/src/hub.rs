//! The hub's whole state and its transitions: given this event at this time, the new state and the signals that tell
//! of it. Pure: no bus, no clock, no file.
//!
//! Signals are derived from the difference between two reports, so no signal can contradict the property it
//! announces, and one event makes one `PropertiesChanged`.

use std::{collections::BTreeMap, sync::Arc};

use dbus_interfaces::{
    ProfileName,
    profile::{ChangedProperties, Report, VaultRow},
    secrets::VaultState,
};

use crate::{
    health,
    peers::{DaemonName, DaemonTracker, Introduction, PeerChange, State},
    units::UnitFacts,
    vaults::{Source, Vaults},
};

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// daemon-secrets said who it is.
    Introduced(Introduction),
    /// The process behind daemon-secrets' name.
    PidKnown(u32),
    /// daemon-secrets stated its vaults, of its own accord.
    Announced(BTreeMap<ProfileName, VaultState>),
    /// daemon-secrets stated its vaults because it was asked, at this tick.
    Reconciled(BTreeMap<ProfileName, VaultState>, u64),
    /// Applications have so many sessions open with daemon-secrets.
    SessionsKnown(u32),
    /// daemon-secrets sent something.
    Heard,
    /// daemon-secrets let a deadline pass.
    Unanswered,
    /// daemon-secrets no longer owns its name.
    OwnerGone,
    /// systemd was read.
    UnitRead(DaemonName, UnitFacts),
    /// The reason of a loss, or another word of systemd, has been waited for long enough.
    ReasonOverdue,
    /// The default profile is written.
    DefaultChosen(ProfileName),
    /// The configuration was read: what is wrong with it.
    Configured(Option<String>),
}

/// What is to be told, in this order.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are the signals' arguments")]
pub enum Change {
    /// `PropertiesChanged`, with everything that changed.
    Properties(ChangedProperties),
    /// `VaultChanged`.
    Vault { profile: String, locked: bool, active: bool, reason: String },
    /// A daemon's life.
    Peer(PeerChange),
    /// `Reconciled`.
    Reconciled { tick: u64, changed: bool },
}

/// The hub.
#[derive(Clone, Debug)]
pub struct Hub {
    vaults: Vaults,
    peers: DaemonTracker,
    default_profile: ProfileName,
    bad_config: Option<String>,
    generation: u64,
    reconciled_usec: u64,
    report: Arc<Report>,
    // Set where only a time changed: such news is told when asked for, and not before.
    stale: bool,
}

impl Hub {
    /// A hub that knows only itself: `run`, in the process `pid`.
    pub fn new(run: Introduction, pid: u32, default_profile: ProfileName, now_usec: u64) -> Self {
        let mut peers = DaemonTracker::new(now_usec);
        peers.introduce(DaemonName::Profile, run, now_usec);
        peers.set_pid(DaemonName::Profile, pid);
        let mut hub = Self {
            vaults: Vaults::default(),
            peers,
            default_profile,
            bad_config: None,
            generation: 0,
            reconciled_usec: 0,
            report: Arc::new(Report {
                lock_state: BTreeMap::new(),
                default_profile: String::new(),
                active_profiles: Vec::new(),
                locked: true,
                health: String::new(),
                problems: Vec::new(),
                generation: 0,
                reconciled_usec: 0,
                vaults: BTreeMap::new(),
                daemons: BTreeMap::new(),
            }),
            stale: false,
        };
        hub.report = Arc::new(hub.render());
        hub
    }

    /// The present state, as it is told.
    pub fn report(&mut self) -> Arc<Report> {
        if self.stale {
            self.report = Arc::new(self.render());
            self.stale = false;
        }
        Arc::clone(&self.report)
    }

    /// Whether daemon-secrets ever reported.
    pub fn has_report(&self) -> bool {
        self.vaults.source() != Source::None
    }

    /// Whether what is known of the vaults is what the present run of daemon-secrets stated.
    pub fn is_current(&self) -> bool {
        self.vaults.source() == Source::Report
    }

    /// Whether there is such a profile.
    pub fn knows(&self, profile: &str) -> bool {
        self.vaults.rows().contains_key(profile)
    }

    /// Whether the present run of daemon-secrets has said who it is. Until then nothing that it states is believed:
    /// the introduction decides whether older knowledge still holds.
    pub fn is_introduced(&self) -> bool {
        self.peers.is_introduced(DaemonName::Secrets)
    }

    /// Whether the loss of daemon-secrets waits for its reason, or systemd may have given up on it.
    pub fn is_unsettled(&self) -> bool {
        self.peers.is_unsettled(DaemonName::Secrets)
    }

    /// What daemon-secrets' state is.
    pub fn secrets_state(&self) -> State {
        self.peers.state(DaemonName::Secrets)
    }

    /// Takes in `event`. What is to be told of it, in order.
    pub fn apply(&mut self, event: Event, now_usec: u64) -> Vec<Change> {
        if matches!(event, Event::Heard) && self.secrets_state() != State::Unresponsive {
            self.peers.heard(DaemonName::Secrets, now_usec);
            self.stale = true;
            return Vec::new();
        }
        if let Event::SessionsKnown(sessions) = event {
            self.peers.set_sessions(DaemonName::Secrets, sessions);
            self.stale = true;
            return Vec::new();
        }
        let (peers, reconciled) = self.transit(event, now_usec);
        let before = Arc::clone(&self.report);
        let mut after = self.render();
        let properties = ChangedProperties::between(&before, &after).map(|mut changed| {
            self.generation += 1;
            after.generation = self.generation;
            changed.generation = self.generation;
            Change::Properties(changed)
        });
        let vaults = vault_changes(&before, &after);
        self.report = Arc::new(after);
        self.stale = false;
        properties.into_iter().chain(vaults).chain(peers.into_iter().map(Change::Peer)).chain(reconciled).collect()
    }

    fn transit(&mut self, event: Event, now_usec: u64) -> (Vec<PeerChange>, Option<Change>) {
        let name = DaemonName::Secrets;
        let mut reconciled = None;
        let peers = match event {
            Event::Introduced(run) => {
                let changes = self.peers.introduce(name, run, now_usec);
                if changes.iter().any(|change| matches!(change, PeerChange::Restarted { .. })) {
                    // Keys die with the run that held them, even where its end was not seen.
                    self.vaults.lose(now_usec);
                }
                changes
            }
            Event::PidKnown(pid) => {
                self.peers.set_pid(name, pid);
                Vec::new()
            }
            Event::Announced(_) | Event::Reconciled(..) if !self.is_introduced() => Vec::new(),
            Event::Announced(stated) => {
                self.vaults.report(stated);
                Vec::new()
            }
            Event::Reconciled(stated, tick) => {
                let changed = self.vaults.report(stated);
                self.reconciled_usec = now_usec;
                reconciled = Some(Change::Reconciled { tick, changed });
                Vec::new()
            }
            Event::SessionsKnown(_) => Vec::new(),
            Event::Heard => self.peers.heard(name, now_usec).into_iter().collect(),
            Event::Unanswered => self.peers.unanswered(name, now_usec).into_iter().collect(),
            Event::OwnerGone => {
                self.vaults.lose(now_usec);
                self.peers.lose(name, now_usec)
            }
            Event::UnitRead(unit, facts) => self.peers.read_unit(unit, facts, now_usec),
            Event::ReasonOverdue => self.peers.settle(name, now_usec),
            Event::DefaultChosen(profile) => {
                self.default_profile = profile;
                Vec::new()
            }
            Event::Configured(problem) => {
                self.bad_config = problem;
                Vec::new()
            }
        };
        (peers, reconciled)
    }

    fn render(&self) -> Report {
        let rows = self.vaults.rows();
        let known = match (self.vaults.source(), self.secrets_state()) {
            (Source::Assumption, _) => "assumed",
            (_, State::Unresponsive) => "last-known",
            _ => "reported",
        };
        let problems = health::problems(&self.vaults, &self.peers, self.bad_config.as_deref());
        let row = |(profile, row): (&ProfileName, &VaultState)| {
            let row = VaultRow {
                locked: row.locked,
                active: row.active,
                default: *profile == self.default_profile,
                since_usec: row.since_usec,
                reason: row.reason.clone(),
                known: known.into(),
                error: row.error.clone(),
            };
            (profile.to_string(), row)
        };
        let daemons = [DaemonName::Profile, DaemonName::Secrets];
        Report {
            lock_state: rows.iter().map(|(profile, row)| (profile.to_string(), row.locked)).collect(),
            default_profile: self.default_profile.to_string(),
            active_profiles: rows
                .iter()
                .filter(|(_, row)| row.active)
                .map(|(profile, _)| profile.to_string())
                .collect(),
            locked: self.vaults.all_locked(),
            health: health::health(&problems, &self.peers).into(),
            problems,
            generation: self.generation,
            reconciled_usec: self.reconciled_usec,
            vaults: rows.iter().map(row).collect(),
            daemons: daemons.map(|name| (name.to_string(), self.peers.row(name))).into(),
        }
    }
}

fn vault_changes(before: &Report, after: &Report) -> Vec<Change> {
    let changed = |(profile, row): (&String, &VaultRow)| {
        let known = before.vaults.get(profile);
        known.is_none_or(|known| (known.locked, known.active) != (row.locked, row.active)).then(|| Change::Vault {
            profile: profile.clone(),
            locked: row.locked,
            active: row.active,
            reason: row.reason.clone(),
        })
    };
    let deleted = before.vaults.keys().filter(|profile| !after.vaults.contains_key(*profile));
    let deleted = deleted.map(|profile| Change::Vault {
        profile: profile.clone(),
        locked: true,
        active: false,
        reason: "deleted".into(),
    });
    after.vaults.iter().filter_map(changed).chain(deleted).collect()
}

#[cfg(test)]
mod tests;
