//! Only the owner counts, and there is one owner (contract, section 2, rule 3).

use std::collections::BTreeMap;

use dbus_interfaces::{daemon, profile, secrets};
use session_tests::{
    client::Client,
    home::Home,
    process::Recipe,
    program, scenarios,
    session::{Daemons, Session},
    suite::Suite,
};
use zbus::{
    Variant,
    fdo::{DBusProxy, RequestNameFlags, RequestNameReply},
};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        forged_signals_change_nothing,
        forged_signals_are_logged_but_not_one_by_one,
        a_strangers_signals_are_not_believed_while_nobody_owns_the_name,
        what_was_learned_from_an_owner_ends_with_it,
        names_are_neither_queued_for_nor_replaced,
        a_second_daemon_exits_with_one_line,
    );
}

/// Everything that a stranger may say in the name of daemon-secrets, to all or to one.
async fn forge_everything(stranger: &Client, destination: Option<&str>) {
    let row: BTreeMap<&str, Variant<'_>> = [
        ("locked", Variant::from(false)),
        ("active", Variant::from(true)),
        ("since-usec", Variant::from(1_u64)),
        ("reason", Variant::from("user")),
    ]
    .into();
    let rows: BTreeMap<&str, BTreeMap<&str, Variant<'_>>> = [("work", row.clone()), ("evil", row)].into();
    let properties: BTreeMap<&str, Variant<'_>> =
        [("Vaults", Variant::from(rows)), ("Generation", Variant::from(99_u64)), ("Locked", Variant::from(false))]
            .into();
    let changed = (secrets::INTERFACE, properties, Vec::<&str>::new());
    let properties = "org.freedesktop.DBus.Properties";
    stranger.forge(destination, secrets::PATH, properties, "PropertiesChanged", &changed).await;
    let vault = ("work", false, true, "user");
    stranger.forge(destination, secrets::PATH, secrets::INTERFACE, "VaultChanged", &vault).await;
    let started = ("daemon-secrets", "00000000000000000000000000000000");
    stranger.forge(destination, daemon::PATH, daemon::INTERFACE, "DaemonStarted", &started).await;
    let tick = ("daemon-secrets", 7_u64);
    stranger.forge(destination, daemon::PATH, daemon::INTERFACE, "WatchdogTick", &tick).await;
    let gone = (secrets::NAME, ":1.1", "");
    let bus = "org.freedesktop.DBus";
    stranger.forge(destination, "/org/freedesktop/DBus", bus, "NameOwnerChanged", &gone).await;
}

async fn forged_signals_change_nothing(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    let mut recorder = session.recorder().await;
    let before = recorder.client.report().await;
    let heard = recorder.signals("Profile").await.len();
    let stranger = session.client().await;
    let hub = stranger.owner(profile::NAME).await.unwrap();
    for destination in [None, Some(hub.as_str()), Some(profile::NAME)] {
        forge_everything(&stranger, destination).await;
        // On the stranger's connection: it is behind the signals.
        let after = stranger.report().await;
        assert_eq!(after.vaults, before.vaults, "to {destination:?}");
        assert_eq!(after.generation, before.generation, "to {destination:?}");
        assert_eq!(after.daemons["daemon-secrets"].id, before.daemons["daemon-secrets"].id, "to {destination:?}");
        assert_eq!(after.daemons["daemon-secrets"].state, "running");
    }
    assert_eq!(recorder.signals("Profile").await.len(), heard, "the hub has said something");
}

async fn forged_signals_are_logged_but_not_one_by_one(session: Session) {
    let daemons = session.daemons().await;
    let stranger = session.client().await;
    let hub = stranger.owner(profile::NAME).await.unwrap();
    let name = stranger.connection.unique_name().unwrap().to_string();
    for _ in 0..200 {
        forge_everything(&stranger, Some(&hub)).await;
    }
    stranger.status().await;
    let log = daemons.profile.log();
    let lines = log.lines().filter(|line| line.contains(&name)).count();
    assert!((1..=5).contains(&lines), "800 forged signals, {lines} lines about them:\n{log}");
}

async fn a_strangers_signals_are_not_believed_while_nobody_owns_the_name(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    daemons.secrets.kill9().await;
    let stranger = session.client().await;
    stranger.wait_until_gone(secrets::NAME).await;
    let hub = stranger.owner(profile::NAME).await.unwrap();
    forge_everything(&stranger, Some(&hub)).await;
    let (states, _, active, locked) = stranger.status().await;
    assert_eq!(states, [("personal".into(), true), ("work".into(), true)].into());
    assert!(active.is_empty() && locked);
}

async fn what_was_learned_from_an_owner_ends_with_it(session: Session) {
    let Daemons { profile: _hub, mut secrets } = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    secrets.stop().await;
    // Another owner, who says nothing of vaults and refuses every call.
    let stranger = session.client().await;
    stranger.wait_until_gone(secrets::NAME).await;
    stranger.connection.request_name(secrets::NAME).await.unwrap();
    let report = stranger.report().await;
    assert!(report.lock_state.values().all(|locked| *locked) && report.active_profiles.is_empty(), "{report:?}");
    assert_ne!(report.health, "ok", "{report:?}");
}

async fn names_are_neither_queued_for_nor_replaced(session: Session) {
    let _daemons = session.daemons().await;
    let stranger = session.client().await;
    let bus = DBusProxy::new(&stranger.connection).await.unwrap();
    for name in [profile::NAME, secrets::NAME] {
        let owner = stranger.owner(name).await;
        let flags = RequestNameFlags::REPLACE_EXISTING | RequestNameFlags::DO_NOT_QUEUE;
        let reply = bus.request_name(name.try_into().unwrap(), flags).await;
        assert_eq!(reply.unwrap(), RequestNameReply::Exists, "{name}");
        assert_eq!(stranger.owner(name).await, owner, "{name}");
    }
}

async fn a_second_daemon_exits_with_one_line(session: Session) {
    let _daemons = session.daemons().await;
    let client = session.client().await;
    // A home of its own, so that the name is the only thing that the two contend for.
    let other = Home::new();
    for (daemon, name) in [("daemon-profile", profile::NAME), ("daemon-secrets", secrets::NAME)] {
        let owner = client.owner(name).await;
        for home in [&other, &*session.home] {
            if daemon == "daemon-profile" && std::ptr::eq(home, &*session.home) {
                continue;
            }
            let label = format!("second-{daemon}");
            let recipe = Recipe::new(home, &label, [program(daemon)]);
            let mut second = recipe.with("DBUS_SESSION_BUS_ADDRESS", session.bus.address()).start();
            let status = second.exited().await;
            assert!(status.code().is_some_and(|code| code != 0), "{daemon}: {status}");
            let log = second.log();
            let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
            assert_eq!(errors.len(), 1, "{daemon}: {log}");
        }
        let queue = DBusProxy::new(&client.connection).await.unwrap();
        let queue = queue.list_queued_owners(name.try_into().unwrap()).await.unwrap();
        assert_eq!(queue.len(), 1, "{name} is queued for");
        assert_eq!(client.owner(name).await, owner);
    }
}
