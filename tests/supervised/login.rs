//! Unlocked by the login itself: its passphrase by pam_exec, or one that the service manager was given. The user's
//! session has no display and no terminal.

use std::time::Duration;

use session_tests::{
    PASSPHRASE,
    bus::Kind,
    manager::HOME,
    needs::Need,
    sesame::Ended,
    user_session::{SECRETS_UNIT, UserSession, until},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    let by_pam = scenarios!(&[Kind::DbusDaemon], &[Need::Program("pamtester"), Need::Program("perl")];
        a_login_unlocks_the_default_vault,
        a_first_login_is_waited_for,
        another_passphrase_is_no_failure_of_the_login,
        a_login_waits_for_no_daemon,
        rights_for_a_session_unlock_nothing,
    );
    let by_credential = scenarios!(&[Kind::DbusDaemon], &[];
        the_managers_credential_unlocks_at_its_start,
        without_a_credential_the_unit_fails_and_says_so,
    );
    by_pam.into_iter().chain(by_credential).collect()
}

const HELPER: &str = include_str!("../../pam/sesame-pam-unlock.in");
const UNIT: &str = "open-sesame-unlock@personal.service";

/// Lets the user log in with `passphrase` by the PAM services `login-test` and `sudo`, as the documentation has it.
async fn may_log_in(session: &UserSession, passphrase: &str) {
    session.write("helper", &HELPER.replace("@bindir@", &format!("{HOME}/.local/bin")));
    session.write(
        "service",
        // As Debian's common-auth: what comes after it is reached only where the passphrase was right.
        "auth [success=1 default=ignore] pam_unix.so\nauth requisite pam_deny.so\nauth required pam_permit.so\n\
         auth optional pam_exec.so expose_authtok quiet /run/sesame-pam-unlock\naccount required pam_permit.so\n",
    );
    session.write("login-passphrase", passphrase);
    let script = "set -e; cd \"$0\"
        mountpoint -q /etc/pam.d || mount -t tmpfs tmpfs /etc/pam.d
        cp service /etc/pam.d/login-test; cp service /etc/pam.d/sudo
        install -m 755 helper /run/sesame-pam-unlock
        grep -v ^sesame-test: /etc/shadow >/run/shadow.new || true
        hash=$(perl -e 'print crypt(<STDIN>, q($6$saltsalt$))' <login-passphrase)
        echo \"sesame-test:$hash:1::::::\" >>/run/shadow.new
        chmod 600 /run/shadow.new
        mountpoint -q /etc/shadow || { cp /run/shadow.new /run/shadow; mount --bind /run/shadow /etc/shadow; }
        cat /run/shadow.new >/etc/shadow";
    let ended = session.as_root(&["sh", "-c", script, HOME]).await;
    assert_eq!(ended.code, 0, "{ended:?}");
}

/// The authentication of a login that knows `passphrase`.
async fn log_in(session: &UserSession, service: &str, passphrase: &str) -> Ended {
    let script = "printf '%s\\n' \"$1\" | exec pamtester \"$0\" sesame-test authenticate";
    session.as_root(&["sh", "-c", script, service, passphrase]).await
}

async fn a_login_unlocks_the_default_vault(session: UserSession) {
    may_log_in(&session, PASSPHRASE).await;
    session.start().await;
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    let ended = log_in(&session, "login-test", PASSPHRASE).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = session.until_report("an unlocked vault", |report| !report.vaults["personal"].locked).await;
    assert!(report.vaults["personal"].active && report.vaults["work"].locked, "the default one alone: {report:?}");
    // Again, of a vault that is open.
    assert_eq!(log_in(&session, "login-test", PASSPHRASE).await.code, 0);
    until("the end of the helper", async || helper_says(&session).await).await;
}

/// What the helper has told the journal; an error while it runs.
async fn helper_says(session: &UserSession) -> Result<String, String> {
    let running = session.run(&["pgrep", "--full", "sesame-pam-unlock|unlock --at-login"]).await;
    if running.code == 0 {
        return Err(running.stdout);
    }
    session.as_root(&["journalctl", "--sync"]).await;
    let words = ["journalctl", "--directory=/var/log/journal", "--identifier=sesame-pam-unlock", "--output=cat"];
    Ok(session.as_root(&words).await.stdout)
}

