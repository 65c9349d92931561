//! `org.opensesame.Vault`: passphrases and secrets, only on the private socket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zbus::Type;

/// The interface.
pub const INTERFACE: &str = "org.opensesame.Vault";
/// Its only object.
pub const PATH: &str = "/org/opensesame/Vault";

/// The largest value of a secret, in bytes.
pub const MAX_VALUE: usize = 1024 * 1024;
/// The longest label of an item, in bytes.
pub const MAX_LABEL: usize = 1024;
/// The most attributes of an item.
pub const MAX_ATTRIBUTES: usize = 32;
/// The longest attribute, its name and its value together, in bytes.
pub const MAX_ATTRIBUTE: usize = 1024;
/// The longest content type, and the longest name of an item's application, in bytes.
pub const MAX_WORD: usize = 255;
/// The longest passphrase, in bytes.
pub const MAX_PASSPHRASE: usize = 1024;

/// An item of a vault, as it is listed: everything but its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct ListedItem {
    /// What names it, and no other item ever: 32 hex digits.
    pub id: String,
    /// Whose it is: `sesame`, or an application.
    pub origin: String,
    /// The name of one that `sesame secret` made; empty for all others.
    pub name: String,
    /// What people call it.
    pub label: String,
    /// By which it is found.
    pub attributes: BTreeMap<String, String>,
    /// What its value is.
    pub content_type: String,
    /// When it was made (CLOCK_REALTIME, microseconds).
    pub created_usec: u64,
    /// When it was last changed.
    pub modified_usec: u64,
}

/// An item to store: of another application, not of `sesame secret`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
pub struct NewItem {
    /// The application's name: 1 to 255 bytes, and not `sesame`.
    pub origin: String,
    /// What people call it: at most 1 KiB.
    pub label: String,
    /// By which it is found: at most 32, of 1 KiB each.
    pub attributes: BTreeMap<String, String>,
    /// What its value is: at most 255 bytes.
    pub content_type: String,
    /// When it was made (CLOCK_REALTIME, microseconds): 0 is now.
    pub created_usec: u64,
    /// When it was last changed: 0 is now.
    pub modified_usec: u64,
}

/// Checks a passphrase's form: 1 to 1024 bytes of UTF-8 without control characters. The text names no part of it.
///
/// # Errors
/// What the form is, where it does not fit.
pub fn check_passphrase(passphrase: &[u8]) -> Result<&str, crate::Error> {
    let fits = !passphrase.is_empty() && passphrase.len() <= MAX_PASSPHRASE;
    std::str::from_utf8(passphrase).ok().filter(|text| fits && !text.chars().any(char::is_control)).ok_or_else(|| {
        crate::Error::InvalidPassphrase(
            "a passphrase is 1 to 1024 bytes of UTF-8 without control characters; choose another".into(),
        )
    })
}

/// Passphrases and secrets; documented in `org.opensesame.Vault.xml`.
#[zbus::proxy(interface = "org.opensesame.Vault", default_path = "/org/opensesame/Vault")]
pub trait Vault {
    /// Creates a vault, locked.
    fn create(&self, profile: &str, passphrase: &[u8]) -> Result<(), crate::Error>;

    /// Unlocks and activates.
    fn unlock(&self, profile: &str, passphrase: &[u8]) -> Result<(), crate::Error>;

    /// Changes the passphrase, and the key with it.
    fn change_passphrase(&self, profile: &str, old: &[u8], new: &[u8]) -> Result<(), crate::Error>;

    /// Deletes a vault.
    fn delete(&self, profile: &str, passphrase: &[u8]) -> Result<(), crate::Error>;

    /// The names of a vault's secrets, in order.
    fn list_secrets(&self, profile: &str) -> Result<Vec<String>, crate::Error>;

    /// One secret's value.
    fn get_secret(&self, profile: &str, name: &str) -> Result<Vec<u8>, crate::Error>;

    /// Stores one secret.
    fn set_secret(&self, profile: &str, name: &str, value: &[u8]) -> Result<(), crate::Error>;

    /// Deletes one secret.
    fn delete_secret(&self, profile: &str, name: &str) -> Result<(), crate::Error>;

    /// Every item, of every origin, without values.
    fn list_items(&self, profile: &str) -> Result<Vec<ListedItem>, crate::Error>;

    /// One item and its value.
    fn get_item(&self, profile: &str, id: &str) -> Result<(ListedItem, Vec<u8>), crate::Error>;

    /// Stores an item of an application, always a new one; its id.
    fn store_item(&self, profile: &str, item: &NewItem, value: &[u8]) -> Result<String, crate::Error>;

    /// Deletes one item.
    fn delete_item(&self, profile: &str, id: &str) -> Result<(), crate::Error>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passphrases_are_checked_and_never_repeated() {
        assert_eq!(check_passphrase("пароль ok".as_bytes()).unwrap(), "пароль ok");
        assert!(check_passphrase(&[b'x'; 1024]).is_ok());
        for bad in [&b""[..], &[b'x'; 1025], b"a\nb", b"a\0", b"\xff", "a\u{85}".as_bytes()] {
            assert!(check_passphrase(bad).is_err());
        }
    }
}
