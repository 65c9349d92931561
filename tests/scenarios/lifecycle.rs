//! Coming and going: orders of starting, crashes, stops, a lost bus, activation.

use dbus_interfaces::{daemon::DaemonProxy, profile, secrets};
use session_tests::{scenarios, session::Session, suite::Suite};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        before_the_first_report_nothing_is_known,
        the_hub_may_start_first,
        the_hub_may_start_last,
        a_killed_daemon_secrets_leaves_everything_locked_at_once,
        a_restart_is_told_with_both_ids,
        a_stopped_daemon_secrets_is_not_running,
        a_restarted_hub_begins_anew,
        daemons_say_what_they_are,
        without_their_bus_daemons_exit_with_one_line,
        daemons_end_when_asked,
    );
    scenarios!(suite.on_dbus_daemon(&[]);
        the_hub_never_starts_daemon_secrets,
        init_starts_both_daemons,
        status_starts_no_daemon,
    );
}

async fn before_the_first_report_nothing_is_known(session: Session) {
    let _profile = session.profile().await;
    let client = session.client().await;
    let (states, default, active, locked) = client.status().await;
    assert!(states.is_empty() && active.is_empty() && locked);
    assert_eq!(default, "personal");
    let report = client.report().await;
    assert_eq!((report.health.as_str(), report.reconciled_usec), ("degraded", 0));
    assert_eq!(report.daemons.keys().collect::<Vec<_>>(), ["daemon-profile", "daemon-secrets"]);
    assert_eq!(report.daemons["daemon-secrets"].state, "stopped");
    let refused = client.hub().await.activate_profile("personal").await;
    assert!(matches!(refused, Err(dbus_interfaces::Error::Unavailable(_))), "{refused:?}");
    let refused = client.hub().await.set_default_profile("personal").await;
    assert!(matches!(refused, Err(dbus_interfaces::Error::Unavailable(_))), "{refused:?}");
    let refused = client.hub().await.reconcile().await;
    assert!(matches!(refused, Err(dbus_interfaces::Error::Unavailable(_))), "{refused:?}");
}

/// Two vaults, one unlocked: what every hub must see, whenever it came.
async fn assert_both_vaults_seen(session: &Session) {
    session.wait_until_healthy().await;
    let (states, _, active, locked) = session.client().await.status().await;
    assert_eq!(states, [("personal".into(), false), ("work".into(), true)].into());
    assert_eq!((active, locked), (vec!["personal".to_owned()], false));
}

async fn the_hub_may_start_first(session: Session) {
    let _profile = session.profile().await;
    let _secrets = session.secrets().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    assert_both_vaults_seen(&session).await;
}

async fn the_hub_may_start_last(session: Session) {
    let _secrets = session.secrets().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    let _profile = session.profile().await;
    assert_both_vaults_seen(&session).await;
}

async fn a_killed_daemon_secrets_leaves_everything_locked_at_once(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    let id = session.client().await.report().await.daemons["daemon-secrets"].id.clone().unwrap();
    let mut recorder = session.recorder().await;
    daemons.secrets.kill9().await;
    recorder.client.wait_until_gone(secrets::NAME).await;
    let report = recorder.client.report().await;
    assert_eq!(report.lock_state, [("personal".into(), true), ("work".into(), true)].into());
    assert!(report.active_profiles.is_empty() && report.locked);
    assert_eq!(report.health, "degraded");
    assert_eq!(report.vaults["personal"].known, "assumed");
    assert_eq!(report.vaults["personal"].reason, "daemon-lost");
    assert_eq!(report.daemons["daemon-secrets"].state, "lost");
    assert_eq!(report.problems[0].1, "lost", "{:?}", report.problems);
    let lost = format!("DaemonLost daemon-secrets {id} unknown");
    recorder
        .until("DaemonLost", |heard| {
            heard.iter().any(|message| session_tests::recorder::line(message) == Some(lost.clone()))
        })
        .await;
    let mut signals = recorder.signals("Profile").await;
    assert!(signals[0].starts_with("PropertiesChanged "), "{signals:?}");
    signals.retain(|line| !line.starts_with("PropertiesChanged "));
    let changed = format!("DaemonChanged daemon-secrets lost {id} unknown");
    assert_eq!(signals, ["VaultChanged personal true false daemon-lost".to_owned(), changed, lost]);
}

async fn a_restart_is_told_with_both_ids(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let client = session.client().await;
    let old = client.report().await.daemons["daemon-secrets"].id.clone().unwrap();
    let mut recorder = session.recorder().await;
    daemons.secrets.kill9().await;
    client.wait_until_gone(secrets::NAME).await;
    let _secrets = session.secrets().await;
    let report = recorder.until_report("health", |report| report.health == "ok").await;
    let new = report.daemons["daemon-secrets"].id.clone().unwrap();
    assert_ne!(old, new);
    let signals = recorder.signals("Profile").await;
    let restarted = format!("DaemonRestarted daemon-secrets {old} {new}");
    let at = signals.iter().position(|line| *line == restarted).unwrap_or_else(|| panic!("{signals:?}"));
    let running = format!("DaemonChanged daemon-secrets running {new}");
    assert!(signals[at..].iter().any(|line| line.starts_with(&running)), "{signals:?}");
    assert_eq!(signals.iter().filter(|line| **line == restarted).count(), 1, "{signals:?}");
    assert_eq!(report.vaults["personal"].reason, "daemon-restarted");
    assert_eq!(report.vaults["personal"].known, "reported");
    assert!(report.problems.is_empty());
}

