//! Vaults that lock by themselves: before sleep, with the screen, and when nobody uses them. logind is python-dbusmock's,
//! on a system bus of the test's own.

use std::{
    fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use dbus_interfaces::{Error, daemon::DaemonProxy, secrets};
use rustix::process::Signal;
use session_tests::{
    PASSPHRASE,
    client::Client,
    logind::{Logind, OTHERS_SESSION, SESSION, SystemBus},
    memory::{Core, Needle},
    needs::Need,
    process::Process,
    program,
    random::token,
    recorder::{self, Recorder},
    scenarios,
    session::Session,
    suite::Suite,
    user_session::until,
};
use tokio::time::sleep;

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&[Need::Root, Need::Program("gdb"), Need::Dbusmock]);
        the_keys_are_gone_before_the_machine_may_sleep,
        an_unlock_in_progress_loses_to_sleep,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Dbusmock]);
        a_locked_screen_locks_its_vaults,
        a_screen_that_was_locked_while_logind_was_away_locks,
        while_nobody_is_there_reading_keeps_no_vault_open,
        logind_goes_and_comes_back,
        on_the_system_bus_strangers_are_not_believed,
        the_configuration_is_followed,
    );
    scenarios!(suite.on_each_bus(&[]);
        an_unused_vault_is_locked_and_status_is_no_use,
        a_screen_saver_that_logind_does_not_hear_of_locks_too,
    );
    scenarios!(suite.on_dbus_daemon(&[]);
        a_missing_system_bus_is_said_once_and_looked_for_again,
    );
}

/// daemon-secrets alone, with this configuration. Without a tick while the test lasts: what is missing would be looked
/// for at it, and an event that was not followed would not show.
async fn secrets(session: &Session, config: &str) -> Process {
    session.home.write("config/open-sesame/config.toml", format!("work_factor = 15\n{config}"));
    let recipe = session.recipe("daemon-secrets", [program("daemon-secrets")]).with("WATCHDOG_USEC", "3600000000");
    let process = recipe.start();
    session.client().await.wait_for_owner(secrets::NAME).await;
    process
}

/// Why, and since when, the vault is what it is.
async fn vault(client: &Client, profile: &str) -> (bool, String, u64) {
    let (vaults, _) = client.secrets().await.state().await.unwrap();
    let vault = &vaults[profile];
    (vault.locked, vault.reason.clone(), vault.since_usec)
}

/// The next `VaultChanged` of daemon-secrets after what was heard before.
async fn next_change(recorder: &mut Recorder, seen: usize) -> String {
    let is_change = |line: &String| line.starts_with("VaultChanged");
    let changes = |heard: &[zbus::Message]| {
        let lines = heard.iter().skip(seen).filter_map(recorder::line);
        lines.filter(is_change).collect::<Vec<_>>()
    };
    let heard = recorder.until("a VaultChanged", |heard| !changes(heard).is_empty()).await;
    changes(&heard).remove(0)
}

/// Creates and unlocks a vault that holds one secret; the secret.
async fn with_secret(session: &Session, profile: &str) -> String {
    session.create(&[profile]).await;
    session.unlock(&[profile]).await;
    let secret = token();
    session.vault().await.set_secret(profile, "db-url", secret.as_bytes()).await.unwrap();
    secret
}

