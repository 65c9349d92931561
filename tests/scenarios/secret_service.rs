//! The Secret Service as applications use it: secret-tool and libsecret behind it, on a bus of their own.

use std::collections::HashMap;

use futures_util::StreamExt;
use serde_json::json;
use session_tests::{needs::Need, scenarios, session::Session, suite::Suite, user_session::until};
use zbus::{OwnedObjectPath, OwnedVariant, Variant};

use crate::{
    searched::{search_file, until_found},
    watched::Watcher,
};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[Need::Program("secret-tool")]);
        secret_tool_stores_finds_and_clears,
        an_item_of_a_locked_vault_is_found_and_not_told,
        a_lock_is_announced_and_the_clients_session_outlives_it,
        a_session_ends_with_the_daemon_and_the_items_stay,
    );
    scenarios!(suite.on_dbus_daemon(&[]);
        nobody_serves_applications_who_was_not_asked_to,
        a_session_is_its_clients_alone,
        sessions_and_secrets_are_limited,
        sessions_are_counted_in_the_report,
        items_and_prompts_are_limited,
        what_the_configuration_refuses_is_refused,
        the_configuration_offers_and_withdraws_the_service,
        aliases_follow_the_profiles,
        the_name_is_not_taken_from_its_owner_and_taken_when_it_is_free,
    );
}

pub const NAME: &str = "org.freedesktop.secrets";
pub const SERVICE: &str = "/org/freedesktop/secrets";
pub const PERSONAL: &str = "/org/freedesktop/secrets/collection/personal";

pub async fn offered(session: &Session) -> session_tests::session::Daemons {
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
    session.client().await.secrets().await.lock("personal").await.unwrap();
    let text = search_file(&session).unwrap();
    assert!(!text.contains("example.org") && !text.contains("Mail"), "{text}");
    let mut watch = Watcher::start(&session, &["events", "--format", "json"]);
    watch.event().await;
    let client = session.client().await;
    let search = [("server", "example.org")].into_iter().collect::<HashMap<_, _>>();
    let interface = Some("org.freedesktop.Secret.Service");
    let found = client.connection.call_method(Some(NAME), SERVICE, interface, "SearchItems", &search).await.unwrap();
    let body = found.body();
    let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = body.deserialize().unwrap();
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
    session.client().await.secrets().await.lock("personal").await.unwrap();
    assert_eq!(search_file(&session), None);
}

