//! What a vault holds, and the changes to it. Pure: a change can be seen through before it is made, so that the disk
//! has it before memory does.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, ops::Bound, sync::OnceLock};

use dbus_interfaces::SecretName;
use secrecy::{ExposeSecret, SecretSlice};

use crate::{
    error::Limit,
    index::Index,
    item::{Attributes, Item, ItemId, SESAME, check_attributes, check_label, check_value, check_word, content_type},
    kept::{Head, Kept},
};

const MAX_ITEMS: usize = 10_000;

/// A change to what a vault holds. Its `Debug` shows no value.
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
    /// Adds an item of an application.
    Add {
        /// Its id, which no item had.
        id: ItemId,
        /// The item.
        item: Box<Foreign>,
    },
    /// Changes an item of whatever origin.
    Alter {
        /// Which one.
        id: ItemId,
        /// What is to be otherwise.
        alteration: Alteration,
        /// The time now (CLOCK_REALTIME, microseconds).
        now_usec: u64,
    },
    /// Removes an item of whatever origin.
    Remove {
        /// Which one.
        id: ItemId,
    },
}

/// What is to be otherwise with an item: what is left out stays.
#[derive(Debug, Default)]
pub struct Alteration {
    /// Another label.
    pub label: Option<Box<str>>,
    /// Other attributes. Those by which a secret of origin `sesame` is found anyway cannot be changed.
    pub attributes: Option<Attributes>,
    /// Another value, and its content type.
    pub value: Option<(SecretSlice<u8>, Box<str>)>,
}

/// An item of another application.
#[derive(Debug)]
pub struct Foreign {
    pub(crate) origin: Box<str>,
    /// Its id, but for items that something else wrote into the file: kept as it is.
    pub(crate) name: Box<str>,
    pub(crate) item: Kept,
}

impl Foreign {
    /// A new one.
    ///
    /// # Errors
    /// `Origin` where it would pass for one of `sesame secret`, which programs get in their environment.
    pub fn new(id: ItemId, origin: &str, item: Item) -> Result<Self, Limit> {
        if origin.is_empty() || origin == SESAME {
            return Err(Limit::Origin);
        }
        Ok(Self { origin: origin.into(), name: id.to_string().into(), item: item.into() })
    }
}

/// Everything in a vault.
#[cfg_attr(test, derive(Debug))]
#[derive(Default)]
pub struct Content {
    /// How often it was written.
    pub(crate) generation: u64,
    /// The items of origin `sesame`.
    pub(crate) secrets: BTreeMap<SecretName, Kept>,
    /// All others.
    pub(crate) foreign: BTreeMap<ItemId, Foreign>,
    /// Of what is above, where somebody has looked since the last change.
    pub(crate) index: OnceLock<Index>,
}

/// An item as it is or will be, borrowed from content and change.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: &'a str,
    pub(crate) attributes: Option<&'a Attributes>,
    pub(crate) content_type: &'a str,
    pub(crate) created: u64,
    pub(crate) modified: u64,
    pub(crate) origin: &'a str,
    pub(crate) value: &'a [u8],
    /// What its JSON says of it before the value; nothing of one that a change concerns.
    pub(crate) head: Option<&'a Head>,
}

/// Why a change cannot be made.
#[derive(Debug, PartialEq)]
pub enum Refused {
    /// Nothing has the name or the id.
    NotFound,
    /// The vault would hold too much.
    TooLarge(Limit),
}

/// What a change does to an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It is new.
    Created,
    /// It says something else.
    Changed,
    /// It is gone.
    Deleted,
}

