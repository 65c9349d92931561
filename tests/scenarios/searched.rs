//! What is found of a locked vault, whenever it was locked and however its daemon ended.

use std::collections::{BTreeSet, HashMap};

use futures_util::future::join_all;
use rustix::process::Signal;
use session_tests::{scenarios, session::Session, suite::Suite, user_session::until};
use zbus::OwnedObjectPath;

use crate::secret_service::{NAME, SERVICE, offered};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        what_a_vault_at_rest_held_is_found_after_a_kill,
        what_was_stored_as_a_lock_came_is_found,
        what_was_open_before_applications_were_served_is_found,
    );
}

/// By what the items of `personal` are found while it is locked.
pub fn search_file(session: &Session) -> Option<String> {
    std::fs::read_to_string(session.home.vaults().join("personal/attributes.json")).ok()
}

/// Waits until the search file has so many items.
pub async fn until_found(session: &Session, count: usize) {
    until("the search file to have every item", async || {
        let text = search_file(session).unwrap_or_default();
        let file = serde_json::from_str::<serde_json::Value>(&text).ok();
        let has = file.and_then(|file| Some(file["found"].as_array()?.len()));
        if has == Some(count) { Ok(()) } else { Err(has) }
    })
    .await;
}

/// How many items of locked vaults have this attribute.
async fn found_locked(session: &Session, name: &str, value: &str) -> usize {
    let client = session.client().await;
    client.wait_for_owner(NAME).await;
    let interface = Some("org.freedesktop.Secret.Service");
    let wanted = HashMap::from([(name, value)]);
    let found = client.connection.call_method(Some(NAME), SERVICE, interface, "SearchItems", &wanted).await.unwrap();
    let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = found.body().deserialize().unwrap();
    assert!(unlocked.is_empty(), "{unlocked:?}");
    locked.len()
}

async fn what_a_vault_at_rest_held_is_found_after_a_kill(session: Session) {
    let mut daemons = offered(&session).await;
    for name in ["a", "b", "c"] {
        session.vault().await.set_secret("personal", name, b"x").await.unwrap();
    }
    until_found(&session, 3).await;
    daemons.secrets.kill9().await;
    session.client().await.wait_until_gone(NAME).await;
    daemons.secrets = session.secrets().await;
    assert_eq!(found_locked(&session, "profile", "personal").await, 3);
}

async fn what_was_open_before_applications_were_served_is_found(session: Session) {
    let daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    session.vault().await.set_secret("personal", "before", b"x").await.unwrap();
    session.home.write("config/open-sesame/config.toml", "work_factor = 15\nsecret_service = true\n");
    daemons.secrets.signal(Signal::HUP);
    session.client().await.wait_for_owner(NAME).await;
    session.client().await.secrets().await.lock("personal").await.unwrap();
    assert_eq!(found_locked(&session, "name", "before").await, 1);
}

async fn what_was_stored_as_a_lock_came_is_found(session: Session) {
    let _daemons = offered(&session).await;
    let (secrets, vault) = (session.client().await.secrets().await, session.vault().await);
    let mut stored = BTreeSet::new();
    for round in 0..10 {
        // Within the second after the first, so that the file is behind, and one of them is with a worker.
        vault.set_secret("personal", &format!("s{round}"), b"x").await.unwrap();
        stored.insert(format!("s{round}"));
        let names: Vec<String> = (0..6).map(|at| format!("s{round}-{at}")).collect();
        let writes = join_all(names.iter().map(|name| vault.set_secret("personal", name, b"x")));
        let (written, locked) = tokio::join!(writes, secrets.lock("personal"));
        locked.unwrap();
        stored.extend(names.iter().zip(written).filter(|(_, written)| written.is_ok()).map(|(name, _)| name.clone()));
        for name in &stored {
            assert_eq!(found_locked(&session, "name", name).await, 1, "{name}, of {stored:?}");
        }
        session.unlock(&["personal"]).await;
    }
}
