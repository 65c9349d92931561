//! `sesame doctor`: what it finds without daemons, and `--explain`.

use std::{fs, os::unix::fs::PermissionsExt};

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
    assert_eq!(session.run("doctor --explain").await.code, 2);
}

/// What `doctor --format json` finds, as `id subject`; it must have found something to mend.
async fn found(session: &Session) -> Vec<String> {
    let ended = session.run("doctor --format json").await;
    assert_eq!((ended.code, ended.stderr.as_str()), (8, ""), "{}", ended.stdout);
    let diagnosis: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let word = |finding: &serde_json::Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = diagnosis["findings"].as_array().unwrap();
    for finding in findings {
        assert!(!word(finding, "mend").is_empty() && !word(finding, "sentence").is_empty(), "{finding}");
    }
    findings.iter().map(|finding| format!("{} {}", word(finding, "id"), word(finding, "subject"))).collect()
}

#[tokio::test]
async fn without_a_bus_the_way_out_is_told_and_the_rest_is_looked_at() {
    let session = Session::without_bus();
    fs::create_dir_all(session.path(".config/open-sesame")).unwrap();
    let config = session.path(".config/open-sesame/config.toml");
    fs::write(&config, "notify = true\nwork_factor = 3\n").unwrap();
    let ended = session.run("doctor").await;
    assert_eq!((ended.code, ended.stderr.as_str()), (8, ""), "{}", ended.stdout);
    assert!(ended.stdout.contains("error session bus: there is no session bus at unix:path="), "{}", ended.stdout);
    assert!(ended.stdout.contains("not checked units: there is no session bus\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("line 2: \"work_factor\" is wrong"), "{}", ended.stdout);
    assert!(ended.stdout.contains(&format!("\n    ${{EDITOR:-vi}} {}\n", config.display())), "{}", ended.stdout);
    fs::write(&config, "notfiy = true\n").unwrap();
    let found = found(&session).await;
    assert!(found.contains(&format!("unknown-config-key {}", config.display())), "{found:?}");
    assert!(found.contains(&"no-bus session bus".to_owned()), "{found:?}");
}

#[tokio::test]
async fn a_missing_runtime_folder_is_found_and_the_advice_mends_it() {
    let session = Session::start();
    let mut shell = session.command("/bin/sh");
    let line = "unset XDG_RUNTIME_DIR; \"$0\" doctor; eval \"$(\"$0\" doctor | sed -n '/XDG_RUNTIME_DIR:/{n;p}')\"; \"$0\" doctor; \
                rm -r \"$XDG_RUNTIME_DIR\"";
    shell.args(["-c", line, env!("CARGO_BIN_EXE_sesame")]);
    let output = tokio::task::spawn_blocking(move || shell.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(said.matches("error XDG_RUNTIME_DIR: ").count(), 1, "{said}");
}

#[tokio::test]
async fn files_that_others_reach_and_folders_that_are_no_vaults_are_found() {
    let session = Session::start();
    let vaults = session.path(".local/share/open-sesame/vaults");
    fs::create_dir_all(vaults.join("half")).unwrap();
    fs::write(vaults.join("half/identity.age"), "").unwrap();
    for (path, mode) in [(&vaults, 0o755), (&vaults.join("half"), 0o700), (&vaults.join("half/identity.age"), 0o640)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let found = found(&session).await;
    let wide = |path: &std::path::Path| format!("permissions-too-wide {}", path.display());
    for expected in [wide(&vaults), wide(&vaults.join("half/identity.age")), "folder-without-vault half".to_owned()] {
        assert!(found.contains(&expected), "{expected} in {found:?}");
    }
    assert!(!found.contains(&wide(&vaults.join("half"))), "{found:?}");
    for daemon in ["daemon-profile", "daemon-secrets"] {
        for id in ["no-activation-file", "not-running"] {
            assert!(found.contains(&format!("{id} {daemon}")), "{found:?}");
        }
    }
}

#[tokio::test]
async fn another_program_that_owns_a_name_is_found_and_a_frozen_bus_ends_the_look() {
    let session = Session::start();
    let stranger = session.connect().await;
    stranger.request_name("org.opensesame.Secrets").await.unwrap();
    assert!(found(&session).await.contains(&"foreign-owner daemon-secrets".to_owned()));
    drop(stranger);
    session.freeze_bus();
    assert!(found(&session).await.contains(&"bus-silent session bus".to_owned()));
}
