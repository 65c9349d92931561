//! The JSON inside items.age, format 1 (contract, section 3). Pure. What does not fit the format is refused and not
//! passed over, since the next write would lose it.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::{self, BufWriter, ErrorKind, Write},
    sync::OnceLock,
};

use base64::{Engine, display::Base64Display, prelude::BASE64_STANDARD};
use dbus_interfaces::ProfileName;
use serde::{Deserialize, Serialize};

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
    // JSON is written in small pieces, and encryption takes each write apart.
    let mut file = BufWriter::with_capacity(BUFFER, Limited { inner: file, left: MAX_JSON });
    let generation = content.generation.saturating_add(1);
    let document = Document { format: FORMAT, profile, generation, items: [] };
    file.write_all(without_end(&document, "]}")?.as_bytes())?;
    for (index, item) in content.after(change).enumerate() {
        file.write_all(if index == 0 { b"" } else { b"," })?;
        write_item(&mut file, item)?;
    }
    file.write_all(b"]}")?;
    file.flush()
}

/// Encodes while it writes: no second copy of the value.
fn write_item(file: &mut impl Write, item: View<'_>) -> io::Result<()> {
    let made;
    let head = match item.head.and_then(OnceLock::get) {
        Some(written) => written,
        None => {
            let head = without_end(&ItemHead::from(item), "}")?;
            match item.head {
                Some(kept) => kept.get_or_init(|| head),
                None => {
                    made = head;
                    &made
                }
            }
        }
    };
    file.write_all(head.as_bytes())?;
    if let Ok(text) = std::str::from_utf8(item.value) {
        file.write_all(br#","value":"#)?;
        serde_json::to_writer(&mut *file, text)?;
    } else {
        write!(file, r#","value_base64":"{}""#, Base64Display::new(item.value, &BASE64_STANDARD))?;
    }
    file.write_all(b"}")
}

/// The JSON of `value`, which has this end, without it.
fn without_end(value: &impl Serialize, end: &str) -> serde_json::Result<Box<str>> {
    let json = serde_json::to_string(value)?;
    Ok(json.strip_suffix(end).unwrap_or(&json).into())
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
    content.check().and_then(|()| items.try_for_each(|item| item.check())).map_err(Unreadable::TooLarge)?;
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
        content.foreign.insert(id, Foreign { origin: found.origin, name: found.name, item: item.into() });
        return Ok(());
    }
    let name = found.name.parse().map_err(|_| "has a name out of form")?;
    match content.secrets.insert(name, item.into()) {
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

/// Its items follow.
#[derive(Serialize)]
struct Document<'a> {
    format: u64,
    profile: &'a ProfileName,
    generation: u64,
    items: [(); 0],
}

/// What is said of an item before its value.
#[derive(Serialize)]
struct ItemHead<'a> {
    name: &'a str,
    label: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attributes: Option<&'a BTreeMap<Box<str>, Box<str>>>,
    content_type: &'a str,
    created: u64,
    modified: u64,
    origin: &'a str,
}

impl<'a> From<View<'a>> for ItemHead<'a> {
    fn from(View { name, label, attributes, content_type, created, modified, origin, .. }: View<'a>) -> Self {
        let attributes = attributes.filter(|attributes| !attributes.is_empty());
        Self { name, label, attributes, content_type, created, modified, origin }
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
