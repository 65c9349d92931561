//! Bounded, and never torn (contract, section 2, rules 2 and 4).

use std::{collections::BTreeMap, sync::Arc};

use dbus_interfaces::{profile, secrets};
use session_tests::{client::Client, scenarios, session::Session, suite::Suite, within_deadline};
use tokio::task::JoinSet;
use zbus::OwnedVariant;

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        ten_thousand_calls_at_once_are_answered_or_refused,
        callers_that_go_away_leave_no_permit_behind,
        get_all_is_one_snapshot_3000_times,
    );
}

/// Calls that wait for a disk, a key or another daemon, and calls that are answered from memory.
const CALLS: [(&str, &str, Option<&str>); 8] = [
    (profile::NAME, "Reconcile", None),
    (profile::NAME, "ActivateProfile", Some("personal")),
    (profile::NAME, "DeactivateProfile", Some("work")),
    (profile::NAME, "SetDefaultProfile", Some("work")),
    (profile::NAME, "Report", None),
    (secrets::NAME, "Lock", Some("work")),
    (secrets::NAME, "LockAll", None),
    (secrets::NAME, "State", None),
];

async fn call(client: Client, (name, member, argument): (&str, &str, Option<&str>)) -> Result<(), String> {
    let path = if name == profile::NAME { profile::PATH } else { secrets::PATH };
    let answer = match argument {
        Some(argument) => client.call(name, path, member, &argument).await,
        None => client.call(name, path, member, &()).await,
    };
    // Its name is the beginning of an error's text, whichever of zbus' kinds it is.
    answer.map(|_| ()).map_err(|error| error.to_string().split(": ").next().unwrap_or_default().to_owned())
}

async fn ten_thousand_calls_at_once_are_answered_or_refused(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal", "work"]).await;
    let ids = ids(&session.client().await).await;
    let mut calls = JoinSet::new();
    for _ in 0..10 {
        let client = session.client().await;
        for turn in 0..1000 {
            let (client, what) = (client.clone(), CALLS[turn % CALLS.len()]);
            calls.spawn(async move { (what.1, call(client, what).await) });
        }
    }
    let answers = calls.join_all().await;
    assert_eq!(answers.len(), 10_000);
    let mut refused = 0;
    for (member, answer) in answers {
        match answer.as_ref().map_err(String::as_str) {
            Ok(()) => {}
            Err("org.freedesktop.DBus.Error.LimitsExceeded") => {
                assert!(!["Report", "State"].contains(&member), "{member} is answered from memory");
                refused += 1;
            }
            // Others lock while this one activates.
            Err("org.opensesame.Error.Locked") if member == "ActivateProfile" => {}
            // daemon-secrets refused the hub, or was too busy for its deadline.
            Err("org.opensesame.Error.Unavailable" | "org.opensesame.Error.Unresponsive") => {}
            Err(error) => panic!("{member}: {error}"),
        }
    }
    assert!(refused > 0, "10,000 calls at once are more than 64");
    assert_eq!(self::ids(&session.client().await).await, ids, "the same daemons run");
    for daemon in [&mut daemons.profile, &mut daemons.secrets] {
        assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
    }
    session.wait_until_healthy().await;
}

async fn ids(client: &Client) -> Vec<Option<String>> {
    client.report().await.daemons.into_values().map(|row| row.id).collect()
}

async fn callers_that_go_away_leave_no_permit_behind(session: Session) {
    let daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    // While daemon-secrets sleeps, forwarded calls wait in the hub; their callers do not.
    daemons.secrets.signal(rustix::process::Signal::STOP);
    for _ in 0..20 {
        let leaver = session.client().await;
        let mut waiting = JoinSet::new();
        for _ in 0..8 {
            waiting.spawn(call(leaver.clone(), CALLS[1]));
        }
        tokio::task::yield_now().await;
        // A round trip behind the calls: they are on their way, or in the hub.
        leaver.owner(profile::NAME).await;
        waiting.shutdown().await;
        let _ = leaver.connection.close().await;
    }
    daemons.secrets.signal(rustix::process::Signal::CONT);
    let client = session.client().await;
    let hub = client.hub().await;
    // 160 calls were made, and 64 may wait.
    within_deadline("a permit", async { while hub.activate_profile("personal").await.is_err() {} }).await;
}

async fn get_all_is_one_snapshot_3000_times(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal", "work"]).await;
    let changer = session.client().await;
    let changes = tokio::spawn(async move {
        let secrets = changer.secrets().await;
        loop {
            for profile in ["personal", "work"] {
                secrets.deactivate(profile).await.unwrap();
                secrets.activate(profile).await.unwrap();
            }
        }
    });
    let client = session.client().await;
    for name in [profile::NAME, secrets::NAME] {
        // Whatever is torn shows as two faces of one generation.
        let mut seen: BTreeMap<u64, Arc<str>> = BTreeMap::new();
        let mut generations = std::collections::BTreeSet::new();
        for turn in 0..3000 {
            let mut properties = client.get_all(name).await;
            properties.remove("ReconciledUsec");
            let generation = u64::try_from(properties.remove("Generation").unwrap()).unwrap();
            let sorted: BTreeMap<String, OwnedVariant> = properties.into_iter().collect();
            assert_agree(&sorted);
            let face: Arc<str> = format!("{sorted:?}").into();
            let first = seen.entry(generation).or_insert_with(|| Arc::clone(&face));
            assert_eq!(*first, face, "{name}, turn {turn}, generation {generation}");
            generations.insert(generation);
        }
        assert!(generations.len() > 100, "{name}: the state was to change meanwhile: {}", generations.len());
    }
    changes.abort();
}

/// The properties of one answer agree with each other.
fn assert_agree(properties: &BTreeMap<String, OwnedVariant>) {
    let get = |name: &str| properties[name].try_clone().unwrap();
    let states = BTreeMap::<String, bool>::try_from(get("LockState")).unwrap();
    let active = Vec::<String>::try_from(get("ActiveProfiles")).unwrap();
    let locked = bool::try_from(get("Locked")).unwrap();
    assert_eq!(locked, states.values().all(|locked| *locked), "{properties:?}");
    assert!(active.iter().all(|profile| states.get(profile) == Some(&false)), "{properties:?}");
}
