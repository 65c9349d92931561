//! The JSON inside items.age, format 1 (contract, section 3). Pure. What does not fit the format is refused and not
//! passed over, since the next write would lose it.

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, ErrorKind, Write},
};

use base64::{Engine, display::Base64Display, prelude::BASE64_STANDARD};
use dbus_interfaces::ProfileName;
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    content::{Change, Content, Foreign, View},
    error::{Flaw, Limit},
    item::{Item, ItemId, SESAME, content_type},
};

const FORMAT: u64 = 1;
/// What is encrypted at once, a quarter of a chunk of age.
const BUFFER: usize = 16 * 1024;
/// The largest JSON of a vault, in bytes.
pub(crate) const MAX_JSON: usize = 16 * 1024 * 1024;

/// Why a content cannot be read.
#[derive(Debug, PartialEq)]
pub(crate) enum Unreadable {
    /// It is not what was written.
    Flawed(Flaw),
    /// It holds more than a vault may.
    TooLarge(Limit),
}

impl From<Flaw> for Unreadable {
    fn from(flaw: Flaw) -> Self {
        Self::Flawed(flaw)
    }
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        // The parser's own text repeats what it found there: perhaps a secret.
        Self::Flawed(Flaw::NoJson { line: error.line(), column: error.column() })
    }
}

/// Writes `content` as it is after `change`, with the next generation.
///
/// # Errors
/// `FileTooLarge` beyond 16 MiB, else those of `file`.
pub(crate) fn write(
    file: &mut dyn Write,
    profile: &ProfileName,
    content: &Content,
    change: Option<&Change>,
) -> io::Result<()> {
    // JSON is written token by token, and encryption takes each write apart.
    let mut file = BufWriter::with_capacity(BUFFER, Limited { inner: file, left: MAX_JSON });
    let generation = content.generation.saturating_add(1);
    serde_json::to_writer(&mut file, &Document { format: FORMAT, profile, generation, items: Items(content, change) })?;
    file.flush()
}

/// Reads the content of `profile`'s vault.
///
/// # Errors
/// Why it cannot be read.
pub(crate) fn read(json: &[u8], profile: &ProfileName) -> Result<Content, Unreadable> {
    if json.len() > MAX_JSON {
        return Err(Unreadable::TooLarge(Limit::Json));
    }
    let Format { format } = serde_json::from_slice(json)?;
    if format != FORMAT {
        return Err(Flaw::Format(format).into());
    }
    let found: FoundDocument = serde_json::from_slice(json)?;
    if *found.profile != *profile.as_str() {
        return Err(Flaw::OtherProfile.into());
    }
    let mut content = Content { generation: found.generation, ..Content::default() };
    for (index, item) in found.items.into_iter().enumerate() {
        take_in(&mut content, item).map_err(|wrong| Flaw::Item { number: index + 1, wrong })?;
    }
    let mut items = content.secrets.values().chain(content.foreign.values().map(|other| &other.item));
    content.check().and_then(|()| items.try_for_each(Item::check)).map_err(Unreadable::TooLarge)?;
    Ok(content)
}

fn take_in(content: &mut Content, found: FoundItem) -> Result<(), &'static str> {
    let value = match (found.value, found.value_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => BASE64_STANDARD.decode(text).map_err(|_| "has a value_base64 that is no Base64")?,
        _ => return Err("has not exactly one of value and value_base64"),
    };
    let mut item = Item {
        label: found.label,
        attributes: found.attributes,
        content_type: if found.content_type.is_empty() { content_type(&value).into() } else { found.content_type },
        created: found.created,
        modified: found.modified,
        value: value.into(),
    };
    if &*found.origin != SESAME {
        let id = free_id(content, &found.origin, &found.name, &mut item.created)?;
        content.foreign.insert(id, Foreign { origin: found.origin, name: found.name, item });
        return Ok(());
    }
    let name = found.name.parse().map_err(|_| "has a name out of form")?;
    match content.secrets.insert(name, item) {
        None => Ok(()),
        Some(_) => Err("has the name of another"),
    }
}

