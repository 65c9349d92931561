//! What the objects of the Secret Service share: the way to the vaults, the clients' sessions and prompts, and the
//! collection that is in memory only. The vaults themselves are the actor's.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::MetadataExt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::UNIX_EPOCH,
};

use daemon_runtime::{bus, outbox::Outbox, workers::Workers};
use dbus_interfaces::{ProfileName, places};
use tokio::sync::{OnceCell, Semaphore, oneshot, watch};
use vault_store::{Attributes, Change, Content, Found, ItemId, Refused};
use zbus::{Connection, Message, names::OwnedUniqueName};

use session_cipher::Cipher;

use super::{
    announcements::Announcements,
    caller,
    error::{Error, limits, no_object, no_session},
    paths::{self, Collection, Object},
    prompts::Prompts,
    sessions::Sessions,
};
use crate::{
    handle::{Handle, Read, Reads},
    reader::Reader,
    state::Snapshot,
};

/// What is not the actor's.
#[derive(Default)]
pub struct Open {
    /// The clients' sessions.
    pub sessions: Sessions,
    /// The clients' prompts.
    pub prompts: Prompts,
    /// The processes of clients that have read, by connection: looked up once.
    pub readers: BTreeMap<String, Arc<OnceCell<Reader>>>,
    /// The items of the collection that is in memory only.
    pub memory: Content,
}

/// The shared part.
pub struct Desk {
    /// The way to the vaults.
    pub vaults: Handle,
    /// The connection that owns `org.freedesktop.secrets`.
    pub connection: Connection,
    /// What is said there.
    pub announcements: Arc<Announcements>,
    /// What daemon-secrets says of itself, on its own connection.
    pub own: (Outbox, OwnedUniqueName),
    /// How many sessions are open, for who looks.
    counted: watch::Sender<u32>,
    /// The questions that people are asked now.
    pub asking: super::asking::Asking,
    /// For what is read of the disk.
    workers: Workers,
    /// Whose turn it is to look for an item and to replace it: what was seen is so until it is written.
    pub replacing: Semaphore,
    // A change is published here before it is announced or answered.
    state: watch::Receiver<Arc<Snapshot>>,
    // `std` mutex: never held across an await; the critical sections are look-ups in memory.
    open: Mutex<Open>,
    configured: Mutex<Configured>,
}

/// What the configuration says.
#[derive(Clone, Debug, Default)]
pub struct Configured {
    /// Whether sessions without encryption are opened.
    pub plain_sessions: bool,
    /// Profiles whose locked vaults are not searched.
    pub not_searched: BTreeSet<ProfileName>,
}

/// The ids that a search found, in vaults that are open and in those that are not.
#[derive(Default)]
pub struct Matches {
    /// At once to be had.
    pub unlocked: Vec<(Collection, ItemId)>,
    /// To be had after an unlock.
    pub locked: Vec<(Collection, ItemId)>,
}

/// What is daemon-secrets' own: how it speaks of itself, and where it counts sessions.
#[derive(Clone)]
pub struct Own {
    /// What it says on its own connection, and as whom.
    pub says: (Outbox, OwnedUniqueName),
    /// The open sessions.
    pub counted: watch::Sender<u32>,
}

impl Desk {
    /// A desk on `connection`.
    pub fn new(vaults: Handle, connection: Connection, own: Own, configured: Configured) -> Self {
        let announcements = Arc::new(Announcements::new(Outbox::new(connection.clone())));
        Self {
            state: vaults.snapshots(),
            vaults,
            connection,
            announcements,
            own: own.says,
            counted: own.counted,
            asking: super::asking::Asking::default(),
            workers: Workers::default(),
            replacing: Semaphore::new(1),
            open: Mutex::default(),
            configured: Mutex::new(configured),
        }
    }