async fn the_keys_are_gone_before_the_machine_may_sleep(session: Session) {
    let mut system = SystemBus::start(&session.home).await;
    let logind = Logind::start(&session.home, &system).await;
    let secrets = secrets(&session, "lock_on = [\"sleep\"]\n[profiles.open]\nlock_on = []\n").await;
    system.until_inhibitors(1, 0).await;
    let client = session.client().await;
    let daemon = DaemonProxy::builder(&client.connection).destination(secrets::NAME).build().await.unwrap();
    if Need::FullSandbox.missing().is_none() {
        assert_eq!(daemon.sandbox().await.unwrap(), "full");
    }
    let (secret, open) = (with_secret(&session, "personal").await, with_secret(&session, "open").await);
    let core = Core::of(&session.home, secrets.pid()).await;
    let (gone, kept) = (Needle::new("the secret", secret.as_bytes()), Needle::new("the other", open.as_bytes()));
    assert!(!core.holds([&gone]).is_empty(), "the control: an open vault is in memory");
    let mut recorder = session.recorder().await;

    logind.sleep(true).await;
    system.until_inhibitors(1, 1).await;
    secrets.signal(Signal::STOP);
    let core = Core::of(&session.home, secrets.pid()).await;
    secrets.signal(Signal::CONT);
    assert_eq!(core.holds([&gone]), Vec::<String>::new(), "when the machine may sleep the key is gone");
    assert!(!core.holds([&kept]).is_empty(), "what is not to be locked is not");
    assert_eq!(next_change(&mut recorder, 0).await, "VaultChanged personal true false sleep");
    assert_eq!(vault(&client, "open").await.1, "user");

    // No key comes back before it sleeps.
    let private = session.vault().await;
    let refused = private.unlock("personal", PASSPHRASE.as_bytes()).await;
    assert!(matches!(&refused, Err(Error::Locked(why)) if why.contains("sleep")), "{refused:?}");
    private.unlock("open", PASSPHRASE.as_bytes()).await.unwrap();

    logind.sleep(false).await;
    system.until_inhibitors(2, 1).await;
    session.unlock(&["personal"]).await;
    assert_eq!(private.get_secret("personal", "db-url").await.unwrap(), secret.as_bytes());
    // And a second time.
    logind.sleep(true).await;
    system.until_inhibitors(2, 2).await;
    assert_eq!(vault(&client, "personal").await.1, "sleep");
}

async fn an_unlock_in_progress_loses_to_sleep(session: Session) {
    let mut system = SystemBus::start(&session.home).await;
    let logind = Logind::start(&session.home, &system).await;
    // The slowest: a second or so of work.
    session.home.write("config/open-sesame/config.toml", "work_factor = 18\nlock_on = [\"sleep\"]\n");
    let secrets = session.secrets().await;
    system.until_inhibitors(1, 0).await;
    let passphrase = token();
    session.vault().await.create("personal", passphrase.as_bytes()).await.unwrap();
    let tasks = format!("/proc/{}/task", secrets.pid().as_raw_pid());
    let threads = || fs::read_dir(&tasks).unwrap().count();
    until("the worker that created the vault to end", async || if threads() == 1 { Ok(()) } else { Err(threads()) })
        .await;

    let private = session.vault().await;
    let unlock = tokio::spawn({
        let passphrase = passphrase.clone();
        async move { private.unlock("personal", passphrase.as_bytes()).await }
    });
    until("a worker", async || if threads() > 1 { Ok(()) } else { Err(threads()) }).await;
    logind.sleep(true).await;
    system.until_inhibitors(1, 1).await;
    secrets.signal(Signal::STOP);
    let core = Core::of(&session.home, secrets.pid()).await;
    secrets.signal(Signal::CONT);
    assert_eq!(core.holds([&Needle::new("the passphrase", passphrase.as_bytes())]), Vec::<String>::new());
    let lost = unlock.await.unwrap();
    assert!(matches!(lost, Err(Error::Locked(_))), "{lost:?}");
    assert!(vault(&session.client().await, "personal").await.0);
}

async fn a_locked_screen_locks_its_vaults(session: Session) {
    let system = SystemBus::start(&session.home).await;
    let logind = Logind::start(&session.home, &system).await;
    let _secrets = secrets(&session, "lock_on = [\"screen\"]\n[profiles.open]\nlock_on = [\"sleep\"]\n").await;
    let client = session.client().await;
    session.create(&["personal", "open"]).await;
    session.unlock(&["personal", "open"]).await;
    let mut recorder = session.recorder().await;
    // Another user's screen is not ours; what comes after it shows that it was passed over.
    logind.lock(OTHERS_SESSION).await;
    logind.set_locked_hint(OTHERS_SESSION, true).await;
    logind.sleep(true).await;
    assert_eq!(next_change(&mut recorder, 0).await, "VaultChanged open true false sleep");
    assert!(!vault(&client, "personal").await.0);
    logind.sleep(false).await;

    for told in ["Lock", "LockedHint"] {
        session.unlock(&["personal"]).await;
        let seen = recorder.position().await;
        match told {
            "Lock" => logind.lock(SESSION).await,
            _ => logind.set_locked_hint(SESSION, true).await,
        }
        assert_eq!(next_change(&mut recorder, seen).await, "VaultChanged personal true false screen", "{told}");
    }
    assert_eq!(vault(&client, "personal").await.1, "screen");
}

