//! Who read what: told to whoever listens, and to no journal.

use session_tests::{
    recorder::{Recorder, line},
    scenarios,
    session::Session,
    suite::Suite,
};

use crate::{
    prompts::call,
    secret_service::{SERVICE, offered},
    watched::switches,
};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        a_read_tells_who_read_what,
        what_was_not_read_is_not_told,
        reads_are_told_before_the_lock_that_followed_them,
        an_application_that_reads_is_told_too,
        the_hub_sleeps_while_secrets_are_read,
    );
}

/// The first `count` reads as lines of words: profile, name, pid, unit.
async fn reads(recorder: &mut Recorder, count: usize) -> Vec<String> {
    let all = |heard: &[zbus::Message]| -> Vec<String> {
        heard.iter().filter_map(line).filter(|line| line.starts_with("SecretRead ")).collect()
    };
    all(&recorder.until("the reads to be told", |heard| all(heard).len() >= count).await)
}

async fn a_read_tells_who_read_what(session: Session) {
    let daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    session.sesame_fed(&["secret", "set", "db-url"], b"a value").await.stdout_of_success();
    let mut recorder = session.recorder().await;
    // The shell replaces itself: its number is the reader's.
    let script = format!("echo $$; exec {} secret get db-url", session_tests::program("sesame").display());
    let said = session.run(&["sh", "-c", &script]).await.stdout_of_success();
    let (pid, value) = said.split_once('\n').unwrap();
    assert_eq!(value, "a value");
    let unit = own_unit();
    assert_eq!(reads(&mut recorder, 1).await, [format!("SecretRead personal db-url {pid} {unit}")]);
    // Each read is told, over one connection too.
    let vault = session.vault().await;
    for _ in 0..2 {
        vault.get_secret("personal", "db-url").await.unwrap();
    }
    let own = format!("SecretRead personal db-url {} {unit}", std::process::id());
    assert_eq!(reads(&mut recorder, 3).await[1..], [own.clone(), own]);
    // As an item, too: by the name that it has.
    let items = vault.list_items("personal").await.unwrap();
    vault.get_item("personal", &items[0].id).await.unwrap();
    assert_eq!(reads(&mut recorder, 4).await[3], format!("SecretRead personal db-url {} {unit}", std::process::id()));
    for daemon in [&daemons.secrets, &daemons.profile] {
        assert!(!daemon.log().contains("db-url"), "who reads what is nobody's business: {}", daemon.log());
    }
}

async fn what_was_not_read_is_not_told(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    let mut recorder = session.recorder().await;
    let vault = session.vault().await;
    assert!(vault.get_secret("personal", "db-url").await.is_err(), "locked");
    session.unlock(&["personal"]).await;
    assert!(vault.get_secret("personal", "db-url").await.is_err(), "not there");
    vault.set_secret("personal", "db-url", b"a value").await.unwrap();
    vault.list_secrets("personal").await.unwrap();
    // A change that is announced after everything before it.
    session.sesame(&["lock"]).await.stdout_of_success();
    let signals = recorder.signals("Secrets").await;
    assert!(signals.iter().any(|line| line == "VaultChanged personal true false user"), "{signals:?}");
    assert!(!signals.iter().any(|line| line.starts_with("SecretRead")), "{signals:?}");
}

async fn reads_are_told_before_the_lock_that_followed_them(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let (vault, mut recorder) = (session.vault().await, session.recorder().await);
    let names: Vec<String> = (0..30).map(|number| format!("s{number}")).collect();
    for name in &names {
        vault.set_secret("personal", name, b"a value").await.unwrap();
    }
    for name in &names {
        vault.get_secret("personal", name).await.unwrap();
    }
    session.client().await.secrets().await.lock("personal").await.unwrap();
    let heard = recorder.signals("Secrets").await;
    let told = heard.iter().position(|line| line == "VaultChanged personal true false user").unwrap();
    let read = heard[..told].iter().filter_map(|line| line.strip_prefix("SecretRead personal ")?.split(' ').next());
    assert_eq!(read.collect::<Vec<_>>(), names, "{heard:?}");
}

/// The unit of this test, whose children are in it too.
fn own_unit() -> String {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let path = groups.lines().find(|line| line.starts_with("0::")).unwrap_or_default();
    let unit = path.rsplit('/').find(|part| part.ends_with(".service") || part.ends_with(".scope"));
    unit.unwrap_or_default().to_owned()
}

async fn an_application_that_reads_is_told_too(session: Session) {
    let _daemons = offered(&session).await;
    session.sesame_fed(&["secret", "set", "db-url"], b"a value").await.stdout_of_success();
    let mut recorder = session.recorder().await;
    let client = session.client().await;
    let service = "org.freedesktop.Secret.Service";
    let open = ("plain", zbus::Variant::from(""));
    let (_, plain): (zbus::OwnedVariant, zbus::OwnedObjectPath) =
        call(&client, SERVICE, service, "OpenSession", &open).await;
    let wanted = std::collections::HashMap::from([("name", "db-url")]);
    let (items, _): (Vec<zbus::OwnedObjectPath>, Vec<zbus::OwnedObjectPath>) =
        call(&client, SERVICE, service, "SearchItems", &wanted).await;
    type Secret = (zbus::OwnedObjectPath, Vec<u8>, Vec<u8>, String);
    let item = "org.freedesktop.Secret.Item";
    let (_, _, value, _): Secret = call(&client, items[0].as_str(), item, "GetSecret", &plain).await;
    assert_eq!(value, b"a value");
    let told = format!("SecretRead personal db-url {} {}", std::process::id(), own_unit());
    assert_eq!(reads(&mut recorder, 1).await, [told]);
}

async fn the_hub_sleeps_while_secrets_are_read(session: Session) {
    let daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let (vault, mut recorder) = (session.vault().await, session.recorder().await);
    vault.set_secret("personal", "db-url", b"a value").await.unwrap();
    let before = switches(daemons.profile.pid());
    for _ in 0..100 {
        vault.get_secret("personal", "db-url").await.unwrap();
    }
    reads(&mut recorder, 100).await;
    let woken = switches(daemons.profile.pid()) - before;
    // A tick may fall in.
    assert!(woken < 20, "woken {woken} times by 100 reads");
}
