//! The one owner of the hub's state. Everything that reaches the state comes through here in the bus's order: one
//! stream of signals, name changes and answers, taken before any call that was delivered after them.
//!
//! The actor never waits for anybody: what it asks for comes back in the stream, what it says leaves through the
//! outbox.

use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};

use daemon_runtime::{clock, outbox::Outbox};
use dbus_interfaces::{Error, ProfileName, profile::Report, secrets};
use futures_util::{FutureExt, StreamExt};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep_until},
};
use zbus::{Connection, Message, MessageStream, names::OwnedUniqueName};

use crate::{
    calls::{self, Call, Calls, MANAGER, Waiter},
    default_profile,
    hub::{Change, Event, Hub},
    journal,
    peers::{DaemonName, State},
    signals,
    stream::{self, Grievances, Heard, Owners},
};

/// How long daemon-secrets may be silent before somebody who looks has it probed, and the least time between probes.
const SILENCE: Duration = Duration::from_secs(1);

/// How long `DaemonLost` waits for systemd's reason.
const REASON_DEADLINE: Duration = Duration::from_millis(100);

/// What the interface wants of the state.
pub enum Command {
    /// The present report, for somebody who watches.
    Look(oneshot::Sender<Arc<Report>>),
    /// Tells when everything delivered before is taken in, and announced.
    Settle(oneshot::Sender<()>),
    /// Tells that this is obeyed, whatever the bus does: a proof of life.
    Prove(oneshot::Sender<()>),
    /// `Activate` or `Deactivate`, which only daemon-secrets can do.
    Forward(&'static str, ProfileName, Waiter<()>),
    /// Another default profile.
    SetDefault(ProfileName, Waiter<()>),
    /// The disk has it, or not.
    DefaultWritten(ProfileName, Result<(), Error>),
    /// Ask daemon-secrets now.
    Reconcile(Waiter<bool>),
    /// The configuration was read: what is wrong with it.
    Configured(Option<String>),
    /// A turn of the watchdog's timer.
    Tick(u64),
    /// Never obey anything again: for tests of the watchdog.
    #[cfg(debug_assertions)]
    Wedge,
}

/// The way to the actor, for interfaces. Clones lead to the same one.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    snapshots: watch::Receiver<Arc<Report>>,
}

/// The actor's ends of a [`Handle`].
pub struct Inbox {
    commands: mpsc::Receiver<Command>,
    // For the actor's own workers.
    sender: mpsc::WeakSender<Command>,
    snapshots: watch::Sender<Arc<Report>>,
}

/// Makes both ends, `report` being the first snapshot.
pub fn channel(report: Arc<Report>) -> (Handle, Inbox) {
    let (commands, receiver) = mpsc::channel(64);
    let (snapshots, seen) = watch::channel(report);
    let inbox = Inbox { commands: receiver, sender: commands.downgrade(), snapshots };
    (Handle { commands, snapshots: seen }, inbox)
}