    /// What is not the actor's.
    pub fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the configuration says now.
    pub fn configured(&self) -> Configured {
        self.configured.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows the configuration.
    pub fn configure(&self, configured: Configured) {
        *self.configured.lock().unwrap_or_else(PoisonError::into_inner) = configured;
    }

    /// The state of the vaults.
    pub fn seen(&self) -> Arc<Snapshot> {
        Arc::clone(&self.state.borrow())
    }

    /// Ends when `profile` is served.
    pub async fn served(&self, profile: &ProfileName) {
        let mut state = self.state.clone();
        // Fails only while the daemon ends.
        let _ = state.wait_for(|state| state.vaults.get(profile.as_str()).is_some_and(|row| row.active)).await;
    }

    /// Every collection.
    pub fn collections(&self) -> Vec<Collection> {
        let seen = self.seen();
        let profiles = seen.vaults.keys().filter_map(|profile| profile.parse().ok()).map(Collection::Profile);
        profiles.chain([Collection::Memory]).collect()
    }

    /// The object at `path`, an alias being what it stands for. Whether an item exists is not looked at.
    ///
    /// # Errors
    /// `NoSuchObject`.
    pub fn object(&self, path: &str) -> Result<Object, Error> {
        let object = match Object::at(path).ok_or_else(|| no_object(path))? {
            Object::Alias(alias) => Object::Collection(self.aliased(&alias).ok_or_else(|| no_object(path))?),
            object => object,
        };
        match &object {
            Object::Collection(collection) | Object::Item(collection, _) => {
                self.locked(collection).map_err(|_| no_object(path))?;
            }
            Object::Session(_) | Object::Prompt(_) | Object::Service | Object::Alias(_) => {}
        }
        Ok(object)
    }

    /// What an alias stands for, where that exists.
    pub fn aliased(&self, alias: &str) -> Option<Collection> {
        let collection = match alias {
            "default" => Collection::Profile(default_profile()),
            "session" => Collection::Memory,
            _ => return None,
        };
        self.locked(&collection).ok().map(|_| collection)
    }

    /// Whether a collection is locked: its items are not served.
    ///
    /// # Errors
    /// `NoSuchObject`.
    pub fn locked(&self, collection: &Collection) -> Result<bool, Error> {
        match collection {
            Collection::Memory => Ok(false),
            Collection::Profile(profile) => {
                let seen = self.seen();
                let row = seen.vaults.get(profile.as_str());
                row.map(|row| !row.active).ok_or_else(|| no_object(paths::collection(collection).as_str()))
            }
        }
    }

    /// What `look` sees of the items of an open collection.
    ///
    /// # Errors
    /// `IsLocked`, `NoSuchObject`, and those of `look`.
    pub async fn look<T: Send + 'static>(
        &self,
        collection: &Collection,
        reads: Reads,
        look: impl FnOnce(&Content, &ProfileName) -> T + Send + 'static,
    ) -> Result<T, Error> {
        match collection {
            Collection::Memory => Ok(look(&self.open().memory, &ProfileName::personal())),
            Collection::Profile(profile) => {
                let look = |vault: &vault_store::OpenVault| Ok(look(vault.content(), vault.profile()));
                Ok(self.vaults.look(profile.clone(), reads, look).await?)
            }
        }
    }

    /// What `look` sees of one item.
    ///
    /// # Errors
    /// As [`Desk::look`].
    pub async fn look_at<T: Send + 'static>(
        &self,
        collection: &Collection,
        id: ItemId,
        reads: Reads,
        look: impl FnOnce(Found<'_>, &ProfileName) -> T + Send + 'static,
    ) -> Result<T, Error> {
        let found = self.look(collection, reads, move |content, profile| Some(look(content.item(&id)?, profile)));
        found.await?.ok_or_else(|| no_object(paths::item(collection, id).as_str()))
    }

    /// Makes a change. What is to be said of it has been said when this returns.
    ///
    /// # Errors
    /// `IsLocked`, `NoSuchObject`, limits, and what the disk says.
    pub async fn edit(&self, collection: &Collection, change: Change) -> Result<(), Error> {
        match collection {
            Collection::Memory => self.edit_memory(change)?,
            Collection::Profile(profile) => self.vaults.edit(profile.clone(), change).await?,
        }
        self.announcements.sent().await;
        Ok(())
    }

    fn edit_memory(&self, change: Change) -> Result<(), Error> {
        let memory = &mut self.open().memory;
        memory.admits(&change).map_err(|refused| match refused {
            Refused::NotFound => Error::NoSuchObject("there is no such item any more; search again".into()),
            Refused::TooLarge(limit) => limits(limit.to_string()),
        })?;
        let effect = memory.effect(&change);
        memory.apply(change);
        if let Some((id, effect)) = effect {
            self.announcements.item(&Collection::Memory, id, effect, (memory, &ProfileName::personal()));
        }
        Ok(())
    }

    /// The items of `collections` that have all of `wanted`.
    pub async fn find(&self, collections: Vec<Collection>, wanted: &Attributes) -> Matches {
        let mut matches = Matches::default();
        for collection in collections {
            let wanted_here = wanted.clone();
            let look = move |content: &Content, profile: &ProfileName| content.find(profile, &wanted_here);
            match (self.look(&collection, Reads::Nothing, look).await, &collection) {
                (Ok(ids), _) => matches.unlocked.extend(ids.into_iter().map(|id| (collection.clone(), id))),
                (Err(Error::IsLocked(_)), Collection::Profile(profile)) => {
                    let ids = self.find_locked(profile, wanted.clone()).await;
                    matches.locked.extend(ids.into_iter().map(|id| (collection.clone(), id)));
                }
                // Deleted meanwhile.
                (Err(_), _) => {}
            }
        }
        for (collection, id) in matches.unlocked.iter().chain(&matches.locked) {
            self.announcements.given_out(collection, *id);
        }
        matches
    }

