//! A door for fuzzing: what is private is reached from `fuzz/` through here, and from nowhere else.

use std::collections::BTreeSet;

use base64::{Engine, prelude::BASE64_STANDARD};
use dbus_interfaces::ProfileName;
use serde_json::Value;

use crate::{
    content::{Change, Content},
    format,
    item::{ItemId, SESAME},
};

/// Reads a vault's JSON. What is read must be written, and read again as the same; and what is written with a change
/// ahead of it must be what is there after it.
///
/// # Panics
/// It is not.
pub fn content(json: &[u8]) {
    let Ok(content) = format::read(json, &work()) else { return };
    assert!(held(&content) == said(json), "nothing is passed over");
    // It may be larger than it was: escapes grow.
    let Some(same) = written(&content, None) else { return };
    let mut again = read(&same);
    assert!(again.generation == content.generation.saturating_add(1), "each write is the next generation");
    again.generation = content.generation;
    assert!(written(&again, None).as_ref() == Some(&same), "the same again");
    assert!(held(&again) == held(&content), "nothing is lost");
    assert!(again.foreign.keys().eq(content.foreign.keys()), "ids are the same at each reading");

    let names = |content: &Content| content.secrets.keys().cloned().collect::<Vec<_>>();
    let name = names(&content).first().cloned().unwrap_or_else(|| "a".parse().expect("a name"));
    let set = Change::Set { name: name.clone(), value: json.to_vec().into(), now_usec: 7 };
    let remove = content.foreign.keys().next().map(|id| Change::Remove { id: *id });
    for change in [Some(set), Some(Change::Delete { name }), remove].into_iter().flatten() {
        if again.admits(&change).is_err() {
            continue;
        }
        let Some(foreseen) = written(&again, Some(&change)) else { return };
        again.apply(change);
        assert!(written(&again, None) == Some(foreseen), "foreseen");
    }
    let foreign = |content: &Content| content.foreign.keys().copied().collect::<Vec<_>>();
    assert!(names(&again).iter().eq(names(&content).iter().skip(1)), "no other is touched");
    assert!(foreign(&again).iter().eq(foreign(&content).iter().skip(1)), "no other is touched");
}

/// Origin, name, label, content type, times, attributes, value.
type Told = (String, String, String, String, [u64; 2], Vec<(String, String)>, Vec<u8>);

fn held(content: &Content) -> Vec<Told> {
    let mut items: Vec<Told> = content
        .after(None)
        .map(|view| {
            let attributes = view.attributes.into_iter().flatten().map(|(k, v)| (k.to_string(), v.to_string()));
            let [origin, name, label, kind] = [view.origin, view.name, view.label, view.content_type].map(String::from);
            (origin, name, label, kind, [view.created, view.modified], attributes.collect(), view.value.to_vec())
        })
        .collect();
    items.sort();
    items
}

/// What the JSON says, by the way of a parser that knows nothing of vaults.
fn said(json: &[u8]) -> Vec<Told> {
    let json: Value = serde_json::from_slice(json).expect("JSON");
    let item = |item: &Value| {
        let text = |key: &str| item[key].as_str().map(String::from);
        let number = |key: &str| item[key].as_u64().unwrap_or(0);
        let pairs = item["attributes"].as_object().into_iter().flatten();
        let mut attributes: Vec<_> = pairs.map(|(k, v)| (k.clone(), v.as_str().expect("a text").to_owned())).collect();
        attributes.sort();
        let decoded = |text: String| BASE64_STANDARD.decode(text).expect("Base64");
        let value = text("value").map(String::into_bytes).or_else(|| text("value_base64").map(decoded));
        let origin = text("origin").unwrap_or_else(|| SESAME.to_owned());
        let [name, label, kind] = ["name", "label", "content_type"].map(|key| text(key).unwrap_or_default());
        let value = value.expect("a value");
        // One that says nothing of it has the type that a new secret would have.
        let guessed = if std::str::from_utf8(&value).is_ok() { "text/plain" } else { "application/octet-stream" };
        let kind = if kind.is_empty() { guessed.to_owned() } else { kind };
        (origin, name, label, kind, [number("created"), number("modified")], attributes, value)
    };
    let mut items: Vec<Told> = json["items"].as_array().expect("items").iter().map(item).collect();
    // One that is as old as another of its origin and name is a microsecond younger.
    let mut seen = BTreeSet::new();
    for (origin, name, _, _, [created, _], ..) in items.iter_mut().filter(|item| item.0 != SESAME) {
        while name.parse::<ItemId>().is_err() && !seen.insert((origin.clone(), name.clone(), *created)) {
            *created = created.wrapping_add(1);
        }
    }
    items.sort();
    items
}

/// Whether a vault can hold a secret of this name.
///
/// # Panics
/// It holds another instead.
pub fn holds_secret(name: &str) -> bool {
    let item = serde_json::json!({"name": name, "value": ""});
    let json = serde_json::json!({"format": 1, "profile": "work", "items": [item]});
    let Ok(content) = format::read(json.to_string().as_bytes(), &work()) else { return false };
    assert!(content.secrets.keys().map(AsRef::as_ref).eq([name]));
    true
}

fn work() -> ProfileName {
    "work".parse().expect("a name")
}

fn read(json: &[u8]) -> Content {
    format::read(json, &work()).unwrap_or_else(|why| panic!("what was written is not read: {why:?}"))
}

fn written(content: &Content, change: Option<&Change>) -> Option<Vec<u8>> {
    let mut json = Vec::new();
    format::write(&mut json, &work(), content, change).ok().map(|()| json)
}