impl Handle {
    /// The snapshots as they are published.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Report>> {
        self.snapshots.clone()
    }

    /// The present report. Looking has a silent daemon-secrets probed.
    pub async fn look(&self) -> Result<Arc<Report>, Error> {
        self.ask(Command::Look).await
    }

    /// Returns when everything that the bus delivered before is taken in.
    pub async fn settle(&self) {
        // Where it fails the daemon ends, and the snapshot is its last.
        let _ = self.ask(Command::Settle).await;
    }

    /// Returns when the actor obeys. False where it never will.
    pub async fn prove(&self) -> bool {
        self.ask(Command::Prove).await.is_ok()
    }

    /// Has daemon-secrets do what `member` says.
    pub async fn forward(&self, member: &'static str, profile: ProfileName) -> Result<(), Error> {
        self.ask(|waiter| Command::Forward(member, profile, waiter)).await?
    }

    /// Makes `profile` the default one.
    pub async fn set_default(&self, profile: ProfileName) -> Result<(), Error> {
        self.ask(|waiter| Command::SetDefault(profile, waiter)).await?
    }

    /// Asks daemon-secrets now.
    pub async fn reconcile(&self) -> Result<bool, Error> {
        self.ask(Command::Reconcile).await?
    }

    /// Tells what is wrong with the configuration.
    pub fn configured(&self, problem: Option<String>) {
        let commands = self.commands.clone();
        // Fails only while the daemon ends.
        tokio::spawn(async move { commands.send(Command::Configured(problem)).await });
    }

    /// Has the actor never obey anything again.
    #[cfg(debug_assertions)]
    pub fn wedge(&self) {
        let _ = self.commands.try_send(Command::Wedge);
    }

    /// Tells of a turn of the watchdog's timer. An actor that is too busy to take it loses nothing but this one.
    pub fn ticked(&self, tick: u64) {
        let _ = self.commands.try_send(Command::Tick(tick));
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Error> {
        let (waiter, answer) = oneshot::channel();
        let ending = || Error::Unavailable("daemon-profile is ending; retry when it is back".into());
        self.commands.send(command(waiter)).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())
    }
}

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
    // A change that came while the unit was being read: the reading may be older than it.
    reread_unit: bool,
    // When a loss that systemd did not explain is told without its reason.
    reason_due: Option<Instant>,
    last_heard: Instant,
    last_probe: Option<Instant>,
    default_file: PathBuf,
    // One write at a time, so that the file and the state change in the same order.
    default_writes: VecDeque<(ProfileName, Waiter<()>)>,
    grievances: Grievances,
}

