//! What a vault holds, and the changes to it. Pure: a change can be seen through before it is made, so that the disk
//! has it before memory does.

use std::{collections::BTreeMap, ops::Bound};

use dbus_interfaces::{SecretName, vault::MAX_VALUE};
use secrecy::{ExposeSecret, SecretSlice};

use crate::error::Limit;

/// The origin of the items that `sesame secret` made.
pub(crate) const SESAME: &str = "sesame";

const MAX_ITEMS: usize = 10_000;
const MAX_LABEL: usize = 1024;
const MAX_ATTRIBUTES: usize = 32;
const MAX_ATTRIBUTE: usize = 1024;

/// A change to a vault's secrets. Its `Debug` shows no value.
#[derive(Debug)]
pub enum Change {
    /// Stores a value under a name, new or not.
    Set {
        /// The secret's name.
        name: SecretName,
        /// Its value from now on: at most 1 MiB.
        value: SecretSlice<u8>,
        /// The time now (CLOCK_REALTIME, microseconds).
        now_usec: u64,
    },
    /// Removes a secret.
    Delete {
        /// Which one.
        name: SecretName,
    },
}

/// What an item says beside its name and origin.
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Item {
    pub(crate) label: Box<str>,
    pub(crate) attributes: BTreeMap<Box<str>, Box<str>>,
    pub(crate) content_type: Box<str>,
    pub(crate) created: u64,
    pub(crate) modified: u64,
    pub(crate) value: SecretSlice<u8>,
}

/// An item of another application: kept as it is.
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Foreign {
    pub(crate) origin: Box<str>,
    pub(crate) name: Box<str>,
    pub(crate) item: Item,
}

/// Everything in a vault.
#[cfg_attr(test, derive(Debug))]
#[derive(Default)]
pub(crate) struct Content {
    /// How often it was written.
    pub(crate) generation: u64,
    /// The items of origin `sesame`.
    pub(crate) secrets: BTreeMap<SecretName, Item>,
    /// All others, in the order of the file.
    pub(crate) foreign: Vec<Foreign>,
}

/// An item as it will be, borrowed from content and change.
pub(crate) struct View<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: &'a str,
    pub(crate) attributes: Option<&'a BTreeMap<Box<str>, Box<str>>>,
    pub(crate) content_type: &'a str,
    pub(crate) created: u64,
    pub(crate) modified: u64,
    pub(crate) origin: &'a str,
    pub(crate) value: &'a [u8],
}

/// Why a change cannot be made.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    /// Nothing has the name.
    NotFound,
    /// The vault would hold too much.
    TooLarge(Limit),
}

impl Change {
    fn name(&self) -> &SecretName {
        match self {
            Self::Set { name, .. } | Self::Delete { name } => name,
        }
    }
}

impl Item {
    fn new(name: &SecretName, value: SecretSlice<u8>, now_usec: u64) -> Self {
        Self {
            label: name.as_str().into(),
            attributes: BTreeMap::new(),
            content_type: content_type(value.expose_secret()).into(),
            created: now_usec,
            modified: now_usec,
            value,
        }
    }

    /// # Errors
    /// The first limit that it exceeds.
    pub(crate) fn check(&self) -> Result<(), Limit> {
        let mut sizes = self.attributes.iter().map(|(key, value)| key.len() + value.len());
        if self.label.len() > MAX_LABEL {
            Err(Limit::Label)
        } else if self.attributes.len() > MAX_ATTRIBUTES || sizes.any(|size| size > MAX_ATTRIBUTE) {
            Err(Limit::Attributes)
        } else if self.value.expose_secret().len() > MAX_VALUE {
            Err(Limit::Value)
        } else {
            Ok(())
        }
    }

    fn view<'a>(&'a self, name: &'a str, origin: &'a str) -> View<'a> {
        View {
            name,
            label: &self.label,
            attributes: Some(&self.attributes),
            content_type: &self.content_type,
            created: self.created,
            modified: self.modified,
            origin,
            value: self.value.expose_secret(),
        }
    }
}

impl Content {
    /// The items of every origin.
    pub(crate) fn len(&self) -> usize {
        self.secrets.len() + self.foreign.len()
    }

    /// # Errors
    /// `Items` where it holds more than a vault may.
    pub(crate) fn check(&self) -> Result<(), Limit> {
        if self.len() > MAX_ITEMS { Err(Limit::Items) } else { Ok(()) }
    }

