//! What is done on worker threads: deriving keys, reading and writing vault files, wiping. Keys and content come and
//! go in boxes; the worker's stack is wiped after each job.

use std::{future::Future, io, sync::Arc, thread};

use daemon_runtime::{
    memory,
    workers::{Workers, no_thread},
};
use dbus_interfaces::{Error, ProfileName};
use secrecy::SecretString;
use vault_store::{Change, OpenVault, Rekeyed, SearchFile, Store, WorkFactor, Written};

/// What somebody with a passphrase wants.
pub enum Wish {
    /// A new vault, locked.
    Create(SecretString),
    /// The vault's content in memory.
    Unlock(SecretString),
    /// Another passphrase, and another key with it.
    ChangePassphrase {
        /// The present one.
        old: SecretString,
        /// The one that opens the vault afterwards.
        new: SecretString,
    },
    /// The vault gone.
    Delete(SecretString),
}

/// What a fulfilled wish brought.
pub enum Granted {
    /// The vault is made.
    Created,
    /// The vault is open.
    Unlocked(Box<OpenVault>),
    /// The vault has another key, which an open vault must take over.
    Rekeyed(Rekeyed),
    /// The vault is gone.
    Deleted,
}

/// What became of a wish.
pub struct Attempted {
    /// What it brought.
    pub outcome: Result<Granted, Error>,
    /// Whether there is a vault of this name afterwards, as far as that can be told: an error may leave it open.
    pub exists: Option<bool>,
    /// Whether the disk was not asked to write anything: what is there could not be read, or nobody tried.
    pub untouched: bool,
}

impl Attempted {
    /// Of what nobody has tried.
    pub fn not_begun(cause: &io::Error) -> Self {
        Self { outcome: Err(no_thread(cause)), exists: None, untouched: true }
    }
}

/// How wishes are fulfilled.
#[derive(Clone, Copy)]
pub struct Settings {
    /// Of new passphrases.
    pub work_factor: WorkFactor,
    /// Whether the vault's items are to be found while it is locked.
    pub searched: bool,
}

/// What a worker does. The error is that there is none.
pub trait Work<T>: Future<Output = io::Result<T>> + Send + 'static {}

impl<T, F: Future<Output = io::Result<T>> + Send + 'static> Work<T> for F {}

/// Fulfils `wish`.
pub fn grant(
    workers: &Workers,
    store: Arc<Store>,
    settings: Settings,
    profile: ProfileName,
    wish: Wish,
) -> impl Work<Attempted> + use<> {
    let Settings { work_factor, searched } = settings;
    let make_searched = move |store: &Store, vault: &OpenVault| {
        if searched {
            let _ = store.make_searched(vault).inspect_err(not_found);
        }
    };
    work(workers, move || {
        let granted = match &wish {
            Wish::Create(passphrase) => store.create(&profile, passphrase, work_factor).map(|()| Granted::Created),
            Wish::Unlock(passphrase) => store.unlock(&profile, passphrase).map(|vault| {
                make_searched(&store, &vault);
                Granted::Unlocked(vault)
            }),
            Wish::ChangePassphrase { old, new } => {
                store.change_passphrase(&profile, old, new, work_factor).map(|rekeyed| {
                    make_searched(&store, rekeyed.vault());
                    Granted::Rekeyed(rekeyed)
                })
            }
            Wish::Delete(passphrase) => store.delete(&profile, passphrase).map(|()| Granted::Deleted),
        };
        let exists = match &granted {
            Ok(Granted::Deleted) => Some(false),
            Ok(_) => Some(true),
            Err(_) => store.exists(&profile),
        };
        let untouched = granted.as_ref().is_err_and(vault_store::Error::is_of_reading);
        Attempted { outcome: granted.map_err(Error::from), exists, untouched }
    })
}

/// What became of a change to an open vault.
pub enum Stored {
    /// The disk has it; memory may follow.
    Written(Change, Box<Written>),
    /// The disk may or may not have it: this is what is there.
    Uncertain(Box<OpenVault>, Error),
    /// The disk has what it had.
    Refused(Error),
    /// No change: the search file, where the disk took it.
    Searched,
}

/// Writes `vault` with `change` made, lets go of it and tells what became of it; then prepares the next write. Memory is not
/// changed here: the disk comes first.
pub fn store<T: FnOnce(Stored) + Send + 'static>(
    workers: &Workers,
    store: Arc<Store>,
    vault: Arc<OpenVault>,
    change: Change,
    tell: T,
) -> impl Work<()> + use<T> {
    let write = move || {
        let next = vault.next_write();
        let stored = match store.write(&vault, &change) {
            Ok(written) => Stored::Written(change, Box::new(written)),
            Err(error) if error.is_uncertain() => match store.reread(&vault) {
                Ok(there) => Stored::Uncertain(there, error.into()),
                Err(_) => Stored::Refused(error.into()),
            },
            Err(error) => Stored::Refused(error.into()),
        };
        drop(vault);
        tell(stored);
        // Where both share a processor, the answer goes first.
        thread::yield_now();
        next.prepare();
    };
    // The next write takes what this one has freed; the next tick gives it back.
    workers.run(|| memory::with_wiped_stack(write))
}

/// The search file of `vault`, which it lets go of.
pub fn make_search(
    workers: &Workers,
    store: Arc<Store>,
    vault: Arc<OpenVault>,
) -> impl Work<Option<SearchFile>> + use<> {
    work(workers, move || store.search_file(&vault).inspect_err(not_found).ok())
}

/// Writes a search file: nobody's keys wait for the disk.
pub fn write_search(workers: &Workers, store: Arc<Store>, file: SearchFile) -> impl Work<()> + use<> {
    workers.run(move || drop(store.write_search(&file).inspect_err(not_found)))
}

/// What is found is never worth the vault itself.
fn not_found(cause: &vault_store::Error) {
    tracing::warn!(%cause, "what a vault holds is not found while it is locked: {cause}");
}

/// Drops what holds keys and secrets; the allocator wipes it.
pub fn wipe<V: Send + 'static>(workers: &Workers, vault: V) -> impl Work<()> + use<V> {
    work(workers, move || drop(vault))
}

fn work<T, J>(workers: &Workers, job: J) -> impl Work<T> + use<T, J>
where
    T: Send + 'static,
    J: FnOnce() -> T + Send + 'static,
{
    workers.run(|| {
        let done = memory::with_wiped_stack(job);
        memory::give_back();
        done
    })
}