impl Actor {
    /// An actor for `hub` on `connection`, which subscribes before it asks who is there.
    ///
    /// # Errors
    /// The connection is not one to a bus.
    pub fn new(connection: &Connection, hub: Hub, inbox: Inbox, default_file: PathBuf) -> zbus::Result<Self> {
        let name = connection.unique_name().cloned().ok_or(zbus::Error::InvalidReply)?;
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
            reread_unit: false,
            reason_due: None,
            last_heard: Instant::now(),
            last_probe: None,
            default_file,
            default_writes: VecDeque::new(),
            grievances: Grievances::default(),
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
            tokio::select! {
                biased;
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
            Heard::UnitChanged => self.read_unit(DaemonName::Secrets),
            Heard::Vaults(vaults) => {
                self.sign_of_life();
                self.apply(Event::Announced(vaults));
            }
            Heard::Started { id } => {
                self.sign_of_life();
                if self.hub.report().daemons["daemon-secrets"].id.as_ref() != Some(&id) {
                    self.ask_introduction();
                }
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
            Command::Configured(problem) => self.apply(Event::Configured(problem)),
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

    /// systemd learns of an end a few milliseconds after the bus does, and signals it.
    fn wait_for_reason(&mut self) {
        if self.owners.manager.is_none() {
            self.apply(Event::ReasonOverdue);
        } else if self.hub.is_unexplained() {
            self.reason_due = Some(Instant::now() + REASON_DEADLINE);
            self.read_unit(DaemonName::Secrets);
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

    fn read_unit(&mut self, unit: DaemonName) {
        if self.calls.is_reading(unit) {
            self.reread_unit |= unit == DaemonName::Secrets;
        } else if let Some(manager) = &self.owners.manager {
            let message = calls::unit(manager, unit);
            self.call(message, Call::Unit(unit));
        }
    }

    fn unit_read(&mut self, unit: DaemonName, answer: &Message) {
        if let Some(facts) = stream::unit(answer) {
            self.apply(Event::UnitRead(unit, facts));
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
        match call {
            Call::Owner => self.set_owner(message.body().deserialize().ok()),
            Call::Manager => self.set_manager(message.body().deserialize().ok()),
            Call::Unit(unit) => self.unit_read(unit, message),
            Call::Pid => {
                if let Ok(pid) = message.body().deserialize() {
                    self.apply(Event::PidKnown(pid));
                }
            }
            Call::Introduction => match stream::introduction(message) {
                Some(introduction) => {
                    self.apply(Event::Introduced(introduction));
                    self.reconcile(None);
                }
                None => self.apply(Event::Unanswered),
            },
            Call::Probe => match stream::state(message) {
                Some(vaults) => self.apply(Event::Announced(vaults)),
                None => self.apply(Event::Unanswered),
            },
            Call::State(waiters) => self.reconciled(message, waiters),
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

    fn forward(&mut self, member: &'static str, profile: &ProfileName, waiter: Waiter<()>) {
        match (&self.owners.secrets, self.hub.has_report()) {
            (Some(owner), true) => {
                let message = calls::forward(owner, member, profile);
                self.call(message, Call::Forward(waiter));
            }
            (None, true) => drop(waiter.send(Err(gone()))),
            (_, false) => drop(waiter.send(Err(not_reported()))),
        }
    }

    fn set_default(&mut self, profile: ProfileName, waiter: Waiter<()>) {
        if !self.hub.has_report() {
            return drop(waiter.send(Err(not_reported())));
        }
        if !self.hub.knows(&profile) {
            let sentence = format!("there is no profile {profile}; sesame profile list shows them");
            return drop(waiter.send(Err(Error::NoSuchProfile(sentence))));
        }
        self.default_writes.push_back((profile, waiter));
        if self.default_writes.len() == 1 {
            self.write_default();
        }
    }

    fn write_default(&mut self) {
        let Some((profile, _)) = self.default_writes.front() else { return };
        let (profile, file, back) = (profile.clone(), self.default_file.clone(), self.inbox.sender.clone());
        let write = tokio::task::spawn_blocking({
            let profile = profile.clone();
            move || default_profile::write(&file, &profile)
        });
        tokio::spawn(async move {
            let Ok(written) = write.await else { return };
            if let Some(back) = back.upgrade() {
                let _ = back.send(Command::DefaultWritten(profile, written)).await;
            }
        });
    }

    fn default_written(&mut self, profile: ProfileName, written: Result<(), Error>) {
        let Some((_, waiter)) = self.default_writes.pop_front() else { return };
        if written.is_ok() {
            self.apply(Event::DefaultChosen(profile));
        }
        self.answer(move || drop(waiter.send(written)));
        self.write_default();
    }

    fn reconcile(&mut self, waiter: Option<Waiter<bool>>) {
        if !self.owner_known {
            return self.early.extend(waiter);
        }
        let Some(owner) = &self.owners.secrets else {
            self.early.extend(waiter);
            return self.fail_early(gone);
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
    fn fail_early(&mut self, why: fn() -> Error) {
        let early = std::mem::take(&mut self.early);
        self.fail(Call::State(early), why);
    }

    fn ask_introduction(&mut self) {
        if let Some(owner) = &self.owners.secrets {
            let message = calls::introduction(owner);
            self.call(message, Call::Introduction);
        }
    }

    fn probe_if_silent(&mut self) {
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

    fn expire(&mut self) {
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
                Call::Pid | Call::Unit(_) => {}
                call => {
                    self.apply(Event::Unanswered);
                    self.fail(call, hung);
                    self.fail_early(hung);
                }
            }
        }
    }

    fn fail(&mut self, call: Call, why: fn() -> Error) {
        match call {
            Call::State(waiters) => {
                self.answer(move || waiters.into_iter().for_each(|waiter| drop(waiter.send(Err(why())))));
            }
            Call::Forward(waiter) => self.answer(move || drop(waiter.send(Err(why())))),
            Call::Owner | Call::Pid | Call::Introduction | Call::Probe | Call::Manager | Call::Unit(_) => {}
        }
    }

    fn call(&mut self, message: zbus::Result<Message>, call: Call) {
        match message {
            Ok(message) => {
                self.calls.add(&message, call);
                self.outbox.send(message);
            }
            // Messages are made of names and constants only.
            Err(cause) => tracing::error!(%cause, "a call could not be composed"),
        }
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
            match signals::message(&self.name, change) {
                Ok(signal) => self.outbox.send(signal),
                Err(cause) => tracing::error!(%cause, "a signal could not be composed"),
            }
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

fn gone() -> Error {
    Error::Unavailable("daemon-secrets is not running; start it with: sesame unlock".into())
}

fn hung() -> Error {
    Error::Unresponsive("daemon-secrets does not answer; sesame status shows since when, and what to do".into())
}

fn not_reported() -> Error {
    Error::Unavailable("daemon-secrets has not reported yet; start it with: sesame unlock".into())
}