/// The id of an item that is read: its name, or where that is none, one that is the same at each reading. Of items that
/// a hand made alike, one is made a microsecond younger, so that each keeps its id whatever becomes of the other.
fn free_id(content: &Content, origin: &str, name: &str, created: &mut u64) -> Result<ItemId, &'static str> {
    if let Ok(id) = name.parse() {
        return if content.foreign.contains_key(&id) { Err("has the id of another") } else { Ok(id) };
    }
    loop {
        let id = ItemId::derived(origin, name, *created);
        if !content.foreign.contains_key(&id) {
            return Ok(id);
        }
        *created = created.wrapping_add(1);
    }
}

#[derive(Serialize)]
struct Document<'a> {
    format: u64,
    profile: &'a ProfileName,
    generation: u64,
    items: Items<'a>,
}

struct Items<'a>(&'a Content, Option<&'a Change>);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.after(self.1).map(ItemOut::from))
    }
}

#[derive(Serialize)]
struct ItemOut<'a> {
    name: &'a str,
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a BTreeMap<Box<str>, Box<str>>>,
    content_type: &'a str,
    created: u64,
    modified: u64,
    origin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<Base64<'a>>,
}

impl<'a> From<View<'a>> for ItemOut<'a> {
    fn from(view: View<'a>) -> Self {
        let value = std::str::from_utf8(view.value).ok();
        Self {
            name: view.name,
            label: view.label,
            attributes: view.attributes.filter(|attributes| !attributes.is_empty()),
            content_type: view.content_type,
            created: view.created,
            modified: view.modified,
            origin: view.origin,
            value,
            value_base64: value.is_none().then_some(Base64(view.value)),
        }
    }
}

/// Encodes while it is written: no second copy of the value.
struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &BASE64_STANDARD))
    }
}

/// What every format has.
#[derive(Deserialize)]
struct Format {
    format: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundDocument {
    #[serde(rename = "format")]
    _format: u64,
    profile: Box<str>,
    #[serde(default)]
    generation: u64,
    items: Vec<FoundItem>,
}

/// An item as it may stand in a file that was made by hand: all but name and value may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FoundItem {
    name: Box<str>,
    #[serde(default)]
    label: Box<str>,
    #[serde(default)]
    attributes: BTreeMap<Box<str>, Box<str>>,
    #[serde(default)]
    content_type: Box<str>,
    #[serde(default)]
    created: u64,
    #[serde(default)]
    modified: u64,
    #[serde(default = "sesame")]
    origin: Box<str>,
    value: Option<String>,
    value_base64: Option<String>,
}

fn sesame() -> Box<str> {
    SESAME.into()
}

/// A writer that refuses to go beyond a number of bytes, with `FileTooLarge`.
struct Limited<W> {
    /// What is written to.
    inner: W,
    /// The bytes that may still be written.
    left: usize,
}

