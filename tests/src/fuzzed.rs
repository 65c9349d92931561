//! Calls that nobody would make: methods as the daemons introspect, with any arguments.

use roxmltree::{Document, ParsingOptions};
use zbus::{
    Connection, Structure, Variant,
    wire::{Array, Dict, Signature, StructureBuilder},
};

use crate::random::Random;

/// A method of an object.
#[derive(Clone, Debug)]
pub struct Method {
    /// The object.
    pub path: String,
    /// The interface.
    pub interface: String,
    /// The method.
    pub member: String,
    /// What it takes.
    pub takes: Vec<String>,
}

/// Every method of every object below `path`, by introspection.
///
/// # Panics
/// It is refused.
pub async fn methods(connection: &Connection, name: Option<&str>, path: &str) -> Vec<Method> {
    let interface = Some("org.freedesktop.DBus.Introspectable");
    let answer = connection.call_method(name, path, interface, "Introspect", &()).await.expect("Introspect");
    let xml: String = answer.body().deserialize().expect("a text");
    let document = Document::parse_with_options(&xml, ParsingOptions { allow_dtd: true, ..Default::default() });
    let document = document.expect("XML");
    let mut found = Vec::new();
    for method in document.descendants().filter(|node| node.has_tag_name("method")) {
        let named = |node: roxmltree::Node<'_, '_>| node.attribute("name").unwrap_or_default().to_owned();
        let takes = method.children().filter(|arg| arg.attribute("direction") == Some("in"));
        found.push(Method {
            path: path.to_owned(),
            interface: method.parent().map(named).unwrap_or_default(),
            member: named(method),
            takes: takes.filter_map(|arg| arg.attribute("type")).map(str::to_owned).collect(),
        });
    }
    let children = document.root_element().children().filter(|node| node.has_tag_name("node"));
    for child in children.filter_map(|node| node.attribute("name")) {
        let below = format!("{}/{child}", path.trim_end_matches('/'));
        found.extend(Box::pin(methods(connection, name, &below)).await);
    }
    found
}

/// Texts that parsers and files trip over.
const TEXTS: [&str; 14] = [
    "personal",
    "work",
    "",
    ".",
    "..",
    "../../etc/passwd",
    "a/b",
    "%i%n%s",
    "\u{0085}\u{202e}\u{feff}",
    "-p",
    ".lock",
    "a\nb",
    "💥",
    "org.opensesame.Secrets",
];

/// Any value of this type.
///
/// # Panics
/// It is no single complete type.
pub fn value(random: &mut Random, kind: &Signature) -> Variant<'static> {
    let number = random.number();
    match kind {
        Signature::U8 => Variant::U8(number as u8),
        Signature::Bool => Variant::Bool(number.is_multiple_of(2)),
        Signature::I16 => Variant::I16(number as i16),
        Signature::U16 => Variant::U16(number as u16),
        Signature::I32 => Variant::I32(number as i32),
        Signature::U32 => Variant::U32(number as u32),
        Signature::I64 => Variant::I64(number as i64),
        Signature::U64 => Variant::U64(number),
        Signature::F64 => Variant::F64(f64::from_bits(number)),
        Signature::Str => text(random).into(),
        Signature::Signature => Variant::Signature(any_type(random, 2)),
        Signature::ObjectPath => zbus::ObjectPath::try_from("/org/opensesame/Any").expect("a path").into(),
        Signature::Variant => {
            let inside = any_type(random, 1);
            Variant::Variant(Box::new(value(random, &inside)))
        }
        Signature::Array(child) => {
            let element = child.signature();
            let mut array = Array::new(element);
            // Passphrases and values are arrays of bytes.
            let length = if *element == Signature::U8 { random.below(2000) } else { random.below(4) };
            for _ in 0..length {
                array.append(value(random, element)).expect("a value of its type");
            }
            Variant::Array(array)
        }
        Signature::Dict { key, value: content } => {
            let (key, content) = (key.signature(), content.signature());
            let mut dict = Dict::new(key, content);
            for _ in 0..random.below(4) {
                dict.append(value(random, key), value(random, content)).expect("values of their types");
            }
            Variant::Dict(dict)
        }
        Signature::Structure(fields) => {
            let mut builder = StructureBuilder::new();
            for field in fields.iter() {
                builder = builder.append_field(value(random, field));
            }
            Variant::Structure(builder.build().expect("fields"))
        }
        other => panic!("no value of {other}"),
    }
}

fn text(random: &mut Random) -> String {
    match random.below(6) {
        0 => "x".repeat(random.below(100_000)),
        1 => String::from_utf8_lossy(&random.bytes(300)).replace('\0', "0"),
        _ => TEXTS[random.below(TEXTS.len())].to_owned(),
    }
}

/// Any type, at most so deep.
pub fn any_type(random: &mut Random, depth: usize) -> Signature {
    const BASIC: [&str; 12] = ["y", "b", "n", "q", "i", "u", "x", "t", "d", "s", "o", "g"];
    const DEEP: [&str; 8] = ["as", "ay", "a{sv}", "a(sss)", "(sb)", "a{sa{sv}}", "v", "aas"];
    let word = if depth > 0 && random.below(2) == 0 {
        DEEP[random.below(DEEP.len())]
    } else {
        BASIC[random.below(BASIC.len())]
    };
    word.try_into().expect("a signature")
}

/// A body: what the method takes, or any other.
///
/// # Panics
/// The method takes what is no type.
pub fn body(random: &mut Random, takes: &[String]) -> Option<Structure<'static>> {
    let kinds: Vec<Signature> = match random.below(5) {
        0 => (0..random.below(6)).map(|_| any_type(random, 2)).collect(),
        _ => takes.iter().map(|kind| kind.as_str().try_into().expect("a type")).collect(),
    };
    if kinds.is_empty() {
        return None;
    }
    let mut builder = StructureBuilder::new();
    for kind in &kinds {
        builder = builder.append_field(value(random, kind));
    }
    builder.build().ok()
}
