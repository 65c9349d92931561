//! Object paths of the Secret Service API, and what they stand for. Pure.
//!
//! A trust profile's collection is named by the profile, each byte but letters and digits as `_` and two hex digits, so
//! that no two profiles share a path. An item's path ends with its id, which is never another item's.

use std::fmt::Write;

use dbus_interfaces::ProfileName;
use vault_store::ItemId;
use zbus::{ObjectPath, OwnedObjectPath};

/// The service's object, and what all others are below.
pub const SERVICE: &str = "/org/freedesktop/secrets";

const COLLECTION: &str = "/org/freedesktop/secrets/collection/";
const ALIAS: &str = "/org/freedesktop/secrets/aliases/";
const SESSION: &str = "/org/freedesktop/secrets/session/s";
const PROMPT: &str = "/org/freedesktop/secrets/prompt/p";
/// No profile's name: those have no `_` that is not followed by hex digits.
const MEMORY: &str = "_session";

/// A collection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Collection {
    /// The vault of a trust profile.
    Profile(ProfileName),
    /// The one that is in memory only.
    Memory,
}

/// What a path stands for. Whether there is such a thing is not said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// The service itself.
    Service,
    /// A collection.
    Collection(Collection),
    /// The collection that an alias stands for now.
    Alias(String),
    /// An item.
    Item(Collection, ItemId),
    /// A client's session.
    Session(u64),
    /// A prompt.
    Prompt(u64),
}

impl Object {
    /// What `path` stands for.
    pub fn at(path: &str) -> Option<Self> {
        if path == SERVICE {
            return Some(Self::Service);
        }
        if let Some(alias) = path.strip_prefix(ALIAS) {
            return (!alias.contains('/')).then(|| Self::Alias(alias.into()));
        }
        if let Some(number) = path.strip_prefix(SESSION) {
            return number.parse().ok().map(Self::Session);
        }
        if let Some(number) = path.strip_prefix(PROMPT) {
            return number.parse().ok().map(Self::Prompt);
        }
        let rest = path.strip_prefix(COLLECTION)?;
        match rest.split_once('/') {
            None => decoded(rest).map(Self::Collection),
            Some((collection, id)) => Some(Self::Item(decoded(collection)?, id.parse().ok()?)),
        }
    }
}

fn decoded(text: &str) -> Option<Collection> {
    if text == MEMORY {
        return Some(Collection::Memory);
    }
    let mut name = String::with_capacity(text.len());
    let mut parts = text.split('_');
    name.push_str(parts.next()?);
    for part in parts {
        let byte = u8::from_str_radix(part.get(..2)?, 16).ok().filter(u8::is_ascii)?;
        name.push(char::from(byte));
        name.push_str(part.get(2..)?);
    }
    let profile: ProfileName = name.parse().ok()?;
    let collection = Collection::Profile(profile);
    // One path, one collection: no other spelling.
    (path_text(&collection)[COLLECTION.len()..] == *text).then_some(collection)
}

fn path_text(collection: &Collection) -> String {
    let mut path = String::from(COLLECTION);
    match collection {
        Collection::Memory => path.push_str(MEMORY),
        Collection::Profile(profile) => {
            for byte in profile.bytes() {
                match byte.is_ascii_alphanumeric() {
                    true => path.push(char::from(byte)),
                    // Writing to a text cannot fail.
                    false => drop(write!(path, "_{byte:02x}")),
                }
            }
        }
    }
    path
}

fn valid(path: String) -> OwnedObjectPath {
    ObjectPath::from_string_unchecked(path).into()
}

/// The path of a collection.
pub fn collection(collection: &Collection) -> OwnedObjectPath {
    valid(path_text(collection))
}

/// The path of an item.
pub fn item(collection: &Collection, id: ItemId) -> OwnedObjectPath {
    valid(format!("{}/{id}", path_text(collection)))
}

/// The path of a session.
pub fn session(number: u64) -> OwnedObjectPath {
    valid(format!("{SESSION}{number}"))
}

/// The path of a prompt.
pub fn prompt(number: u64) -> OwnedObjectPath {
    valid(format!("{PROMPT}{number}"))
}

/// What stands for "no object".
pub fn nothing() -> OwnedObjectPath {
    ObjectPath::from_static_str_unchecked("/").into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_that_is_none_of_ours_stands_for_nothing() {
        let item = format!("/org/freedesktop/secrets/collection/work/{}", "0".repeat(32));
        assert!(matches!(Object::at(&item), Some(Object::Item(..))));
        for none in [
            "/",
            "/org/freedesktop",
            "/org/freedesktop/secrets/",
            "/org/freedesktop/secrets/collection/",
            "/org/freedesktop/secrets/collection/a_2",
            "/org/freedesktop/secrets/collection/a_ff",
            "/org/freedesktop/secrets/collection/a_62",
            "/org/freedesktop/secrets/collection/a_2D",
            "/org/freedesktop/secrets/collection/work/x",
            "/org/freedesktop/secrets/session/1",
            "/org/freedesktop/secrets/session/s",
            "/org/freedesktop/secrets/aliases/a/b",
            &format!("{item}/0"),
        ] {
            assert_eq!(Object::at(none), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn each_profile_has_a_path_of_its_own(name in "[A-Za-z0-9][A-Za-z0-9_-]{0,8}") {
            let own = Collection::Profile(name.parse().unwrap());
            let path = collection(&own);
            prop_assert_eq!(Object::at(path.as_str()), Some(Object::Collection(own.clone())));
            prop_assert!(ObjectPath::try_from(path.as_str()).is_ok());
            let id = ItemId::random().unwrap();
            prop_assert_eq!(Object::at(item(&own, id).as_str()), Some(Object::Item(own, id)));
        }

        #[test]
        fn no_path_makes_it_panic(path in "/org/freedesktop/secrets/\\PC{0,40}") {
            let _ = Object::at(&path);
        }
    }
}
