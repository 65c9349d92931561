//! What a content admits, and what a change makes of it.

use dbus_interfaces::vault::MAX_VALUE;

use super::*;

fn set(name: &str, size: usize) -> Change {
    Change::Set { name: name.parse().unwrap(), value: vec![b'x'; size].into(), now_usec: 7 }
}

fn delete(name: &str) -> Change {
    Change::Delete { name: name.parse().unwrap() }
}

fn item(label: &str) -> Item {
    let (attributes, content_type) = ([("a".into(), "b".into())].into(), "text/plain".into());
    Item { label: label.into(), attributes, content_type, created: 1, modified: 1, value: vec![b'v'].into() }
}

fn add(id: ItemId, label: &str) -> Change {
    Change::Add { id, item: Box::new(Foreign::new(id, "app", item(label)).unwrap()) }
}

fn relabel(id: ItemId, label: &str) -> Change {
    let alteration = Alteration { label: Some(label.into()), ..Alteration::default() };
    Change::Alter { id, alteration, now_usec: 9 }
}

#[test]
fn a_value_and_the_number_of_items_are_bounded() {
    let mut content = Content::default();
    assert_eq!(content.admits(&set("a", MAX_VALUE)), Ok(()));
    assert_eq!(content.admits(&set("a", MAX_VALUE + 1)), Err(Refused::TooLarge(Limit::Value)));
    (0..MAX_ITEMS).for_each(|n| content.apply(set(&n.to_string(), 1)));
    assert_eq!(content.check(), Ok(()));
    assert_eq!(content.admits(&set("one-more", 1)), Err(Refused::TooLarge(Limit::Items)));
    let id = ItemId::random().unwrap();
    assert_eq!(content.admits(&add(id, "one more")), Err(Refused::TooLarge(Limit::Items)));
    assert_eq!(content.admits(&set("17", 1)), Ok(()), "it replaces one");
    content.apply(set("one-more", 1));
    assert_eq!(content.check(), Err(Limit::Items));
}

#[test]
fn deleting_what_is_not_there_is_refused() {
    let mut content = Content::default();
    assert_eq!(content.admits(&delete("a")), Err(Refused::NotFound));
    content.apply(set("a", 1));
    assert_eq!(content.admits(&delete("a")), Ok(()));
    content.apply(delete("a"));
    assert_eq!(content.len(), 0);
}

#[test]
fn a_replaced_secret_keeps_what_else_it_says() {
    let mut content = Content::default();
    content.apply(set("a", 1));
    let binary = Change::Set { name: "a".parse().unwrap(), value: vec![0xff].into(), now_usec: 9 };
    let view = content.after(Some(&binary)).next().unwrap();
    assert_eq!((view.created, view.modified, view.content_type), (7, 9, "application/octet-stream"));
    content.apply(binary);
    let view = content.after(None).next().unwrap();
    assert_eq!((view.created, view.modified, view.content_type), (7, 9, "application/octet-stream"));
}

#[test]
fn an_altered_item_keeps_what_was_not_altered() {
    let (mut content, id) = (Content::default(), ItemId::random().unwrap());
    assert_eq!(content.admits(&relabel(id, "x")), Err(Refused::NotFound));
    content.apply(add(id, "label"));
    content.apply(relabel(id, "other"));
    let view = content.after(None).next().unwrap();
    assert_eq!((view.label, view.created, view.modified, view.value), ("other", 1, 9, &b"v"[..]));
    assert_eq!(view.attributes.map(BTreeMap::len), Some(1));
    content.apply(Change::Remove { id });
    assert!(content.is_empty());
    assert_eq!(content.admits(&Change::Remove { id }), Err(Refused::NotFound));
}

#[test]
fn a_secret_is_altered_and_removed_by_its_id_too() {
    let mut content = Content::default();
    content.apply(set("a", 1));
    let id = content.secrets.iter().map(|(name, item)| secret_id(name, item)).next().unwrap();
    let change = relabel(id, "other");
    assert_eq!(content.admits(&change), Ok(()));
    assert_eq!(content.after(Some(&change)).map(|view| view.label).collect::<Vec<_>>(), ["other"]);
    content.apply(change);
    assert_eq!(content.after(None).map(|view| (view.name, view.label)).collect::<Vec<_>>(), [("a", "other")]);
    content.apply(Change::Remove { id });
    assert!(content.is_empty());
}

#[test]
fn no_application_passes_its_item_off_as_one_of_sesame_secret() {
    let id = ItemId::random().unwrap();
    for origin in ["", SESAME] {
        assert_eq!(Foreign::new(id, origin, item("x")).err(), Some(Limit::Origin));
    }
}
