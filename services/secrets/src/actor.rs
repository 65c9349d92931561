//! The one owner of the vaults: takes commands, starts workers, announces changes, answers. Nothing here waits: what
//! takes time is done by a worker, whose result comes back as a message.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use daemon_runtime::{clock, outbox::Outbox};
use dbus_interfaces::{Error, ProfileName, SecretName};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use vault_store::{Change as Edit, OpenVault, Store, WorkFactor};
use zbus::names::OwnedUniqueName;

use crate::{
    attempts::{Attempts, ConnectionId, TooMany},
    holds::Holds,
    journal, signals,
    state::{self, Change, Snapshot, State, Trouble},
    work::{self, Attempted, Granted, Stored, Wish},
};

/// A wrong passphrase is answered no sooner than this after the call.
const WRONG_PASSPHRASE_DELAY: Duration = Duration::from_secs(1);

/// Where an answer is wanted.
pub type Waiter<T> = oneshot::Sender<Result<T, Error>>;

/// Which vaults to lock.
pub enum Which {
    /// This one.
    One(ProfileName),
    /// Every one.
    All,
}

/// What the interfaces want.
pub enum Command {
    /// Keys gone; the profiles that this locked.
    Lock(Which, Waiter<Vec<String>>),
    /// Served, or not.
    SetActive(ProfileName, bool, Waiter<()>),
    /// The names of a vault's secrets.
    List(ProfileName, Waiter<Vec<String>>),
    /// One secret's value.
    Get(ProfileName, SecretName, Waiter<Box<[u8]>>),
    /// A change to a vault's content.
    Edit(ProfileName, Edit, Waiter<()>),
    /// Something that takes a passphrase.
    Attempt(ConnectionId, Attempt),
    /// Other settings for what begins from now on.
    Configure(WorkFactor),
    /// Tells when this is obeyed: a proof of life.
    Prove(Waiter<()>),
    /// Never obey anything again: for tests of the watchdog.
    #[cfg(debug_assertions)]
    Wedge,
}

/// Something that takes a passphrase, and who waits for it.
pub struct Attempt {
    profile: ProfileName,
    wish: Wish,
    waiter: Waiter<()>,
    since: Instant,
}

/// What a worker has done.
enum Done {
    Attempt(Attempted),
    Edit(ProfileName, Stored),
    Wiped(ProfileName),
}

/// The way to the actor. Clones lead to the same one.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

/// The actor's ends of a [`Handle`].
pub struct Inbox {
    commands: mpsc::Receiver<Command>,
    snapshots: watch::Sender<Arc<Snapshot>>,
}

/// Makes both ends, `snapshot` being the first.
pub fn channel(snapshot: Snapshot) -> (Handle, Inbox) {
    let (commands, receiver) = mpsc::channel(64);
    let (snapshots, seen) = watch::channel(Arc::new(snapshot));
    (Handle { commands, snapshots: seen }, Inbox { commands: receiver, snapshots })
}

impl Handle {
    /// The state as it is published.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshots.clone()
    }

    /// Locks, and returns when the keys are gone. The profiles that this call locked.
    pub async fn lock(&self, which: Which) -> Result<Vec<String>, Error> {
        self.ask(|waiter| Command::Lock(which, waiter)).await
    }

    /// Serves a profile's secrets, or no longer.
    pub async fn set_active(&self, profile: ProfileName, active: bool) -> Result<(), Error> {
        self.ask(|waiter| Command::SetActive(profile, active, waiter)).await
    }

    /// The names of a vault's secrets, in order.
    pub async fn list(&self, profile: ProfileName) -> Result<Vec<String>, Error> {
        self.ask(|waiter| Command::List(profile, waiter)).await
    }

    /// One secret's value.
    pub async fn get(&self, profile: ProfileName, name: SecretName) -> Result<Box<[u8]>, Error> {
        self.ask(|waiter| Command::Get(profile, name, waiter)).await
    }

    /// Changes a vault's content.
    pub async fn edit(&self, profile: ProfileName, edit: Edit) -> Result<(), Error> {
        self.ask(|waiter| Command::Edit(profile, edit, waiter)).await
    }

    /// Does something that takes a passphrase.
    pub async fn attempt(&self, from: ConnectionId, profile: ProfileName, wish: Wish) -> Result<(), Error> {
        let since = Instant::now();
        self.ask(|waiter| Command::Attempt(from, Attempt { profile, wish, waiter, since })).await
    }

    /// Returns when the actor has obeyed everything before. False where it never will.
    pub async fn prove(&self) -> bool {
        self.ask(Command::Prove).await.is_ok()
    }

    /// Has the actor never obey anything again.
    #[cfg(debug_assertions)]
    pub fn wedge(&self) {
        let _ = self.commands.try_send(Command::Wedge);
    }

    /// Applies other settings to what begins from now on.
    pub fn configure(&self, work_factor: WorkFactor) {
        let commands = self.commands.clone();
        // Fails only while the daemon ends.
        tokio::spawn(async move { commands.send(Command::Configure(work_factor)).await });
    }

    async fn ask<T>(&self, command: impl FnOnce(Waiter<T>) -> Command) -> Result<T, Error> {
        let (waiter, answer) = oneshot::channel();
        let ending = || Error::Unavailable("daemon-secrets is ending; retry when it is back".into());
        self.commands.send(command(waiter)).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())?
    }
}

