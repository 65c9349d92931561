//! The one owner of the hub's state. Everything that reaches the state comes through here in the bus's order: one
//! stream of signals, name changes and answers, taken before any call that was delivered after them.
//!
//! The actor never waits for anybody: what it asks for comes back in the stream, what it says leaves through the
//! outbox.

mod asking;
mod defaulting;

use std::{collections::VecDeque, path::PathBuf};

use daemon_runtime::{clock, outbox::Outbox, workers::Workers};
use dbus_interfaces::{Error, ProfileName, secrets};
use futures_util::{FutureExt, StreamExt};
use tokio::time::{Instant, sleep_until};
use zbus::{Connection, Message, MessageStream, OwnedVariant, names::OwnedUniqueName};

use self::asking::{gone, hung};
use crate::{
    calls::{self, Call, Calls, MANAGER, Waiter},
    handle::{Command, Inbox},
    hub::{Change, Event, Hub},
    journal,
    notifications::{Notifications, Sending},
    peers::{DaemonName, State},
    signals,
    stream::{self, Grievances, Heard, Owners},
    units::UnitFacts,
};

/// The actor.
pub struct Actor {
    hub: Hub,
    inbox: Inbox,
    stream: MessageStream,
    outbox: Outbox,
    name: OwnedUniqueName,
    // Who owns the names that count, and whether the bus was heard on daemon-secrets' at all.
    owners: Owners,
    owner_known: bool,
    calls: Calls,
    // Who wants a reconciliation before daemon-secrets has said who it is.
    early: Vec<Waiter<bool>>,
    tick: u64,
    // What the service manager's signals say of daemon-secrets' unit.
    unit: UnitFacts,
    // A change that came while the unit was being read: the reading may be older than it.
    reread_unit: bool,
    // When a loss that systemd did not explain is told without its reason, and what it last said is believed.
    reason_due: Option<Instant>,
    last_heard: Instant,
    last_probe: Option<Instant>,
    default_file: PathBuf,
    workers: Workers,
    // One write at a time, so that the file and the state change in the same order.
    default_writes: VecDeque<(ProfileName, Waiter<()>)>,
    grievances: Grievances,
    notifications: Notifications,
}

impl Actor {
    /// An actor for `hub` on `connection`, whose unique name is `name`, which subscribes before it asks who is there.
    ///
    /// # Errors
    /// A message cannot be composed.
    pub fn new(
        connection: &Connection,
        name: OwnedUniqueName,
        hub: Hub,
        inbox: Inbox,
        default_file: PathBuf,
    ) -> zbus::Result<Self> {
        let mut actor = Self {
            hub,
            inbox,
            stream: MessageStream::from(connection),
            outbox: Outbox::new(connection.clone()),
            name,
            owners: Owners::default(),
            owner_known: false,
            calls: Calls::default(),
            early: Vec::new(),
            tick: 0,
            unit: UnitFacts::default(),
            reread_unit: false,
            reason_due: None,
            last_heard: Instant::now(),
            last_probe: None,
            default_file,
            workers: Workers::default(),
            default_writes: VecDeque::new(),
            grievances: Grievances::default(),
            notifications: Notifications::default(),
        };
        for subscription in calls::subscriptions()? {
            actor.outbox.send(subscription);
        }
        actor.call(calls::owner(secrets::NAME), Call::Owner);
        actor.call(calls::owner(MANAGER), Call::Manager);
        Ok(actor)
    }

