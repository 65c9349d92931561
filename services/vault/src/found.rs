//! Looking into what a vault holds: items of every origin, by id and by attributes. Pure.

use std::borrow::Cow;

use dbus_interfaces::{ProfileName, SecretName};

use crate::{
    content::{Content, secret_id},
    item::{Attributes, Item, ItemId, SESAME},
};

/// The schema by which applications tell the secrets that `sesame secret` made.
pub const SCHEMA: &str = "org.opensesame.Secret";

/// An item of whatever origin.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Its id.
    pub id: ItemId,
    /// Whose it is.
    pub origin: &'a str,
    /// The name, of one that `sesame secret` made.
    pub secret: Option<&'a SecretName>,
    /// What it says.
    pub item: &'a Item,
}

impl<'a> Found<'a> {
    /// By what it is found. A secret of origin `sesame` is found by its name, its profile and a schema too.
    pub fn attributes(&self, profile: &ProfileName) -> Cow<'a, Attributes> {
        match self.secret {
            None => Cow::Borrowed(&self.item.attributes),
            Some(name) => Cow::Owned(secret_attributes(name, profile, &self.item.attributes)),
        }
    }

    /// Whether all of `wanted` are among its attributes.
    pub fn matches(&self, profile: &ProfileName, wanted: &Attributes) -> bool {
        let own = |name: &str, value: &str| match (self.secret, name) {
            (Some(secret), "name") => value == secret.as_str(),
            (Some(_), "profile") => value == profile.as_str(),
            (Some(_), "xdg:schema") => value == SCHEMA,
            _ => self.item.attributes.get(name).is_some_and(|found| **found == *value),
        };
        wanted.iter().all(|(name, value)| own(name, value))
    }
}

/// The attributes of a secret that `sesame secret` made.
fn secret_attributes(name: &str, profile: &ProfileName, others: &Attributes) -> Attributes {
    let mut attributes = others.clone();
    attributes.extend(common_attributes(profile));
    attributes.insert("name".into(), name.into());
    attributes
}

/// Those that all such secrets of a profile have.
pub(crate) fn common_attributes(profile: &ProfileName) -> Attributes {
    [("profile", profile.as_str()), ("xdg:schema", SCHEMA)].map(|(name, value)| (name.into(), value.into())).into()
}

/// Whether all such secrets of a profile have the same attribute of this name, whatever else they say.
pub(crate) fn is_common(name: &str) -> bool {
    matches!(name, "profile" | "xdg:schema")
}

