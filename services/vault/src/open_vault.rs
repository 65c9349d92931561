//! A vault whose key is in memory: what it holds, and how it follows what the store wrote. Reads no file.

use std::fmt;

use dbus_interfaces::{ProfileName, SecretName};
use secrecy::ExposeSecret;

use crate::{
    content::{Change, Content},
    files::Stamp,
    keys::Key,
};

/// An unlocked vault. Dropping it locks it. Memory never runs ahead of the disk: [`crate::Store::write`] comes before
/// [`OpenVault::apply`].
pub struct OpenVault {
    pub(crate) profile: ProfileName,
    pub(crate) key: Key,
    pub(crate) content: Content,
    /// Of items.age as it was last read or written.
    pub(crate) stamp: Stamp,
}

/// What the disk has after a change; [`OpenVault::apply`] takes it with the change.
#[must_use = "the open vault has to follow the disk"]
#[derive(Debug)]
pub struct Written {
    pub(crate) stamp: Stamp,
}

/// The write that comes after another one. It has the vault's key.
pub struct NextWrite(Key);

impl NextWrite {
    /// Does what can be done before its content is known.
    pub fn prepare(self) {
        self.0.prepare();
    }
}

/// A vault with its new key; [`OpenVault::rekey`] takes it where the vault is open.
pub struct Rekeyed(pub(crate) Box<OpenVault>);

impl OpenVault {
    /// Whose vault this is.
    pub fn profile(&self) -> &ProfileName {
        &self.profile
    }

    /// What it holds.
    pub fn content(&self) -> &Content {
        &self.content
    }

    /// The names of the secrets (the items of origin `sesame`), in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &SecretName> {
        self.content.secrets.keys()
    }

    /// A secret's value.
    pub fn get(&self, name: &SecretName) -> Option<&[u8]> {
        self.content.secrets.get(name).map(|item| item.value.expose_secret())
    }

    /// How many items it holds, those of other applications too.
    pub fn len(&self) -> usize {
        self.content.len()
    }

    /// Whether it holds nothing at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What prepares the next write, once this vault is let go of.
    pub fn next_write(&self) -> NextWrite {
        NextWrite(self.key.clone())
    }

    /// Follows a change that the disk has.
    pub fn apply(&mut self, change: Change, written: Written) {
        self.content.apply(change);
        self.followed(written);
    }

    /// Follows a change of passphrase that the disk has: another key, and what was found on the disk then.
    pub fn rekey(&mut self, rekeyed: Rekeyed) {
        *self = *rekeyed.0;
    }

    pub(crate) fn followed(&mut self, written: Written) {
        self.content.generation = self.content.generation.saturating_add(1);
        self.stamp = written.stamp;
    }
}

impl Rekeyed {
    /// The vault as it is with its new key.
    pub fn vault(&self) -> &OpenVault {
        &self.0
    }
}

impl fmt::Debug for OpenVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenVault").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl fmt::Debug for NextWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextWrite").finish_non_exhaustive()
    }
}

impl fmt::Debug for Rekeyed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rekeyed").field(&self.0).finish()
    }
}
