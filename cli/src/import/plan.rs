//! What is to be done with each item of the other provider. Pure.

use std::collections::BTreeMap;

use dbus_interfaces::vault::{MAX_ATTRIBUTE, MAX_ATTRIBUTES, MAX_LABEL, MAX_VALUE, MAX_WORD, NewItem};
use secrecy::{ExposeSecret, SecretSlice};
use serde::Serialize;

/// The largest message at the private socket, and what of it anything but the texts and the value takes at most.
const MESSAGE: usize = MAX_VALUE + 8 * 1024;
const FRAME: usize = 1024;

/// By what two items are the same item.
pub type Attributes = BTreeMap<String, String>;

/// An item of the other provider.
pub struct Foreign {
    /// The label of its collection.
    pub collection: String,
    /// As it will be stored.
    pub item: NewItem,
    /// The secret, or why it could not be read.
    pub value: Result<SecretSlice<u8>, String>,
}

/// An item that is in the vault, or will be.
pub struct Known {
    /// What people call it.
    pub label: String,
    /// Its secret.
    pub value: SecretSlice<u8>,
}

/// The attribute that tells what kind an item is of.
pub const SCHEMA: &str = "xdg:schema";
/// The schema that says "none in particular".
pub const NO_SCHEMA: &str = "org.freedesktop.Secret.Generic";

/// Those that there are, by attributes.
#[derive(Default)]
pub struct Present(BTreeMap<Attributes, Vec<Known>>);

impl Present {
    /// Adds one that the vault has.
    pub fn add(&mut self, attributes: Attributes, known: Known) {
        self.of(attributes).push(known);
    }

    /// Those of `attributes`. The schema that says "none in particular" does not count: gnome-keyring tells it of an item
    /// at one time and not at another.
    fn of(&mut self, mut attributes: Attributes) -> &mut Vec<Known> {
        if attributes.get(SCHEMA).is_some_and(|schema| schema == NO_SCHEMA) {
            attributes.remove(SCHEMA);
        }
        self.0.entry(attributes).or_default()
    }
}

/// What is to be done with an item, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "action", content = "why")]
pub enum Action {
    /// It is stored.
    New,
    /// Stored, beside one that has the same attributes and another secret or label.
    Conflict,
    /// Not stored: the vault has one with the same attributes and another secret or label, and it was asked to skip those.
    Skipped,
    /// The vault has it.
    Present,
    /// It cannot be taken.
    Failed(String),
}

impl Action {
    /// The action in a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Conflict => "conflict",
            Self::Skipped => "skipped",
            Self::Present => "present",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether the item is to be stored.
    pub fn stores(&self) -> bool {
        matches!(self, Self::New | Self::Conflict)
    }
}

/// Decides on `foreign`, and remembers in `present` what will be stored: the same item in two collections is taken once.
pub fn decide(foreign: &Foreign, present: &mut Present, skip_conflicts: bool) -> Action {
    let value = match &foreign.value {
        Err(why) => return Action::Failed(why.clone()),
        Ok(value) => value,
    };
    if let Some(why) = too_large(&foreign.item, value.expose_secret().len()) {
        return Action::Failed(why.into());
    }
    let known = present.of(foreign.item.attributes.clone());
    let same =
        |known: &Known| known.label == foreign.item.label && known.value.expose_secret() == value.expose_secret();
    let action = match known.as_slice() {
        [] => Action::New,
        known if known.iter().any(same) => Action::Present,
        // Nothing but the label tells such items apart.
        known if foreign.item.attributes.is_empty() && known.iter().all(|known| known.label != foreign.item.label) => {
            Action::New
        }
        _ if skip_conflicts => Action::Skipped,
        _ => Action::Conflict,
    };
    if action.stores() {
        known.push(Known { label: foreign.item.label.clone(), value: value.clone() });
    }
    action
}