/// What a change is about.
enum Target<'a> {
    Secret(&'a SecretName),
    Foreign(&'a ItemId),
    Nothing,
}

impl<'a> View<'a> {
    fn of(item: &'a Kept, name: &'a str, origin: &'a str) -> Self {
        Self {
            name,
            label: &item.label,
            attributes: Some(&item.attributes),
            content_type: &item.content_type,
            created: item.created,
            modified: item.modified,
            origin,
            value: item.value.expose_secret(),
            head: Some(item.head()),
        }
    }

    fn secret((name, item): (&'a SecretName, &'a Kept)) -> Self {
        Self::of(item, name, SESAME)
    }

    fn foreign((_, other): (&'a ItemId, &'a Foreign)) -> Self {
        Self::of(&other.item, &other.name, &other.origin)
    }

    fn altered(mut self, alteration: &'a Alteration, now_usec: u64) -> Self {
        (self.modified, self.head) = (now_usec, None);
        if let Some(label) = &alteration.label {
            self.label = label;
        }
        if let Some(attributes) = &alteration.attributes {
            self.attributes = Some(attributes);
        }
        if let Some((value, content_type)) = &alteration.value {
            (self.value, self.content_type) = (value.expose_secret(), content_type);
        }
        self
    }
}

impl Alteration {
    fn check(&self) -> Result<(), Limit> {
        self.label.as_deref().map_or(Ok(()), check_label)?;
        self.attributes.as_ref().map_or(Ok(()), check_attributes)?;
        self.value.as_ref().map_or(Ok(()), |(value, word)| check_value(value).and_then(|()| check_word(word)))
    }

    fn make(self, item: &mut Item, now_usec: u64) {
        item.modified = now_usec;
        if let Some(label) = self.label {
            item.label = label;
        }
        if let Some(attributes) = self.attributes {
            item.attributes = attributes;
        }
        if let Some((value, content_type)) = self.value {
            (item.value, item.content_type) = (value, content_type);
        }
    }
}

impl Content {
    /// How many items of every origin it holds.
    pub fn len(&self) -> usize {
        self.secrets.len() + self.foreign.len()
    }

    /// Whether it holds nothing at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
    pub fn admits(&self, change: &Change) -> Result<(), Refused> {
        let known = !matches!(self.target(change), Target::Nothing);
        match change {
            Change::Set { name, value, .. } => {
                check_value(value).map_err(Refused::TooLarge)?;
                self.has_room(self.secrets.contains_key(name))
            }
            Change::Add { id, item: other } => {
                let words = check_word(&other.origin).and_then(|()| check_word(&other.item.content_type));
                words.and_then(|()| other.item.check()).map_err(Refused::TooLarge)?;
                self.has_room(self.foreign.contains_key(id))
            }
            Change::Delete { name } if self.secrets.contains_key(name) => Ok(()),
            Change::Alter { alteration, .. } if known => alteration.check().map_err(Refused::TooLarge),
            Change::Remove { .. } if known => Ok(()),
            Change::Delete { .. } | Change::Alter { .. } | Change::Remove { .. } => Err(Refused::NotFound),
        }
    }

    fn has_room(&self, known: bool) -> Result<(), Refused> {
        if !known && self.len() >= MAX_ITEMS { Err(Refused::TooLarge(Limit::Items)) } else { Ok(()) }
    }

    /// The name of the secret of origin `sesame` that has this id.
    pub(crate) fn secret_of(&self, id: &ItemId) -> Option<&SecretName> {
        self.index().secret(id)
    }

    pub(crate) fn index(&self) -> &Index {
        self.index.get_or_init(|| Index::of(self))
    }

    fn target<'a>(&'a self, change: &'a Change) -> Target<'a> {
        match change {
            Change::Set { name, .. } | Change::Delete { name } => Target::Secret(name),
            Change::Add { id, .. } => Target::Foreign(id),
            Change::Alter { id, .. } | Change::Remove { id } if self.foreign.contains_key(id) => Target::Foreign(id),
            Change::Alter { id, .. } | Change::Remove { id } => {
                self.secret_of(id).map_or(Target::Nothing, Target::Secret)
            }
        }
    }

    /// Makes `change`, which it admits.
    pub fn apply(&mut self, change: Change) {
        self.make(change);
        self.index.take();
    }

    fn make(&mut self, change: Change) {
        match change {
            Change::Set { name, value, now_usec } => self.set(name, value, now_usec),
            Change::Delete { name } => drop(self.secrets.remove(&name)),
            Change::Add { id, item } => drop(self.foreign.insert(id, *item)),
            Change::Alter { id, alteration, now_usec } => {
                let secret = self.secret_of(&id).cloned();
                let foreign = self.foreign.get_mut(&id).map(|other| &mut other.item);
                if let Some(item) = foreign.or_else(|| self.secrets.get_mut(&secret?)) {
                    alteration.make(item, now_usec);
                }
            }
            Change::Remove { id } => {
                if self.foreign.remove(&id).is_none()
                    && let Some(name) = self.secret_of(&id).cloned()
                {
                    self.secrets.remove(&name);
                }
            }
        }
    }

    fn set(&mut self, name: SecretName, value: SecretSlice<u8>, now_usec: u64) {
        let content_type = content_type(value.expose_secret()).into();
        match self.secrets.get_mut(&name) {
            Some(item) => {
                let item = &mut **item;
                (item.content_type, item.modified, item.value) = (content_type, now_usec, value);
            }
            None => {
                let (label, attributes) = (name.as_str().into(), Attributes::new());
                let item = Item { label, attributes, content_type, created: now_usec, modified: now_usec, value };
                self.secrets.insert(name, item.into());
            }
        }
    }

    /// Every item as it would be after `change`: the secrets in name order, then the others by id.
    pub(crate) fn after<'a>(&'a self, change: Option<&'a Change>) -> impl Iterator<Item = View<'a>> {
        let changed = change.and_then(|change| self.changed(change));
        let (secret, foreign) = match change.map(|change| self.target(change)) {
            Some(Target::Secret(name)) => (Some(name), None),
            Some(Target::Foreign(id)) => (None, Some(id)),
            Some(Target::Nothing) | None => (None, None),
        };
        spliced(&self.secrets, secret, changed, View::secret).chain(spliced(
            &self.foreign,
            foreign,
            changed,
            View::foreign,
        ))
    }

    /// What `change` does to which item; nothing where it cannot be made.
    pub fn effect(&self, change: &Change) -> Option<(ItemId, Effect)> {
        let of = |name: &SecretName| self.secrets.get(name).map(|item| secret_id(name, item));
        match change {
            Change::Set { name, now_usec, .. } => Some(match of(name) {
                Some(id) => (id, Effect::Changed),
                None => (ItemId::derived(SESAME, name, *now_usec), Effect::Created),
            }),
            Change::Delete { name } => Some((of(name)?, Effect::Deleted)),
            Change::Add { id, .. } => Some((*id, Effect::Created)),
            Change::Alter { id, .. } => Some((*id, Effect::Changed)),
            Change::Remove { id } => Some((*id, Effect::Deleted)),
        }
    }

    /// The one item that `change` is about, as it would be.
    fn changed<'a>(&'a self, change: &'a Change) -> Option<View<'a>> {
        match change {
            Change::Set { name, value, now_usec } => {
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
                    head: None,
                })
            }
            Change::Add { id, item } => Some(View::foreign((id, item))),
            Change::Alter { alteration, now_usec, .. } => {
                let old = match self.target(change) {
                    Target::Secret(name) => self.secrets.get_key_value(name).map(View::secret),
                    Target::Foreign(id) => self.foreign.get_key_value(id).map(View::foreign),
                    Target::Nothing => None,
                };
                old.map(|view| view.altered(alteration, *now_usec))
            }
            Change::Delete { .. } | Change::Remove { .. } => None,
        }
    }
}

/// The items of `map` in order, the one at `at` being `changed`.
fn spliced<'a, K: Ord, V>(
    map: &'a BTreeMap<K, V>,
    at: Option<&'a K>,
    changed: Option<View<'a>>,
    view: impl Fn((&'a K, &'a V)) -> View<'a> + Copy,
) -> impl Iterator<Item = View<'a>> {
    // Where nothing changes everything is "before" it.
    let before = (Bound::Unbounded, at.map_or(Bound::Unbounded, Bound::Excluded));
    let behind = at.map(|at| map.range::<K, _>((Bound::Excluded(at), Bound::Unbounded)));
    let changed = at.and(changed);
    map.range::<K, _>(before).map(view).chain(changed).chain(behind.into_iter().flatten().map(view))
}

/// The id of a secret of origin `sesame`, which has a name in its stead.
pub(crate) fn secret_id(name: &SecretName, item: &Item) -> ItemId {
    ItemId::derived(SESAME, name, item.created)
}
