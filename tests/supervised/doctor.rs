//! `sesame doctor` under a real service manager: sound, then broken on purpose, piece by piece; each fault is found, and
//! gone once its own advice is followed.

use dbus_interfaces::profile;
use serde_json::Value;
use session_tests::{
    bus::Kind,
    manager::HOME,
    user_session::{PROFILE_UNIT, SECRETS_UNIT, TARGET, UserSession},
};

use crate::{Scenario, scenarios};

pub fn scenarios() -> Vec<Scenario> {
    scenarios!(&[Kind::DbusDaemon], &[];
        a_sound_installation_has_nothing_to_mend,
        what_is_wrong_with_the_units_is_found,
        what_is_wrong_with_the_daemons_is_found,
        what_is_wrong_with_files_is_found,
        what_the_machine_lacks_is_found,
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

/// The finding with this id: what it is about, and the command that mends it.
async fn finding(session: &UserSession, id: &str) -> Option<(String, String)> {
    let ended = session.sesame(&["doctor", "--format", "json"]).await;
    let diagnosis: Value = serde_json::from_str(&ended.stdout).unwrap();
    let found = diagnosis["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == id)?;
    let word = |key: &str| found[key].as_str().unwrap().to_owned();
    Some((word("subject"), word("mend")))
}

/// It is found, about `subject`; the command that mends it.
async fn is_found(session: &UserSession, id: &str, subject: &str) -> String {
    let (about, mend) = finding(session, id).await.unwrap_or_else(|| panic!("{id} is not found"));
    assert_eq!(about, subject, "{id}");
    mend
}

async fn is_gone(session: &UserSession, id: &str) {
    assert_eq!(finding(session, id).await, None, "{id}");
}

/// What the shell says `script` ends with must be success.
async fn sh(session: &UserSession, script: &str) {
    let ended = session.run(&["sh", "-c", script]).await;
    assert_eq!(ended.code, 0, "{script}: {ended:?}");
}

async fn root_sh(session: &UserSession, script: &str) {
    let ended = session.as_root(&["sh", "-c", script]).await;
    assert_eq!(ended.code, 0, "{script}: {ended:?}");
}

async fn what_is_wrong_with_the_daemons_is_found(session: UserSession) {
    session.start().await;
    let restart = async || {
        session.systemctl(&["restart", SECRETS_UNIT]).await;
        session.until_report("health to be ok", |report| report.health == "ok").await;
    };
    // The program of another version: this one, with another number in its place.
    let patch = "LC_ALL=C sed 's/0\\.1\\.0/0.1.9/g' ~/.local/bin/daemon-secrets >~/other && chmod 755 ~/other";
    sh(&session, patch).await;
    session.drop_in(SECRETS_UNIT, "[Service]\nExecStart=\nExecStart=%h/other\n").await;
    restart().await;
    let mend = is_found(&session, "version-differs", "daemon-secrets").await;
    session.drop_in(SECRETS_UNIT, "").await;
    sh(&session, &mend).await;
    session.until_report("health to be ok", |report| report.health == "ok").await;
    is_gone(&session, "version-differs").await;

    // A kernel without Landlock, as far as daemon-secrets can see.
    let without =
        "[Service]\nNoNewPrivileges=yes\nSystemCallFilter=~landlock_create_ruleset\nSystemCallErrorNumber=ENOSYS\n";
    session.drop_in(SECRETS_UNIT, without).await;
    restart().await;
    is_found(&session, "sandbox-not-full", "daemon-secrets").await;
    session.drop_in(SECRETS_UNIT, "").await;
    restart().await;
    is_gone(&session, "sandbox-not-full").await;

    let file = "~/.local/share/dbus-1/services/org.opensesame.Secrets.service";
    let reload = "busctl --user call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig";
    sh(&session, &format!("mv {file} ~/activation && {reload}")).await;
    is_found(&session, "no-activation-file", "daemon-secrets").await;
    sh(&session, &format!("mv ~/activation {file} && {reload}")).await;
    is_gone(&session, "no-activation-file").await;

    // This process owns the hub's name: it is the one that would have to go.
    session.systemctl(&["stop", PROFILE_UNIT]).await;
    let stranger = session.client().await;
    stranger.connection.request_name(profile::NAME).await.unwrap();
    assert_eq!(is_found(&session, "foreign-owner", "daemon-profile").await, format!("kill {}", std::process::id()));
    stranger.connection.release_name(profile::NAME).await.unwrap();
    is_gone(&session, "foreign-owner").await;
    let mend = is_found(&session, "not-running", "daemon-profile").await;
    assert_eq!(mend, "sesame unlock");
    session.unlock("personal").await;
    is_gone(&session, "not-running").await;
}

async fn what_is_wrong_with_files_is_found(session: UserSession) {
    session.start().await;
    let data = format!("{HOME}/.local/share/open-sesame");
    for (place, right) in [("", "755"), ("/vaults", "711"), ("/vaults/work/identity.age", "640")] {
        let place = format!("{data}{place}");
        sh(&session, &format!("chmod {right} {place}")).await;
        let mend = is_found(&session, "permissions-too-wide", &place).await;
        sh(&session, &mend).await;
        is_gone(&session, "permissions-too-wide").await;
    }
    root_sh(&session, &format!("chown 0 {data}/vaults/work/items.age")).await;
    is_found(&session, "wrong-owner", &format!("{data}/vaults/work/items.age")).await;
    root_sh(&session, &format!("chown --reference={data} {data}/vaults/work/items.age")).await;
    is_gone(&session, "wrong-owner").await;

    sh(&session, &format!("mkdir -m 700 {data}/vaults/ghost")).await;
    is_found(&session, "folder-without-vault", "ghost").await;
    sh(&session, &format!("rmdir {data}/vaults/ghost && mv {data}/vaults/work {data}/aside")).await;
    is_gone(&session, "folder-without-vault").await;
    is_found(&session, "profile-without-folder", "work").await;
    sh(&session, &format!("mv {data}/aside {data}/vaults/work && cp -r {data}/vaults/work {data}/vaults/copied")).await;
    is_gone(&session, "profile-without-folder").await;
    let mend = is_found(&session, "vault-without-profile", "copied").await;
    sh(&session, &mend).await;
    session.until_report("health to be ok", |report| report.health == "ok").await;
    is_gone(&session, "vault-without-profile").await;

    let config = format!("{HOME}/.config/open-sesame/config.toml");
    let good = std::fs::read_to_string(&config).unwrap();
    for (text, id, subject) in [
        ("work_factor = \n", "bad-config", config.as_str()),
        ("colour = 1\n", "unknown-config-key", &config),
        ("[profiles.nobody]\nlock_after = \"5m\"\n", "config-without-vault", "nobody"),
    ] {
        std::fs::write(&config, format!("{good}{text}")).unwrap();
        is_found(&session, id, subject).await;
        std::fs::write(&config, &good).unwrap();
        is_gone(&session, id).await;
    }
}

/// What is the kernel's, logind's and the swap's to say is put in their place: a session that has none of them.
async fn what_the_machine_lacks_is_found(session: UserSession) {
    session.start().await;
    root_sh(&session, "mount -t tmpfs tmpfs /var/lib/systemd").await;
    assert_eq!(is_found(&session, "no-lingering", "sesame-test").await, "loginctl enable-linger");
    // What that command has logind do.
    root_sh(&session, "mkdir /var/lib/systemd/linger && touch /var/lib/systemd/linger/sesame-test").await;
    is_gone(&session, "no-lingering").await;

    let group = format!("/sys/fs/cgroup{}", session.property(SECRETS_UNIT, "ControlGroup").await);
    root_sh(
        &session,
        &format!(
            "mkdir /run/group && echo pids >/run/group/cgroup.controllers && echo max >/run/group/memory.swap.max &&
             printf 'Filename Type Size Used Priority\\n/swap file 8188 0 -2\\n' >/run/swaps &&
             mount --bind /run/group {group} && mount --bind /run/swaps /proc/swaps"
        ),
    )
    .await;
    let mend = is_found(&session, "memory-not-delegated", "daemon-secrets").await;
    assert!(mend.contains("Delegate=pids memory"), "{mend}");
    root_sh(&session, "echo 'memory pids' >/run/group/cgroup.controllers").await;
    is_gone(&session, "memory-not-delegated").await;
    let mend = is_found(&session, "swap-allowed", "daemon-secrets").await;
    sh(&session, &mend).await;
    assert_eq!(session.property(SECRETS_UNIT, "MemorySwapMax").await, "0");
    root_sh(&session, "echo 0 >/run/group/memory.swap.max").await;
    is_gone(&session, "swap-allowed").await;

    // No bus, and which of the two ways out fits.
    let doctor = format!("{HOME}/.local/bin/sesame doctor");
    let lost = session
        .run(&["sh", "-c", &format!("unset DBUS_SESSION_BUS_ADDRESS; XDG_RUNTIME_DIR=/run/none {doctor}")])
        .await;
    assert!(lost.code == 8 && lost.stdout.contains("error session bus"), "{lost:?}");
    let told = session.sesame(&["doctor"]).await.stdout;
    assert!(told.contains("note unlock at login: a passphrase sealed with "), "{told}");
}
