//! `sesame doctor --explain`.

use dbus_interfaces::events;

use crate::support::Session;

#[tokio::test]
async fn an_event_is_explained_without_a_bus() {
    let session = Session::without_bus();
    let ended = session.run(&format!("doctor --explain {}", events::VAULT_CORRUPT)).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    assert!(ended.stdout.starts_with("A vault is damaged\n\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("the vault of PROFILE is not what was written there"), "{}", ended.stdout);
}

#[tokio::test]
async fn an_unknown_event_is_1_and_the_known_ones_are_listed() {
    let session = Session::without_bus();
    let ended = session.run("doctor --explain 0123456789abcdef0123456789abcdef").await;
    assert_eq!((ended.code, ended.stderr.lines().count()), (1, 2), "{}", ended.stderr);
    assert!(ended.stderr.starts_with("sesame: cannot explain the event: there is no event 0123"), "{}", ended.stderr);
    assert!(ended.stdout.contains(&format!("{} A daemon is gone\n", events::DAEMON_LOST)), "{}", ended.stdout);
    assert_eq!(session.run("doctor").await.code, 2);
}
