//! `sesame import`: what real other keyrings keep comes over whole, once, and is found afterwards by the programs that
//! kept it there.

use std::{collections::HashMap, fs};

use rustix::process::Signal;
use session_tests::{client::Client, needs::Need, scenarios, session::Session, suite::Suite};
use zbus::{OwnedObjectPath, OwnedVariant, Variant};

use crate::{
    keyrings::gnome_keyring,
    prompts::call,
    secret_service::{NAME, SERVICE, offered},
};

pub fn add(suite: &mut Suite) {
    const GNOME: [Need; 2] = [Need::Program("secret-tool"), Need::Program("gnome-keyring-daemon")];
    scenarios!(suite.on_each_bus(&GNOME);
        everything_of_gnome_keyring_is_moved_in,
    );
    scenarios!(suite.on_dbus_daemon(&GNOME);
        a_locked_collection_is_named_and_left_out,
        what_changed_there_is_a_conflict,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("secret-tool"), Need::Program("oo7-daemon")]);
        everything_of_oo7_daemon_is_moved_in,
    );
    scenarios!(suite.on_dbus_daemon(&[]);
        its_own_service_is_not_imported,
        without_another_keyring_it_says_what_to_start,
    );
}

const LOGIN: &str = "/org/freedesktop/secrets/collection/login";
const BINARY: &[u8] = &[0, 0xff, 0xfe, b'\n', 0x80];

/// The other keyring as any client uses it: over a plain session, on a bus of the test's own.
struct Other {
    client: Client,
    plain: OwnedObjectPath,
}

impl Other {
    async fn connect(session: &Session) -> Self {
        let client = session.client().await;
        let open = ("plain", Variant::from(""));
        let (_, plain): (OwnedVariant, OwnedObjectPath) =
            call(&client, SERVICE, "org.freedesktop.Secret.Service", "OpenSession", &open).await;
        Self { client, plain }
    }

    async fn create(&self, collection: &str, label: &str, server: &str, value: &[u8]) {
        let properties = HashMap::from([
            ("org.freedesktop.Secret.Item.Label", Variant::from(label)),
            ("org.freedesktop.Secret.Item.Attributes", Variant::from(HashMap::from([("server", server)]))),
        ]);
        let secret = (&self.plain, Vec::<u8>::new(), value, "application/octet-stream");
        let (item, _): (OwnedObjectPath, OwnedObjectPath) = call(
            &self.client,
            collection,
            "org.freedesktop.Secret.Collection",
            "CreateItem",
            &(properties, secret, true),
        )
        .await;
        assert_ne!(item.as_str(), "/", "nobody is to be asked");
    }

    /// A collection of gnome-keyring with a passphrase of its own, which nobody is asked for.
    async fn collection(&self, label: &str) -> OwnedObjectPath {
        let properties = HashMap::from([("org.freedesktop.Secret.Collection.Label", Variant::from(label))]);
        let secret = (&self.plain, Vec::<u8>::new(), b"its own".as_slice(), "text/plain");
        let interface = "org.gnome.keyring.InternalUnsupportedGuiltRiddenInterface";
        call(&self.client, SERVICE, interface, "CreateWithMasterPassword", &(properties, secret)).await
    }

    async fn lock(&self, collection: &OwnedObjectPath) {
        let _: (Vec<OwnedObjectPath>, OwnedObjectPath) =
            call(&self.client, SERVICE, "org.freedesktop.Secret.Service", "Lock", &vec![collection]).await;
    }
}

/// Both daemons with an open vault, which do not offer the service: another keyring does.
async fn beside(session: &Session) -> session_tests::session::Daemons {
    let daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    daemons
}

async fn store(session: &Session, label: &str, server: &str, value: &str) {
    let words = ["secret-tool", "store", "--label", label, "server", server];
    session.run_fed(&words, value.as_bytes()).await.stdout_of_success();
}

/// The last line but the advice.
fn counts(text: &str) -> &str {
    text.lines().find(|line| line.contains(" new, ")).unwrap_or(text)
}

async fn import(session: &Session, words: &[&str]) -> String {
    session.sesame(&[&["import"], words].concat()).await.stdout_of_success()
}

async fn stored(session: &Session) -> usize {
    session.vault().await.list_items("personal").await.unwrap().len()
}

