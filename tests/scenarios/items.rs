//! Items of applications beside those of `sesame secret`, over the private socket and the command line.

use std::collections::BTreeMap;

use dbus_interfaces::{Error, vault::NewItem};
use session_tests::{scenarios, session::Session, suite::Suite};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&[]);
        an_applications_item_is_kept_as_it_was_given,
        run_and_list_show_an_applications_items_only_where_asked,
        an_item_that_claims_too_much_is_refused,
    );
}

fn item(origin: &str, label: &str) -> NewItem {
    NewItem {
        origin: origin.into(),
        label: label.into(),
        attributes: BTreeMap::from([("server".into(), "example.org".into()), ("user".into(), "me".into())]),
        content_type: "text/plain; charset=utf8".into(),
        created_usec: 1_000_000,
        modified_usec: 0,
    }
}

async fn open(session: &Session) {
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
}

async fn an_applications_item_is_kept_as_it_was_given(session: Session) {
    let mut daemons = session.daemons().await;
    open(&session).await;
    let vault = session.vault().await;
    let new = item("mail", "Mail of me");
    let id = vault.store_item("personal", &new, b"\xffpass").await.unwrap();
    let other = vault.store_item("personal", &new, b"other").await.unwrap();
    assert_ne!(id, other, "always a new one");
    let before = vault.get_item("personal", &id).await.unwrap();
    daemons.secrets.stop().await;
    daemons.secrets = session.secrets().await;
    session.unlock(&["personal"]).await;

    let vault = session.vault().await;
    let (listed, value) = vault.get_item("personal", &id).await.unwrap();
    assert_eq!((&listed, &*value), (&before.0, &b"\xffpass"[..]));
    assert_eq!((listed.origin, listed.label, listed.attributes), (new.origin, new.label, new.attributes));
    assert_eq!((listed.content_type, listed.created_usec), (new.content_type, 1_000_000));
    assert!(listed.name.is_empty() && listed.modified_usec > 1_000_000);
    vault.delete_item("personal", &other).await.unwrap();
    let ids: Vec<String> = vault.list_items("personal").await.unwrap().into_iter().map(|item| item.id).collect();
    assert_eq!(ids, [id]);
    for gone in [vault.delete_item("personal", &other).await, vault.get_item("personal", &other).await.map(drop)] {
        assert!(matches!(gone, Err(Error::NotFound(_))), "{gone:?}");
    }
    session.client().await.secrets().await.lock("personal").await.unwrap();
    assert!(matches!(vault.list_items("personal").await, Err(Error::Locked(_))));
}

async fn run_and_list_show_an_applications_items_only_where_asked(session: Session) {
    let _daemons = session.daemons().await;
    open(&session).await;
    session.sesame_fed(&["secret", "set", "db-url"], b"x").await.stdout_of_success();
    session.vault().await.store_item("personal", &item("mail", "Mail\nof me"), b"secret-of-mail").await.unwrap();
    assert_eq!(session.sesame(&["secret", "list"]).await.stdout_of_success(), "db-url\n");
    let all = session.sesame(&["secret", "list", "--all"]).await.stdout_of_success();
    let lines: Vec<&str> = all.lines().collect();
    assert_eq!(lines.len(), 2, "{all}");
    assert_eq!(lines[0], "sesame  db-url");
    assert_eq!(lines[1], "mail    Mail\\nof me  server=example.org user=me");
    let shown = session.sesame(&["run", "--", "env"]).await.stdout_of_success();
    assert!(shown.contains("DB_URL=x") && !shown.contains("secret-of-mail"), "{shown}");
}

async fn an_item_that_claims_too_much_is_refused(session: Session) {
    let _daemons = session.daemons().await;
    open(&session).await;
    let vault = session.vault().await;
    let attribute = |value: String| BTreeMap::from([("a".to_owned(), value)]);
    for (new, why) in [
        (item("sesame", "x"), "origin"),
        (item("", "x"), "no origin"),
        (item("mail", &"x".repeat(1025)), "label"),
        (item(&"x".repeat(256), "x"), "long origin"),
        (NewItem { attributes: attribute("x".repeat(1024)), ..item("mail", "x") }, "attribute"),
    ] {
        let refused = vault.store_item("personal", &new, b"x").await;
        assert!(matches!(refused, Err(Error::TooLarge(_))), "{why}: {refused:?}");
    }
    assert!(vault.list_items("personal").await.unwrap().is_empty());
    assert!(matches!(vault.get_item("personal", "x").await, Err(Error::InvalidName(_))));
}
