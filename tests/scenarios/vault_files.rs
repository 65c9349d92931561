//! The vault files against stock `age`, damage, a full disk and a read-only folder (contract, section 3).

use std::{fs, path::PathBuf};

use dbus_interfaces::{Error, secrets};
use rustix::process::{Resource, Rlimit, getrlimit, prlimit};
use session_tests::{
    PASSPHRASE, home::Home, needs::Need, process::Process, program, scenarios, session::Session, stock_age::typed,
    suite::Suite, within_deadline,
};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        a_damaged_file_is_told_and_hurts_no_other_vault,
        a_vault_with_a_file_missing_is_corrupt,
        a_file_that_another_program_changed_is_not_overwritten,
        a_second_daemon_is_kept_from_the_vaults,
        a_vault_whose_folder_was_away_is_taken_in_by_init,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Program("age"), Need::Program("age-keygen"), Need::Program("script")]);
        stock_age_opens_a_vault,
        a_vault_of_stock_age_opens_here,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Root, Need::Mounts, Need::Program("nsenter")]);
        a_full_disk_leaves_the_vault_as_it_was,
        a_disk_remounted_read_only_leaves_the_vault_as_it_was,
        a_read_only_folder_leaves_the_vault_as_it_was,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Root]);
        too_many_open_files_leave_the_vault_as_it_was,
    );
}

async fn a_vault_whose_folder_was_away_is_taken_in_by_init(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    session.vault().await.set_secret("personal", "kept", b"x").await.unwrap();
    session.client().await.secrets().await.lock("personal").await.unwrap();
    let (folder, away) = (session.home.vaults().join("personal"), session.home.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    assert_eq!(session.sesame_with_passphrase(&["unlock"]).await.code, 7);
    fs::rename(&away, &folder).unwrap();
    session.sesame_with_passphrase(&["init"]).await.stdout_of_success();
    assert_eq!(session.sesame(&["secret", "list"]).await.stdout_of_success(), "kept\n");
}

async fn stock_age_opens_a_vault(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let vault = session.vault().await;
    vault.set_secret("personal", "db-url", b"postgres://x").await.unwrap();
    vault.set_secret("personal", "binary", &[0, 255, 10]).await.unwrap();
    let folder = session.home.vaults().join("personal");
    let command = format!("age -d -o key {}/identity.age", folder.display());
    let ended = typed(&session.home, &command, &format!("{PASSPHRASE}\n")).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    let items = folder.join("items.age");
    let plain = session.run(&["age", "-d", "-i", "key", items.to_str().unwrap()]).await.stdout_of_success();
    let plain: serde_json::Value = serde_json::from_str(&plain).unwrap();
    assert_eq!((&plain["format"], &plain["profile"]), (&1.into(), &"personal".into()), "{plain}");
    let values: Vec<_> =
        plain["items"].as_array().unwrap().iter().map(|item| (&item["name"], &item["origin"])).collect();
    assert_eq!(values, [(&"binary".into(), &"sesame".into()), (&"db-url".into(), &"sesame".into())]);
    assert_eq!(plain["items"][0]["value_base64"], "AP8K");
    assert_eq!(plain["items"][1]["value"], "postgres://x");
}

async fn a_vault_of_stock_age_opens_here(session: Session) {
    let folder = session.home.vaults().join("handmade");
    fs::create_dir_all(&folder).unwrap();
    let home = &session.home;
    let keygen = session.run(&["age-keygen", "-o", "key"]).await;
    let recipient = keygen.stderr.trim().strip_prefix("Public key: ").unwrap().to_owned();
    let key = fs::read_to_string(home.path().join("key")).unwrap();
    let identity: String =
        key.lines().filter(|line| line.starts_with("AGE-SECRET-KEY-")).map(|line| format!("{line}\n")).collect();
    home.write("identity", identity);
    let command = format!("age -p -o {}/identity.age identity", folder.display());
    let ended = typed(home, &command, &format!("{PASSPHRASE}\n{PASSPHRASE}\n")).await;
    assert_eq!(ended.code, 0, "{ended:?}");
    home.write(
        "items",
        r#"{"format":1,"profile":"handmade","generation":1,"items":[{"name":"a","label":"","attributes":{},
        "content_type":"text/plain","created":1,"modified":1,"origin":"sesame","value":"by hand"}]}"#,
    );
    let items = folder.join("items.age");
    session.run(&["age", "-r", &recipient, "-o", items.to_str().unwrap(), "items"]).await.stdout_of_success();
    let _daemons = session.daemons().await;
    session.unlock(&["handmade"]).await;
    assert_eq!(session.vault().await.get_secret("handmade", "a").await.unwrap(), b"by hand");
}

