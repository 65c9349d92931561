//! A hub that slept through everything: its first answer after is right (contract, section 2, rule 1).

use futures_util::future::join;
use rustix::process::Signal;
use session_tests::{scenarios, session::Session, suite::Suite};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        a_stalled_hub_knows_of_a_death_in_its_first_answer,
        a_stalled_hub_knows_of_a_lock_in_its_first_answer,
        a_stalled_hub_knows_of_a_restart_in_its_first_answer,
    );
}

/// Lets the hub sleep through `meanwhile`, and asks it before it wakes up and after.
async fn stalled<F: Future<Output = ()>>(
    session: &Session,
    hub: &session_tests::process::Process,
    meanwhile: F,
) -> [dbus_interfaces::profile::Status; 2] {
    let client = session.client().await;
    let (proxy, secrets) = (client.hub().await, client.secrets().await);
    hub.signal(Signal::STOP);
    // Much that the hub must take in before it comes to what counts.
    for _ in 0..50 {
        secrets.deactivate("personal").await.unwrap();
        secrets.activate("personal").await.unwrap();
    }
    meanwhile.await;
    let wake = async {
        // Sent once the question is on its way: a round trip on the same connection is behind it.
        client.owner("org.opensesame.Profile").await;
        hub.signal(Signal::CONT);
    };
    let (asleep, ()) = join(proxy.status(), wake).await;
    [asleep.unwrap(), client.status().await]
}

async fn a_stalled_hub_knows_of_a_death_in_its_first_answer(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    for turn in 0..10 {
        session.unlock(&["personal"]).await;
        let (secrets, hub) = (&mut daemons.secrets, &daemons.profile);
        let answers = stalled(&session, hub, secrets.kill9()).await;
        for (states, _, active, locked) in answers {
            assert!(states.len() == 2 && states.values().all(|locked| *locked), "turn {turn}: {states:?}");
            assert!(active.is_empty() && locked, "turn {turn}");
        }
        daemons.secrets = session.secrets().await;
        session.wait_until_healthy().await;
    }
}

async fn a_stalled_hub_knows_of_a_lock_in_its_first_answer(session: Session) {
    let daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    let client = session.client().await;
    let secrets = client.secrets().await;
    for turn in 0..10 {
        session.unlock(&["personal", "work"]).await;
        let lock = async { secrets.lock("personal").await.unwrap() };
        for (states, _, active, locked) in stalled(&session, &daemons.profile, lock).await {
            assert_eq!(states, [("personal".into(), true), ("work".into(), false)].into(), "turn {turn}");
            assert_eq!((active, locked), (vec!["work".to_owned()], false), "turn {turn}");
        }
    }
}

async fn a_stalled_hub_knows_of_a_restart_in_its_first_answer(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal"]).await;
    for turn in 0..5 {
        session.unlock(&["personal"]).await;
        let mut next = None;
        let restart = async {
            daemons.secrets.kill9().await;
            next = Some(session.secrets().await);
        };
        for (states, _, active, locked) in stalled(&session, &daemons.profile, restart).await {
            assert_eq!((states, active, locked), ([("personal".into(), true)].into(), vec![], true), "turn {turn}");
        }
        daemons.secrets = next.unwrap();
        session.wait_until_healthy().await;
    }
}