async fn a_screen_that_was_locked_while_logind_was_away_locks(session: Session) {
    let system = SystemBus::start(&session.home).await;
    let mut logind = Logind::start(&session.home, &system).await;
    let _secrets = secrets(&session, "lock_on = [\"screen\"]\n").await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let mut recorder = session.recorder().await;
    logind.process.kill9().await;
    let _back = Logind::start_locked(&session.home, &system).await;
    assert_eq!(next_change(&mut recorder, 0).await, "VaultChanged personal true false screen");
}

async fn a_screen_saver_that_logind_does_not_hear_of_locks_too(session: Session) {
    const SAVER: &str = "org.freedesktop.ScreenSaver";
    const OBJECT: &str = "/org/freedesktop/ScreenSaver";
    let _secrets = secrets(&session, "lock_on = [\"screen\"]\n").await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let (saver, stranger) = (session.client().await, session.client().await);
    saver.connection.request_name(SAVER).await.unwrap();
    let daemon = saver.owner(secrets::NAME).await.unwrap();
    let mut recorder = session.recorder().await;
    // A signal to the daemon alone passes its match rules, whoever sends it.
    stranger.forge(Some(&daemon), OBJECT, SAVER, "ActiveChanged", &true).await;
    saver.forge(None, OBJECT, SAVER, "ActiveChanged", &false).await;
    // Everything that was sent before this is with the daemon: the calls come in the same order.
    stranger.secrets().await.state().await.unwrap();
    assert!(!vault(&saver, "personal").await.0, "not by a stranger, and not by a saver that ends");
    saver.forge(None, OBJECT, SAVER, "ActiveChanged", &true).await;
    assert_eq!(next_change(&mut recorder, 0).await, "VaultChanged personal true false screen");
}

fn now_usec() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

async fn an_unused_vault_is_locked_and_status_is_no_use(session: Session) {
    let _secrets =
        secrets(&session, "lock_on = [\"idle\"]\nlock_after = \"5s\"\n[profiles.open]\nlock_on = []\n").await;
    let client = session.client().await;
    let private = session.vault().await;
    session.create(&["open"]).await;
    session.unlock(&["open"]).await;
    with_secret(&session, "personal").await;
    // Not an event: a part of the time after which it would be locked.
    sleep(Duration::from_secs(1)).await;
    let read = now_usec();
    private.get_secret("personal", "db-url").await.unwrap();
    // Looked at all the time, as a panel would, it is locked all the same.
    let (_, reason, since) = until("the lock", async || {
        client.secrets().await.list_secrets("personal").await.ok();
        let now = vault(&client, "personal").await;
        if now.0 { Ok(now) } else { Err(now) }
    })
    .await;
    assert_eq!(reason, "idle");
    assert!(since >= read + 5_000_000, "reading puts it off: read at {read}, locked at {since}");
    assert!(!vault(&client, "open").await.0);
}

async fn while_nobody_is_there_reading_keeps_no_vault_open(session: Session) {
    let system = SystemBus::start(&session.home).await;
    let logind = Logind::start(&session.home, &system).await;
    let _secrets = secrets(&session, "lock_on = [\"idle\"]\nlock_after = \"2s\"\n").await;
    with_secret(&session, "personal").await;
    let private = session.vault().await;
    logind.set_idle_hint(true).await;
    until("the lock", async || match private.get_secret("personal", "db-url").await {
        Err(Error::Locked(_)) => Ok(()),
        other => Err(other.map(|_| "read")),
    })
    .await;
    assert_eq!(vault(&session.client().await, "personal").await.1, "idle");
}

async fn logind_goes_and_comes_back(session: Session) {
    let mut system = SystemBus::start(&session.home).await;
    let mut logind = Logind::start(&session.home, &system).await;
    let secrets = secrets(&session, "lock_on = [\"sleep\"]\n").await;
    system.until_inhibitors(1, 0).await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let mut recorder = session.recorder().await;
    // It dies between the word of a sleep and its end: the vaults can be unlocked again nevertheless.
    logind.sleep(true).await;
    system.until_inhibitors(1, 1).await;
    logind.process.kill9().await;
    until("the word that logind is gone", async || match secrets.log().matches("logind does not tell").count() {
        1 => Ok(()),
        other => Err(other),
    })
    .await;
    session.unlock(&["personal"]).await;
    let logind = Logind::start(&session.home, &system).await;
    system.until_inhibitors(2, 1).await;
    let seen = recorder.position().await;
    logind.sleep(true).await;
    system.until_inhibitors(2, 2).await;
    assert_eq!(next_change(&mut recorder, seen).await, "VaultChanged personal true false sleep");
    assert_eq!(secrets.log().matches("logind does not tell").count(), 1, "{}", secrets.log());
}