/// What may be done to a file.
type Damage = fn(&[u8]) -> Vec<u8>;

const DAMAGES: [(&str, Damage); 4] = [
    ("emptied", |_| Vec::new()),
    ("truncated", |bytes| bytes[..bytes.len() - 1].to_vec()),
    ("garbled", |bytes| {
        bytes.iter().enumerate().map(|(at, byte)| if at + 5 == bytes.len() { byte ^ 1 } else { *byte }).collect()
    }),
    ("replaced", |_| b"nothing of age".to_vec()),
];

async fn a_damaged_file_is_told_and_hurts_no_other_vault(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal", "work", "other"]).await;
    session.unlock(&["personal", "work"]).await;
    let vault = session.vault().await;
    for profile in ["personal", "work"] {
        vault.set_secret(profile, "name", profile.as_bytes()).await.unwrap();
    }
    let client = session.client().await;
    client.secrets().await.lock("work").await.unwrap();
    let items = session.home.vaults().join("work/items.age");
    let sound = fs::read(&items).unwrap();
    let swapped = fs::read(session.home.vaults().join("other/items.age")).unwrap();
    let mut damages: Vec<(&str, Vec<u8>)> = DAMAGES.iter().map(|(name, damage)| (*name, damage(&sound))).collect();
    damages.push(("swapped", swapped));
    for (damage, bytes) in damages {
        fs::write(&items, &bytes).unwrap();
        let error = vault.unlock("work", PASSPHRASE.as_bytes()).await;
        assert!(matches!(&error, Err(Error::CorruptVault(text)) if text.contains("items.age")), "{damage}: {error:?}");
        assert_eq!(fs::read(&items).unwrap(), bytes, "{damage}: the file was changed");
        assert_eq!(vault.get_secret("personal", "name").await.unwrap(), b"personal", "{damage}");
        let report = client.report().await;
        assert!(report.vaults["work"].locked && report.vaults["work"].error.is_some(), "{damage}: {report:?}");
        assert!(report.problems.iter().any(|(subject, code, _)| subject == "work" && code == "corrupt"), "{report:?}");
    }
    fs::write(&items, &sound).unwrap();
    session.unlock(&["work"]).await;
    assert_eq!(vault.get_secret("work", "name").await.unwrap(), b"work");
    session.wait_until_healthy().await;
}

async fn a_vault_with_a_file_missing_is_corrupt(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work", "third"]).await;
    let folder = session.home.vaults();
    daemons.secrets.stop().await;
    fs::remove_file(folder.join("work/items.age")).unwrap();
    fs::remove_file(folder.join("third/identity.age")).unwrap();
    let _secrets = session.secrets().await;
    let vault = session.vault().await;
    for (profile, file) in [("work", "items.age"), ("third", "identity.age")] {
        let error = vault.unlock(profile, PASSPHRASE.as_bytes()).await;
        assert!(matches!(&error, Err(Error::CorruptVault(text)) if text.contains(file)), "{profile}: {error:?}");
        assert!(!folder.join(profile).join(file).exists(), "{file} was written");
    }
    session.unlock(&["personal"]).await;
}

