//! The vaults of one user: which there are, making, opening, writing and deleting them. Changing a passphrase is in
//! `passphrase`.

mod passphrase;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use dbus_interfaces::{ProfileName, SecretName};
use rustix::fs::{Mode, OFlags};
use secrecy::SecretString;

use crate::{
    Change, Disk, Error, Files, Flaw, Limit, OpenVault, Stamp, WorkFactor, Written,
    content::{Content, Refused},
    draft::Draft,
    error::READ,
    format::{self, MAX_JSON, Unreadable},
    item::{Attributes, ItemId},
    keys::{self, Key, Refusal},
    sidecar,
};

const LOCK: &str = ".lock";
const IDENTITY: &str = "identity.age";
const ITEMS: &str = "items.age";
const SIDECAR: &str = "attributes.json";
const MAX_VAULTS: usize = 64;
/// Two identities take 150 bytes; a user may have added comments.
const MAX_IDENTITY_FILE: u64 = 64 * 1024;
/// The largest JSON, and what age adds: a header, and 16 bytes to each 64 KiB.
const MAX_ITEMS_FILE: u64 = MAX_JSON as u64 + 64 * 1024;

/// The folder of the vaults. Methods take `&self` from any thread; that one vault is written by one thread at a time
/// is the caller's duty.
pub struct Store {
    folder: PathBuf,
    files: Box<dyn Files>,
    /// Held until the store is dropped: no other process writes these vaults.
    _lock: File,
}

/// A search file on its way to the disk. It needs no key, and tells no secret.
pub struct SearchFile {
    path: PathBuf,
    content: Vec<u8>,
}

/// Where a vault's files are.
struct Place {
    folder: PathBuf,
    identity: PathBuf,
    items: PathBuf,
}

impl Place {
    fn new(folder: PathBuf) -> Self {
        Self { identity: folder.join(IDENTITY), items: folder.join(ITEMS), folder }
    }
}