/// What daemon-secrets would refuse, the largest by ending the connection.
fn too_large(item: &NewItem, value: usize) -> Option<&'static str> {
    // A length and its padding for each text, and the padding of each entry.
    let attributes: usize = item.attributes.iter().map(|(name, value)| name.len() + value.len() + 24).sum();
    let texts = item.origin.len() + item.label.len() + item.content_type.len() + attributes;
    if value > MAX_VALUE {
        Some("its secret is larger than 1 MiB")
    } else if value + texts + FRAME > MESSAGE {
        Some("its secret and its attributes are larger than 1 MiB and 7 KiB together")
    } else if item.label.len() > MAX_LABEL {
        Some("its label is longer than 1 KiB")
    } else if item.attributes.len() > MAX_ATTRIBUTES
        || item.attributes.iter().any(|(name, value)| name.len() + value.len() > MAX_ATTRIBUTE)
    {
        Some("it has more than 32 attributes, or one of more than 1 KiB")
    } else if item.content_type.len() > MAX_WORD {
        Some("its content type is longer than 255 bytes")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(label: &str, attributes: &[(&str, &str)], value: &[u8]) -> Foreign {
        let attributes = attributes.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let item = NewItem {
            origin: "import".into(),
            label: label.into(),
            attributes,
            content_type: "text/plain".into(),
            created_usec: 1,
            modified_usec: 2,
        };
        Foreign { collection: "Login".into(), item, value: Ok(value.to_vec().into()) }
    }

    #[test]
    fn what_is_there_is_not_taken_again_and_nothing_is_lost() {
        let mut present = Present::default();
        let user = [("user", "me")];
        assert_eq!(decide(&item("a", &user, b"1"), &mut present, false), Action::New);
        assert_eq!(decide(&item("a", &user, b"1"), &mut present, false), Action::Present);
        assert_eq!(decide(&item("a", &user, b"2"), &mut present, true), Action::Skipped);
        assert_eq!(decide(&item("a", &user, b"2"), &mut present, false), Action::Conflict);
        assert_eq!(decide(&item("a", &user, b"2"), &mut present, false), Action::Present);
        assert_eq!(decide(&item("b", &user, b"1"), &mut present, false), Action::Conflict);
        assert_eq!(decide(&item("a", &[("user", "you")], b"1"), &mut present, true), Action::New);
    }

    #[test]
    fn what_the_vault_would_refuse_is_not_said_to_be_new() {
        let long = "x".repeat(MAX_LABEL + 1);
        let mut many = item("a", &[], b"1");
        many.item.attributes = (0..=MAX_ATTRIBUTES).map(|number| (number.to_string(), String::new())).collect();
        let mut word = item("a", &[], b"1");
        word.item.content_type = long.clone();
        for refused in [item(&long, &[], b"1"), item("a", &[("name", &long)], b"1"), many, word] {
            assert!(
                matches!(decide(&refused, &mut Present::default(), false), Action::Failed(_)),
                "{:?}",
                refused.item
            );
        }
    }

    #[test]
    fn the_schema_of_nothing_in_particular_makes_no_other_item() {
        let mut present = Present::default();
        let generic = ("xdg:schema", "org.freedesktop.Secret.Generic");
        assert_eq!(decide(&item("a", &[("kind", "x")], b"1"), &mut present, false), Action::New);
        assert_eq!(decide(&item("a", &[("kind", "x"), generic], b"1"), &mut present, false), Action::Present);
        let mail = ("xdg:schema", "org.example.Mail");
        assert_eq!(decide(&item("a", &[("kind", "x"), mail], b"1"), &mut present, false), Action::New);
    }

    #[test]
    fn items_without_attributes_are_told_apart_by_their_labels() {
        let mut present = Present::default();
        assert_eq!(decide(&item("a", &[], b""), &mut present, true), Action::New);
        assert_eq!(decide(&item("b", &[], b""), &mut present, true), Action::New);
        assert_eq!(decide(&item("b", &[], b""), &mut present, true), Action::Present);
        assert_eq!(decide(&item("b", &[], b"1"), &mut present, true), Action::Skipped);
    }

    #[test]
    fn what_the_private_socket_refuses_is_never_sent() {
        let value = vec![0; MAX_VALUE];
        assert_eq!(decide(&item("a", &[], &value), &mut Present::default(), false), Action::New);
        let long = "x".repeat(1000);
        let many: Vec<(String, &str)> = (0..8).map(|number| (number.to_string(), &*long)).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, *value)).collect();
        assert!(matches!(decide(&item("a", &many, &value), &mut Present::default(), false), Action::Failed(_)));
        assert!(matches!(
            decide(&item("a", &[], &[0; MAX_VALUE + 1]), &mut Present::default(), false),
            Action::Failed(_)
        ));
    }
}