async fn on_the_system_bus_strangers_are_not_believed(session: Session) {
    let mut system = SystemBus::start(&session.home).await;
    let logind = Logind::start(&session.home, &system).await;
    let secrets = secrets(&session, "lock_on = [\"sleep\", \"screen\"]\n").await;
    system.until_inhibitors(1, 0).await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let [daemon] = &*system.connections_of(&secrets).await else { panic!("one connection") };
    let (path, manager) = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager");
    let stranger = Client::connect(&session.home.system_bus()).await;
    stranger.forge(Some(daemon), path, manager, "PrepareForSleep", &true).await;
    stranger.forge(Some(daemon), SESSION, "org.freedesktop.login1.Session", "Lock", &()).await;
    until("a word on the stranger", async || {
        let log = secrets.log();
        if log.contains("who is not logind") { Ok(()) } else { Err(log) }
    })
    .await;
    assert!(!vault(&session.client().await, "personal").await.0);
    // And the owner is believed still.
    logind.lock(SESSION).await;
    let client = session.client().await;
    until("the lock", async || if vault(&client, "personal").await.0 { Ok(()) } else { Err(()) }).await;
    assert_eq!(vault(&client, "personal").await.1, "screen");
    system.until_inhibitors(1, 0).await;
}

async fn the_configuration_is_followed(session: Session) {
    let mut system = SystemBus::start(&session.home).await;
    let _logind = Logind::start(&session.home, &system).await;
    let secrets = secrets(&session, "").await;
    let configure = |config: &str| {
        session.home.write("config/open-sesame/config.toml", format!("work_factor = 15\n{config}"));
        secrets.signal(Signal::HUP);
    };
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    assert_eq!(system.connections_of(&secrets).await, Vec::<String>::new(), "nothing is wanted of it");
    configure("[profiles.personal]\nlock_on = [\"sleep\"]\n");
    system.until_inhibitors(1, 0).await;
    configure("lock_on = [\"idle\"]\nlock_after = \"1s\"\n");
    system.until_inhibitors(1, 1).await;
    let client = session.client().await;
    until("the lock", async || if vault(&client, "personal").await.0 { Ok(()) } else { Err(()) }).await;
    assert_eq!(vault(&client, "personal").await.1, "idle");
    configure("lock_on = []\n");
    until("the end of the connection", async || match &*system.connections_of(&secrets).await {
        [] => Ok(()),
        some => Err(some.to_vec()),
    })
    .await;
}

async fn a_missing_system_bus_is_said_once_and_looked_for_again(session: Session) {
    session.home.write("config/open-sesame/config.toml", "work_factor = 15\nlock_on = [\"sleep\"]\n");
    // Ticks of half a second, at which it looks again.
    let recipe = session.recipe("daemon-secrets", [program("daemon-secrets")]).with("WATCHDOG_USEC", "1000000");
    let mut recorder = session.recorder().await;
    let secrets = recipe.start();
    let ticks = |heard: &[zbus::Message]| {
        heard.iter().filter_map(recorder::line).filter(|line| line.starts_with("WatchdogTick")).count()
    };
    recorder.until("three ticks", |heard| ticks(heard) >= 3).await;
    assert_eq!(secrets.log().matches("logind does not tell").count(), 1, "{}", secrets.log());
    // Everything else works.
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let system = SystemBus::start(&session.home).await;
    until("the connection", async || match &*system.connections_of(&secrets).await {
        [] => Err(()),
        _ => Ok(()),
    })
    .await;
    // The bus is there, and nobody on it: that is no news.
    assert_eq!(secrets.log().matches("logind does not tell").count(), 1, "{}", secrets.log());
    if Need::Dbusmock.missing().is_none() {
        let mut system = system;
        let _logind = Logind::start(&session.home, &system).await;
        system.until_inhibitors(1, 0).await;
        until("the word that it is there", async || {
            if secrets.log().contains("logind is there") { Ok(()) } else { Err(secrets.log()) }
        })
        .await;
    }
}