impl Store {
    /// Opens the folder of the vaults (made where it is missing, 0700), takes its lock and removes what an
    /// interrupted run left there.
    ///
    /// # Errors
    /// `Held` where another process has the lock, else `Storage`.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        Self::open_with(folder, Box::new(Disk))
    }

    /// The same with other file operations: for tests that make them fail.
    ///
    /// # Errors
    /// As of [`Store::open`].
    pub fn open_with(folder: &Path, files: Box<dyn Files>) -> Result<Self, Error> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(Error::storage("made", folder))?;
        let path = folder.join(LOCK);
        // Read-only, so that vaults on a read-only disk can be opened too.
        let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(io::Error::from);
        let lock = File::from(lock.map_err(Error::storage("opened", &path))?);
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Held(path)),
            Err(TryLockError::Error(cause)) => return Err(Error::storage("locked", &path)(cause)),
        }
        let store = Self { folder: folder.into(), files, _lock: lock };
        store.sweep(folder)?;
        for profile in store.profiles()? {
            // A vault that cannot be looked into says so when it is listed.
            let _ = store.sweep(&folder.join(profile.as_str()));
        }
        Ok(store)
    }

    /// Removes what begins with a dot. What cannot be removed stays: it is no vault and hurts none.
    fn sweep(&self, folder: &Path) -> Result<(), Error> {
        for entry in entries(folder)? {
            if entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".") && name != LOCK) {
                let _ = self.files.remove(&entry);
            }
        }
        Ok(())
    }

    /// Every folder whose name is a profile's. What else lies there is no vault, and not ours.
    fn profiles(&self) -> Result<Vec<ProfileName>, Error> {
        let names = entries(&self.folder)?.into_iter().filter(|path| !path.is_file());
        Ok(names.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect())
    }

    /// Every vault, with what is wrong with it as far as that shows without its passphrase.
    ///
    /// # Errors
    /// `Storage` where the folder cannot be read.
    pub fn list(&self) -> Result<BTreeMap<ProfileName, Option<Error>>, Error> {
        let profiles = self.profiles()?.into_iter();
        Ok(profiles
            .map(|profile| {
                let place = Place::new(self.folder.join(profile.as_str()));
                let fault = self.look(&place.identity).and_then(|()| self.look(&place.items)).err();
                (profile, fault)
            })
            .collect())
    }

    fn look(&self, path: &Path) -> Result<(), Error> {
        match fs::symlink_metadata(path) {
            Ok(found) if found.is_file() && found.len() == 0 => Err(Error::corrupt(path, Flaw::NoAge)),
            Ok(found) if found.is_file() => Ok(()),
            Ok(_) => Err(Error::corrupt(path, Flaw::NoFile)),
            Err(cause) => Err(unreadable(path, cause)),
        }
    }

    /// The place of a vault that exists.
    fn place(&self, profile: &ProfileName) -> Result<Place, Error> {
        if self.exists(profile) == Some(false) {
            return Err(Error::NoSuchProfile(profile.clone()));
        }
        Ok(Place::new(self.folder.join(profile.as_str())))
    }

    /// Whether there is a vault of this name. `None` where that cannot be told.
    pub fn exists(&self, profile: &ProfileName) -> Option<bool> {
        match fs::symlink_metadata(self.folder.join(profile.as_str())) {
            Ok(_) => Some(true),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Some(false),
            Err(_) => None,
        }
    }

    /// Makes an empty vault: whole, or not at all.
    ///
    /// # Errors
    /// `AlreadyExists`, `TooLarge` beyond 64 vaults, `Storage`; `Uncertain` where the disk may or may not have it.
    pub fn create(&self, profile: &ProfileName, passphrase: &SecretString, factor: WorkFactor) -> Result<(), Error> {
        match self.place(profile) {
            Ok(_) => return Err(Error::AlreadyExists(profile.clone())),
            Err(Error::NoSuchProfile(_)) if self.profiles()?.len() >= MAX_VAULTS => return Err(Limit::Vaults.into()),
            Err(Error::NoSuchProfile(_)) => {}
            Err(other) => return Err(other),
        }
        let (folder, new) = (self.folder.join(profile.as_str()), self.hidden(profile, "new"));
        let built = self
            .build(&new, profile, passphrase, factor)
            .and_then(|()| self.files.rename(&new, &folder).map_err(Error::storage("made", &folder)));
        if built.is_err() {
            // If this fails, the leftover is swept at the next start.
            let _ = self.files.remove(&new);
        }
        built.and_then(|()| self.confirm(&folder))
    }

    fn build(
        &self,
        new: &Path,
        profile: &ProfileName,
        passphrase: &SecretString,
        factor: WorkFactor,
    ) -> Result<(), Error> {
        let (place, key) = (Place::new(new.into()), Key::generate());
        let identity = self.seal_identity(&place, &[&key], passphrase, factor)?;
        let content = Content::default();
        let items = key.seal(|file| format::write(file, profile, &content, None)).map_err(unsealed(&place))?;
        self.build_folder(&place, &identity, &items).map_err(Error::storage("made", new))
    }

    fn build_folder(&self, place: &Place, identity: &[u8], items: &[u8]) -> io::Result<()> {
        self.files.remove(&place.folder)?;
        self.files.make_folder(&place.folder)?;
        self.files.sync(&self.files.create(&place.identity, identity)?)?;
        self.files.sync(&self.files.create(&place.items, items)?)?;
        self.files.sync_folder(&place.folder)
    }

    /// Opens a vault. An interrupted change of its passphrase is finished first.
    ///
    /// # Errors
    /// `NoSuchProfile`, `WrongPassphrase`, `Corrupt`, `TooLarge`, `OversizedFile`, `Storage`.
    pub fn unlock(&self, profile: &ProfileName, passphrase: &SecretString) -> Result<Box<OpenVault>, Error> {
        let place = self.place(profile)?;
        let (mut keys, factor) = self.read_identity(&place, passphrase)?;
        let (content, stamp) = self.read_items(&place, profile, &keys)?;
        let interrupted = keys.len() > 1;
        let key = keys.swap_remove(0);
        let vault = Box::new(OpenVault { profile: profile.clone(), key, content, stamp });
        if interrupted { self.finish_rekey(&place, vault, passphrase, factor) } else { Ok(vault) }
    }

    /// Removes a vault for good, once its passphrase has opened identity.age.
    ///
    /// # Errors
    /// `NoSuchProfile`, `WrongPassphrase`, `Corrupt` (of identity.age), `Storage`, `Uncertain`.
    pub fn delete(&self, profile: &ProfileName, passphrase: &SecretString) -> Result<(), Error> {
        let place = self.place(profile)?;
        self.read_identity(&place, passphrase)?;
        let deleted = self.hidden(profile, "deleted");
        let removed = self.files.remove(&deleted).and_then(|()| self.files.rename(&place.folder, &deleted));
        removed.map_err(Error::storage("deleted", &place.folder))?;
        self.confirm(&place.folder)?;
        // It is gone already; what cannot be removed now is swept at the next start.
        let _ = self.files.remove(&deleted);
        Ok(())
    }

    /// Writes `vault` as it is after `change`. Memory is left alone: [`OpenVault::apply`] follows.
    ///
    /// # Errors
    /// `NotFound`, `TooLarge`, `ChangedOnDisk`, `OnlyCopy`, `Storage`: nothing was changed. `Uncertain`: [`Store::reread`] tells.
    pub fn write(&self, vault: &OpenVault, change: &Change) -> Result<Written, Error> {
        vault.content.admits(change).map_err(|refused| match (refused, change) {
            (Refused::TooLarge(limit), _) => limit.into(),
            (Refused::NotFound, Change::Set { name, .. } | Change::Delete { name }) => not_found(vault, name),
            (Refused::NotFound, _) => Error::NoSuchItem(vault.profile.clone()),
        })?;
        let place = Place::new(self.folder.join(vault.profile.as_str()));
        let items = self.seal_items(&place, &vault.key, vault, Some(change))?;
        let draft = Draft::write(&*self.files, &place.items, "new", &items)?;
        self.must_be(&place.items, vault.stamp).map_err(|error| match error {
            // To lock it would be the end of what it holds.
            Error::ChangedOnDisk(file) if self.reread(vault).is_err() => Error::OnlyCopy(file),
            error => error,
        })?;
        Ok(Written { stamp: draft.install()? })
    }

    /// Has the items of `vault` found while it is locked: writes its search file where that is missing or another content's.
    ///
    /// # Errors
    /// `Storage`.
    pub fn make_searched(&self, vault: &OpenVault) -> Result<(), Error> {
        let there = self.files.read(&self.search_path(&vault.profile), MAX_ITEMS_FILE);
        if there.is_ok_and(|(there, _)| sidecar::belongs_to(&there, vault.stamp)) {
            return Ok(());
        }
        self.write_search(&self.search_file(vault)?)
    }

    /// The search file of `vault`, by which its items are found while it is locked.
    ///
    /// # Errors
    /// `Storage` where the system has no randomness.
    pub fn search_file(&self, vault: &OpenVault) -> Result<SearchFile, Error> {
        let path = self.search_path(&vault.profile);
        let mut salt = [0; 32];
        getrandom::fill(&mut salt).map_err(|cause| Error::storage("written", &path)(cause.into()))?;
        Ok(SearchFile { content: sidecar::write(&vault.profile, &vault.content, vault.stamp, salt), path })
    }

    /// Writes a search file. A crash before leaves that of an earlier content, and a loss of power perhaps none:
    /// [`Store::make_searched`] mends that.
    ///
    /// # Errors
    /// `Storage`.
    pub fn write_search(&self, file: &SearchFile) -> Result<(), Error> {
        Draft::write_unsynced(&*self.files, &file.path, "new", &file.content)?.install().map(drop)
    }

    fn search_path(&self, profile: &ProfileName) -> PathBuf {
        self.folder.join(profile.as_str()).join(SIDECAR)
    }

    /// Has the items of a locked vault found no longer.
    ///
    /// # Errors
    /// `Storage`.
    pub fn forget_search(&self, profile: &ProfileName) -> Result<(), Error> {
        let path = self.search_path(profile);
        if fs::symlink_metadata(&path).is_err() {
            return Ok(());
        }
        self.files.remove(&path).map_err(Error::storage("removed", &path))
    }

    /// What the disk holds now of a vault whose key is in memory.
    ///
    /// # Errors
    /// `Corrupt`, `TooLarge`, `OversizedFile`, `Storage`.
    pub fn reread(&self, vault: &OpenVault) -> Result<Box<OpenVault>, Error> {
        let (place, profile) = (self.place(&vault.profile)?, vault.profile.clone());
        let key = vault.key.clone();
        let (content, stamp) = self.read_items(&place, &profile, std::slice::from_ref(&key))?;
        Ok(Box::new(OpenVault { profile, key, content, stamp }))
    }

    fn hidden(&self, profile: &ProfileName, mark: &str) -> PathBuf {
        self.folder.join(format!(".{profile}.{mark}"))
    }

    /// Waits until the disk has a vault's new name, or that it has none.
    fn confirm(&self, vault: &Path) -> Result<(), Error> {
        self.files.sync_folder(&self.folder).map_err(|cause| Error::Uncertain { path: vault.into(), cause })
    }

    fn must_be(&self, file: &Path, expected: Stamp) -> Result<(), Error> {
        match self.files.stamp(file) {
            Ok(found) if found == expected => Ok(()),
            Ok(_) => Err(Error::ChangedOnDisk(file.into())),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Err(Error::ChangedOnDisk(file.into())),
            Err(cause) => Err(Error::storage("looked at", file)(cause)),
        }
    }

    fn read_identity(&self, place: &Place, passphrase: &SecretString) -> Result<(Vec<Key>, WorkFactor), Error> {
        let (file, _) = self.read_file(&place.identity, MAX_IDENTITY_FILE)?;
        let keys = keys::open_identity(&file, passphrase).map_err(|refusal| match refusal {
            Refusal::WrongPassphrase => Error::WrongPassphrase(place.identity.clone()),
            Refusal::Flawed(flaw) => Error::corrupt(&place.identity, flaw),
        })?;
        Ok((keys, WorkFactor::of_opened(&file)))
    }

    fn read_items(&self, place: &Place, profile: &ProfileName, keys: &[Key]) -> Result<(Content, Stamp), Error> {
        let (file, stamp) = self.read_file(&place.items, MAX_ITEMS_FILE)?;
        let corrupt = |flaw| Error::corrupt(&place.items, flaw);
        let json = keys::open_items(&file, keys).map_err(corrupt)?;
        let content = format::read(&json, profile).map_err(|unreadable| match unreadable {
            Unreadable::Flawed(flaw) => corrupt(flaw),
            Unreadable::TooLarge(limit) => limit.into(),
        })?;
        Ok((content, stamp))
    }

    fn read_file(&self, path: &Path, limit: u64) -> Result<(Vec<u8>, Stamp), Error> {
        self.files.read(path, limit).map_err(|cause| unreadable(path, cause))
    }

    fn seal_identity(
        &self,
        place: &Place,
        keys: &[&Key],
        passphrase: &SecretString,
        factor: WorkFactor,
    ) -> Result<Vec<u8>, Error> {
        keys::seal_identity(keys, passphrase, factor).map_err(Error::storage("encrypted", &place.identity))
    }

    fn seal_items(
        &self,
        place: &Place,
        key: &Key,
        vault: &OpenVault,
        change: Option<&Change>,
    ) -> Result<Vec<u8>, Error> {
        key.seal(|file| format::write(file, &vault.profile, &vault.content, change)).map_err(unsealed(place))
    }
}

