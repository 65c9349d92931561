//! `open-sesame-unlocked@.target`: active only while the vault is unlocked, whoever asks for it, and what is bound to
//! it goes with it.

use rustix::process::Signal;
use session_tests::{
    bus::Kind,
    user_session::{SECRETS_UNIT, TARGET, UserSession, until},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    scenarios!(&[Kind::DbusDaemon], &[];
        an_unlock_starts_what_is_bound_to_it,
        while_locked_nobody_starts_it,
        a_lock_stops_it,
        after_a_lock_nobody_restarts_it,
        a_crash_of_daemon_secrets_stops_it,
        a_restart_of_daemon_secrets_stops_it,
        a_restart_of_everything_stops_it,
        a_stop_of_daemon_secrets_stops_it,
    )
}

const UNLOCKED: &str = "open-sesame-unlocked@personal.target";
const MAIL: &str = "mail.service";

/// A service as a user would write it.
const MAIL_UNIT: &str = "[Unit]\nBindsTo=open-sesame-unlocked@personal.target\n\
                         After=open-sesame-unlocked@personal.target\n\
                         [Service]\nExecStart=/bin/sleep infinity\n\
                         [Install]\nWantedBy=open-sesame-unlocked@personal.target\n";

/// Unlocked, with the mail service running.
async fn unlocked(session: &UserSession) {
    session.write(".config/systemd/user/mail.service", MAIL_UNIT);
    session.systemctl(&["daemon-reload"]).await;
    session.systemctl(&["enable", MAIL]).await;
    session.start().await;
    for unit in [UNLOCKED, MAIL] {
        session.until_property(unit, "ActiveState", "active").await;
    }
}

/// Locked: neither of the two runs, nor can be started.
async fn assert_shut(session: &UserSession) {
    for unit in [UNLOCKED, MAIL] {
        until(&format!("the end of {unit}"), async || {
            let state = session.property(unit, "ActiveState").await;
            if matches!(state.as_str(), "inactive" | "failed") { Ok(()) } else { Err(state) }
        })
        .await;
    }
    assert!(!session.runtime("open-sesame/unlocked/personal").exists(), "the flag is gone");
    for unit in [UNLOCKED, MAIL] {
        for verb in ["start", "restart"] {
            let refused = session.run(&["systemctl", "--user", verb, unit]).await;
            assert_ne!(refused.code, 0, "{verb} {unit}: {refused:?}");
            let state = session.property(unit, "ActiveState").await;
            assert!(matches!(state.as_str(), "inactive" | "failed"), "{verb} {unit}: {state}");
        }
    }
}

/// What a crash or a restart must not undo: unlocked again, everything runs again.
async fn assert_opens_again(session: &UserSession) {
    session.unlock("personal").await;
    for unit in [UNLOCKED, MAIL] {
        session.until_property(unit, "ActiveState", "active").await;
    }
}

async fn an_unlock_starts_what_is_bound_to_it(session: UserSession) {
    unlocked(&session).await;
    assert!(session.runtime("open-sesame/unlocked/personal").exists());
    assert_eq!(session.property("open-sesame-unlocked@work.target", "ActiveState").await, "inactive");
    // Active is more than unlocked: a deactivated profile is not served.
    session.sesame(&["profile", "deactivate", "personal"]).await.stdout_of_success();
    assert_shut(&session).await;
    session.sesame(&["profile", "activate", "personal"]).await.stdout_of_success();
    session.until_property(MAIL, "ActiveState", "active").await;
}

async fn while_locked_nobody_starts_it(session: UserSession) {
    session.write(".config/systemd/user/mail.service", MAIL_UNIT);
    session.systemctl(&["daemon-reload"]).await;
    session.systemctl(&["start", TARGET]).await;
    let file = session.passphrase_file();
    session.sesame(&["profile", "add", "personal", "--passphrase-file", &file]).await.stdout_of_success();
    assert_shut(&session).await;
}

async fn a_lock_stops_it(session: UserSession) {
    unlocked(&session).await;
    session.sesame(&["lock", "-p", "personal"]).await.stdout_of_success();
    assert_shut(&session).await;
    assert_opens_again(&session).await;
}

async fn after_a_lock_nobody_restarts_it(session: UserSession) {
    unlocked(&session).await;
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    let restarted = session.run(&["systemctl", "--user", "restart", UNLOCKED]).await;
    assert_ne!(restarted.code, 0, "{restarted:?}");
    assert_shut(&session).await;
}

async fn a_crash_of_daemon_secrets_stops_it(session: UserSession) {
    unlocked(&session).await;
    session.signal(SECRETS_UNIT, Signal::KILL).await;
    session.until_property(SECRETS_UNIT, "NRestarts", "1").await;
    session.until_property(SECRETS_UNIT, "ActiveState", "active").await;
    assert_shut(&session).await;
    assert_opens_again(&session).await;
}

async fn a_restart_of_daemon_secrets_stops_it(session: UserSession) {
    unlocked(&session).await;
    session.systemctl(&["restart", SECRETS_UNIT]).await;
    assert_shut(&session).await;
    assert_opens_again(&session).await;
}

async fn a_restart_of_everything_stops_it(session: UserSession) {
    unlocked(&session).await;
    session.systemctl(&["restart", TARGET]).await;
    session.until_property(SECRETS_UNIT, "ActiveState", "active").await;
    assert_shut(&session).await;
    assert_opens_again(&session).await;
}

async fn a_stop_of_daemon_secrets_stops_it(session: UserSession) {
    unlocked(&session).await;
    session.systemctl(&["stop", SECRETS_UNIT]).await;
    assert_shut(&session).await;
    session.systemctl(&["start", SECRETS_UNIT]).await;
    assert_shut(&session).await;
    assert_opens_again(&session).await;
}