    /// Runs until the connection ends.
    pub async fn run(mut self) {
        loop {
            let deadline = self.calls.next_deadline().into_iter().chain(self.reason_due).min();
            // Fair: a flood of signals must not keep the calls waiting. `catch_up` keeps the order.
            tokio::select! {
                message = self.stream.next() => match message {
                    Some(Ok(message)) => self.hear(&message),
                    Some(Err(_)) => {}
                    None => return,
                },
                Some(command) = self.inbox.commands.recv() => {
                    #[cfg(debug_assertions)]
                    if matches!(command, Command::Wedge) {
                        std::future::pending::<()>().await;
                    }
                    self.catch_up();
                    self.obey(command);
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => self.expire(),
            }
        }
    }

    /// Takes in what the bus delivered before the command that is to be obeyed next. Whatever that was is among the
    /// messages that wait now, and no more than the stream's capacity can wait.
    fn catch_up(&mut self) {
        for _ in 0..self.stream.max_queued().get() {
            match self.stream.next().now_or_never() {
                Some(Some(Ok(message))) => self.hear(&message),
                _ => return,
            }
        }
    }

    fn hear(&mut self, message: &Message) {
        match stream::decode(message, &self.owners) {
            Heard::OwnerChanged(owner) => self.set_owner(owner),
            Heard::ManagerChanged(manager) => self.set_manager(manager),
            Heard::Unit { said, is_whole } => {
                said.update(&mut self.unit);
                if is_whole {
                    self.unit_changed();
                }
            }
            Heard::Vaults(vaults) => {
                self.sign_of_life();
                self.apply(Event::Announced(vaults));
            }
            Heard::Started { id } => {
                self.sign_of_life();
                let known = self.hub.report().daemons["daemon-secrets"].id.as_ref() == Some(&id);
                // Its introduction is asked for as soon as it owns its name, which is just before it announces itself.
                if !known && !self.calls.is_introducing() {
                    self.ask_introduction();
                }
            }
            Heard::Sessions(sessions) => {
                self.sign_of_life();
                self.apply(Event::SessionsKnown(sessions));
            }
            Heard::SignOfLife => self.sign_of_life(),
            Heard::Answer => self.answered(message),
            Heard::Forged { sender, member } => {
                if self.owner_known {
                    self.grievances.forged(&sender, &member);
                }
            }
            Heard::Other => {}
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Look(waiter) => {
                self.probe_if_silent();
                let report = self.hub.report();
                self.answer(move || drop(waiter.send(report)));
            }
            Command::Settle(waiter) => {
                self.publish();
                self.answer(move || {
                    // The caller may have gone.
                    let _ = waiter.send(());
                });
            }
            Command::Prove(waiter) => {
                // The asker may have given up.
                let _ = waiter.send(());
            }
            Command::Forward(member, profile, waiter) => self.forward(member, &profile, waiter),
            Command::SetDefault(profile, waiter) => self.set_default(profile, waiter),
            Command::DefaultWritten(profile, written) => self.default_written(profile, written),
            Command::Reconcile(waiter) => self.reconcile(Some(waiter)),
            Command::Configured { problem, notify } => {
                self.notifications.enable(notify);
                self.apply(Event::Configured(problem));
            }
            #[cfg(debug_assertions)]
            Command::Wedge => {}
            Command::Tick(tick) => {
                self.tick = tick;
                if tick.is_multiple_of(2) {
                    self.reconcile(None);
                }
            }
        }
    }

    fn set_owner(&mut self, owner: Option<OwnedUniqueName>) {
        self.owner_known = true;
        if owner.is_none() {
            self.fail_early(gone);
        }
        if self.owners.secrets == owner {
            return;
        }
        if self.owners.secrets.take().is_some() {
            for call in self.calls.orphaned() {
                self.fail(call, gone);
            }
            self.apply(Event::OwnerGone);
            self.wait_for_reason();
        }
        if let Some(owner) = owner {
            let pid = calls::pid(&owner);
            self.owners.secrets = Some(owner);
            self.last_heard = Instant::now();
            self.ask_introduction();
            self.call(pid, Call::Pid);
        }
    }

    fn set_manager(&mut self, manager: Option<OwnedUniqueName>) {
        self.owners.manager = manager;
        if let Some(manager) = &self.owners.manager {
            // Subscribed before the first reading, so that no change falls between the two.
            if let Ok(subscription) = calls::subscribe_to_units(manager) {
                self.outbox.send(subscription);
            }
            self.read_unit(DaemonName::Profile);
            self.read_unit(DaemonName::Secrets);
        }
    }

    /// What the signals said is kept, since a restart erases it before a slow hub has read it; and the unit is read
    /// again, since a signal may tell of a state that passes.
    fn unit_changed(&mut self) {
        // A unit that changes is loaded; that never changes and is not told.
        let facts = UnitFacts { load_state: "loaded".into(), ..self.unit.clone() };
        self.apply(Event::UnitRead(DaemonName::Secrets, facts));
        self.settle_in_time();
        self.read_unit(DaemonName::Secrets);
    }

    fn unit_read(&mut self, unit: DaemonName, answer: &Message) {
        if let Some(facts) = stream::unit(answer) {
            self.apply(Event::UnitRead(unit, facts));
            self.settle_in_time();
        }
        if unit == DaemonName::Secrets && std::mem::take(&mut self.reread_unit) {
            self.read_unit(unit);
        }
    }

    fn sign_of_life(&mut self) {
        self.last_heard = Instant::now();
        let hung = self.hub.secrets_state() == State::Unresponsive;
        self.apply(Event::Heard);
        if hung && self.hub.is_introduced() {
            // It may have changed anything meanwhile, and signals may have been lost.
            self.reconcile(None);
        }
    }

    fn answered(&mut self, message: &Message) {
        let header = message.header();
        let sender = header.sender().map(|sender| sender.as_str());
        if sender.is_some() && sender == self.owners.secrets.as_ref().map(|owner| owner.as_str()) {
            self.sign_of_life();
        }
        let Some(call) = self.calls.answered_by(message) else { return };
        if call.is_to_secrets() && stream::is_nobody(message) {
            // It has left, and the signal that told so was lost.
            self.ask_owner();
            return self.fail(call, gone);
        }
        match call {
            Call::Owner => self.set_owner(message.body().deserialize().ok()),
            Call::Manager => self.set_manager(message.body().deserialize().ok()),
            Call::Unit(unit) => self.unit_read(unit, message),
            Call::Pid => {
                if let Ok(pid) = message.body().deserialize() {
                    self.apply(Event::PidKnown(pid));
                }
            }
            Call::Sessions => {
                let sessions = message.body().deserialize::<OwnedVariant>().ok();
                if let Some(sessions) = sessions.and_then(|sessions| u32::try_from(sessions).ok()) {
                    self.apply(Event::SessionsKnown(sessions));
                }
            }
            Call::Introduction => match stream::introduction(message) {
                Some(introduction) => {
                    self.apply(Event::Introduced(introduction));
                    self.ask_sessions();
                    self.reconcile(None);
                }
                None => self.apply(Event::Unanswered),
            },
            Call::Probe => match stream::state(message) {
                Some(vaults) => self.apply(Event::Announced(vaults)),
                None => self.apply(Event::Unanswered),
            },
            Call::State(waiters) => self.reconciled(message, waiters),
            Call::Notify => {
                let sending = self.notifications.answered(message.body().deserialize().ok());
                self.notify(sending);
            }
            Call::Forward(waiter) => {
                let outcome = match message.message_type() {
                    zbus::message::Type::Error => Err(Error::from(zbus::Error::from(message.clone()))),
                    _ => Ok(()),
                };
                self.answer(move || drop(waiter.send(outcome)));
            }
        }
    }

    fn reconciled(&mut self, message: &Message, waiters: Vec<Waiter<bool>>) {
        let Some(vaults) = stream::state(message) else {
            return self.fail(Call::State(waiters), hung);
        };
        let known = self.known();
        let changes = self.hub.apply(Event::Reconciled(vaults, self.tick), clock::now_usec());
        let changed = changes.iter().any(|change| matches!(change, Change::Reconciled { changed: true, .. }));
        self.tell(known, changes);
        self.answer(move || waiters.into_iter().for_each(|waiter| drop(waiter.send(Ok(changed)))));
    }

    fn apply(&mut self, event: Event) {
        let known = self.known();
        let changes = self.hub.apply(event, clock::now_usec());
        self.tell(known, changes);
    }

    /// What is known now.
    fn known(&self) -> journal::Before {
        journal::Before { secrets: self.hub.secrets_state(), current: self.hub.is_current() }
    }

    fn tell(&mut self, before: journal::Before, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        self.publish();
        journal::record(before, &changes);
        for change in changes {
            if let Change::Peer(change) = &change {
                let sending = self.notifications.hear(change);
                self.notify(sending);
            }
            match signals::message(&self.name, change) {
                Ok(signal) => self.outbox.send(signal),
                Err(cause) => tracing::error!(%cause, "a signal could not be composed"),
            }
        }
    }

    /// Has the desktop show it, and waits for nothing: the answer comes in the stream.
    fn notify(&mut self, sending: Option<Sending>) {
        if let Some((note, replaced)) = sending {
            self.call(calls::notify(&note, replaced), Call::Notify);
        }
    }

    fn publish(&mut self) {
        self.inbox.snapshots.send_replace(self.hub.report());
    }

    /// Answers after everything that was announced before.
    fn answer(&self, answer: impl FnOnce() + Send + 'static) {
        self.outbox.then(answer);
    }
}

#[cfg(test)]
mod tests;