/// Why a vault's items could not be encrypted.
fn unsealed(place: &Place) -> impl FnOnce(io::Error) -> Error {
    |cause| match cause.kind() {
        ErrorKind::FileTooLarge => Limit::Json.into(),
        _ => Error::storage("encrypted", &place.items)(cause),
    }
}

fn not_found(vault: &OpenVault, name: &SecretName) -> Error {
    Error::NotFound { profile: vault.profile.clone(), name: name.clone() }
}

/// Why a vault's file cannot be read.
fn unreadable(path: &Path, cause: io::Error) -> Error {
    match cause.kind() {
        ErrorKind::NotFound => Error::corrupt(path, Flaw::Missing),
        ErrorKind::InvalidData | ErrorKind::NotADirectory => Error::corrupt(path, Flaw::NoFile),
        ErrorKind::FileTooLarge => Error::OversizedFile(path.into()),
        _ => Error::storage(READ, path)(cause),
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(Error::storage(READ, folder))
}

/// The ids of the items of a locked vault that have all of `wanted`, the last changed first: what the file beside it
/// says, which may be behind after a crash. Nothing where there is no such file.
pub fn find_locked(vaults: &Path, profile: &ProfileName, wanted: &Attributes) -> Vec<ItemId> {
    let path = vaults.join(profile.as_str()).join(SIDECAR);
    Disk.read(&path, MAX_ITEMS_FILE).map_or_else(|_| Vec::new(), |(sidecar, _)| sidecar::find(&sidecar, wanted))
}