async fn a_file_that_another_program_changed_is_not_overwritten(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let vault = session.vault().await;
    vault.set_secret("personal", "a", b"1").await.unwrap();
    let items = session.home.vaults().join("personal/items.age");
    let copy = session.home.path().join("copy");
    fs::copy(&items, &copy).unwrap();
    fs::rename(&copy, &items).unwrap();
    let before = fs::read(&items).unwrap();
    let refused = vault.set_secret("personal", "a", b"2").await;
    assert!(matches!(refused, Err(Error::ChangedOnDisk(_))), "{refused:?}");
    assert_eq!(fs::read(&items).unwrap(), before);
}

async fn a_second_daemon_is_kept_from_the_vaults(session: Session) {
    let _daemons = session.daemons().await;
    // Another runtime folder and another bus name would do: the vaults are the same.
    let other = Home::new();
    let recipe = session.recipe("second-on-vaults", [program("daemon-secrets")]);
    let mut second = recipe.with("XDG_RUNTIME_DIR", other.runtime().to_str().unwrap()).start();
    let status = second.exited().await;
    assert!(status.code().is_some_and(|code| code != 0), "{status}");
    assert!(second.log().contains("vaults"), "it says what is taken: {}", second.log());
}

/// daemon-secrets in a mount namespace of its own, after `script` was run there.
async fn in_own_mounts(session: &Session, script: &str) -> Process {
    let script = format!("{script} && exec \"$0\"");
    let words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", &script];
    let daemon = program("daemon-secrets");
    let words = words.iter().map(AsRef::as_ref).chain([daemon.as_os_str()]);
    let mut process = session.recipe("daemon-secrets", words).start();
    let client = session.client().await;
    tokio::select! {
        () = client.wait_for_owner(secrets::NAME) => {}
        status = process.exited() => panic!("it ended with {status}: {}", process.log()),
    }
    process
}

/// Runs `script` among the mounts of `daemon`.
async fn among_mounts(session: &Session, daemon: &Process, script: &str) -> String {
    let target = format!("--target={}", daemon.pid().as_raw_pid());
    session.run(&["nsenter", &target, "--mount", "--wd", "sh", "-c", script]).await.stdout_of_success()
}