    /// What is said of a locked vault's items: nothing where the configuration does not allow it.
    pub async fn find_locked(&self, profile: &ProfileName, wanted: Attributes) -> Vec<ItemId> {
        if self.configured().not_searched.contains(profile) {
            return Vec::new();
        }
        let Ok(folder) = places::vaults_folder() else { return Vec::new() };
        let profile = profile.clone();
        let searched = self.workers.run(move || vault_store::find_locked(&folder, &profile, &wanted));
        searched.await.unwrap_or_default()
    }

    /// The session that `path` names, for the connection `owner`.
    ///
    /// # Errors
    /// `NoSession`.
    pub fn cipher(&self, path: &str, owner: &str) -> Result<Arc<Cipher>, Error> {
        let Some(Object::Session(number)) = Object::at(path) else { return Err(no_session()) };
        self.open().sessions.cipher(number, owner).ok_or_else(no_session)
    }

    /// Ends what belongs to the connection `owner` when that leaves the bus.
    pub fn follow(self: &Arc<Self>, owner: String) {
        // Weak: a client that stays longer than the service keeps nothing of it in memory.
        let (desk, connection) = (Arc::downgrade(self), self.connection.clone());
        tokio::spawn(async move {
            bus::departure(&connection, &owner).await;
            if let Some(desk) = desk.upgrade() {
                let mut open = desk.open();
                open.sessions.end_of(&owner);
                open.prompts.end_of(&owner);
                open.readers.remove(&owner);
                drop(open);
                desk.count_sessions();
            }
        });
    }

    /// Says how many sessions are open, where that changed.
    pub fn count_sessions(&self) {
        // Counted and sent under the lock, so that the last count that is told is the true one.
        let open = self.open();
        let now = u32::try_from(open.sessions.len()).unwrap_or(u32::MAX);
        if self.counted.send_replace(now) == now {
            return;
        }
        let (path, interface) = (dbus_interfaces::secrets::PATH, dbus_interfaces::secrets::INTERFACE);
        let signal = Message::signal(path, interface, "SessionsChanged").sender(self.own.1.clone());
        if let Ok(signal) = signal.build(&now) {
            self.own.0.send(signal);
        }
    }

    /// Ends every session, as a client sees it that finds the service gone.
    pub fn close(&self) {
        self.open().sessions = Sessions::default();
        self.count_sessions();
    }

    /// Says that the connection `owner` has read a secret of a vault. The reader does not wait for it.
    pub fn tell_read(self: &Arc<Self>, collection: &Collection, name: String, owner: &str) {
        let Collection::Profile(profile) = collection.clone() else { return };
        let (desk, owner) = (Arc::clone(self), owner.to_owned());
        let process = Arc::clone(self.open().readers.entry(owner.clone()).or_default());
        tokio::spawn(async move {
            let look = || async { Reader::process(caller::process(&desk.connection, &owner).await) };
            let reader = process.get_or_init(look).await.clone();
            desk.vaults.was_read(Read { profile, name, reader });
        });
    }

    /// Says that somebody asked for an item of a locked vault, so that a panel can show it.
    pub fn tell_locked_item(&self, collections: impl IntoIterator<Item = Collection>, who: &str) {
        let profiles: BTreeSet<Collection> = collections.into_iter().collect();
        for collection in profiles {
            let Collection::Profile(profile) = collection else { continue };
            let (path, interface) = (dbus_interfaces::secrets::PATH, dbus_interfaces::secrets::INTERFACE);
            let signal = Message::signal(path, interface, "LockedItemRequested").sender(self.own.1.clone());
            if let Ok(signal) = signal.build(&(profile.as_str(), who)) {
                self.own.0.send(signal);
            }
        }
    }
}

/// When a vault was made and last written, in seconds: 0 where that is not known.
pub fn times(profile: &ProfileName) -> (u64, u64) {
    let Ok(folder) = places::vaults_folder().map(|folder| folder.join(profile.as_str())) else { return (0, 0) };
    let made = fs::metadata(&folder).and_then(|found| found.created());
    let made = made.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |time| time.as_secs());
    let written = fs::metadata(folder.join("items.age")).map_or(0, |found| found.mtime());
    (made, u64::try_from(written).unwrap_or(0))
}

/// The default profile, which the hub keeps in a file; `personal` where that does not tell, as the hub has it.
pub fn default_profile() -> ProfileName {
    let named = places::default_profile_file().and_then(|file| places::read_default_profile(&file));
    named.unwrap_or_else(|_| ProfileName::personal())
}

/// Ends when everything before has been handed to the bus.
pub async fn sent(outbox: &Outbox) {
    let (done, sent) = oneshot::channel();
    outbox.then(move || {
        let _ = done.send(());
    });
    // Fails only with the connection.
    let _ = sent.await;
}

/// The ids that were given to clients, by collection: only of those is said that they are locked or not.
pub type GivenOut = BTreeMap<Collection, BTreeSet<ItemId>>;
