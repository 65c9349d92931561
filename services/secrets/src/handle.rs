//! The way to the actor: what may be asked of the vaults, and how an answer comes back. Decides nothing.

use std::sync::Arc;

use dbus_interfaces::{Error, ProfileName, SecretName};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use vault_store::{Change as Edit, WorkFactor};

use crate::{attempts::ConnectionId, state::Snapshot, work::Wish};

/// Where an answer is wanted.
pub type Waiter<T> = oneshot::Sender<Result<T, Error>>;

/// Which vaults to lock.
pub enum Which {
    /// This one.
    One(ProfileName),
    /// Every one.
    All,
    /// Every one, because the daemon ends.
    AllAtTheEnd,
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
    pub(crate) profile: ProfileName,
    pub(crate) wish: Wish,
    pub(crate) waiter: Waiter<()>,
    pub(crate) since: Instant,
}

/// The way to the actor. Clones lead to the same one.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

/// The actor's ends of a [`Handle`].
pub struct Inbox {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) snapshots: watch::Sender<Arc<Snapshot>>,
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
