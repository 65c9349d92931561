//! What a monitor of the bus hears while secrets are used in every way there is: none of them, but over a plain session
//! of the Secret Service (docs/secret-service.md).

use std::collections::HashMap;

use session_tests::{
    bus::Kind,
    memory::{Needle, found},
    monitor::Monitor,
    needs::Need,
    scenarios,
    session::Session,
    suite::Suite,
};
use zbus::{OwnedObjectPath, OwnedVariant, Variant};

use crate::{
    prompts::call,
    secrecy::Marked,
    secret_service::{NAME, SERVICE},
};

const NEEDS: [Need; 5] = [
    Need::Program("age"),
    Need::Program("age-keygen"),
    Need::Program("script"),
    Need::Program("secret-tool"),
    Need::Root,
];

/// Session, parameters, value, content type (Secret Service API, "Secret").
type Secret = (OwnedObjectPath, Vec<u8>, Vec<u8>, String);

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&NEEDS);
        a_monitor_hears_no_secret_but_over_a_plain_session,
    );
}

async fn a_monitor_hears_no_secret_but_over_a_plain_session(session: Session) {
    let passphrase = session.home.path().join("old");
    let config =
        format!("work_factor = 15\nsecret_service = true\naskpass = [\"cat\", \"{}\"]\n", passphrase.display());
    session.home.write("config/open-sesame/config.toml", config);
    session.install_activation_files();
    let _daemons = session.daemons().await;
    let client = session.client().await;
    client.wait_for_owner(NAME).await;
    let mut monitor = Monitor::start(session.bus.address()).await;
    let mut used = Marked::create(&session, "personal", 20).await;
    session.home.write("old", &used.passphrase);
    let (old, text) = (passphrase.to_str().unwrap(), used.value(3));

    for (words, stdin) in [
        (&["unlock", "--passphrase-file", old][..], ""),
        (&["secret", "get", "s1"], ""),
        (&["secret", "set", "s2"], text.as_str()),
        (&["secret", "list", "--all"], ""),
        (&["run", "--", "true"], ""),
        (&["secret", "rm", "s4"], ""),
        (&["lock"], ""),
    ] {
        let ended = session.sesame_fed(words, stdin.as_bytes()).await;
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}");
    }
    // Where the bus starts the prompter, that has it unlocked; secret-tool reads over a session that is encrypted.
    if session.kind == Kind::DbusBroker {
        session.sesame(&["unlock", "--passphrase-file", old]).await.stdout_of_success();
    }
    let looked_up = session.run(&["secret-tool", "lookup", "name", "s1"]).await.stdout_of_success();
    assert_eq!(looked_up, used.value(1));
    let store = format!("printf {text} | secret-tool store --label=L server example.org");
    session.run(&["sh", "-c", &store]).await.stdout_of_success();
    let found_again = session.run(&["secret-tool", "lookup", "server", "example.org"]).await.stdout_of_success();
    assert_eq!(found_again, text);
    let vault = session.vault().await;
    used.rekey(&session, &vault).await;

    let heard = monitor.all(&client).await.concat();
    assert_eq!(found(&heard, &[Needle::new("a signal", b"VaultChanged")]).len(), 1, "it hears");
    let told = found(&heard, used.all());
    assert!(told.is_empty(), "{told:#?}");

    // The control: the one way by which a secret is heard.
    let open = ("plain", Variant::from(""));
    let opened: (OwnedVariant, OwnedObjectPath) =
        call(&client, SERVICE, "org.freedesktop.Secret.Service", "OpenSession", &open).await;
    let wanted = HashMap::from([("server", "example.org")]);
    let items: (Vec<OwnedObjectPath>, Vec<OwnedObjectPath>) =
        call(&client, SERVICE, "org.freedesktop.Secret.Service", "SearchItems", &wanted).await;
    let secrets = (&items.0, &opened.1);
    let _: HashMap<OwnedObjectPath, Secret> =
        call(&client, SERVICE, "org.freedesktop.Secret.Service", "GetSecrets", &secrets).await;
    let heard = monitor.all(&client).await.concat();
    assert!(!found(&heard, &used.values).is_empty(), "a plain session is heard");
    drop(monitor);
    session.end().await;
}
