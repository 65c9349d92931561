//! The one owner of the vaults: takes commands, starts workers, announces changes, answers. Nothing here waits: what
//! takes time is done by a worker, whose result comes back as a message.

mod attempting;
mod autolocking;
mod editing;
mod searching;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    sync::Arc,
};

use daemon_config::Config;
use daemon_runtime::{alarm::Alarm, clock, outbox::Outbox, workers::Workers};
use dbus_interfaces::{Error, ProfileName, SecretName};
use private_socket::Answers;
use tokio::sync::{mpsc, oneshot};
use vault_store::{OpenVault, Store, WorkFactor};
use zbus::names::OwnedUniqueName;

use self::{attempting::Trying, editing::Writing};
use crate::{
    attempts::Attempts,
    autolock::AutoLock,
    handle::{Attempt, Command, Inbox, Read, Reads, Waiter, Wanted, Which},
    holds::{Hold, Holds},
    journal,
    secret_service::announcements::Announcements,
    signals,
    state::{self, Change, Reason, State, Trouble},
    units::Units,
    work::{self, Attempted, Stored, Wish},
};

/// Which vaults' items are found while they are locked.
#[derive(Default)]
struct Searched {
    offered: bool,
    not: BTreeSet<ProfileName>,
}

impl From<&Config> for Searched {
    fn from(config: &Config) -> Self {
        let not = config.profiles.keys().filter(|profile| !config.for_profile(profile).locked_search).cloned();
        Self { offered: config.secret_service, not: not.collect() }
    }
}

impl Searched {
    fn is(&self, profile: &ProfileName) -> bool {
        self.offered && !self.not.contains(profile)
    }
}

/// What a worker has done.
enum Done {
    Attempt(Attempted),
    Written(ProfileName, Stored),
    /// Its search file may be written again.
    Rested(ProfileName),
    LetGo(Hold),
}

/// Who waits until no key is left of what was locked.
enum Shut {
    /// A call: what it locked, and its answer, which the bus hears of first.
    Asked(Vec<String>, Waiter<Vec<String>>),
    /// Whoever told of an event.
    Gone(oneshot::Sender<()>),
}

/// The actor.
pub struct Actor {
    state: State,
    store: Arc<Store>,
    work_factor: WorkFactor,
    open: BTreeMap<ProfileName, Arc<OpenVault>>,
    // Locked in the middle of a change: let go of when the worker has told.
    closing: BTreeMap<ProfileName, Arc<OpenVault>>,
    attempts: Attempts<Attempt>,
    // The attempt that a worker makes now.
    trying: Option<Trying>,
    // In the order they came. Never an empty queue: an entry means that the vault's files are, or will be, written.
    writings: BTreeMap<ProfileName, VecDeque<Writing>>,
    // Open vaults whose search files are behind.
    unsearched: BTreeSet<ProfileName>,
    // Vaults whose search files were written a moment ago, or will be.
    resting: BTreeSet<ProfileName>,
    holds: Holds<Shut>,
    autolock: AutoLock,
    alarm: Alarm,
    inbox: Inbox,
    done: (mpsc::UnboundedSender<Done>, mpsc::UnboundedReceiver<Done>),
    outbox: Outbox,
    name: OwnedUniqueName,
    units: Option<Units>,
    workers: Workers,
    // Where applications hear of changes, while they are served.
    announcements: Option<Arc<Announcements>>,
    searched: Searched,
    answers: Answers,
}

impl Actor {
    /// The owner of `state`, whose files `store` keeps.
    ///
    /// # Errors
    /// The system has no timer to give.
    pub fn new(
        state: State,
        store: Arc<Store>,
        inbox: Inbox,
        outbox: Outbox,
        name: OwnedUniqueName,
    ) -> io::Result<Self> {
        Ok(Self {
            state,
            store,
            work_factor: WorkFactor::default(),
            open: BTreeMap::new(),
            closing: BTreeMap::new(),
            attempts: Attempts::default(),
            trying: None,
            writings: BTreeMap::new(),
            unsearched: BTreeSet::new(),
            resting: BTreeSet::new(),
            holds: Holds::default(),
            autolock: AutoLock::default(),
            alarm: Alarm::new()?,
            inbox,
            done: mpsc::unbounded_channel(),
            outbox,
            name,
            units: None,
            workers: Workers::default(),
            announcements: None,
            searched: Searched::default(),
            answers: Answers::default(),
        })
    }

    /// Has systemd know which vaults are active.
    pub fn with_units(self, units: Option<Units>) -> Self {
        Self { units, ..self }
    }

    /// Has no answer of the private socket outlive the lock of its vault.
    pub fn with_answers(self, answers: Answers) -> Self {
        Self { answers, ..self }
    }

