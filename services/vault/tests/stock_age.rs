//! Vaults and Debian's `age`: each opens what the other made, so nobody is locked into this software.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use dbus_interfaces::{ProfileName, SecretName};
use tempfile::TempDir;
use vault_store::{Change, Store, WorkFactor};

/// Runs a command line of `age` in `folder`, on a terminal of its own (it takes a passphrase from nothing else),
/// where `typed` is typed.
fn age(folder: &Path, command: &str, typed: &str) {
    let mut terminal = Command::new("script")
        .args(["--quiet", "--return", "--command", command, "/dev/null"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs script; install it: apt-get install bsdutils");
    // Kept open until the end: the end of what is typed would end the terminal.
    let mut keyboard = terminal.stdin.take().expect("it is piped");
    keyboard.write_all(typed.as_bytes()).expect("the terminal takes what is typed");
    let ended = terminal.wait_with_output().expect("the terminal ends");
    let shown = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{command}: {shown} (127: install it: apt-get install age)");
}

fn work() -> ProfileName {
    "work".parse().expect("a name")
}

fn secret() -> SecretName {
    "db-url".parse().expect("a name")
}

#[test]
fn stock_age_opens_a_vault_made_here() {
    let home = TempDir::new().expect("a folder");
    let store = Store::open(home.path()).expect("a store");
    store.create(&work(), &"correct horse".into(), WorkFactor::try_from(15).expect("15 is one")).expect("a vault");
    let vault = store.unlock(&work(), &"correct horse".into()).expect("it opens");
    let change = Change::Set { name: secret(), value: b"postgres://x".to_vec().into(), now_usec: 7 };
    let _ = store.write(&vault, &change).expect("it is written");

    let folder = home.path().join("work");
    age(&folder, "age --decrypt --output key identity.age", "correct horse\n");
    age(&folder, "age --decrypt --identity key --output items.json items.age", "");
    let items = fs::read_to_string(folder.join("items.json")).expect("it is text");
    assert_eq!(
        items,
        concat!(
            r#"{"format":1,"profile":"work","generation":2,"items":[{"name":"db-url","label":"db-url","#,
            r#""content_type":"text/plain","created":7,"modified":7,"origin":"sesame","value":"postgres://x"}]}"#
        )
    );
}

#[test]
fn a_vault_made_with_stock_age_opens_here() {
    let home = TempDir::new().expect("a folder");
    let folder = home.path().join("work");
    fs::create_dir(&folder).expect("a folder");
    let items = r#"{"format":1,"profile":"work","items":[{"name":"db-url","value":"postgres://y"}]}"#;
    fs::write(folder.join("items.json"), items).expect("a file");
    age(&folder, "age-keygen --output key", "");
    age(&folder, "age --encrypt --identity key --output items.age items.json", "");
    age(&folder, "age --passphrase --output identity.age key", "by hand\nby hand\n");

    let store = Store::open(home.path()).expect("a store");
    let mut vault = store.unlock(&work(), &"by hand".into()).expect("it opens");
    assert_eq!(vault.get(&secret()), Some(&b"postgres://y"[..]));
    let change = Change::Set { name: secret(), value: b"changed".to_vec().into(), now_usec: 7 };
    let written = store.write(&vault, &change).expect("it is written");
    vault.apply(change, written);
    let vault = store.unlock(&work(), &"by hand".into()).expect("it opens");
    assert_eq!(vault.get(&secret()), Some(&b"changed"[..]));
}