async fn a_stopped_daemon_secrets_is_not_running(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    assert!(daemons.secrets.stop().await.success());
    let client = session.client().await;
    client.wait_until_gone(secrets::NAME).await;
    let report = client.report().await;
    assert!(report.locked && report.health == "degraded", "{report:?}");
    assert_eq!(report.lock_state, [("personal".into(), true)].into());
    assert!(!session.home.private_socket().exists(), "a clean end removes the socket");
}

async fn a_restarted_hub_begins_anew(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    let client = session.client().await;
    client.hub().await.set_default_profile("work").await.unwrap();
    let old = client.report().await;
    daemons.profile.kill9().await;
    client.wait_until_gone(profile::NAME).await;
    let _profile = session.profile().await;
    assert_both_vaults_seen(&session).await;
    let new = client.report().await;
    assert_eq!(new.default_profile, "work", "kept on disk");
    assert_ne!(new.daemons["daemon-profile"].id, old.daemons["daemon-profile"].id);
    assert_eq!(new.daemons["daemon-secrets"].id, old.daemons["daemon-secrets"].id);
}

async fn daemons_say_what_they_are(session: Session) {
    let daemons = session.daemons().await;
    let client = session.client().await;
    let report = client.report().await;
    for (name, word, process) in
        [(profile::NAME, "daemon-profile", &daemons.profile), (secrets::NAME, "daemon-secrets", &daemons.secrets)]
    {
        let proxy = DaemonProxy::builder(&client.connection).destination(name).build().await.unwrap();
        assert_eq!(proxy.name().await.unwrap(), word);
        let id = proxy.id().await.unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert_eq!(proxy.version().await.unwrap(), env!("CARGO_PKG_VERSION"));
        assert_eq!(proxy.watchdog_usec().await.unwrap(), 0);
        assert!(proxy.started_usec().await.unwrap() > 1_600_000_000_000_000);
        assert!(["full", "partial", "none"].contains(&proxy.sandbox().await.unwrap().as_str()));
        assert_eq!(report.daemons[word].id, Some(id));
        assert_eq!(report.daemons[word].state, "running");
        assert_eq!(report.daemons[word].pid.and_then(|pid| i32::try_from(pid).ok()), Some(process.pid().as_raw_pid()));
    }
}

async fn without_their_bus_daemons_exit_with_one_line(mut session: Session) {
    let mut daemons = session.daemons().await;
    session.bus.process().kill9().await;
    for daemon in [&mut daemons.profile, &mut daemons.secrets] {
        let status = daemon.exited().await;
        assert_eq!(status.code(), Some(1), "{}", daemon.log());
        let log = daemon.log();
        assert_eq!(log.lines().filter(|line| line.contains("ERROR")).count(), 1, "{log}");
    }
    for name in ["daemon-profile", "daemon-secrets"] {
        let mut daemon = session.recipe("without-bus", [session_tests::program(name)]).start();
        assert_eq!(daemon.exited().await.code(), Some(1), "{name}: {}", daemon.log());
        assert!(daemon.log().contains("no session bus"), "{}", daemon.log());
    }
}

async fn daemons_end_when_asked(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    for daemon in [&mut daemons.secrets, &mut daemons.profile] {
        let status = daemon.stop().await;
        assert!(status.success(), "{status}: {}", daemon.log());
        assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());
    }
}

async fn the_hub_never_starts_daemon_secrets(session: Session) {
    session.install_activation_files();
    let _profile = session.profile().await;
    let client = session.client().await;
    let hub = client.hub().await;
    // Each of them is for daemon-secrets; each is refused.
    assert!(hub.reconcile().await.is_err());
    assert!(hub.activate_profile("personal").await.is_err());
    assert!(hub.deactivate_profile("personal").await.is_err());
    client.report().await;
    assert_eq!(client.owner(secrets::NAME).await, None);
}

async fn init_starts_both_daemons(session: Session) {
    session.install_activation_files();
    let client = session.client().await;
    session.sesame_with_passphrase(&["init"]).await.stdout_of_success();
    for name in [profile::NAME, secrets::NAME] {
        assert!(client.owner(name).await.is_some(), "{name}");
    }
    session.wait_until_healthy().await;
    assert_eq!(
        client.status().await,
        ([("personal".into(), false)].into(), "personal".into(), vec!["personal".into()], false)
    );
    // Only what is missing: nothing is.
    session.sesame_with_passphrase(&["init"]).await.stdout_of_success();
    let failure = session.sesame_with_passphrase(&["init", "work"]).await.stderr_of(1);
    assert!(failure.contains("profile add"), "{failure}");
    session.end().await;
}

async fn status_starts_no_daemon(session: Session) {
    session.install_activation_files();
    for words in [
        &["status"][..],
        &["is", "running"],
        &["profile", "list"],
        &["secret", "list"],
        &["secret", "get", "x"],
        &["run", "--", "true"],
        &["profile", "activate", "personal"],
    ] {
        let ended = session.sesame(words).await;
        assert_eq!(ended.code, 3, "{words:?}: {ended:?}");
    }
    let client = session.client().await;
    for name in [profile::NAME, secrets::NAME] {
        assert_eq!(client.owner(name).await, None, "{name}");
    }
}
