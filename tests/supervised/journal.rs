//! What the journal of a session has: lines with fields and ids, and no secret.

use std::collections::BTreeMap;

use dbus_interfaces::events;
use rustix::process::Signal;
use session_tests::{
    PASSPHRASE,
    bus::Kind,
    user_session::{SECRETS_UNIT, UserSession, until},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    scenarios!(&[Kind::DbusDaemon], &[];
        events_are_found_in_the_journal_by_their_fields,
        neither_secrets_nor_their_names_are_in_the_journal,
    )
}

type Line = BTreeMap<String, serde_json::Value>;

/// The lines that have these fields, once there is one: the journal takes its time.
async fn lines(session: &UserSession, fields: &[String]) -> Vec<Line> {
    let words: Vec<&str> = ["journalctl", "--user", "--output=json", "--all"]
        .into_iter()
        .chain(fields.iter().map(String::as_str))
        .collect();
    until(&format!("a line with {fields:?}"), async || {
        let found = session.run(&words).await.stdout_of_success();
        let lines: Vec<Line> = found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        if lines.is_empty() { Err(()) } else { Ok(lines) }
    })
    .await
}

async fn event(session: &UserSession, id: &str, more: &[String]) -> Line {
    let fields: Vec<String> = [format!("MESSAGE_ID={id}")].into_iter().chain(more.iter().cloned()).collect();
    let mut found = lines(session, &fields).await;
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

async fn events_are_found_in_the_journal_by_their_fields(session: UserSession) {
    session.short_watchdog(3).await;
    session.start().await;
    let before = session.report().await;
    let id = |name: &str| before.daemons[name].id.clone().unwrap();
    for name in ["daemon-profile", "daemon-secrets"] {
        let own = [format!("DAEMON={name}"), format!("DAEMON_ID={}", id(name))];
        let ready = event(&session, events::READY, &own).await;
        assert_eq!((&ready["SYSLOG_IDENTIFIER"], &ready["PRIORITY"]), (&name.into(), &"6".into()), "{ready:?}");
        assert_eq!(ready["_SYSTEMD_INVOCATION_ID"], id(name), "the journal's own word on it");
        let tick = lines(&session, &[own.as_slice(), &["TICK=1".to_owned()]].concat()).await;
        assert_eq!(tick[0]["MESSAGE"], "alive at tick 1");
    }
    let unlocked = [format!("DAEMON_ID={}", id("daemon-secrets")), "PROFILE=personal".into(), "LOCKED=false".into()];
    let unlocked = event(&session, events::VAULT_CHANGED, &unlocked).await;
    assert_eq!(unlocked["MESSAGE"], "the vault of personal is unlocked (user)");

    session.signal(SECRETS_UNIT, Signal::KILL).await;
    let by_hub = format!("DAEMON_ID={}", id("daemon-profile"));
    let lost = event(&session, events::DAEMON_LOST, std::slice::from_ref(&by_hub)).await;
    assert_eq!((&lost["PEER"], &lost["REASON"]), (&"daemon-secrets".into(), &"signal:SIGKILL".into()), "{lost:?}");
    assert_eq!(lost["PEER_ID"], id("daemon-secrets"));
    let restarted = event(&session, events::DAEMON_RESTARTED, &[by_hub]).await;
    assert_eq!(restarted["OLD_ID"], id("daemon-secrets"));
    let new = session.until_report("health to be ok", |report| report.health == "ok").await;
    assert_eq!(new.daemons["daemon-secrets"].id.as_deref(), restarted["PEER_ID"].as_str());
}

async fn neither_secrets_nor_their_names_are_in_the_journal(session: UserSession) {
    session.start().await;
    let value = session.write("value", "value-in-no-journal");
    let store = format!("$HOME/.local/bin/sesame secret set name-in-no-journal <{}", value.display());
    session.run(&["sh", "-c", &store]).await.stdout_of_success();
    session.sesame(&["secret", "get", "name-in-no-journal"]).await.stdout_of_success();
    let wrong = session.write("wrong", "wrong-in-no-journal").to_str().unwrap().to_owned();
    let new = session.write("new", "new-in-no-journal").to_str().unwrap().to_owned();
    let old = session.passphrase_file();
    for (given, code) in [(&wrong, 6), (&old, 0)] {
        let words = ["passphrase", "--passphrase-file", given, "--new-passphrase-file", &new];
        let ended = session.sesame(&words).await;
        assert_eq!(ended.code, code, "{ended:?}");
    }
    session.sesame(&["lock"]).await.stdout_of_success();
    // What was said before the lock is there when this is.
    event(&session, events::VAULT_CHANGED, &["PROFILE=personal".into(), "LOCKED=true".into(), "REASON=user".into()])
        .await;
    let everything = session.run(&["journalctl", "--user", "--output=export", "--all"]).await.stdout_of_success();
    assert!(everything.contains("the vault of personal is locked (user)"), "{everything}");
    // And nothing with which every key of age begins.
    for secret in [PASSPHRASE, "-in-no-journal", "AGE-SECRET-KEY-1", "age1"] {
        assert!(!everything.contains(secret), "{secret} is in the journal");
    }
}