impl Content {
    /// Every item: the secrets of origin `sesame`, then the others.
    pub fn items(&self) -> impl Iterator<Item = Found<'_>> {
        let secret = self.secrets.iter().map(|(name, item)| Found {
            id: secret_id(name, item),
            origin: SESAME,
            secret: Some(name),
            item,
        });
        let other = self.foreign.iter().map(|(id, other)| Found {
            id: *id,
            origin: &other.origin,
            secret: None,
            item: &other.item,
        });
        secret.chain(other)
    }

    /// The application's item with this id: found without an index.
    pub fn other(&self, id: &ItemId) -> Option<Found<'_>> {
        let other = self.foreign.get(id)?;
        Some(Found { id: *id, origin: &other.origin, secret: None, item: &other.item })
    }

    /// The item with this id.
    pub fn item(&self, id: &ItemId) -> Option<Found<'_>> {
        if let Some(other) = self.other(id) {
            return Some(other);
        }
        let (name, item) = self.secrets.get_key_value(self.secret_of(id)?)?;
        Some(Found { id: *id, origin: SESAME, secret: Some(name), item })
    }

    /// The ids of the items that have all of `wanted`, the last changed first.
    pub fn find(&self, profile: &ProfileName, wanted: &Attributes) -> Vec<ItemId> {
        let mut found: Vec<Found<'_>> = match self.index().candidates(wanted) {
            Some(ids) => ids.iter().filter_map(|id| self.item(id)).collect(),
            None => self.items().collect(),
        };
        found.retain(|found| found.matches(profile, wanted));
        found.sort_by_key(|found| std::cmp::Reverse(found.item.modified));
        found.into_iter().map(|found| found.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Change, Foreign};

    fn attributes(of: &[(&str, &str)]) -> Attributes {
        of.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn content() -> (Content, ItemId) {
        let (mut content, id) = (Content::default(), ItemId::random().unwrap());
        content.apply(Change::Set { name: "db-url".parse().unwrap(), value: vec![b'x'].into(), now_usec: 5 });
        let item = Item {
            label: "mail".into(),
            attributes: attributes(&[("user", "me"), ("server", "example.org")]),
            content_type: "text/plain".into(),
            created: 6,
            modified: 6,
            value: vec![b'y'].into(),
        };
        content.apply(Change::Add { id, item: Box::new(Foreign::new(id, "app", item).unwrap()) });
        (content, id)
    }

    #[test]
    fn an_item_is_found_by_any_of_its_attributes_and_not_by_another() {
        let (content, id) = content();
        let work = ProfileName::personal();
        let find = |of: &[(&str, &str)]| content.find(&work, &attributes(of));
        assert_eq!(find(&[("user", "me")]), [id]);
        assert_eq!(find(&[("user", "me"), ("server", "example.org")]), [id]);
        assert_eq!(find(&[("user", "me"), ("port", "1")]), []);
        assert_eq!(find(&[("user", "you")]), []);
        assert_eq!(find(&[])[0], id, "no attributes: all, the last changed first");
        assert_eq!(find(&[]).len(), 2);
    }

    #[test]
    fn a_secret_is_found_by_the_documented_attributes_and_by_its_id() {
        let (content, _) = content();
        let personal = ProfileName::personal();
        let all = [("name", "db-url"), ("profile", "personal"), ("xdg:schema", SCHEMA)];
        let [id] = content.find(&personal, &attributes(&all))[..] else { panic!("one") };
        let found = content.item(&id).unwrap();
        assert_eq!((found.origin, found.secret.unwrap().as_str()), (SESAME, "db-url"));
        assert_eq!(*found.attributes(&personal), attributes(&all));
        for other in [("name", "db"), ("profile", "work"), ("xdg:schema", "x")] {
            assert_eq!(content.find(&personal, &attributes(&[other])), []);
        }
    }

    proptest! {
        /// By the index the same is found as by a look at every item, after every change.
        #[test]
        fn nothing_is_found_or_missed_for_the_index(
            items in proptest::collection::vec(("[a-c]", "[a-c]", "[xy]"), 0..12),
            wanted in proptest::collection::btree_map("[a-c]|name|profile", "[xya-c]|personal", 0..3),
        ) {
            let profile = ProfileName::personal();
            let wanted: Attributes = wanted.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            let mut content = Content::default();
            for (at, (name, attribute, value)) in items.into_iter().enumerate() {
                let change = match at % 3 {
                    0 => Change::Set { name: name.parse().unwrap(), value: vec![b'x'].into(), now_usec: 5 },
                    1 => Change::Delete { name: name.parse().unwrap() },
                    _ => {
                        let (attributes, content_type) = (attributes(&[(&attribute, &value)]), "text/plain".into());
                        let (label, value) = ("".into(), vec![].into());
                        let item = Item { label, attributes, content_type, created: 0, modified: 0, value };
                        let id = ItemId::random().unwrap();
                        Change::Add { id, item: Box::new(Foreign::new(id, "app", item).unwrap()) }
                    }
                };
                if content.admits(&change).is_ok() {
                    content.apply(change);
                }
                let mut found = content.find(&profile, &wanted);
                found.sort();
                let all = content.items().filter(|found| found.matches(&profile, &wanted));
                let mut all: Vec<ItemId> = all.map(|found| found.id).collect();
                all.sort();
                prop_assert_eq!(found, all);
            }
        }
    }
}