/// The actor.
pub struct Actor {
    state: State,
    store: Arc<Store>,
    work_factor: WorkFactor,
    open: BTreeMap<ProfileName, Arc<OpenVault>>,
    attempts: Attempts<Attempt>,
    // The attempt that a worker makes now.
    trying: Option<Trying>,
    // In the order they came. Never an empty queue: an entry means that the vault's files are, or will be, written.
    edits: BTreeMap<ProfileName, VecDeque<PendingEdit>>,
    holds: Holds<(Vec<String>, Waiter<Vec<String>>)>,
    inbox: Inbox,
    done: (mpsc::UnboundedSender<Done>, mpsc::UnboundedReceiver<Done>),
    outbox: Outbox,
    name: OwnedUniqueName,
}

/// A change of content, and who waits for it.
struct PendingEdit {
    // `None` while a worker has it.
    edit: Option<Edit>,
    waiter: Waiter<()>,
}

/// The attempt under way.
struct Trying {
    profile: ProfileName,
    waiter: Waiter<()>,
    since: Instant,
    // Locked meanwhile: what it unlocks is not to be had.
    overruled: bool,
}

impl Actor {
    /// The owner of `state`, whose files `store` keeps.
    pub fn new(state: State, store: Arc<Store>, inbox: Inbox, outbox: Outbox, name: OwnedUniqueName) -> Self {
        Self {
            state,
            store,
            work_factor: WorkFactor::default(),
            open: BTreeMap::new(),
            attempts: Attempts::default(),
            trying: None,
            edits: BTreeMap::new(),
            holds: Holds::default(),
            inbox,
            done: mpsc::unbounded_channel(),
            outbox,
            name,
        }
    }

