//! One item: what it says, what it may say, and the id by which applications know it. Pure.

use std::{collections::BTreeMap, fmt, str::FromStr};

use dbus_interfaces::vault::{MAX_ATTRIBUTE, MAX_ATTRIBUTES, MAX_LABEL, MAX_VALUE, MAX_WORD};
use secrecy::{ExposeSecret, SecretSlice};
use sha2::{Digest, Sha256};

use crate::error::Limit;

/// The origin of the items that `sesame secret` made.
pub const SESAME: &str = "sesame";

/// Names and values, by which an item is found.
pub type Attributes = BTreeMap<Box<str>, Box<str>>;

/// What names an item for as long as it exists, and none after it: 128 bits, as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId([u8; 16]);

/// A text that is no item's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an item's id is 32 hex digits in lower case")]
pub struct InvalidItemId;

impl ItemId {
    /// A new one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn random() -> std::io::Result<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id)?;
        Ok(Self(id))
    }

    /// The id of an item whose name is none: the same at each reading.
    pub(crate) fn derived(origin: &str, name: &str, created: u64) -> Self {
        let mut digest = Sha256::new();
        for part in [origin.as_bytes(), name.as_bytes(), &created.to_be_bytes()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let mut id = [0; 16];
        id.copy_from_slice(&digest.finalize()[..16]);
        Self(id)
    }
}

impl FromStr for ItemId {
    type Err = InvalidItemId;

    fn from_str(text: &str) -> Result<Self, InvalidItemId> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(InvalidItemId),
        };
        let mut id = [0; 16];
        if text.len() != 2 * id.len() {
            return Err(InvalidItemId);
        }
        for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(id))
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an item says beside its name and origin. Its `Debug` shows no value.
#[derive(Debug)]
pub struct Item {
    /// What people call it.
    pub label: Box<str>,
    /// By which it is found.
    pub attributes: Attributes,
    /// What its value is.
    pub content_type: Box<str>,
    /// When it was made (CLOCK_REALTIME, microseconds).
    pub created: u64,
    /// When it was last changed.
    pub modified: u64,
    /// The secret.
    pub value: SecretSlice<u8>,
}

impl Item {
    /// # Errors
    /// The first limit that it exceeds.
    pub(crate) fn check(&self) -> Result<(), Limit> {
        check_label(&self.label)?;
        check_attributes(&self.attributes)?;
        check_value(&self.value)
    }
}

pub(crate) fn check_label(label: &str) -> Result<(), Limit> {
    if label.len() > MAX_LABEL { Err(Limit::Label) } else { Ok(()) }
}

pub(crate) fn check_attributes(attributes: &Attributes) -> Result<(), Limit> {
    let mut sizes = attributes.iter().map(|(name, value)| name.len() + value.len());
    if attributes.len() > MAX_ATTRIBUTES || sizes.any(|size| size > MAX_ATTRIBUTE) {
        Err(Limit::Attributes)
    } else {
        Ok(())
    }
}

/// A content type or an origin, of an item that is new: what is in a file already is not refused for it.
pub(crate) fn check_word(word: &str) -> Result<(), Limit> {
    if word.len() > MAX_WORD { Err(Limit::Word) } else { Ok(()) }
}

pub(crate) fn check_value(value: &SecretSlice<u8>) -> Result<(), Limit> {
    if value.expose_secret().len() > MAX_VALUE { Err(Limit::Value) } else { Ok(()) }
}

/// What a value is where nobody said it.
pub(crate) fn content_type(value: &[u8]) -> &'static str {
    if std::str::from_utf8(value).is_ok() { "text/plain" } else { "application/octet-stream" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(value: usize) -> Item {
        Item {
            label: "a".into(),
            attributes: Attributes::new(),
            content_type: "text/plain".into(),
            created: 0,
            modified: 0,
            value: vec![b'x'; value].into(),
        }
    }

    #[test]
    fn labels_attributes_and_values_are_bounded() {
        let mut item = item(MAX_VALUE);
        item.label = "l".repeat(1024).into();
        item.attributes = (0..32).map(|n| (format!("{n:02}").into(), "v".repeat(1022).into())).collect();
        assert_eq!(item.check(), Ok(()));
        item.attributes.insert("00".into(), "v".repeat(1023).into());
        assert_eq!(item.check(), Err(Limit::Attributes));
        item.attributes.insert("00".into(), "".into());
        item.attributes.insert("32".into(), "".into());
        assert_eq!(item.check(), Err(Limit::Attributes));
        item.label = "l".repeat(1025).into();
        assert_eq!(item.check(), Err(Limit::Label));
        assert_eq!(self::item(MAX_VALUE + 1).check(), Err(Limit::Value));
    }

    #[test]
    fn ids_are_read_as_they_are_written_and_nothing_else_is() {
        let id = ItemId::random().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(id, ItemId::random().unwrap());
        for none in ["", "db-url", &"0".repeat(31), &"0".repeat(33), &"A".repeat(32), &"ä".repeat(16)] {
            assert_eq!(none.parse::<ItemId>(), Err(InvalidItemId));
        }
    }

    #[test]
    fn an_id_tells_items_apart() {
        let id = ItemId::derived("sesame", "a", 1);
        assert_eq!(id, ItemId::derived("sesame", "a", 1));
        for other in [("sesam", "ea", 1), ("sesame", "b", 1), ("sesame", "a", 2)] {
            assert_ne!(id, ItemId::derived(other.0, other.1, other.2));
        }
    }
}
