//! The way to the actor: what may be asked of the vaults, and how an answer comes back. Decides nothing.

use std::sync::Arc;

use daemon_config::Config;
use dbus_interfaces::{Error, ProfileName, SecretName};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};
use vault_store::{Change as Edit, OpenVault};

use crate::{
    attempts::ConnectionId, autolock::Event, reader::Reader, secret_service::announcements::Announcements,
    state::Snapshot, work::Wish,
};

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
    Get(Wanted, Waiter<Box<[u8]>>),
    /// A secret was read by a look.
    WasRead(Read),
    /// A look at an open vault, or at why it is not served: one that reads a secret, or not.
    Look(ProfileName, Reads, Look),
    /// A change to a vault's content.
    Edit(ProfileName, Edit, Waiter<()>),
    /// Something that takes a passphrase.
    Attempt(ConnectionId, Attempt),
    /// Where the Secret Service announces changes.
    AnnounceTo(Option<Arc<Announcements>>),
    /// Other settings for what begins from now on.
    Configure(Box<Config>),
    /// Tells when this is obeyed: a proof of life.
    Prove(Waiter<()>),
    /// Never obey anything again: for tests of the watchdog.
    #[cfg(debug_assertions)]
    Wedge,
}

/// Whether a look reads a secret, and so counts as use of the vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// A value leaves the vault.
    Secret,
    /// Only what is said about it.
    Nothing,
}

/// Looks at an open vault, or is told why it is not served. Quick: nobody is answered meanwhile.
pub type Look = Box<dyn FnOnce(Result<&OpenVault, Error>) + Send>;

/// Something that was read.
pub struct Read {
    /// Whose it is.
    pub profile: ProfileName,
    /// A secret's name, or the id of an application's item.
    pub name: String,
    /// Who read it.
    pub reader: Reader,
}

/// A secret that somebody wants to read.
pub struct Wanted {
    /// Whose it is.
    pub profile: ProfileName,
    /// Its name.
    pub name: SecretName,
    /// Who wants it.
    pub reader: Reader,
}

/// Something that takes a passphrase, and who waits for it.
pub struct Attempt {
    pub(crate) profile: ProfileName,
    pub(crate) wish: Wish,
    pub(crate) waiter: Waiter<()>,
    pub(crate) since: Instant,
}

/// Something that may lock vaults, and who waits until no key of those is left.
pub(crate) type Told = (Event, oneshot::Sender<()>);

/// The way to the actor. Clones lead to the same one.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    // Apart from the commands: sleep waits behind nobody's calls, and telling waits for nothing.
    events: mpsc::UnboundedSender<Told>,
    snapshots: watch::Receiver<Arc<Snapshot>>,
}

/// The actor's ends of a [`Handle`].
pub struct Inbox {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) events: mpsc::UnboundedReceiver<Told>,
    pub(crate) snapshots: watch::Sender<Arc<Snapshot>>,
}

/// Makes both ends, `snapshot` being the first.
pub fn channel(snapshot: Snapshot) -> (Handle, Inbox) {
    let (commands, receiver) = mpsc::channel(64);
    let (events, told) = mpsc::unbounded_channel();
    let (snapshots, seen) = watch::channel(Arc::new(snapshot));
    (Handle { commands, events, snapshots: seen }, Inbox { commands: receiver, events: told, snapshots })
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

    /// One secret's value; that it was read, and by whom, is announced.
    pub async fn get(&self, wanted: Wanted) -> Result<Box<[u8]>, Error> {
        self.ask(|waiter| Command::Get(wanted, waiter)).await
    }

    /// What `look` sees in an open vault.
    pub async fn look<T: Send + 'static>(
        &self,
        profile: ProfileName,
        reads: Reads,
        look: impl FnOnce(&OpenVault) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.ask(|waiter| Command::Look(profile, reads, Box::new(|vault| drop(waiter.send(vault.and_then(look))))))
            .await
    }

    /// Announces that a look read a secret, and waits for nothing.
    pub fn was_read(&self, read: Read) {
        let commands = self.commands.clone();
        // Fails only while the daemon ends.
        tokio::spawn(async move { commands.send(Command::WasRead(read)).await });
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

    /// Has item and vault changes announced there, or nowhere.
    pub fn announce_to(&self, announcements: Option<Arc<Announcements>>) {
        let commands = self.commands.clone();
        // Fails only while the daemon ends.
        tokio::spawn(async move { commands.send(Command::AnnounceTo(announcements)).await });
    }

    /// Applies other settings to what begins from now on.
    pub fn configure(&self, config: &Config) {
        let (commands, config) = (self.commands.clone(), Box::new(config.clone()));
        // Fails only while the daemon ends.
        tokio::spawn(async move { commands.send(Command::Configure(config)).await });
    }

    /// Tells of something that may lock vaults, in the order of the calls. The receiver hears when no key is left of
    /// those that it locked.
    pub fn tell(&self, event: Event) -> oneshot::Receiver<()> {
        let (gone, keys_gone) = oneshot::channel();
        // Fails only while the daemon ends, and the receiver with it.
        let _ = self.events.send((event, gone));
        keys_gone
    }

    async fn ask<T>(&self, command: impl FnOnce(Waiter<T>) -> Command) -> Result<T, Error> {
        let (waiter, answer) = oneshot::channel();
        let ending = || Error::Unavailable("daemon-secrets is ending; retry when it is back".into());
        self.commands.send(command(waiter)).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())?
    }
}