    /// Runs until nobody can send commands any more.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                Some(done) = self.done.1.recv() => self.take_in(done),
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
            Command::Get(profile, name, waiter) => answer(waiter, self.get(&profile, &name)),
            Command::Edit(profile, edit, waiter) => self.edit(profile, edit, waiter),
            Command::Attempt(from, attempt) => self.attempt(from, attempt),
            Command::Configure(work_factor) => self.work_factor = work_factor,
            Command::Prove(waiter) => answer(waiter, Ok(())),
            #[cfg(debug_assertions)]
            Command::Wedge => {}
        }
    }

    fn take_in(&mut self, done: Done) {
        match done {
            Done::Attempt(attempted) => self.attempted(attempted),
            Done::Edit(profile, stored) => self.edited(&profile, stored),
            Done::Wiped(profile) => self.released(&profile),
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

    fn set_active(&mut self, profile: &ProfileName, active: bool, waiter: Waiter<()>) {
        let now = clock::now_usec();
        let changed = if active { self.state.activate(profile, now) } else { self.state.deactivate(profile, now) };
        let outcome = changed.map(|change| self.announce(change));
        self.outbox.then(move || answer(waiter, outcome.map(|_| ())));
    }

    // Locking.

    fn lock(&mut self, which: Which, waiter: Waiter<Vec<String>>) {
        let profiles = match which {
            Which::One(profile) => match self.state.must_exist(&profile) {
                Ok(()) => vec![profile],
                Err(error) => return answer(waiter, Err(error)),
            },
            Which::All => self.state.profiles().cloned().collect(),
        };
        self.overrule_unlocks(&profiles);
        let change = self.state.lock(profiles.iter().cloned(), clock::now_usec());
        let locked = change.iter().flat_map(|change| &change.vaults).map(|vault| vault.profile.to_string()).collect();
        self.announce(change);
        for profile in &profiles {
            self.close(profile);
        }
        if let Some((locked, waiter)) = self.holds.wait(&profiles, (locked, waiter)) {
            self.outbox.then(move || answer(waiter, Ok(locked)));
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
        if let Some(mut queue) = self.edits.remove(profile) {
            let with_worker = queue.front().is_some_and(|first| first.edit.is_none());
            for pending in queue.split_off(usize::from(with_worker)) {
                answer(pending.waiter, Err(state::locked(profile)));
            }
            if with_worker {
                self.edits.insert(profile.clone(), queue);
            }
        }
        if let Some(vault) = self.open.remove(profile) {
            self.wipe(profile.clone(), vault);
        }
    }

    fn wipe(&mut self, profile: ProfileName, vault: impl Send + 'static) {
        self.holds.take(&profile);
        let (wiped, done) = (work::wipe(vault), self.done.0.clone());
        tokio::spawn(async move {
            // A worker never panics: that would end the daemon.
            let _ = wiped.await;
            let _ = done.send(Done::Wiped(profile));
        });
    }

    fn released(&mut self, profile: &ProfileName) {
        for (locked, waiter) in self.holds.release(profile) {
            self.outbox.then(move || answer(waiter, Ok(locked)));
        }
    }

    // Passphrases.

    fn attempt(&mut self, from: ConnectionId, attempt: Attempt) {
        let Some(attempt) = self.needs_no_key(attempt) else { return };
        match self.attempts.add(from, attempt, |attempt| attempt.waiter.is_closed()) {
            Ok(()) => self.start_attempt(),
            Err(TooMany(attempt)) => {
                let sentence = "too many passphrases wait to be tried; retry when the others have been answered";
                answer(attempt.waiter, Err(Error::TooManyAttempts(sentence.into())));
            }
        }
    }

    /// Answers what can be answered without a key; gives back the rest.
    fn needs_no_key(&mut self, attempt: Attempt) -> Option<Attempt> {
        let profile = &attempt.profile;
        let known = self.state.is_unlocked(profile);
        match (&attempt.wish, known) {
            (Wish::Create(_), Ok(_)) => {
                let sentence = format!("there is a profile {profile} already; choose another name");
                answer(attempt.waiter, Err(Error::AlreadyExists(sentence)));
                None
            }
            (Wish::Create(_), Err(_)) => Some(attempt),
            (_, Err(error)) => {
                answer(attempt.waiter, Err(error));
                None
            }
            (Wish::Unlock(_), Ok(true)) => {
                let change = self.state.unlock(profile, clock::now_usec());
                self.announce_beside_bus(change, attempt.waiter);
                None
            }
            (_, Ok(_)) => Some(attempt),
        }
    }

    fn start_attempt(&mut self) {
        // One worker at a time writes a vault's files.
        while let Some(attempt) = self.attempts.start(|attempt| !self.edits.contains_key(&attempt.profile)) {
            // The wait may have changed what it takes, or its caller may have gone.
            let wanted = (!attempt.waiter.is_closed()).then_some(attempt);
            if let Some(attempt) = wanted.and_then(|attempt| self.needs_no_key(attempt)) {
                return self.try_now(attempt);
            }
            self.attempts.ended();
        }
    }

    fn try_now(&mut self, Attempt { profile, wish, waiter, since }: Attempt) {
        self.holds.take(&profile);
        let work = work::grant(Arc::clone(&self.store), self.work_factor, profile.clone(), wish);
        self.trying = Some(Trying { profile, waiter, since, overruled: false });
        let done = self.done.0.clone();
        tokio::spawn(async move {
            if let Ok(attempted) = work.await {
                let _ = done.send(Done::Attempt(attempted));
            }
        });
    }

    fn attempted(&mut self, Attempted { outcome, exists }: Attempted) {
        self.attempts.ended();
        let Some(Trying { profile, waiter, since, overruled }) = self.trying.take() else { return };
        match outcome {
            Ok(granted) => self.granted(&profile, granted, overruled, waiter),
            Err(error @ Error::WrongPassphrase(_)) => {
                tokio::spawn(async move {
                    tokio::time::sleep_until(since + WRONG_PASSPHRASE_DELAY).await;
                    answer(waiter, Err(error));
                });
            }
            Err(error) => {
                self.note_existence(&profile, exists);
                self.note_trouble(&profile, &error);
                answer(waiter, Err(error));
            }
        }
        self.released(&profile);
        self.start_edit(&profile);
    }

    fn granted(&mut self, profile: &ProfileName, granted: Granted, overruled: bool, waiter: Waiter<()>) {
        match granted {
            Granted::Unlocked(vault) if overruled => {
                self.wipe(profile.clone(), vault);
                answer(waiter, Err(state::locked(profile)));
            }
            Granted::Unlocked(vault) => {
                self.open.insert(profile.clone(), Arc::from(vault));
                let change = self.state.unlock(profile, clock::now_usec());
                self.announce_beside_bus(change, waiter);
            }
            Granted::Rekeyed(rekeyed) => {
                self.with_open(profile, |vault| vault.rekey(rekeyed));
                answer(waiter, Ok(()));
            }
            Granted::Created => {
                let change = self.state.create(profile, clock::now_usec());
                self.announce_beside_bus(change, waiter);
            }
            Granted::Deleted => {
                let change = self.state.delete(profile);
                self.close(profile);
                self.announce_beside_bus(change, waiter);
            }
        }
    }

    /// A failed attempt may have made or found a vault, or found that one is gone.
    fn note_existence(&mut self, profile: &ProfileName, exists: bool) {
        let change = match exists {
            true => self.state.create(profile, clock::now_usec()),
            false => self.state.delete(profile),
        };
        self.announce(change);
        if !exists {
            self.close(profile);
        }
    }

    // Content.

    fn edit(&mut self, profile: ProfileName, edit: Edit, waiter: Waiter<()>) {
        if let Err(error) = self.served(&profile) {
            return answer(waiter, Err(error));
        }
        let queue = self.edits.entry(profile.clone()).or_default();
        queue.push_back(PendingEdit { edit: Some(edit), waiter });
        if queue.len() == 1 {
            self.start_edit(&profile);
        }
    }

    /// Hands the first change of a vault to a worker, unless a passphrase attempt has the vault's files.
    fn start_edit(&mut self, profile: &ProfileName) {
        if self.trying.as_ref().is_some_and(|trying| trying.profile == *profile) {
            return;
        }
        let Some(vault) = self.open.get(profile).cloned() else { return };
        let Some(edit) = self.edits.get_mut(profile).and_then(|queue| queue.front_mut()?.edit.take()) else { return };
        self.holds.take(profile);
        let work = work::store(Arc::clone(&self.store), vault, edit);
        let (done, profile) = (self.done.0.clone(), profile.clone());
        tokio::spawn(async move {
            if let Ok(stored) = work.await {
                let _ = done.send(Done::Edit(profile, stored));
            }
        });
    }

    fn edited(&mut self, profile: &ProfileName, stored: Stored) {
        let outcome = match stored {
            Stored::Written(edit, written) => {
                self.with_open(profile, |vault| vault.apply(edit, *written));
                let healed = self.state.set_trouble(profile, None);
                self.announce(healed);
                Ok(())
            }
            Stored::Uncertain(there, error) => {
                if let Some(vault) = self.open.get_mut(profile) {
                    *vault = Arc::from(there);
                }
                Err(error)
            }
            Stored::Refused(error) => Err(error),
        };
        if let Err(error) = &outcome {
            self.note_trouble(profile, error);
        }
        if let Some(queue) = self.edits.get_mut(profile) {
            let done = queue.pop_front();
            if queue.is_empty() {
                self.edits.remove(profile);
            }
            if let Some(PendingEdit { waiter, .. }) = done {
                answer(waiter, outcome);
            }
        }
        self.released(profile);
        self.start_edit(profile);
    }

    /// Changes an open vault in place. Nobody else has it: workers gave their share back before they reported.
    fn with_open(&mut self, profile: &ProfileName, change: impl FnOnce(&mut OpenVault)) {
        match self.open.get_mut(profile).map(Arc::get_mut) {
            Some(Some(vault)) => change(vault),
            // Locked meanwhile: the disk has it.
            None => {}
            Some(None) => {
                tracing::error!(%profile, "the open vault of {profile} could not be changed in memory; it is locked");
                let change = self.state.lock([profile.clone()], clock::now_usec());
                self.announce(change);
                self.close(profile);
            }
        }
    }

    // Telling.

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
        match signals::messages(&self.name, &change) {
            Ok(messages) => messages.into_iter().for_each(|message| self.outbox.send(message)),
            Err(cause) => tracing::error!(%cause, "a change could not be announced"),
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