async fn everything_of_gnome_keyring_is_moved_in(session: Session) {
    let keyring = gnome_keyring(&session).await;
    let daemons = beside(&session).await;
    let other = Other::connect(&session).await;
    store(&session, "Mail ü", "mail.example.org", "päss 1").await;
    store(&session, "Wiki", "wiki.example.org", "pass-2").await;
    other.create(LOGIN, "Key", "key.example.org", BINARY).await;
    let second = other.collection("Second").await;
    other.create(second.as_str(), "Other", "other.example.org", b"pass-3").await;

    let planned = import(&session, &[]).await;
    assert!(planned.contains("Mail ü") && planned.contains("Second: Other"), "{planned}");
    assert_eq!(counts(&planned), "4 new, 0 conflict, 0 skipped, 0 present, 0 failed", "{planned}");
    assert_eq!(stored(&session).await, 0, "it only shows: {planned}");
    assert_eq!(counts(&import(&session, &["--yes"]).await), counts(&planned));
    assert_eq!(stored(&session).await, 4);
    let again = import(&session, &["--yes"]).await;
    assert_eq!(counts(&again), "0 new, 0 conflict, 0 skipped, 4 present, 0 failed", "{again}");
    assert_eq!(stored(&session).await, 4, "it may be run again");

    // The programs that kept them there find them here.
    keyring.signal(Signal::TERM);
    session.client().await.wait_until_gone(NAME).await;
    session.home.write("config/open-sesame/config.toml", "work_factor = 15\nsecret_service = true\n");
    daemons.secrets.signal(Signal::HUP);
    session.client().await.wait_for_owner(NAME).await;
    for (server, value) in
        [("mail.example.org", "päss 1"), ("wiki.example.org", "pass-2"), ("other.example.org", "pass-3")]
    {
        let words = ["secret-tool", "lookup", "server", server];
        assert_eq!(session.run(&words).await.stdout_of_success(), value, "{server}");
    }
    let vault = session.vault().await;
    let items = vault.list_items("personal").await.unwrap();
    let key = items.iter().find(|item| item.label == "Key").unwrap();
    assert_eq!(vault.get_item("personal", &key.id).await.unwrap().1, BINARY);
}

async fn a_locked_collection_is_named_and_left_out(session: Session) {
    let _keyring = gnome_keyring(&session).await;
    let _daemons = beside(&session).await;
    let other = Other::connect(&session).await;
    store(&session, "Mail", "mail.example.org", "pass-1").await;
    let second = other.collection("Second").await;
    other.create(second.as_str(), "Other", "other.example.org", b"pass-2").await;
    other.lock(&second).await;
    let ended = session.sesame(&["import", "--yes"]).await;
    assert_eq!(ended.code, 6, "{ended:?}");
    assert!(ended.stdout.contains("locked    Second") && ended.stderr.contains("Second"), "{ended:?}");
    assert_eq!(stored(&session).await, 1, "the others are stored");

    session.client().await.secrets().await.lock("personal").await.unwrap();
    let ended = session.sesame(&["import"]).await;
    assert_eq!(ended.code, 6, "into a locked vault: {ended:?}");
}

async fn what_changed_there_is_a_conflict(session: Session) {
    let _keyring = gnome_keyring(&session).await;
    let _daemons = beside(&session).await;
    store(&session, "Mail", "mail.example.org", "pass-1").await;
    import(&session, &["--yes"]).await;
    store(&session, "Mail", "mail.example.org", "pass-2").await;
    let skipped = import(&session, &["--yes", "--skip-conflicts"]).await;
    assert_eq!(counts(&skipped), "0 new, 0 conflict, 1 skipped, 0 present, 0 failed", "{skipped}");
    assert_eq!(stored(&session).await, 1);
    let both = import(&session, &["--yes"]).await;
    assert_eq!(counts(&both), "0 new, 1 conflict, 0 skipped, 0 present, 0 failed", "{both}");
    assert_eq!(stored(&session).await, 2, "nothing is lost, neither here nor there");
    let json: serde_json::Value = serde_json::from_str(&import(&session, &["--format", "json"]).await).unwrap();
    assert_eq!(
        (&json["provider"], &json["items"][0]["action"]),
        (&"gnome-keyring-d".into(), &"present".into()),
        "{json}"
    );
}

async fn everything_of_oo7_daemon_is_moved_in(session: Session) {
    let passphrase = fs::File::open(session.home.passphrase_file()).unwrap();
    let _oo7 = session.recipe("oo7", ["oo7-daemon", "--login"]).stdin(passphrase).start();
    session.client().await.wait_for_owner(NAME).await;
    let _daemons = beside(&session).await;
    // It takes its name before it has its collections.
    session_tests::user_session::until("oo7-daemon's collection", async || {
        let words = ["secret-tool", "store", "--label", "Mail", "server", "mail.example.org"];
        let ended = session.run_fed(&words, b"pass-1").await;
        if ended.code == 0 { Ok(()) } else { Err(ended) }
    })
    .await;
    let done = import(&session, &["--yes"]).await;
    assert!(done.starts_with("From oo7-daemon into personal:"), "{done}");
    assert_eq!(counts(&done), "1 new, 0 conflict, 0 skipped, 0 present, 0 failed", "{done}");
    let again = import(&session, &["--yes"]).await;
    assert_eq!(counts(&again), "0 new, 0 conflict, 0 skipped, 1 present, 0 failed", "{again}");
}

async fn its_own_service_is_not_imported(session: Session) {
    let _daemons = offered(&session).await;
    let ended = session.sesame(&["import", "--yes"]).await;
    assert!(ended.code != 0 && ended.stderr.contains("daemon-secrets itself is the Secret Service"), "{ended:?}");
}

async fn without_another_keyring_it_says_what_to_start(session: Session) {
    let _daemons = beside(&session).await;
    let ended = session.sesame(&["import"]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    assert!(ended.stderr.contains("gnome-keyring-daemon --start"), "{ended:?}");
}