fn every_file(session: &Session, daemon: &Process, profile: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let inside = PathBuf::from(format!("/proc/{}/root", daemon.pid().as_raw_pid()));
    let folder = inside.join(session.home.vaults().strip_prefix("/").unwrap()).join(profile);
    let mut files: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Every change of the vault is refused with `Storage`, and nothing has changed.
async fn assert_nothing_can_be_stored(session: &Session, daemon: &Process, cause: &str) {
    let vault = session.vault().await;
    let before = every_file(session, daemon, "personal");
    let passphrase = PASSPHRASE.as_bytes();
    for refused in [
        vault.set_secret("personal", "old", &[b'x'; 100_000]).await,
        vault.delete_secret("personal", "old").await,
        vault.change_passphrase("personal", passphrase, b"new").await,
    ] {
        assert!(matches!(&refused, Err(Error::Storage(text)) if text.contains(cause)), "{refused:?}");
    }
    assert_eq!(every_file(session, daemon, "personal"), before);
    assert_eq!(vault.get_secret("personal", "old").await.unwrap(), b"value");
}

/// daemon-secrets on a disk of 1 MiB, with an open vault.
async fn on_a_small_disk(session: &Session) -> (Process, String) {
    let folder: PathBuf = session.home.path().join("data/open-sesame");
    fs::create_dir_all(&folder).unwrap();
    let folder = folder.to_str().unwrap().to_owned();
    let daemon = in_own_mounts(session, &format!("mount -t tmpfs -o size=1m,mode=700 tmpfs {folder}")).await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    session.vault().await.set_secret("personal", "old", b"value").await.unwrap();
    (daemon, folder)
}

async fn a_full_disk_leaves_the_vault_as_it_was(session: Session) {
    let _profile = session.profile().await;
    let (daemon, folder) = on_a_small_disk(&session).await;
    among_mounts(&session, &daemon, &format!("cat /dev/zero > {folder}/ballast 2>/dev/null || true")).await;
    assert_nothing_can_be_stored(&session, &daemon, "space").await;
    let refused = session.vault().await.create("work", PASSPHRASE.as_bytes()).await;
    assert!(matches!(refused, Err(Error::Storage(_))), "{refused:?}");
    assert_eq!(session.client().await.status().await.0.len(), 1);
    among_mounts(&session, &daemon, &format!("rm {folder}/ballast")).await;
    assert_stores_again(&session).await;
}

async fn a_disk_remounted_read_only_leaves_the_vault_as_it_was(session: Session) {
    let _profile = session.profile().await;
    let (daemon, folder) = on_a_small_disk(&session).await;
    among_mounts(&session, &daemon, &format!("mount -o remount,ro {folder}")).await;
    assert_nothing_can_be_stored(&session, &daemon, "ead-only").await;
    for refused in [
        session.vault().await.create("work", PASSPHRASE.as_bytes()).await,
        session.vault().await.delete("personal", PASSPHRASE.as_bytes()).await,
    ] {
        assert!(matches!(refused, Err(Error::Storage(_))), "{refused:?}");
    }
    // What only reads goes on.
    session.client().await.secrets().await.lock("personal").await.unwrap();
    session.unlock(&["personal"]).await;
    among_mounts(&session, &daemon, &format!("mount -o remount,rw {folder}")).await;
    assert_stores_again(&session).await;
}

async fn too_many_open_files_leave_the_vault_as_it_was(session: Session) {
    let daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let vault = session.vault().await;
    vault.set_secret("personal", "old", b"value").await.unwrap();
    let before = every_file(&session, &daemons.secrets, "personal");
    // The lowest descriptor that it has free, as its limit: it can open nothing.
    let pid = daemons.secrets.pid();
    let open = PathBuf::from(format!("/proc/{}/fd", pid.as_raw_pid()));
    let free = (0..).find(|number: &u64| fs::symlink_metadata(open.join(number.to_string())).is_err()).unwrap();
    // Inherited from here. The hard limit stays: it can be lowered only.
    let usual = getrlimit(Resource::Nofile);
    prlimit(Some(pid), Resource::Nofile, Rlimit { current: Some(free), ..usual }).unwrap();
    let passphrase = PASSPHRASE.as_bytes();
    for refused in [
        vault.set_secret("personal", "old", b"another").await,
        vault.delete_secret("personal", "old").await,
        vault.change_passphrase("personal", passphrase, b"new").await,
        vault.create("work", passphrase).await,
        vault.delete("personal", passphrase).await,
    ] {
        assert!(matches!(&refused, Err(Error::Storage(text)) if text.contains("open files")), "{refused:?}");
    }
    assert_eq!(vault.get_secret("personal", "old").await.unwrap(), b"value");
    assert_eq!(session.client().await.status().await.0, [("personal".to_owned(), false)].into());
    prlimit(Some(pid), Resource::Nofile, usual).unwrap();
    assert_eq!(every_file(&session, &daemons.secrets, "personal"), before);
    assert_stores_again(&session).await;
}

async fn a_read_only_folder_leaves_the_vault_as_it_was(session: Session) {
    let _profile = session.profile().await;
    let daemon = in_own_mounts(&session, "true").await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    session.vault().await.set_secret("personal", "old", b"value").await.unwrap();
    let folder = session.home.vaults().join("personal");
    let folder = folder.to_str().unwrap();
    among_mounts(&session, &daemon, &format!("mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}"))
        .await;
    assert_nothing_can_be_stored(&session, &daemon, "ead-only").await;
    among_mounts(&session, &daemon, &format!("umount {folder}")).await;
    assert_stores_again(&session).await;
}

async fn assert_stores_again(session: &Session) {
    let vault = session.vault().await;
    let what = "the disk to be writable again";
    let stored = within_deadline(what, vault.set_secret("personal", "old", b"another")).await;
    stored.unwrap();
    session.client().await.secrets().await.lock("personal").await.unwrap();
    session.unlock(&["personal"]).await;
    assert_eq!(vault.get_secret("personal", "old").await.unwrap(), b"another");
}
