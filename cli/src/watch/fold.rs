//! What is known, from what the hub reports and signals, and the events that tell of it. Pure: no bus, no clock.
//!
//! A report is the hub's own snapshot. Signals carry it on until the next one, so that each change is told as it
//! happened. Where something may have been missed (the bus or the hub was away, or a number is left out of
//! `Generation`), the next report is told whole, as missed.

use std::{sync::Arc, time::Duration};

use dbus_interfaces::profile::{ChangedProperties, Report, VaultRow};

use super::{
    event::{Event, Lock},
    signal::Signal,
};
use crate::error::Error;

const HUB: &str = "daemon-profile";
const UNKNOWN: &str = "unknown";

/// Why the state cannot be told.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "as in Error")]
pub enum Away {
    /// There is no bus.
    Bus { address: String, cause: String },
    /// Nobody owns the hub's name.
    Hub,
    /// The hub does not answer.
    Silent { limit: Duration },
}

impl Away {
    /// The same, as a command would fail.
    pub fn error(&self) -> Error {
        match self.clone() {
            Self::Bus { address, cause } => Error::NoBus { address, cause },
            Self::Hub => Error::NotRunning(HUB),
            Self::Silent { limit } => Error::NoAnswer { who: HUB, limit, of_change: false },
        }
    }

    /// One word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Bus { .. } => "no-bus",
            Self::Hub => "no-hub",
            Self::Silent { .. } => "no-answer",
        }
    }
}

/// What there is to see.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// The hub's state.
    Known(Arc<Report>),
    /// It cannot be told.
    Away(Away),
}

/// What reaches the watcher.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The state cannot be told.
    Away(Away),
    /// A signal of the owner of the name.
    Signal(Signal),
    /// The hub's answer.
    Reported(Report),
}

/// The watcher's memory.
#[derive(Debug, Default)]
pub struct Fold {
    // The last report, carried on by signals; kept while the hub is away, for what it was before.
    report: Option<Arc<Report>>,
    away: Option<Away>,
    // Something may have happened that was not heard.
    missed: bool,
    // A snapshot was told.
    told: bool,
}

impl Fold {
    /// What there is to see now; nothing before the first answer.
    pub fn seen(&self) -> Option<Seen> {
        match (&self.away, &self.report) {
            (Some(away), _) => Some(Seen::Away(away.clone())),
            (None, Some(report)) => Some(Seen::Known(Arc::clone(report))),
            (None, None) => None,
        }
    }

    /// The id of the hub that was heard last.
    pub fn hub_id(&self) -> Option<&str> {
        self.report.as_ref()?.daemons.get(HUB)?.id.as_deref()
    }

    /// Whether the hub has to be asked what was missed.
    pub fn has_missed(&self) -> bool {
        self.missed
    }

    /// Takes in `input`; what it tells, in order.
    pub fn apply(&mut self, input: Input, now_usec: u64) -> Vec<Event> {
        match input {
            Input::Away(away) => self.lose(away),
            Input::Reported(report) => self.report(report),
            Input::Signal(Signal::Read { profile, name, pid, unit }) if self.told => {
                vec![Event::Read { profile, name, pid, unit }]
            }
            Input::Signal(Signal::LockedItem { profile, connection }) if self.told => {
                vec![Event::LockedItem { profile, connection }]
            }
            // Before the first answer, and after an absence, the answer to come has it all.
            Input::Signal(signal) if matches!(self.away, None | Some(Away::Silent { .. })) => {
                match self.report.as_mut() {
                    Some(report) => carry_on(Arc::make_mut(report), &mut self.missed, signal, now_usec),
                    None => Vec::new(),
                }
            }
            Input::Signal(_) => Vec::new(),
        }
    }

    fn lose(&mut self, away: Away) -> Vec<Event> {
        if self.away.as_ref() == Some(&away) {
            return Vec::new();
        }
        let before = self.away.replace(away.clone());
        // A silent hub's signals still come, one after the other.
        self.missed |= !matches!(away, Away::Silent { .. });
        if !self.told {
            self.told = true;
            return vec![Event::Snapshot { missed: false, seen: Seen::Away(away) }];
        }
        let was_there = matches!(before, None | Some(Away::Silent { .. }));
        let (state, reason) = match away {
            Away::Bus { .. } => (None, "bus-lost"),
            Away::Hub => (Some("lost"), "daemon-lost"),
            Away::Silent { .. } => (Some("unresponsive"), "unresponsive"),
        };
        let Some(report) = self.report.as_mut().filter(|_| was_there) else { return Vec::new() };
        let mut events = Vec::new();
        if let Some((state, row)) = state.zip(Arc::make_mut(report).daemons.get_mut(HUB)) {
            let old = std::mem::replace(&mut row.state, state.into());
            events.push(Event::Daemon {
                daemon: HUB.into(),
                old: Some(old),
                new: state.into(),
                reason: UNKNOWN.into(),
            });
        }
        if before.is_none() {
            events.push(Event::Health { old: report.health.clone(), new: UNKNOWN.into(), reason: reason.into() });
        }
        events
    }

