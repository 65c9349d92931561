//! A disk that is really full, and one that is read-only: only root can make them, so these are run by name:
//! `cargo test -p vault-store --test full_disk -- --ignored`.

use std::{fs, path::Path, process::Command};

use dbus_interfaces::{ProfileName, SecretName};
use tempfile::TempDir;
use vault_store::{Change, Error, Store, WorkFactor};

/// A file system of 64 KiB, gone with its value.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn new() -> Self {
        let disk = Self(TempDir::new().expect("a folder"));
        run("mount", &["-t", "tmpfs", "-o", "size=64k", "small-disk"], disk.0.path());
        disk
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        run("umount", &["--lazy"], self.0.path());
    }
}

fn run(program: &str, arguments: &[&str], folder: &Path) {
    let ended = Command::new(program).args(arguments).arg(folder).status();
    assert!(ended.is_ok_and(|status| status.success()), "{program} failed: this test needs root");
}

fn profile(name: &str) -> ProfileName {
    name.parse().expect("a name")
}

fn secret() -> SecretName {
    "a".parse().expect("a name")
}

fn factor() -> WorkFactor {
    WorkFactor::try_from(15).expect("15 is one")
}

/// Everything that writes is refused with `Storage`, leaves the folder as it is, and the vault stays open and opens.
fn refuses_all(store: &Store, folder: &Path) {
    let work = profile("work");
    let vault = store.unlock(&work, &"old".into()).expect("it opens");
    let before = fs::read(folder.join("work/items.age")).expect("it is there");
    let large = Change::Set { name: secret(), value: vec![1; 1 << 16].into(), now_usec: 2 };
    for refused in [
        store.write(&vault, &large).expect_err("no room"),
        store.create(&profile("other"), &"p".into(), factor()).expect_err("no room"),
        store.change_passphrase(&work, &"old".into(), &"new".into(), factor()).expect_err("no room"),
    ] {
        assert!(matches!(refused, Error::Storage { .. }), "{refused}");
    }
    assert!(fs::read(folder.join("work/items.age")).expect("it is there") == before);
    let vault = store.unlock(&work, &"old".into()).expect("it opens with the old passphrase");
    assert_eq!(vault.get(&secret()), Some(&b"1"[..]));
}

#[test]
#[ignore = "needs root, to mount a small file system"]
fn a_full_or_read_only_disk_changes_nothing() {
    let disk = SmallDisk::new();
    let folder = disk.0.path();
    let store = Store::open(folder).expect("a store");
    store.create(&profile("work"), &"old".into(), factor()).expect("a vault");
    let mut vault = store.unlock(&profile("work"), &"old".into()).expect("it opens");
    let change = Change::Set { name: secret(), value: b"1".to_vec().into(), now_usec: 1 };
    let written = store.write(&vault, &change).expect("there is room");
    vault.apply(change, written);

    // What is left is less than a page.
    let _ = fs::write(folder.join("filler"), vec![0; 1 << 16]);
    refuses_all(&store, folder);
    fs::remove_file(folder.join("filler")).expect("it was there");

    run("mount", &["-o", "remount,ro"], folder);
    refuses_all(&store, folder);
    assert!(matches!(store.delete(&profile("work"), &"old".into()), Err(Error::Storage { .. })));
}
