//! Announced before answered; one call, one change, one PropertiesChanged (contract, section 2, rules 1 and 2).

use std::collections::BTreeMap;

use dbus_interfaces::{profile, secrets};
use session_tests::{
    PASSPHRASE,
    recorder::{Recorder, changed, line},
    scenarios,
    session::Session,
    suite::Suite,
};
use zbus::{Message, OwnedVariant, message::Type};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        changes_are_announced_before_they_are_answered,
        changes_over_the_private_socket_are_announced_before_they_are_answered,
        one_change_is_one_properties_changed_and_then_vault_changed,
        properties_changed_rebuilds_what_get_all_says,
        status_after_an_answer_shows_the_change_4000_times,
    );
}

/// What the bus delivered to the caller itself from its call to the answer: signals as lines of words.
async fn before_the_answer(recorder: &mut Recorder, name: &str, member: &str, argument: &str) -> Vec<String> {
    // The hub has said what it had to say of earlier changes when it answers.
    recorder.client.status().await;
    let before = recorder.position().await;
    let path = if name == profile::NAME { profile::PATH } else { secrets::PATH };
    let answer = recorder.client.call(name, path, member, &argument).await.unwrap();
    let all = recorder.all().await;
    let is_answer = |message: &Message| {
        message.message_type() == Type::MethodReturn
            && message.header().reply_serial() == answer.header().reply_serial()
    };
    let end = all.iter().rposition(is_answer).unwrap();
    let from_daemon = |message: &&Message| message.header().path().is_some_and(|is| is.as_str() == path);
    all[before..end].iter().filter(from_daemon).filter_map(line).collect()
}

async fn changes_are_announced_before_they_are_answered(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    let mut recorder = session.recorder().await;
    for (name, member, argument, signal) in [
        (secrets::NAME, "Deactivate", "personal", "VaultChanged personal false false deactivated"),
        (secrets::NAME, "Activate", "personal", "VaultChanged personal false true user"),
        (profile::NAME, "DeactivateProfile", "personal", "VaultChanged personal false false deactivated"),
        (profile::NAME, "ActivateProfile", "personal", "VaultChanged personal false true user"),
        (secrets::NAME, "Lock", "personal", "VaultChanged personal true false user"),
    ] {
        let heard = before_the_answer(&mut recorder, name, member, argument).await;
        assert_eq!(heard.len(), 2, "{member}: {heard:?}");
        assert!(heard[0].starts_with("PropertiesChanged ") && heard[0].contains("Generation"), "{member}: {heard:?}");
        assert_eq!(heard[1], signal, "{member}");
    }
    let heard = before_the_answer(&mut recorder, profile::NAME, "SetDefaultProfile", "work").await;
    assert_eq!(heard, ["PropertiesChanged DefaultProfile Generation"]);
}

async fn changes_over_the_private_socket_are_announced_before_they_are_answered(session: Session) {
    let _daemons = session.daemons().await;
    let mut recorder = session.recorder().await;
    let vault = session.vault().await;
    let passphrase = PASSPHRASE.as_bytes();
    let mut expected = Vec::new();
    // What the bus has routed when the answer is there is all that may be looked at: `signals` asks for no more.
    vault.create("work", passphrase).await.unwrap();
    expected.push("VaultChanged work true false created");
    assert_eq!(vault_changes(&mut recorder).await, expected);
    vault.unlock("work", passphrase).await.unwrap();
    expected.push("VaultChanged work false true user");
    assert_eq!(vault_changes(&mut recorder).await, expected);
    vault.delete("work", passphrase).await.unwrap();
    expected.push("VaultChanged work true false deleted");
    assert_eq!(vault_changes(&mut recorder).await, expected);
}

async fn vault_changes(recorder: &mut Recorder) -> Vec<String> {
    let mut signals = recorder.signals("Secrets").await;
    signals.retain(|line| line.starts_with("VaultChanged"));
    signals
}

/// A run through every change; what each daemon must have said, PropertiesChanged by its first word.
async fn every_change(session: &Session) -> Vec<&'static str> {
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal", "work"]).await;
    let client = session.client().await;
    let (hub, secrets) = (client.hub().await, client.secrets().await);
    hub.deactivate_profile("work").await.unwrap();
    hub.activate_profile("work").await.unwrap();
    // Nothing changes, so nothing is said.
    hub.activate_profile("work").await.unwrap();
    session.unlock(&["work"]).await;
    assert_eq!(secrets.lock_all().await.unwrap(), ["personal", "work"]);
    secrets.lock("work").await.unwrap();
    session.vault().await.delete("work", PASSPHRASE.as_bytes()).await.unwrap();
    vec![
        "PropertiesChanged",
        "VaultChanged personal true false created",
        "PropertiesChanged",
        "VaultChanged work true false created",
        "PropertiesChanged",
        "VaultChanged personal false true user",
        "PropertiesChanged",
        "VaultChanged work false true user",
        "PropertiesChanged",
        "VaultChanged work false false deactivated",
        "PropertiesChanged",
        "VaultChanged work false true user",
        "PropertiesChanged",
        "VaultChanged personal true false user",
        "VaultChanged work true false user",
        "PropertiesChanged",
        "VaultChanged work true false deleted",
    ]
}