async fn a_session_is_its_clients_alone(session: Session) {
    let _daemons = offered(&session).await;
    let (first, second) = (session.client().await, session.client().await);
    let interface = Some("org.freedesktop.Secret.Service");
    let plain = ("plain", Variant::from(""));
    let opened = first.connection.call_method(Some(NAME), SERVICE, interface, "OpenSession", &plain).await.unwrap();
    let body = opened.body();
    let (_, path): (OwnedVariant, OwnedObjectPath) = body.deserialize().unwrap();
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

/// A client as libsecret is one, by its calls.
/// A program that speaks the API by itself.
pub struct Application(pub session_tests::client::Client);

impl Application {
    pub async fn call<B>(&self, path: &str, interface: &str, member: &str, body: &B) -> zbus::Result<zbus::Message>
    where
        B: serde::Serialize + zbus::DynamicType + Sync,
    {
        let interface = format!("org.freedesktop.Secret.{interface}");
        self.0.connection.call_method(Some(NAME), path, Some(interface.as_str()), member, body).await
    }

    pub async fn session(&self) -> zbus::Result<OwnedObjectPath> {
        let opened = self.call(SERVICE, "Service", "OpenSession", &("plain", Variant::from(""))).await?;
        let (_, path): (OwnedVariant, OwnedObjectPath) = opened.body().deserialize()?;
        Ok(path)
    }

    /// The only item there is.
    async fn item(&self) -> OwnedObjectPath {
        let all = HashMap::<&str, &str>::new();
        let found = self.call(SERVICE, "Service", "SearchItems", &all).await.unwrap();
        let (unlocked, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = found.body().deserialize().unwrap();
        unlocked.into_iter().chain(locked).next().expect("an item")
    }

    async fn secret(&self, item: &OwnedObjectPath, session: &OwnedObjectPath) -> zbus::Result<Vec<u8>> {
        let answer = self.call(item.as_str(), "Item", "GetSecret", session).await?;
        let (_, _, value, _): (OwnedObjectPath, Vec<u8>, Vec<u8>, String) = answer.body().deserialize()?;
        Ok(value)
    }

    pub async fn create(&self, session: &OwnedObjectPath, value: Vec<u8>) -> zbus::Result<zbus::Message> {
        let properties = HashMap::from([("org.freedesktop.Secret.Item.Label", Variant::from("one"))]);
        let secret = (session, Vec::<u8>::new(), value, "text/plain");
        self.call(PERSONAL, "Collection", "CreateItem", &(properties, secret, false)).await
    }
}

async fn a_lock_is_announced_and_the_clients_session_outlives_it(session: Session) {
    let _daemons = offered(&session).await;
    let application = Application(session.client().await);
    let plain = application.session().await.unwrap();
    application.create(&plain, b"pass-1".into()).await.unwrap();
    let item = application.item().await;
    assert_eq!(application.secret(&item, &plain).await.unwrap(), b"pass-1");

    let (mut heard, connection) = (Vec::new(), &application.0.connection);
    let rule = zbus::MatchRule::builder().msg_type(zbus::message::Type::Signal).path_namespace(SERVICE).build();
    let limit = std::num::NonZero::new(64);
    let mut signals = zbus::MessageStream::for_match_rule(rule.unwrap(), connection, limit).await.unwrap();
    application.0.secrets().await.lock("personal").await.unwrap();
    while heard.len() < 3 {
        let next = session_tests::within_deadline("what a lock is announced with", signals.next()).await;
        let message = next.unwrap().unwrap();
        let header = message.header();
        heard.push(format!("{} {}", header.path().unwrap(), header.member().unwrap()));
    }
    let changed = [PERSONAL, item.as_str()].map(|path| format!("{path} PropertiesChanged"));
    assert!(changed.iter().all(|line| heard.contains(line)), "{heard:?}");
    assert!(heard.contains(&format!("{SERVICE} CollectionChanged")), "{heard:?}");

    let refused = application.secret(&item, &plain).await.unwrap_err();
    assert!(refused.to_string().contains("org.freedesktop.Secret.Error.IsLocked"), "{refused}");
    session.unlock(&["personal"]).await;
    assert_eq!(application.secret(&item, &plain).await.unwrap(), b"pass-1", "the session is the same");
}

async fn a_session_ends_with_the_daemon_and_the_items_stay(session: Session) {
    let mut daemons = offered(&session).await;
    let application = Application(session.client().await);
    let plain = application.session().await.unwrap();
    application.create(&plain, b"pass-1".into()).await.unwrap();
    let item = application.item().await;
    until_found(&session, 1).await;
    daemons.secrets.kill9().await;
    application.0.wait_until_gone(NAME).await;
    daemons.secrets = session.secrets().await;
    application.0.wait_for_owner(NAME).await;

    assert_eq!(application.item().await, item, "found though it is locked, under the path that it had");
    session.unlock(&["personal"]).await;
    let refused = application.secret(&item, &plain).await.unwrap_err();
    assert!(refused.to_string().contains("org.freedesktop.Secret.Error.NoSession"), "{refused}");
    let plain = application.session().await.unwrap();
    assert_eq!(application.secret(&item, &plain).await.unwrap(), b"pass-1");
}

fn is_limited<T: std::fmt::Debug>(refused: zbus::Result<T>) {
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("org.freedesktop.DBus.Error.LimitsExceeded"), "{refused}");
}

async fn sessions_and_secrets_are_limited(session: Session) {
    let _daemons = offered(&session).await;
    let mut paths = std::collections::BTreeSet::new();
    let mut all = Vec::new();
    for _ in 0..4 {
        let greedy = Application(session.client().await);
        for _ in 0..250 {
            paths.insert(greedy.session().await.unwrap().to_string());
        }
        is_limited(greedy.session().await);
        all.push(greedy);
    }
    assert_eq!(paths.len(), 1000, "no path comes twice");
    let other = Application(session.client().await);
    is_limited(other.session().await);
    let greedy = &all[0];
    let first = paths.first().unwrap().clone();
    greedy.call(&first, "Session", "Close", &()).await.unwrap();
    let plain = other.session().await.unwrap();
    assert!(!paths.contains(plain.as_str()), "a path is never used again");

    other.create(&plain, vec![b'x'; 1024 * 1024]).await.unwrap();
    is_limited(other.create(&plain, vec![b'x'; 1024 * 1024 + 1]).await);
    let item = other.item().await;
    assert_eq!(other.secret(&item, &plain).await.unwrap().len(), 1024 * 1024);
}

async fn the_name_is_not_taken_from_its_owner_and_taken_when_it_is_free(session: Session) {
    let owner = session.client().await;
    owner.connection.request_name(NAME).await.unwrap();
    session.home.write("config/open-sesame/config.toml", "work_factor = 15\nsecret_service = true\n");
    let _daemons = session.daemons().await;
    let client = session.client().await;
    let own = owner.connection.unique_name().unwrap().to_string();
    let doctor = session.sesame(&["doctor"]).await;
    assert!(doctor.stdout.contains("all the same, which owns the name"), "{}", doctor.stdout);
    assert_eq!(client.owner(NAME).await, Some(own));
    owner.connection.release_name(NAME).await.unwrap();
    client.wait_for_owner(NAME).await;
    let doctor = session.sesame(&["doctor"]).await;
    assert!(!doctor.stdout.contains("secret_service = true"), "{}", doctor.stdout);
}

/// Waits until the hub says that so many sessions are open.
async fn counted(session: &Session, sessions: u32) {
    let client = session.client().await;
    let what = format!("{sessions} sessions in the report");
    until(&what, async || {
        let now = client.report().await.daemons["daemon-secrets"].sessions;
        if now == Some(sessions) { Ok(()) } else { Err(now) }
    })
    .await;
}

async fn sessions_are_counted_in_the_report(session: Session) {
    let mut daemons = offered(&session).await;
    counted(&session, 0).await;
    let (stays, leaves) = (Application(session.client().await), Application(session.client().await));
    let closed = stays.session().await.unwrap();
    stays.session().await.unwrap();
    leaves.session().await.unwrap();
    counted(&session, 3).await;
    stays.call(closed.as_str(), "Session", "Close", &()).await.unwrap();
    counted(&session, 2).await;
    drop(leaves);
    counted(&session, 1).await;
    let json = session.sesame(&["status", "--format", "json"]).await.stdout_of_success();
    let status: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status["daemons"]["daemon-secrets"]["sessions"], 1, "{json}");
    // A hub that comes later asks.
    daemons.profile.kill9().await;
    session.client().await.wait_until_gone("org.opensesame.Profile").await;
    daemons.profile = session.profile().await;
    counted(&session, 1).await;
}