    /// Runs until nobody can send commands any more.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                Some(done) = self.done.1.recv() => self.take_in(done),
                Some(told) = self.inbox.events.recv() => self.told(told),
                () = self.alarm.goes_off() => self.lock_idle(),
                command = self.inbox.commands.recv() => match command {
                    #[cfg(debug_assertions)]
                    Some(Command::Wedge) => std::future::pending().await,
                    Some(command) => self.obey(command),
                    None => return,
                },
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Lock(which, waiter) => self.lock(which, waiter),
            Command::SetActive(profile, active, waiter) => self.set_active(&profile, active, waiter),
            Command::List(profile, waiter) => {
                let names = self.served(&profile).map(|vault| vault.names().map(ToString::to_string).collect());
                answer(waiter, names);
            }
            Command::WasRead(read) => self.announce_read(read),
            Command::Get(wanted, waiter) => {
                let value = self.get(&wanted.profile, &wanted.name);
                let was_read = value.is_ok();
                answer(waiter, value);
                if was_read {
                    self.used(&wanted.profile);
                    let Wanted { profile, name, reader } = wanted;
                    self.announce_read(Read { profile, name: name.to_string(), reader });
                }
            }
            Command::Look(profile, reads, look) => {
                look(self.served(&profile));
                if reads == Reads::Secret {
                    self.used(&profile);
                }
            }
            Command::Edit(profile, edit, waiter) => self.edit(profile, edit, waiter),
            Command::Attempt(from, attempt) => self.attempt(from, attempt),
            Command::Configure(config) => self.configure(&config),
            Command::AnnounceTo(announcements) => self.announcements = announcements,
            Command::Prove(waiter) => answer(waiter, Ok(())),
            #[cfg(debug_assertions)]
            Command::Wedge => {}
        }
    }

    fn configure(&mut self, config: &Config) {
        // It was checked when it was read.
        self.work_factor = WorkFactor::try_from(config.work_factor).unwrap_or_default();
        let before = std::mem::replace(&mut self.searched, Searched::from(config));
        let open: Vec<ProfileName> = self.open.keys().filter(|profile| !before.is(profile)).cloned().collect();
        open.iter().for_each(|profile| self.search(profile));
        self.unsearched.retain(|profile| self.searched.is(profile));
        self.state.profiles().for_each(|profile| self.forget_unwanted_search(profile));
        self.configure_locking(config);
    }

    fn take_in(&mut self, done: Done) {
        match done {
            Done::Attempt(attempted) => self.attempted(attempted),
            Done::Written(profile, stored) => self.written(&profile, stored),
            Done::Rested(profile) => self.rested(&profile),
            Done::LetGo(hold) => self.released(hold),
        }
        self.start_attempt();
    }

    fn served(&self, profile: &ProfileName) -> Result<&OpenVault, Error> {
        self.state.must_serve(profile)?;
        self.open.get(profile).map(|vault| &**vault).ok_or_else(|| state::locked(profile))
    }

    fn get(&self, profile: &ProfileName, name: &SecretName) -> Result<Box<[u8]>, Error> {
        let value = self.served(profile)?.get(name);
        value.map(Into::into).ok_or_else(|| {
            Error::NotFound(format!(
                "{profile} holds no secret {name}; sesame secret list -p {profile} shows what it holds"
            ))
        })
    }

    /// Not waited for, and made after the answer, for many at once: a reader pays nothing for being seen.
    fn announce_read(&self, read: Read) {
        let sender = self.name.clone();
        self.outbox.send_soon(move || signals::read(&sender, &read));
    }

    fn set_active(&mut self, profile: &ProfileName, active: bool, waiter: Waiter<()>) {
        let now = clock::now_usec();
        let changed = if active { self.state.activate(profile, now) } else { self.state.deactivate(profile, now) };
        let outcome = changed.map(|change| self.announce(change));
        self.outbox.then(move || answer(waiter, outcome.map(|_| ())));
    }

    fn lock(&mut self, which: Which, waiter: Waiter<Vec<String>>) {
        let reason = match which {
            Which::One(_) | Which::All => Reason::User,
            Which::AllAtTheEnd => Reason::DaemonStopped,
        };
        let profiles = match which {
            Which::One(profile) => match self.state.must_exist(&profile) {
                Ok(()) => vec![profile],
                Err(error) => return answer(waiter, Err(error)),
            },
            Which::All | Which::AllAtTheEnd => self.state.profiles().cloned().collect(),
        };
        let locked = self.shut(&profiles, reason);
        if let Some(shut) = self.holds.wait(&profiles, Shut::Asked(locked, waiter)) {
            self.is_shut(shut);
        }
    }

    /// Locks `profiles`, unlocks of them in progress included. Those that were not locked. Workers may still have keys.
    fn shut(&mut self, profiles: &[ProfileName], reason: Reason) -> Vec<String> {
        self.overrule_unlocks(profiles);
        let change = self.state.lock(profiles.iter().cloned(), reason, clock::now_usec());
        let locked = change.iter().flat_map(|change| &change.vaults).map(|vault| vault.profile.to_string()).collect();
        self.announce(change);
        for profile in profiles {
            self.close(profile);
        }
        locked
    }

    fn is_shut(&self, shut: Shut) {
        match shut {
            Shut::Asked(locked, waiter) => self.outbox.then(move || answer(waiter, Ok(locked))),
            // Nobody may wait.
            Shut::Gone(gone) => drop(gone.send(())),
        }
    }

    fn overrule_unlocks(&mut self, profiles: &[ProfileName]) {
        let unwanted =
            |attempt: &Attempt| matches!(attempt.wish, Wish::Unlock(_)) && profiles.contains(&attempt.profile);
        for attempt in self.attempts.withdraw(unwanted) {
            answer(attempt.waiter, Err(state::locked(&attempt.profile)));
        }
        if let Some(trying) = self.trying.as_mut().filter(|trying| profiles.contains(&trying.profile)) {
            trying.overruled = true;
        }
    }

    /// Lets go of an open vault. A worker that has it keeps its hold until it is done.
    fn close(&mut self, profile: &ProfileName) {
        if let Some(mut queue) = self.writings.remove(profile) {
            let with_worker = queue.front().is_some_and(Writing::is_with_worker);
            for writing in queue.split_off(usize::from(with_worker)) {
                writing.refuse(state::locked(profile));
            }
            if with_worker {
                self.writings.insert(profile.clone(), queue);
            }
        }
        let Some(vault) = self.open.remove(profile) else { return };
        let front = self.writings.get(profile).and_then(VecDeque::front);
        if self.searched.is(profile) && matches!(front, Some(Writing::Edit(..))) {
            self.closing.insert(profile.clone(), vault);
        } else {
            self.let_go(profile, vault);
        }
    }

    fn wipe(&mut self, profile: &ProfileName, vault: impl Send + 'static) {
        let (wiped, answers) = (work::wipe(&self.workers, vault), self.answers.clone());
        self.hold_until(profile, async move {
            // Where there is no worker it was wiped here.
            let _ = wiped.await;
            answers.end().await;
        });
    }

    fn hold_until(&mut self, profile: &ProfileName, let_go: impl Future<Output = ()> + Send + 'static) {
        let (hold, done) = (self.holds.take(profile), self.done.0.clone());
        tokio::spawn(async move {
            let_go.await;
            let _ = done.send(Done::LetGo(hold));
        });
    }

    fn released(&mut self, hold: Hold) {
        for shut in self.holds.release(hold) {
            self.is_shut(shut);
        }
    }

    fn note_trouble(&mut self, profile: &ProfileName, error: &Error) {
        let trouble = match error {
            Error::CorruptVault(sentence) => Trouble::Corrupt(sentence.clone()),
            Error::Storage(sentence) => Trouble::WriteFailed(sentence.clone()),
            _ => return,
        };
        let change = self.state.set_trouble(profile, Some(trouble.clone()));
        if self.announce(change) {
            journal::trouble(profile, &trouble);
        }
    }

    /// Publishes a change and sends its signals. True where there was one.
    fn announce(&mut self, change: Option<Change>) -> bool {
        let Some(change) = change else { return false };
        self.inbox.snapshots.send_replace(Arc::clone(&change.snapshot));
        self.follow_use(&change.vaults);
        let jobs = self.units.as_mut().map_or(vec![], |units| units.follow(&change.vaults));
        jobs.into_iter().for_each(|job| self.outbox.send(job));
        match signals::messages(&self.name, &change) {
            Ok(messages) => messages.into_iter().for_each(|message| self.outbox.send(message)),
            Err(cause) => tracing::error!(%cause, "a change could not be announced"),
        }
        if let Some(announcements) = &self.announcements {
            announcements.vaults(&change.snapshot, &change.vaults, &self.open);
        }
        change.vaults.iter().for_each(journal::changed);
        true
    }

    /// Announces a change that was asked for over the private socket, whose answer would overtake the bus.
    fn announce_beside_bus(&mut self, change: Option<Change>, waiter: Waiter<()>) {
        if self.announce(change) {
            self.outbox.after_round_trip(move || answer(waiter, Ok(())));
        } else {
            answer(waiter, Ok(()));
        }
    }
}

fn answer<T>(waiter: Waiter<T>, outcome: Result<T, Error>) {
    // The caller may have gone.
    let _ = waiter.send(outcome);
}