async fn one_change_is_one_properties_changed_and_then_vault_changed(session: Session) {
    let _daemons = session.daemons().await;
    let mut recorder = session.recorder().await;
    let before = recorder.position().await;
    let expected = every_change(&session).await;
    for daemon in ["Secrets", "Profile"] {
        // The hub says it when it has heard it, and it has when it answers.
        recorder.client.status().await;
        let path = format!("/org/opensesame/{daemon}");
        let all = recorder.all().await;
        let own: Vec<&Message> = all[before..]
            .iter()
            .filter(|message| message.header().path().is_some_and(|is| is.as_str() == path))
            .filter(|message| message.message_type() == Type::Signal)
            .collect();
        let lines = own.iter().filter_map(|message| line(message));
        let lines: Vec<String> =
            lines.map(|line| line.replacen("PropertiesChanged ", "PropertiesChanged|", 1)).collect();
        // A reconciliation is told at its own time.
        let changes = lines.iter().filter(|line| !line.starts_with("Reconciled"));
        let members: Vec<&str> = changes.filter_map(|line| line.split('|').next()).collect();
        assert_eq!(members, expected, "{daemon}");
        let generations: Vec<u64> = own.iter().filter_map(|message| generation(message)).collect();
        assert_eq!(generations.len(), 8, "{daemon}: every PropertiesChanged carries Generation");
        assert!(generations.windows(2).all(|pair| pair[1] == pair[0] + 1), "{daemon}: {generations:?}");
    }
}

fn generation(message: &Message) -> Option<u64> {
    u64::try_from(changed(message)?.remove("Generation")?).ok()
}

async fn properties_changed_rebuilds_what_get_all_says(session: Session) {
    let _daemons = session.daemons().await;
    let mut recorder = session.recorder().await;
    for (name, path) in [(secrets::NAME, secrets::PATH), (profile::NAME, profile::PATH)] {
        let before = recorder.position().await;
        let mut folded: BTreeMap<String, OwnedVariant> = recorder.client.get_all(name).await.into_iter().collect();
        every_change(&session).await;
        session.vault().await.delete("personal", PASSPHRASE.as_bytes()).await.unwrap();
        let mut after: BTreeMap<String, OwnedVariant> = recorder.client.get_all(name).await.into_iter().collect();
        let all = recorder.all().await;
        let own = all[before..].iter().filter(|message| message.header().path().is_some_and(|is| is.as_str() == path));
        let mut changes = 0;
        for properties in
            own.filter(|message| line(message).is_some_and(|line| line.starts_with("P"))).filter_map(changed)
        {
            changes += 1;
            folded.extend(properties);
        }
        assert!(changes >= 9, "{name}: {changes}");
        // Has no change signal.
        folded.remove("ReconciledUsec");
        after.remove("ReconciledUsec");
        assert_eq!(folded, after, "{name}");
    }
}

const MANY: usize = 64;

async fn status_after_an_answer_shows_the_change_4000_times(session: Session) {
    let _daemons = session.daemons().await;
    let names: Vec<String> = (0..MANY).map(|number| format!("profile-{number:02}")).collect();
    session.create(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let used = ["profile-00", "profile-31", "profile-63"];
    session.unlock(&used).await;
    let (changer, looker) = (session.client().await, session.client().await);
    let (hub, secrets, vault) = (changer.hub().await, changer.secrets().await, session.vault().await);
    let busy = tokio::spawn(keep_busy(session.client().await));
    for turn in 0..4000_usize {
        let profile = used[turn % used.len()];
        // A turn in 200 locks and unlocks over the private socket; the others activate and deactivate by two ways.
        let (locked, active) = match (turn / used.len() % 2 == 1, turn % 200) {
            (_, 0..3) => {
                secrets.lock(profile).await.unwrap();
                let (states, ..) = looker.status().await;
                assert!(states[profile], "turn {turn}: {profile} was locked, and Status does not say so");
                vault.unlock(profile, PASSPHRASE.as_bytes()).await.unwrap();
                (false, true)
            }
            (active, number) if number % 2 == 0 => {
                if active { secrets.activate(profile).await } else { secrets.deactivate(profile).await }.unwrap();
                (false, active)
            }
            (active, _) => {
                if active { hub.activate_profile(profile).await } else { hub.deactivate_profile(profile).await }
                    .unwrap();
                (false, active)
            }
        };
        let (states, _, serving, _) = looker.status().await;
        assert_eq!(states.len(), MANY);
        assert_eq!(states[profile], locked, "turn {turn}: {profile}");
        assert_eq!(serving.iter().any(|name| name == profile), active, "turn {turn}: {profile} in {serving:?}");
    }
    assert!(!busy.is_finished(), "the daemons were to be busy all the time");
    busy.abort();
}

async fn keep_busy(client: session_tests::client::Client) {
    let secrets = client.secrets().await;
    loop {
        client.report().await;
        secrets.state().await.unwrap();
    }
}
