//! The JSON of a content: what is read, what is refused, and that what is written is what is there afterwards.

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
    content.apply(Change::Set { name: "db-url".parse().unwrap(), value: b"a\"\xc3\xa4".to_vec().into(), now_usec: 5 });
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
        1 => (id(), item()).prop_map(|(id, item)| {
            let item = Foreign::new(id, "app", item).unwrap();
            Change::Add { id, item: Box::new(item) }
        }),
        1 => (id(), "\\PC{0,4}", any::<u64>()).prop_map(|(id, label, now_usec)| {
            let alteration = Alteration { label: Some(label.into()), ..Alteration::default() };
            Change::Alter { id, alteration, now_usec }
        }),
        1 => id().prop_map(|id| Change::Remove { id }),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    let attributes = proptest::collection::btree_map("\\PC{0,4}", "\\PC{0,4}", 0..3);
    ("\\PC{0,4}", attributes, any::<u64>(), any::<u64>(), any::<Vec<u8>>()).prop_map(
        |(label, attributes, created, modified, value)| Item {
            label: label.into(),
            attributes: attributes.into_iter().map(|(k, v)| (k.into(), v.into())).collect(),
            content_type: "text/plain".into(),
            created,
            modified,
            value: value.into(),
        },
    )
}

fn foreign() -> impl Strategy<Value = Foreign> {
    ("[e-g]", "\\PC{0,4}", item()).prop_map(|(origin, name, item)| Foreign {
        origin: origin.into(),
        name: name.into(),
        item: item.into(),
    })
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
