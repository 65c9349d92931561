//! The way to an item by its id or by what it says, without a look at all the others. Made when it is first asked for
//! after a change, and thrown away by the next: a vault is searched more often than it is written. Pure.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use dbus_interfaces::SecretName;

use crate::{
    content::{Content, secret_id},
    found::is_common,
    item::{Attributes, ItemId},
};

#[derive(Default)]
#[cfg_attr(test, derive(Debug))]
pub(crate) struct Index {
    hasher: RandomState,
    /// Of pairs that are alike only in their digest all lead here: what is found is still to be looked at.
    pairs: HashMap<u64, Vec<ItemId>>,
    secrets: HashMap<ItemId, SecretName>,
}

impl Index {
    pub(crate) fn of(content: &Content) -> Self {
        let mut index = Self::default();
        for (name, item) in &content.secrets {
            let id = secret_id(name, item);
            index.add(id, &item.attributes);
            index.lead("name", name.as_ref(), id);
            index.secrets.insert(id, name.clone());
        }
        for (id, other) in &content.foreign {
            index.add(*id, &other.item.attributes);
        }
        index
    }

    fn add(&mut self, id: ItemId, attributes: &Attributes) {
        attributes.iter().for_each(|(name, value)| self.lead(name, value, id));
    }

    fn lead(&mut self, name: &str, value: &str, id: ItemId) {
        self.pairs.entry(self.hasher.hash_one((name, value))).or_default().push(id);
    }

    /// The secret of origin `sesame` with this id.
    pub(crate) fn secret(&self, id: &ItemId) -> Option<&SecretName> {
        self.secrets.get(id)
    }

    /// All that may have all of `wanted`, and few others; nothing where `wanted` leads nowhere, and any item may.
    pub(crate) fn candidates(&self, wanted: &Attributes) -> Option<&[ItemId]> {
        // What all secrets have leads to all of them, and so nowhere.
        let leading = wanted.iter().filter(|(name, _)| !is_common(name));
        let led = leading.map(|(name, value)| self.pairs.get(&self.hasher.hash_one((&**name, &**value))));
        led.map(|ids| ids.map_or(&[][..], Vec::as_slice)).min_by_key(|ids| ids.len())
    }
}
