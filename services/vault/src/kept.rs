//! An item that a vault holds, with what its JSON says before its value once that was written: to make it is most of what a
//! large vault takes to be written anew, and a change concerns one item. The value is held once. Pure.

use std::{
    ops::{Deref, DerefMut},
    sync::OnceLock,
};

use crate::item::Item;

/// The item. Whoever changes it loses what was written of it.
#[derive(Debug)]
pub(crate) struct Kept {
    item: Item,
    head: Head,
}

/// The JSON before the value, once it was written.
pub(crate) type Head = OnceLock<Box<str>>;

impl Kept {
    pub(crate) fn head(&self) -> &Head {
        &self.head
    }
}

impl From<Item> for Kept {
    fn from(item: Item) -> Self {
        Self { item, head: Head::new() }
    }
}

impl Deref for Kept {
    type Target = Item;

    fn deref(&self) -> &Item {
        &self.item
    }
}

impl DerefMut for Kept {
    fn deref_mut(&mut self) -> &mut Item {
        self.head.take();
        &mut self.item
    }
}