async fn items_and_prompts_are_limited(session: Session) {
    let _daemons = offered(&session).await;
    let key = session_tests::stock_age::key(&session, "personal", session_tests::PASSPHRASE).await;
    session.client().await.secrets().await.lock("personal").await.unwrap();
    let items = (0..10_000).map(|n| {
        format!(r#"{{"name":"{n}","label":"{n}","attributes":{{"n":"{n}","all":"1"}},"origin":"test","value":"v{n}"}}"#)
    });
    let items: Vec<String> = items.collect();
    let json = format!(r#"{{"format":1,"profile":"personal","items":[{}]}}"#, items.join(","));
    session_tests::stock_age::fill(&session, "personal", &key, &json).await;
    session.unlock(&["personal"]).await;
    let application = Application(session.client().await);
    let plain = application.session().await.unwrap();
    for (attribute, value, found) in [("n", "9999", 1), ("all", "1", 10_000)] {
        let wanted = HashMap::from([(attribute, value)]);
        let answer = application.call(SERVICE, "Service", "SearchItems", &wanted).await.unwrap();
        let (open, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = answer.body().deserialize().unwrap();
        assert_eq!((open.len(), locked.len()), (found, 0), "{attribute}");
    }
    is_limited(application.create(&plain, b"one more".into()).await);
    let looked_up = session.run(&["secret-tool", "lookup", "n", "4711"]).await.stdout_of_success();
    assert_eq!(looked_up, "v4711");

    let collection = async || {
        let label = HashMap::from([("org.freedesktop.Secret.Collection.Label", Variant::from("new"))]);
        application.call(SERVICE, "Service", "CreateCollection", &(label, "")).await
    };
    let mut prompts = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let (_, prompt): (OwnedObjectPath, OwnedObjectPath) = collection().await.unwrap().body().deserialize().unwrap();
        prompts.insert(prompt.to_string());
    }
    assert_eq!(prompts.len(), 100, "no path comes twice");
    is_limited(collection().await);
    application.call(prompts.first().unwrap(), "Prompt", "Dismiss", &()).await.unwrap();
    collection().await.unwrap();
}

async fn what_the_configuration_refuses_is_refused(session: Session) {
    let config = "work_factor = 15\nsecret_service = true\nplain_sessions = false\n\
                  [profiles.personal]\nlocked_search = false\n";
    session.home.write("config/open-sesame/config.toml", config);
    let _daemons = session.daemons().await;
    let application = Application(session.client().await);
    application.0.wait_for_owner(NAME).await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal", "work"]).await;
    let refused = application.session().await.unwrap_err().to_string();
    assert!(refused.contains("org.freedesktop.DBus.Error.NotSupported"), "{refused}");
    let store = ["secret-tool", "store", "--label=Mail", "server", "example.org"];
    session.run_fed(&store, b"pass-1").await.stdout_of_success();
    let lookup = ["secret-tool", "lookup", "server", "example.org"];
    assert_eq!(session.run(&lookup).await.stdout_of_success(), "pass-1");
    for profile in ["personal", "work"] {
        session.vault().await.set_secret(profile, "a", b"x").await.unwrap();
    }
    let secrets = application.0.secrets().await;
    secrets.lock_all().await.unwrap();
    for (profile, searched) in [("personal", false), ("work", true)] {
        assert_eq!(session.home.vaults().join(profile).join("attributes.json").exists(), searched, "{profile}");
    }
    let found = application.call(SERVICE, "Service", "SearchItems", &HashMap::from([("name", "a")])).await.unwrap();
    let (open, locked): (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) = found.body().deserialize().unwrap();
    let locked: Vec<_> = locked.iter().map(|path| path.as_str().split('/').nth_back(1).unwrap()).collect();
    assert_eq!((open.len(), locked), (0, vec!["work"]));
}

async fn the_configuration_offers_and_withdraws_the_service(session: Session) {
    let daemons = offered(&session).await;
    let application = Application(session.client().await);
    application.session().await.unwrap();
    counted(&session, 1).await;
    let configure = |offered: bool| {
        session.home.write("config/open-sesame/config.toml", format!("work_factor = 15\nsecret_service = {offered}\n"));
        daemons.secrets.signal(rustix::process::Signal::HUP);
    };
    configure(false);
    application.0.wait_until_gone(NAME).await;
    counted(&session, 0).await;
    assert_eq!(session.client().await.report().await.health, "ok");
    configure(true);
    application.0.wait_for_owner(NAME).await;
    application.session().await.unwrap();
    counted(&session, 1).await;
}

async fn aliases_follow_the_profiles(session: Session) {
    let _daemons = offered(&session).await;
    session.create(&["work"]).await;
    session.unlock(&["work"]).await;
    let application = Application(session.client().await);
    let alias = async |name: &str| -> String {
        let read = application.call(SERVICE, "Service", "ReadAlias", &name).await.unwrap();
        read.body().deserialize::<OwnedObjectPath>().unwrap().to_string()
    };
    assert_eq!(alias("default").await, PERSONAL);
    assert_eq!(alias("nobody").await, "/");
    let refused = application.call(PERSONAL, "Collection", "Delete", &()).await.unwrap_err().to_string();
    assert!(refused.contains("is the default profile"), "{refused}");
    session.sesame(&["profile", "default", "work"]).await.stdout_of_success();
    application.call(PERSONAL, "Collection", "Delete", &()).await.expect("a prompt");
    assert_eq!(alias("default").await, "/org/freedesktop/secrets/collection/work");
    session.run_fed(&["secret-tool", "store", "--label=Mail", "server", "b"], b"pass-2").await.stdout_of_success();
    assert_eq!(session.vault().await.list_items("work").await.unwrap().len(), 1, "stored in the default profile");
    assert_eq!(session.vault().await.list_items("personal").await.unwrap().len(), 0);

    // The collection that is in memory only: found like the others, and in no vault.
    let store = ["secret-tool", "store", "--collection=session", "--label=Passing", "server", "c"];
    session.run_fed(&store, b"pass-3").await.stdout_of_success();
    assert_eq!(alias("session").await, "/org/freedesktop/secrets/collection/_session");
    assert_eq!(session.run(&["secret-tool", "lookup", "server", "c"]).await.stdout_of_success(), "pass-3");
    assert_eq!(session.vault().await.list_items("work").await.unwrap().len(), 1);
}
