//! `attributes.json`, beside a vault's two files: by it the items of a locked vault are found. It holds ids and salted
//! digests of attributes, no labels and no values, and the stamp of the items.age that it belongs to. Pure.

use std::borrow::Cow;

use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use dbus_interfaces::ProfileName;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    Stamp,
    content::Content,
    found::{common_attributes, is_common},
    item::{Attributes, ItemId},
};

const FORMAT: u64 = 1;
/// Of a digest, 128 bits are kept: enough that no two attributes are taken for each other.
const DIGEST: usize = 16;

#[derive(Serialize, Deserialize)]
struct Document<'d> {
    format: u64,
    salt: String,
    /// The stamp of the items.age that this belongs to.
    items: String,
    found: Vec<(String, Vec<Cow<'d, str>>)>,
}

/// What is written beside the items.age of this stamp, which holds `content`.
pub(crate) fn write(profile: &ProfileName, content: &Content, items: Stamp, salt: [u8; 32]) -> Vec<u8> {
    let mut all: Vec<_> = content.items().collect();
    all.sort_by_key(|found| std::cmp::Reverse(found.item.modified));
    let salted = Salted::with(&salt);
    // What every secret has is digested once.
    let common = salted.digests(&common_attributes(profile));
    let found = all.iter().map(|found| {
        let own = &found.item.attributes;
        let digests = match found.secret {
            Some(secret) => {
                let others = own
                    .iter()
                    .filter(|(name, _)| &***name != "name" && !is_common(name))
                    .map(|(name, value)| (&**name, &**value));
                let named = others.chain([("name", secret.as_str())]).map(|(name, value)| salted.digest(name, value));
                named.chain(common.iter().map(|digest| Cow::Borrowed(&**digest))).collect()
            }
            None => salted.digests(own),
        };
        (found.id.to_string(), digests)
    });
    let salt = BASE64_STANDARD_NO_PAD.encode(salt);
    let document = Document { format: FORMAT, salt, items: items.to_string(), found: found.collect() };
    // Texts and numbers are always JSON.
    serde_json::to_vec(&document).unwrap_or_default()
}

/// Whether `sidecar` belongs to the items.age of this stamp.
pub(crate) fn belongs_to(sidecar: &[u8], items: Stamp) -> bool {
    serde_json::from_slice::<Document>(sidecar)
        .is_ok_and(|document| document.format == FORMAT && document.items == items.to_string())
}

/// The ids of the items that have all of `wanted`, the last changed first.
pub(crate) fn find(sidecar: &[u8], wanted: &Attributes) -> Vec<ItemId> {
    let Ok(document) = serde_json::from_slice::<Document>(sidecar) else { return Vec::new() };
    let Ok(salt) = BASE64_STANDARD_NO_PAD.decode(&document.salt) else { return Vec::new() };
    if document.format != FORMAT {
        return Vec::new();
    }
    let wanted = Salted::with(&salt).digests(wanted);
    let all = |(_, own): &&(String, Vec<Cow<str>>)| wanted.iter().all(|digest| own.contains(digest));
    document.found.iter().filter(all).filter_map(|(id, _)| id.parse().ok()).collect()
}

/// HMAC-SHA256 with its key, the salt, taken in already.
struct Salted(Hmac<Sha256>);

impl Salted {
    fn with(salt: &[u8]) -> Self {
        Self(Hmac::new_from_slice(salt).expect("HMAC takes a key of any length (RFC 2104)"))
    }

    fn digests(&self, attributes: &Attributes) -> Vec<Cow<'static, str>> {
        attributes.iter().map(|(name, value)| self.digest(name, value)).collect()
    }

    fn digest(&self, name: &str, value: &str) -> Cow<'static, str> {
        let mut hmac = self.0.clone();
        hmac.update(&(name.len() as u64).to_be_bytes());
        hmac.update(name.as_bytes());
        hmac.update(value.as_bytes());
        BASE64_STANDARD_NO_PAD.encode(&hmac.finalize().into_bytes()[..DIGEST]).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, Foreign, Item};

    fn attributes(of: &[(&str, &str)]) -> Attributes {
        of.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    /// Of a file that there is.
    fn stamp(path: &str) -> Stamp {
        Stamp::of(&std::fs::File::open(path).unwrap()).unwrap()
    }

    fn content() -> Content {
        let mut content = Content::default();
        content.apply(Change::Set { name: "db-url".parse().unwrap(), value: b"value-1".to_vec().into(), now_usec: 5 });
        for (modified, user) in [(6, "me"), (7, "you")] {
            let item = Item {
                label: "label-1".into(),
                attributes: attributes(&[("server", "github.com"), ("user", user)]),
                content_type: "text/plain".into(),
                created: 1,
                modified,
                value: b"value-2".to_vec().into(),
            };
            let id = ItemId::random().unwrap();
            content.apply(Change::Add { id, item: Box::new(Foreign::new(id, "app", item).unwrap()) });
        }
        content
    }

    #[test]
    fn it_finds_what_the_open_vault_finds() {
        let (content, profile) = (content(), ProfileName::personal());
        let sidecar = write(&profile, &content, stamp("/proc/self/exe"), [7; 32]);
        for wanted in [
            &[][..],
            &[("server", "github.com")],
            &[("server", "github.com"), ("user", "me")],
            &[("user", "github.com")],
            &[("name", "db-url")],
            &[("xdg:schema", "org.opensesame.Secret"), ("profile", "personal")],
        ] {
            let wanted = attributes(wanted);
            assert_eq!(find(&sidecar, &wanted), content.find(&profile, &wanted), "{wanted:?}");
        }
        assert!(belongs_to(&sidecar, stamp("/proc/self/exe")) && !belongs_to(&sidecar, stamp("/proc/self/maps")));
    }

    #[test]
    fn it_tells_no_name_no_label_and_no_value() {
        let sidecar = write(&ProfileName::personal(), &content(), stamp("/proc/self/exe"), [7; 32]);
        let text = String::from_utf8(sidecar).unwrap();
        for private in ["db-url", "label-1", "value-1", "value-2", "github", "server", "user", "personal"] {
            assert!(!text.contains(private), "{private} in {text}");
        }
        let other = write(&ProfileName::personal(), &content(), stamp("/proc/self/exe"), [8; 32]);
        assert!(find(text.as_bytes(), &attributes(&[("user", "me")])).len() == 1);
        assert!(
            !String::from_utf8(other).unwrap().contains(&*Salted::with(&[7; 32]).digest("user", "me")),
            "the salt counts"
        );
    }

    #[test]
    fn what_is_no_sidecar_finds_nothing() {
        for none in [&b""[..], b"{}", b"\xff", br#"{"format":2,"salt":"","items":"","found":[]}"#] {
            assert!(find(none, &Attributes::new()).is_empty() && !belongs_to(none, stamp("/proc/self/exe")));
        }
    }
}
