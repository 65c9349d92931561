//! The Secret Service as applications use it: secret-tool and libsecret behind it, on a bus of their own.

use serde_json::json;
use session_tests::{needs::Need, scenarios, session::Session, suite::Suite};

use crate::watched::Watcher;

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[Need::Program("secret-tool")]);
        secret_tool_stores_finds_and_clears,
        an_item_of_a_locked_vault_is_found_and_not_told,
    );
    scenarios!(suite.on_dbus_daemon(&[]);
        nobody_serves_applications_who_was_not_asked_to,
        a_session_is_its_clients_alone,
    );
}

const NAME: &str = "org.freedesktop.secrets";
const SERVICE: &str = "/org/freedesktop/secrets";

async fn offered(session: &Session) -> session_tests::session::Daemons {
    session.home.write("config/open-sesame/config.toml", "work_factor = 15\nsecret_service = true\n");
    let daemons = session.daemons().await;
    session.client().await.wait_for_owner(NAME).await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    daemons
}

async fn secret_tool_stores_finds_and_clears(session: Session) {
    let _daemons = offered(&session).await;
    let store = ["secret-tool", "store", "--label=Mail of me", "server", "example.org", "user", "me"];
    session.run_fed(&store, b"pass-1").await.stdout_of_success();
    let lookup = ["secret-tool", "lookup", "server", "example.org", "user", "me"];
    assert_eq!(session.run(&lookup).await.stdout_of_success(), "pass-1");
    session.run_fed(&store, b"pass-2").await.stdout_of_success();
    assert_eq!(session.run(&lookup).await.stdout_of_success(), "pass-2", "replaced");
    assert_eq!(session.vault().await.list_items("personal").await.unwrap().len(), 1);

    session.sesame_fed(&["secret", "set", "db-url"], b"url-1").await.stdout_of_success();
    let own = ["secret-tool", "lookup", "xdg:schema", "org.opensesame.Secret", "name", "db-url"];
    assert_eq!(session.run(&own).await.stdout_of_success(), "url-1");
    let all = session.sesame(&["secret", "list", "--all"]).await.stdout_of_success();
    assert!(all.contains("secret-tool  Mail of me"), "{all}");

    session.run(&["secret-tool", "clear", "server", "example.org"]).await.stdout_of_success();
    assert_ne!(session.run(&lookup).await.code, 0);
}

async fn an_item_of_a_locked_vault_is_found_and_not_told(session: Session) {
    let _daemons = offered(&session).await;
    let store = ["secret-tool", "store", "--label=Mail", "server", "example.org"];
    session.run_fed(&store, b"pass-1").await.stdout_of_success();
    let sidecar = session.home.vaults().join("personal/attributes.json");
    let text = std::fs::read_to_string(&sidecar).unwrap();
    assert!(!text.contains("example.org") && !text.contains("Mail"), "{text}");
    session.client().await.secrets().await.lock("personal").await.unwrap();
    let mut watch = Watcher::start(&session, &["events", "--format", "json"]);
    watch.event().await;
    let client = session.client().await;
    let search = [("server", "example.org")].into_iter().collect::<std::collections::HashMap<_, _>>();
    let interface = Some("org.freedesktop.Secret.Service");
    let found = client.connection.call_method(Some(NAME), SERVICE, interface, "SearchItems", &search).await.unwrap();
    let body = found.body();
    let (unlocked, locked): (Vec<zbus::OwnedObjectPath>, Vec<zbus::OwnedObjectPath>) = body.deserialize().unwrap();
    assert_eq!((unlocked.len(), locked.len()), (0, 1));
    // The lock itself may be told first.
    let mut event = watch.event().await;
    while event["event"] == "vault-changed" {
        event = watch.event().await;
    }
    assert_eq!((&event["event"], &event["profile"]), (&json!("locked-item-requested"), &json!("personal")), "{event}");
    assert_eq!(event["new"], json!({"connection": client.connection.unique_name().unwrap().as_str()}));
    // Nobody can be asked here: the prompt is dismissed, and nothing hangs.
    let lookup = session.run(&["secret-tool", "lookup", "server", "example.org"]);
    assert_ne!(session_tests::within_deadline("secret-tool to give up", lookup).await.code, 0);
    session.unlock(&["personal"]).await;
    let lookup = session.run(&["secret-tool", "lookup", "server", "example.org"]).await;
    assert_eq!(lookup.stdout_of_success(), "pass-1");
}

async fn nobody_serves_applications_who_was_not_asked_to(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    session.vault().await.set_secret("personal", "a", b"x").await.unwrap();
    assert_eq!(session.client().await.owner(NAME).await, None);
    assert!(!session.home.vaults().join("personal/attributes.json").exists());
}

async fn a_session_is_its_clients_alone(session: Session) {
    let _daemons = offered(&session).await;
    let (first, second) = (session.client().await, session.client().await);
    let interface = Some("org.freedesktop.Secret.Service");
    let plain = ("plain", zbus::Variant::from(""));
    let opened = first.connection.call_method(Some(NAME), SERVICE, interface, "OpenSession", &plain).await.unwrap();
    let body = opened.body();
    let (_, path): (zbus::OwnedVariant, zbus::OwnedObjectPath) = body.deserialize().unwrap();
    let close = |client: session_tests::client::Client| {
        let path = path.clone();
        let interface = Some("org.freedesktop.Secret.Session");
        async move { client.connection.call_method(Some(NAME), path, interface, "Close", &()).await }
    };
    let refused = close(second).await.unwrap_err();
    assert!(refused.to_string().contains("org.freedesktop.Secret.Error.NoSession"), "{refused}");
    close(first.clone()).await.unwrap();
    assert!(close(first).await.is_err(), "closed already");
}
