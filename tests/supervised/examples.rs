//! The examples that are units, or that need the flags that only systemd's run of daemon-secrets keeps.

use session_tests::{
    bus::Kind,
    manager::HOME,
    user_session::{UserSession, until},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    scenarios!(&[Kind::DbusDaemon], &[];
        a_service_runs_with_its_secrets_while_the_vault_is_unlocked,
        a_service_is_given_a_credential_while_the_vault_is_unlocked,
        the_prompt_names_what_is_unlocked,
        metrics_are_written_and_go_with_their_timer,
    )
}

fn install(session: &UserSession, name: &str, text: &str) {
    session.write(&format!(".config/systemd/user/{name}"), text);
}

fn program(session: &UserSession, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = session.write(&format!(".local/bin/{name}"), text);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

async fn a_service_runs_with_its_secrets_while_the_vault_is_unlocked(session: UserSession) {
    const UNIT: &str = "notes-sync.service";
    install(&session, UNIT, include_str!("../../examples/systemd/notes-sync.service"));
    program(&session, "notes-sync", "#!/bin/sh\necho \"$NOTES_PASSWORD\" >\"$HOME/synced\"\nexec sleep infinity\n");
    session.start().await;
    let set = "printf 'of the notes' | ~/.local/bin/sesame secret set notes-password";
    assert_eq!(session.run(&["sh", "-c", set]).await.code, 0);
    session.sesame(&["lock"]).await.stdout_of_success();
    session.systemctl(&["daemon-reload"]).await;
    session.systemctl(&["enable", UNIT]).await;
    session.unlock("personal").await;
    session.until_property(UNIT, "ActiveState", "active").await;
    until("the secret in the service's environment", async || {
        match std::fs::read_to_string(format!("{HOME}/synced")) {
            Ok(text) if text == "of the notes\n" => Ok(()),
            other => Err(other),
        }
    })
    .await;
    session.sesame(&["lock"]).await.stdout_of_success();
    session.until_property(UNIT, "ActiveState", "inactive").await;
}

async fn a_service_is_given_a_credential_while_the_vault_is_unlocked(session: UserSession) {
    const UNIT: &str = "db-server.service";
    install(&session, UNIT, include_str!("../../examples/systemd/db-server.service"));
    program(&session, "db-server", "#!/bin/sh\ncat \"$1\" >\"$HOME/served\"\nexec sleep infinity\n");
    session.start().await;
    session.systemctl(&["daemon-reload"]).await;
    session.systemctl(&["enable", UNIT]).await;
    let refused = session.run(&["systemctl", "--user", "start", UNIT]).await;
    assert_ne!(refused.code, 0, "it does not start while the vault is locked: {refused:?}");
    session.unlock("work").await;
    // Tried when the target starts it: the vault has no such secret yet.
    session.until_property(UNIT, "ActiveState", "failed").await;
    let set = "printf of-the-server | ~/.local/bin/sesame secret set db-url -p work";
    assert_eq!(session.run(&["sh", "-c", set]).await.code, 0);
    session.sesame(&["lock", "-p", "work"]).await.stdout_of_success();
    session.unlock("work").await;
    until("the credential", async || match std::fs::read_to_string(format!("{HOME}/served")) {
        Ok(text) if text == "of-the-server" => Ok(()),
        other => Err(other),
    })
    .await;
    session.sesame(&["lock", "-p", "work"]).await.stdout_of_success();
    session.until_property(UNIT, "ActiveState", "inactive").await;
}

async fn the_prompt_names_what_is_unlocked(session: UserSession) {
    let file = session.write("prompt.sh", include_str!("../../examples/shell/prompt.sh"));
    let prompt = format!(". {}; sesame_prompt", file.display());
    let shown = async |shell: &str| session.run(&[shell, "-c", &prompt]).await;
    assert_eq!(shown("sh").await.stdout, "");
    session.start().await;
    for shell in ["sh", "bash"] {
        assert_eq!(shown(shell).await.stdout, "[personal] ");
    }
    session.unlock("work").await;
    assert_eq!(shown("bash").await.stdout, "[personal] [work] ");
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    assert_eq!(shown("bash").await.stdout, "");
}

async fn metrics_are_written_and_go_with_their_timer(session: UserSession) {
    const TIMER: &str = "sesame-metrics.timer";
    install(&session, TIMER, include_str!("../../examples/prometheus/sesame-metrics.timer"));
    install(&session, "sesame-metrics.service", include_str!("../../examples/prometheus/sesame-metrics.service"));
    let clean = "sesame-metrics-clean.service";
    install(&session, clean, include_str!("../../examples/prometheus/sesame-metrics-clean.service"));
    let folder = format!("{HOME}/textfiles");
    std::fs::create_dir(&folder).unwrap();
    for unit in ["sesame-metrics.service", clean] {
        session.drop_in(unit, &format!("[Service]\nEnvironment=TEXTFILES={folder}\n")).await;
    }
    let verified = session.run(&["systemd-analyze", "--user", "verify", TIMER]).await;
    assert!(verified.code == 0 && !verified.stderr.contains("cycle"), "it is part of every login: {verified:?}");
    session.systemctl(&["enable", "--now", TIMER]).await;
    let uid = rustix::process::getuid().as_raw();
    let file = format!("{folder}/open-sesame-{uid}.prom");
    let until_says = async |line: &str| {
        until(line, async || match std::fs::read_to_string(&file) {
            Ok(text) if text.lines().any(|is| is == line) => Ok(()),
            other => Err(other),
        })
        .await;
    };
    // Nothing runs, which is no failure of the unit.
    until_says(&format!("sesame_up{{user=\"{uid}\"}} 0")).await;
    session.until_property("sesame-metrics.service", "ActiveState", "inactive").await;
    session.start().await;
    session.systemctl(&["start", "sesame-metrics.service"]).await;
    until_says(&format!("sesame_vault_locked{{user=\"{uid}\",profile=\"personal\"}} 0")).await;
    session.systemctl(&["stop", TIMER]).await;
    session.until_property(clean, "ActiveState", "inactive").await;
    assert!(!std::path::Path::new(&file).exists(), "a file that nobody renews tells of the past");
}
