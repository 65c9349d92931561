//! `sesame doctor` under a real service manager: sound, then broken on purpose, piece by piece; each fault is found, and
//! gone once its own advice is followed.

use serde_json::Value;
use session_tests::{
    bus::Kind,
    user_session::{PROFILE_UNIT, SECRETS_UNIT, TARGET, UserSession},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    scenarios!(&[Kind::DbusDaemon], &[];
        a_sound_installation_has_nothing_to_mend,
        what_is_wrong_with_the_units_is_found,
    )
}

/// What was found, as `id subject`, with the command that mends it; what the machine of the test may lack is left out.
async fn found(session: &UserSession) -> Vec<(String, String)> {
    let ended = session.sesame(&["doctor", "--format", "json"]).await;
    assert!(matches!(ended.code, 0 | 8) && ended.stderr.is_empty(), "{ended:?}");
    let diagnosis: Value = serde_json::from_str(&ended.stdout).unwrap();
    let word = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let mut found = Vec::new();
    for finding in diagnosis["findings"].as_array().unwrap() {
        let id = word(finding, "id");
        let of_the_machine = ["sandbox-not-full", "memory-not-delegated", "swap-allowed", "no-lingering"];
        if !of_the_machine.contains(&id.as_str()) && word(finding, "severity") != "advice" {
            found.push((format!("{id} {}", word(finding, "subject")), word(finding, "mend")));
        }
    }
    found
}

/// Exactly `expected` is found; its advice is followed, and then nothing is.
async fn found_and_mended(session: &UserSession, expected: &str) {
    let findings = found(session).await;
    let ids: Vec<&str> = findings.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids, [expected], "{findings:?}");
    let mended = session.run(&["sh", "-c", &findings[0].1]).await;
    assert_eq!(mended.code, 0, "{mended:?}");
    session.until_report("health to be ok", |report| report.health == "ok").await;
    assert_eq!(found(session).await, [], "after {}", findings[0].1);
}

async fn a_sound_installation_has_nothing_to_mend(session: UserSession) {
    session.start().await;
    assert_eq!(found(&session).await, []);
    // The advice to keep a second copy is given once, to whoever reads it.
    let copies = |text: &str| text.matches("keep a second copy").count();
    let told = session.sesame(&["doctor"]).await;
    assert_eq!((copies(&told.stdout), told.stderr.as_str()), (2, ""), "{told:?}");
    let told = session.sesame(&["doctor"]).await;
    assert_eq!(copies(&told.stdout), 0, "{told:?}");
    let file = session.passphrase_file();
    let new = session.write("new-passphrase", "another one");
    let new = ["--new-passphrase-file", new.to_str().unwrap()];
    let change = [&["passphrase", "-p", "work", "--passphrase-file", &file], &new[..]].concat();
    session.sesame(&change).await.stdout_of_success();
    assert_eq!(copies(&session.sesame(&["doctor"]).await.stdout), 1, "another key has no copy");
}

async fn what_is_wrong_with_the_units_is_found(session: UserSession) {
    session.start().await;
    session.systemctl(&["disable", TARGET]).await;
    found_and_mended(&session, &format!("unit-disabled {TARGET}")).await;

    session.systemctl(&["mask", "--runtime", PROFILE_UNIT]).await;
    let findings = found(&session).await;
    assert_eq!(findings[0].0, format!("unit-masked {PROFILE_UNIT}"), "{findings:?}");
    session.systemctl(&["unmask", "--runtime", PROFILE_UNIT]).await;

    // Given up: with a program that ends at once, until no start is left.
    session.drop_in(SECRETS_UNIT, "[Service]\nExecStart=\nExecStart=/bin/false\nRestartSec=0\n").await;
    session.systemctl(&["stop", SECRETS_UNIT]).await;
    session.run(&["systemctl", "--user", "start", SECRETS_UNIT]).await;
    session.until_property_is(SECRETS_UNIT, "ActiveState", |state| state == "failed").await;
    session.until_property_is(SECRETS_UNIT, "SubState", |state| state == "failed").await;
    let findings = found(&session).await;
    let failed = findings.iter().find(|(id, _)| *id == format!("unit-failed {SECRETS_UNIT}"));
    let (_, mend) = failed.unwrap_or_else(|| panic!("{findings:?}"));
    session.drop_in(SECRETS_UNIT, "").await;
    assert_eq!(session.run(&["sh", "-c", mend]).await.code, 0, "{mend}");
    session.until_report("health to be ok", |report| report.health == "ok").await;
    assert_eq!(found(&session).await, []);

    // By hand: nothing restarts it.
    session.systemctl(&["stop", SECRETS_UNIT]).await;
    let mut by_hand = session.by_hand("daemon-secrets").spawn().unwrap();
    session.until_report("health to be ok", |report| report.health == "ok").await;
    let findings = found(&session).await;
    assert_eq!(findings[0].0, format!("not-supervised {SECRETS_UNIT}"), "{findings:?}");
    by_hand.kill().await.unwrap();
}