async fn a_first_login_is_waited_for(session: UserSession) {
    may_log_in(&session, PASSPHRASE).await;
    session.start().await;
    session.systemctl(&["stop", "dbus.socket"]).await;
    session.systemctl(&["kill", "--kill-whom=all", "--signal=KILL", "dbus.service"]).await;
    until("the end of the bus", async || match session.sesame(&["status"]).await {
        Ended { code: 4, .. } => Ok(()),
        other => Err(other),
    })
    .await;
    let ended = log_in(&session, "login-test", PASSPHRASE).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    // It waits, with nothing of the passphrase where another process could read it.
    let pid = until("the helper to wait for the session", async || {
        let running = session.run(&["pgrep", "--newest", "--full", "^[^ ]*sesame unlock --at-login"]).await;
        if running.code == 0 { Ok(running.stdout.trim().to_owned()) } else { Err(running) }
    })
    .await;
    for file in ["environ", "cmdline"] {
        let text = session.as_root(&["cat", &format!("/proc/{pid}/{file}")]).await.stdout;
        assert!(text.contains("sesame") && !text.contains(PASSPHRASE), "{file}: {text}");
    }
    session.systemctl(&["start", "dbus.socket"]).await;
    session.until_report("an unlocked vault", |report| report.lock_state.get("personal") == Some(&false)).await;
}

async fn another_passphrase_is_no_failure_of_the_login(session: UserSession) {
    may_log_in(&session, "what only the login knows").await;
    session.start().await;
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    let ended = log_in(&session, "login-test", "what only the login knows").await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let said = until("the helper's word", async || match helper_says(&session).await {
        Ok(said) if said.is_empty() => Err(said),
        other => other,
    })
    .await;
    assert!(said.starts_with("sesame: cannot unlock personal: the passphrase does not open "), "{said}");
    assert!(!said.contains("what only"), "{said}");
    assert_eq!(session.sesame(&["is", "locked"]).await.code, 0);
    // A login that fails reaches no vault, even with the vault's passphrase.
    assert_ne!(log_in(&session, "login-test", PASSPHRASE).await.code, 0);
    assert_eq!(helper_says(&session).await, Ok(said));
    assert_eq!(session.sesame(&["is", "locked"]).await.code, 0);
}

async fn a_login_waits_for_no_daemon(session: UserSession) {
    may_log_in(&session, PASSPHRASE).await;
    session.start().await;
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    session.signal(SECRETS_UNIT, rustix::process::Signal::STOP).await;
    let ended = log_in(&session, "login-test", PASSPHRASE).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    // The helper waits 2 s for the daemon: a login that waited for the helper would take longer than that.
    let waits_still = helper_says(&session).await.is_err();
    assert!(waits_still || ended.took < Duration::from_millis(1_900), "{ended:?}");
    session.signal(SECRETS_UNIT, rustix::process::Signal::CONT).await;
}

async fn rights_for_a_session_unlock_nothing(session: UserSession) {
    may_log_in(&session, PASSPHRASE).await;
    session.start().await;
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    let ended = log_in(&session, "sudo", PASSPHRASE).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(helper_says(&session).await, Ok(String::new()));
    assert_eq!(session.sesame(&["is", "locked"]).await.code, 0);
}

async fn the_managers_credential_unlocks_at_its_start(session: UserSession) {
    session.start().await;
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    // As the system's manager leaves it for a user's, decrypted.
    let credentials = session.run(&["systemctl", "--user", "show-environment"]).await;
    assert!(!credentials.stdout.contains(PASSPHRASE), "{credentials:?}");
    let script =
        "umask 077; cd \"$0\"; cp \"$1\" open-sesame-unlock.personal; chown \"$2\" open-sesame-unlock.personal";
    let user = rustix::process::getuid().as_raw().to_string();
    let credentials = format!("/run/credentials/user@{user}.service");
    let file = session.passphrase_file();
    assert_eq!(session.as_root(&["sh", "-c", script, &credentials, &file, &user]).await.code, 0);
    // A display, a terminal, a session of logind: none is there, none is needed.
    for variable in ["DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_ID", "XDG_SESSION_TYPE"] {
        assert!(std::env::var_os(variable).is_none(), "{variable} is set in this test");
    }
    session.systemctl(&["enable", UNIT]).await;
    session.systemctl(&["start", UNIT]).await;
    let report = session.until_report("an unlocked vault", |report| !report.vaults["personal"].locked).await;
    assert!(report.vaults["personal"].active && report.vaults["work"].locked, "{report:?}");
    session.until_property("open-sesame-unlocked@personal.target", "ActiveState", "active").await;
}

async fn without_a_credential_the_unit_fails_and_says_so(session: UserSession) {
    session.start().await;
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    let failed = session.run(&["systemctl", "--user", "start", UNIT]).await;
    assert_ne!(failed.code, 0, "{failed:?}");
    assert_eq!(session.sesame(&["is", "locked"]).await.code, 0);
    // Nobody can be asked either: said at once, not after a time.
    let ended = session.sesame(&["unlock"]).await;
    assert!(ended.took < Duration::from_secs(10), "{ended:?}");
    let said = ended.stderr_of(6);
    assert!(said.contains("--passphrase-file"), "{said}");
}