    fn report(&mut self, report: Report) -> Vec<Event> {
        let known = self.report.as_ref().map(|known| known.generation);
        if !self.missed && known.is_some_and(|known| report.generation < known) {
            // An answer that signals have overtaken; the next one is on its way.
            return Vec::new();
        }
        let is_gap = std::mem::take(&mut self.missed) || known != Some(report.generation);
        let before = self.away.take();
        let state_before = self.report.as_ref().and_then(|known| Some(known.daemons.get(HUB)?.state.clone()));
        let report = Arc::new(report);
        self.report = Some(Arc::clone(&report));
        if is_gap || !self.told {
            let missed = std::mem::replace(&mut self.told, true);
            return vec![Event::Snapshot { missed, seen: Seen::Known(report) }];
        }
        if before.is_none() {
            return Vec::new();
        }
        let new = report.daemons.get(HUB).map_or("running".into(), |row| row.state.clone());
        vec![
            Event::Daemon { daemon: HUB.into(), old: state_before, new, reason: String::new() },
            Event::Health { old: UNKNOWN.into(), new: report.health.clone(), reason: reasons(&report) },
        ]
    }
}

/// Carries a report on to what it is after a signal.
fn carry_on(report: &mut Report, missed: &mut bool, signal: Signal, now_usec: u64) -> Vec<Event> {
    match signal {
        Signal::Properties(changed) => {
            *missed |= changed.generation != report.generation + 1;
            properties(report, changed)
        }
        Signal::Vault { profile, locked, active, reason } => {
            let lock = |row: &VaultRow| Lock { locked: row.locked, active: row.active };
            let old = report.vaults.get(&profile).map(lock);
            if reason == "deleted" {
                report.vaults.remove(&profile);
                return vec![Event::Vault { profile, old, new: None, reason }];
            }
            let known = if reason == "daemon-lost" { "assumed" } else { "reported" };
            let error = report.vaults.get(&profile).and_then(|row| row.error.clone());
            let row = VaultRow {
                locked,
                active,
                default: profile == report.default_profile,
                since_usec: now_usec,
                reason: reason.clone(),
                known: known.into(),
                error,
            };
            report.vaults.insert(profile.clone(), row);
            vec![Event::Vault { profile, old, new: Some(Lock { locked, active }), reason }]
        }
        Signal::Daemon { name, state, id, reason } => {
            let row = report.daemons.entry(name.clone()).or_default();
            let old = Some(std::mem::replace(&mut row.state, state.clone())).filter(|old| !old.is_empty());
            row.since_usec = now_usec;
            if !id.is_empty() {
                row.id = Some(id);
            }
            row.reason = Some(reason.clone()).filter(|reason| !reason.is_empty());
            vec![Event::Daemon { daemon: name, old, new: state, reason }]
        }
        Signal::Lost { name, id, reason } => vec![Event::Lost { daemon: name, id, reason }],
        Signal::Restarted { name, old, new } => vec![Event::Restarted { daemon: name, old, new }],
        Signal::Read { .. } | Signal::LockedItem { .. } | Signal::Alive => Vec::new(),
    }
}

/// The vaults' rows stay: a `VaultChanged` for each follows.
fn properties(report: &mut Report, changed: ChangedProperties) -> Vec<Event> {
    let mut events = Vec::new();
    report.generation = changed.generation;
    if let Some(lock_state) = changed.lock_state {
        report.lock_state = lock_state;
    }
    if let Some(active) = changed.active_profiles {
        report.active_profiles = active;
    }
    if let Some(locked) = changed.locked {
        report.locked = locked;
    }
    if let Some(problems) = changed.problems {
        report.problems = problems;
    }
    if let Some(new) = changed.default_profile {
        for (profile, row) in &mut report.vaults {
            row.default = *profile == new;
        }
        let old = std::mem::replace(&mut report.default_profile, new.clone());
        events.push(Event::Default { old, new });
    }
    if let Some(new) = changed.health {
        let old = std::mem::replace(&mut report.health, new.clone());
        events.push(Event::Health { old, new, reason: reasons(report) });
    }
    events
}

/// `daemon-secrets:lost`: subject and code of each problem.
fn reasons(report: &Report) -> String {
    let reasons = report.problems.iter().map(|(subject, code, _)| format!("{subject}:{code}"));
    reasons.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