    /// Whether `change` can be made. How large the JSON then is shows when it is written.
    ///
    /// # Errors
    /// Why it cannot.
    pub(crate) fn admits(&self, change: &Change) -> Result<(), Refused> {
        let known = self.secrets.contains_key(change.name());
        match change {
            Change::Set { value, .. } if value.expose_secret().len() > MAX_VALUE => {
                Err(Refused::TooLarge(Limit::Value))
            }
            Change::Set { .. } if !known && self.len() >= MAX_ITEMS => Err(Refused::TooLarge(Limit::Items)),
            Change::Delete { .. } if !known => Err(Refused::NotFound),
            _ => Ok(()),
        }
    }

    /// Makes `change`.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Set { name, value, now_usec } => match self.secrets.get_mut(&name) {
                Some(item) => {
                    item.content_type = content_type(value.expose_secret()).into();
                    item.modified = now_usec;
                    item.value = value;
                }
                None => {
                    let item = Item::new(&name, value, now_usec);
                    self.secrets.insert(name, item);
                }
            },
            Change::Delete { name } => {
                self.secrets.remove(&name);
            }
        }
    }

    /// Every item as it would be after `change`: the secrets in name order, then the others.
    pub(crate) fn after<'a>(&'a self, change: Option<&'a Change>) -> impl Iterator<Item = View<'a>> {
        let named = |(name, item): (&'a SecretName, &'a Item)| item.view(name, SESAME);
        // Without a change everything is "before" it.
        let split = change.map(Change::name);
        let before = (Bound::Unbounded, split.map_or(Bound::Unbounded, Bound::Excluded));
        let behind = split.map(|name| self.secrets.range::<SecretName, _>((Bound::Excluded(name), Bound::Unbounded)));
        self.secrets
            .range::<SecretName, _>(before)
            .map(named)
            .chain(change.and_then(|change| self.changed(change)))
            .chain(behind.into_iter().flatten().map(named))
            .chain(self.foreign.iter().map(|other| other.item.view(&other.name, &other.origin)))
    }

    /// The one item that `change` is about, as it would be.
    fn changed<'a>(&'a self, change: &'a Change) -> Option<View<'a>> {
        let Change::Set { name, value, now_usec } = change else { return None };
        let old = self.secrets.get(name);
        Some(View {
            name,
            label: old.map_or(name, |item| &item.label),
            attributes: old.map(|item| &item.attributes),
            content_type: content_type(value.expose_secret()),
            created: old.map_or(*now_usec, |item| item.created),
            modified: *now_usec,
            origin: SESAME,
            value: value.expose_secret(),
        })
    }
}

fn content_type(value: &[u8]) -> &'static str {
    if std::str::from_utf8(value).is_ok() { "text/plain" } else { "application/octet-stream" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, size: usize) -> Change {
        Change::Set { name: name.parse().unwrap(), value: vec![b'x'; size].into(), now_usec: 7 }
    }

    fn delete(name: &str) -> Change {
        Change::Delete { name: name.parse().unwrap() }
    }

    #[test]
    fn a_value_and_the_number_of_items_are_bounded() {
        let mut content = Content::default();
        assert_eq!(content.admits(&set("a", MAX_VALUE)), Ok(()));
        assert_eq!(content.admits(&set("a", MAX_VALUE + 1)), Err(Refused::TooLarge(Limit::Value)));
        (0..MAX_ITEMS).for_each(|n| content.apply(set(&n.to_string(), 1)));
        assert_eq!(content.check(), Ok(()));
        assert_eq!(content.admits(&set("one-more", 1)), Err(Refused::TooLarge(Limit::Items)));
        assert_eq!(content.admits(&set("17", 1)), Ok(()), "it replaces one");
        content.apply(set("one-more", 1));
        assert_eq!(content.check(), Err(Limit::Items));
    }

    #[test]
    fn labels_and_attributes_are_bounded() {
        let mut item = Item::new(&"a".parse().unwrap(), vec![].into(), 0);
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
    }

    #[test]
    fn deleting_what_is_not_there_is_refused() {
        let mut content = Content::default();
        assert_eq!(content.admits(&delete("a")), Err(Refused::NotFound));
        content.apply(set("a", 1));
        assert_eq!(content.admits(&delete("a")), Ok(()));
        content.apply(delete("a"));
        assert_eq!(content.len(), 0);
    }

    #[test]
    fn a_replaced_secret_keeps_what_else_it_says() {
        let mut content = Content::default();
        content.apply(set("a", 1));
        let binary = Change::Set { name: "a".parse().unwrap(), value: vec![0xff].into(), now_usec: 9 };
        let view = content.after(Some(&binary)).next().unwrap();
        assert_eq!((view.created, view.modified, view.content_type), (7, 9, "application/octet-stream"));
        content.apply(binary);
        let view = content.after(None).next().unwrap();
        assert_eq!((view.created, view.modified, view.content_type), (7, 9, "application/octet-stream"));
    }
}
