//! What the actor asks of others: daemon-secrets and the service manager. It asks and goes on; the answers come in the
//! stream, or a deadline passes.

use std::time::Duration;

use dbus_interfaces::{Error, ProfileName, secrets};
use tokio::time::Instant;
use zbus::Message;

use super::Actor;
use crate::{
    calls::{self, Call, MANAGER, Waiter},
    hub::Event,
    peers::DaemonName,
};

/// How long daemon-secrets may be silent before somebody who looks has it probed, and the least time between probes.
const SILENCE: Duration = Duration::from_secs(1);

/// How long `DaemonLost` waits for systemd's reason, and what may pass at once is not believed.
const REASON_DEADLINE: Duration = Duration::from_millis(100);

impl Actor {
    /// systemd learns of an end a few milliseconds after the bus does, and signals it.
    pub(super) fn wait_for_reason(&mut self) {
        if self.owners.manager.is_none() {
            self.apply(Event::ReasonOverdue);
        } else if self.hub.is_unsettled() {
            self.reason_due = Some(Instant::now() + REASON_DEADLINE);
            self.read_unit(DaemonName::Secrets);
        }
    }

    /// What was read of a unit may pass at once: if nothing follows it is believed.
    pub(super) fn settle_in_time(&mut self) {
        let unsettled = self.hub.is_unsettled();
        let due = || Instant::now() + REASON_DEADLINE;
        self.reason_due = unsettled.then(|| self.reason_due.unwrap_or_else(due));
    }

    pub(super) fn read_unit(&mut self, unit: DaemonName) {
        if self.calls.is_reading(unit) {
            self.reread_unit |= unit == DaemonName::Secrets;
        } else if let Some(manager) = &self.owners.manager {
            let message = calls::unit(manager, unit);
            self.call(message, Call::Unit(unit));
        }
    }

    pub(super) fn forward(&mut self, member: &'static str, profile: &ProfileName, waiter: Waiter<()>) {
        match (&self.owners.secrets, self.hub.has_report()) {
            (Some(owner), true) => {
                let message = calls::forward(owner, member, profile);
                self.call(message, Call::Forward(waiter));
            }
            (None, true) => drop(waiter.send(Err(gone()))),
            (_, false) => drop(waiter.send(Err(not_reported()))),
        }
    }

    pub(super) fn reconcile(&mut self, waiter: Option<Waiter<bool>>) {
        if !self.owner_known {
            return self.early.extend(waiter);
        }
        let Some(owner) = &self.owners.secrets else {
            // Should the signal that it has come be lost, this finds it; where nobody is there `set_owner` says so.
            self.early.extend(waiter);
            return self.ask_owner();
        };
        if !self.hub.is_introduced() {
            self.early.extend(waiter);
            if !self.calls.is_probing() {
                self.ask_introduction();
            }
            return;
        }
        let message = calls::state(owner);
        let mut waiters = std::mem::take(&mut self.early);
        waiters.extend(waiter);
        if let Err(waiters) = self.calls.join_reconciliation(waiters) {
            self.call(message, Call::State(waiters));
        }
    }

    /// Nobody is there to be asked, or nobody answers.
    pub(super) fn fail_early(&mut self, why: fn() -> Error) {
        let early = std::mem::take(&mut self.early);
        self.fail(Call::State(early), why);
    }

    pub(super) fn ask_owner(&mut self) {
        if !self.calls.is_asking_owner() {
            self.call(calls::owner(secrets::NAME), Call::Owner);
        }
    }

    pub(super) fn ask_introduction(&mut self) {
        if let Some(owner) = &self.owners.secrets {
            let message = calls::introduction(owner);
            self.call(message, Call::Introduction);
        }
    }

    pub(super) fn ask_sessions(&mut self) {
        if let Some(owner) = &self.owners.secrets {
            let message = calls::sessions(owner);
            self.call(message, Call::Sessions);
        }
    }

    pub(super) fn probe_if_silent(&mut self) {
        let Some(owner) = &self.owners.secrets else { return };
        let now = Instant::now();
        let silent = now - self.last_heard >= SILENCE;
        let probed = self.last_probe.is_some_and(|last| now - last < SILENCE);
        if !silent || probed || self.calls.is_probing() {
            return;
        }
        self.last_probe = Some(now);
        if self.hub.is_introduced() {
            let message = calls::state(owner);
            self.call(message, Call::Probe);
        } else {
            self.ask_introduction();
        }
    }

    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        if self.reason_due.is_some_and(|due| due <= now) {
            self.reason_due = None;
            self.apply(Event::ReasonOverdue);
        }
        for call in self.calls.overdue(now) {
            match call {
                // The bus itself is slow; who owns the names is still to be known.
                Call::Owner => self.call(calls::owner(secrets::NAME), Call::Owner),
                Call::Manager => self.call(calls::owner(MANAGER), Call::Manager),
                Call::Pid | Call::Sessions | Call::Unit(_) => {}
                Call::Notify => {
                    let sending = self.notifications.answered(None);
                    self.notify(sending);
                }
                call => {
                    self.apply(Event::Unanswered);
                    self.fail(call, hung);
                    self.fail_early(hung);
                }
            }
        }
    }

    pub(super) fn fail(&mut self, call: Call, why: fn() -> Error) {
        match call {
            Call::State(waiters) => {
                self.answer(move || waiters.into_iter().for_each(|waiter| drop(waiter.send(Err(why())))));
            }
            Call::Forward(waiter) => self.answer(move || drop(waiter.send(Err(why())))),
            Call::Owner
            | Call::Pid
            | Call::Sessions
            | Call::Introduction
            | Call::Probe
            | Call::Manager
            | Call::Unit(_)
            | Call::Notify => {}
        }
    }

    pub(super) fn call(&mut self, message: zbus::Result<Message>, call: Call) {
        match message {
            Ok(message) => {
                self.calls.add(&message, call);
                self.outbox.send(message);
            }
            // Messages are made of names and constants only.
            Err(cause) => tracing::error!(%cause, "a call could not be composed"),
        }
    }
}

pub(super) fn gone() -> Error {
    Error::Unavailable("daemon-secrets is not running; start it with: sesame unlock".into())
}

pub(super) fn hung() -> Error {
    Error::Unresponsive("daemon-secrets does not answer; sesame status shows since when, and what to do".into())
}

pub(super) fn not_reported() -> Error {
    Error::Unavailable("daemon-secrets has not reported yet; start it with: sesame unlock".into())
}