impl<W: Write> Write for Limited<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.left = self.left.checked_sub(bytes.len()).ok_or(ErrorKind::FileTooLarge)?;
        self.inner.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use dbus_interfaces::SecretName;
    use proptest::prelude::*;

    use super::*;
    use crate::content::Alteration;

    fn work() -> ProfileName {
        "work".parse().unwrap()
    }

    fn written(content: &Content, change: Option<&Change>) -> Vec<u8> {
        let mut json = Vec::new();
        write(&mut json, &work(), content, change).unwrap();
        json
    }

    fn one(item: &str) -> Result<Content, Unreadable> {
        read(format!(r#"{{"format":1,"profile":"work","items":[{item}]}}"#).as_bytes(), &work())
    }

    #[test]
    fn text_is_legible_and_the_rest_is_base64() {
        let mut content = Content::default();
        content.apply(Change::Set {
            name: "db-url".parse().unwrap(),
            value: b"a\"\xc3\xa4".to_vec().into(),
            now_usec: 5,
        });
        content.apply(Change::Set { name: "key".parse().unwrap(), value: vec![0, 255].into(), now_usec: 6 });
        assert_eq!(
            String::from_utf8(written(&content, None)).unwrap(),
            concat!(
                r#"{"format":1,"profile":"work","generation":1,"items":["#,
                r#"{"name":"db-url","label":"db-url","content_type":"text/plain","created":5,"modified":5,"#,
                r#""origin":"sesame","value":"a\"ä"},"#,
                r#"{"name":"key","label":"key","content_type":"application/octet-stream","created":6,"modified":6,"#,
                r#""origin":"sesame","value_base64":"AP8="}]}"#
            )
        );
    }

    #[test]
    fn what_a_hand_left_out_is_what_a_new_secret_has() {
        let content = one(r#"{"name":"a","value":"x"},{"name":"b","value_base64":"AP8="}"#).unwrap();
        let types: Vec<&str> = content.secrets.values().map(|item| &*item.content_type).collect();
        assert_eq!(types, ["text/plain", "application/octet-stream"], "clients take no other for a text");
    }

    #[test]
    fn items_that_are_alike_keep_their_ids_whatever_becomes_of_the_other() {
        let alike = |value| format!(r#"{{"name":"a/b","origin":"app","created":7,"value":"{value}"}}"#);
        let mut content = one(&format!("{},{},{}", alike("x"), alike("y"), alike("z"))).unwrap();
        let ids = |content: &Content| -> Vec<(ItemId, Vec<u8>)> {
            let all = content.foreign.iter();
            all.map(|(id, other)| (*id, secrecy::ExposeSecret::expose_secret(&other.item.value).to_vec())).collect()
        };
        let before = ids(&content);
        assert_eq!(before.len(), 3);
        let again = read(&written(&content, None), &work()).unwrap();
        assert_eq!(ids(&again), before, "at the next reading");
        for (id, _) in &before[..2] {
            content.apply(Change::Remove { id: *id });
        }
        let again = read(&written(&content, None), &work()).unwrap();
        assert_eq!(ids(&again), before[2..], "without the others");
        let id = before[0].0;
        let same = format!(r#"{{"name":"{id}","origin":"app","value":"x"}}"#);
        let twice = one(&format!("{same},{same}")).err();
        assert_eq!(twice, Some(Unreadable::Flawed(Flaw::Item { number: 2, wrong: "has the id of another" })));
    }

    #[test]
    fn what_does_not_fit_the_format_is_refused() {
        let item = |wrong| Some(Unreadable::Flawed(Flaw::Item { number: 1, wrong }));
        assert!(one(r#"{"name":"a","value":"x"}"#).is_ok());
        assert_eq!(one(r#"{"name":"a"}"#).err(), item("has not exactly one of value and value_base64"));
        assert_eq!(one(r#"{"name":"a","value_base64":"?"}"#).err(), item("has a value_base64 that is no Base64"));
        assert_eq!(one(r#"{"name":"a/b","value":"x"}"#).err(), item("has a name out of form"));
        assert!(one(r#"{"name":"a/b","value":"x","origin":"other"}"#).is_ok());
        let twice = one(r#"{"name":"a","value":"x"},{"name":"a","value":"y"}"#).err();
        assert_eq!(twice, Some(Unreadable::Flawed(Flaw::Item { number: 2, wrong: "has the name of another" })));
        assert!(matches!(
            one(r#"{"name":"a","value":"x","colour":"red"}"#).err(),
            Some(Unreadable::Flawed(Flaw::NoJson { line: 1, .. }))
        ));
        let format2 = read(br#"{"format":2,"anything":{}}"#, &work());
        assert_eq!(format2.err(), Some(Unreadable::Flawed(Flaw::Format(2))));
        let other = read(br#"{"format":1,"profile":"personal","items":[]}"#, &work());
        assert_eq!(other.err(), Some(Unreadable::Flawed(Flaw::OtherProfile)));
        let label = format!(r#"{{"name":"a","value":"x","label":"{}"}}"#, "l".repeat(1025));
        assert_eq!(one(&label).err(), Some(Unreadable::TooLarge(Limit::Label)));
    }

    #[test]
    fn more_than_16_mib_are_neither_written_nor_read() {
        let mut content = Content::default();
        for name in 0..16 {
            let name = name.to_string().parse().unwrap();
            content.apply(Change::Set { name, value: vec![b'x'; 1 << 20].into(), now_usec: 0 });
        }
        let refused = write(&mut io::sink(), &work(), &content, None).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(&vec![b' '; MAX_JSON + 1], &work()).err(), Some(Unreadable::TooLarge(Limit::Json)));
        let one_less = Change::Delete { name: "0".parse().unwrap() };
        write(&mut io::sink(), &work(), &content, Some(&one_less)).unwrap();
    }

    fn name() -> impl Strategy<Value = SecretName> {
        "[a-d][a-c]?".prop_map(|name| name.parse().unwrap())
    }

    fn id() -> impl Strategy<Value = ItemId> {
        (0..4_u64).prop_map(|created| ItemId::derived("app", "x", created))
    }

    fn change() -> impl Strategy<Value = Change> {
        let set = (name(), any::<Vec<u8>>(), any::<u64>());
        prop_oneof![
            3 => set.prop_map(|(name, value, now_usec)| Change::Set { name, value: value.into(), now_usec }),
            1 => name().prop_map(|name| Change::Delete { name }),
            1 => (id(), foreign()).prop_map(|(id, other)| {
                let item = Foreign::new(id, "app", other.item).unwrap();
                Change::Add { id, item: Box::new(item) }
            }),
            1 => (id(), "\\PC{0,4}", any::<u64>()).prop_map(|(id, label, now_usec)| {
                let alteration = Alteration { label: Some(label.into()), ..Alteration::default() };
                Change::Alter { id, alteration, now_usec }
            }),
            1 => id().prop_map(|id| Change::Remove { id }),
        ]
    }

    fn foreign() -> impl Strategy<Value = Foreign> {
        let attributes = proptest::collection::btree_map("\\PC{0,4}", "\\PC{0,4}", 0..3);
        let times = (any::<u64>(), any::<u64>());
        ("[e-g]", "\\PC{0,4}", "\\PC{0,4}", attributes, times, any::<Vec<u8>>()).prop_map(
            |(origin, name, label, attributes, (created, modified), value)| Foreign {
                origin: origin.into(),
                name: name.into(),
                item: Item {
                    label: label.into(),
                    attributes: attributes.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
                    content_type: "text/plain".into(),
                    created,
                    modified,
                    value: value.into(),
                },
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_before_a_change_is_what_is_there_after_it(
            changes in proptest::collection::vec(change(), 1..12),
            foreign in proptest::collection::vec(foreign(), 0..3),
        ) {
            let mut content = Content::default();
            for mut other in foreign {
                let id = free_id(&content, &other.origin, &other.name, &mut other.item.created).unwrap();
                content.foreign.insert(id, other);
            }
            for change in changes {
                let foreseen = written(&content, Some(&change));
                content.apply(change);
                prop_assert!(foreseen == written(&content, None));
                let mut again = read(&foreseen, &work()).unwrap();
                prop_assert!(again.foreign.keys().eq(content.foreign.keys()), "ids are the same at each reading");
                prop_assert_eq!(again.generation, content.generation + 1);
                again.generation -= 1;
                prop_assert!(written(&again, None) == foreseen);
            }
        }

        #[test]
        fn no_input_makes_the_parser_panic(json in any::<Vec<u8>>()) {
            prop_assert!(read(&json, &work()).is_err());
        }
    }
}
