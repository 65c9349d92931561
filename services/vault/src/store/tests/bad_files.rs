//! Files that cannot be what was written: each is refused by the right error that names it, is left as it is, and
//! hurts no other vault.

use std::os::unix::fs::symlink;

use super::*;

fn refused(sandbox: &Sandbox, name: &str) -> Error {
    let error = sandbox.store.unlock(&profile(name), &name.into()).unwrap_err();
    assert_eq!(value(&sandbox.unlock("personal"), "who"), Some("personal"), "the other vault");
    error
}

/// Asserts that `work` stays closed because of `file`, which is not touched; gives what is wrong with it.
fn flaw_of(sandbox: &Sandbox, file: &str, at: &str) -> Flaw {
    let before = fs::read(sandbox.file(file)).ok();
    let flaw = match refused(sandbox, "work") {
        Error::Corrupt { file: named, flaw } => {
            assert_eq!(named, sandbox.file(file), "{at}");
            flaw
        }
        other => panic!("{at}: {other}"),
    };
    assert_eq!(fs::read(sandbox.file(file)).ok(), before, "{at}");
    flaw
}

/// Writes `work`'s content anew, as whoever has its key could.
fn forge(sandbox: &Sandbox, json: &str) {
    let key = &sandbox.unlock("work").key;
    let sealed = key.seal(|file| file.write_all(json.as_bytes())).unwrap();
    fs::write(sandbox.file("work/items.age"), sealed).unwrap();
}

#[test]
fn a_truncated_file_is_corrupt_wherever_it_ends() {
    let sandbox = Sandbox::with_two();
    for file in ["work/identity.age", "work/items.age"] {
        let whole = fs::read(sandbox.file(file)).unwrap();
        for end in (0..whole.len()).step_by(50).chain([whole.len() - 1]) {
            fs::write(sandbox.file(file), &whole[..end]).unwrap();
            flaw_of(&sandbox, file, &format!("{file} to {end}"));
        }
        fs::write(sandbox.file(file), &whole).unwrap();
    }
    assert_eq!(value(&sandbox.unlock("work"), "who"), Some("work"));
}

#[test]
fn a_flipped_byte_is_noticed_wherever_it_is() {
    let sandbox = Sandbox::with_two();
    for file in ["work/identity.age", "work/items.age"] {
        let whole = fs::read(sandbox.file(file)).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(sandbox.file(file), &flipped).unwrap();
            match refused(&sandbox, "work") {
                Error::Corrupt { file: named, .. } => assert_eq!(named, sandbox.file(file)),
                // A damaged wrapped key or salt cannot be told from another passphrase: the text says so.
                error @ Error::WrongPassphrase(_) => {
                    assert_eq!(file, "work/identity.age");
                    assert!(error.to_string().contains("identity.age") && error.to_string().contains("damaged"));
                }
                other => panic!("{file} at {at}: {other}"),
            }
            assert_eq!(fs::read(sandbox.file(file)).unwrap(), flipped);
        }
        fs::write(sandbox.file(file), &whole).unwrap();
    }
}

#[test]
fn garbage_is_no_age_file() {
    let sandbox = Sandbox::with_two();
    for file in ["work/items.age", "work/identity.age"] {
        for garbage in [vec![], vec![0; 10_000], b"age-encryption.org/v1\n".to_vec(), b"\n--- \n".repeat(99)] {
            fs::write(sandbox.file(file), &garbage).unwrap();
            assert_eq!(flaw_of(&sandbox, file, "garbage"), Flaw::NoAge);
        }
    }
}

#[test]
fn another_vaults_files_are_told_apart() {
    let sandbox = Sandbox::with_two();
    let copy = |file| fs::copy(sandbox.file(&format!("personal/{file}")), sandbox.file(&format!("work/{file}")));
    copy(ITEMS).unwrap();
    assert_eq!(flaw_of(&sandbox, "work/items.age", "its items"), Flaw::OtherKey);
    copy(IDENTITY).unwrap();
    assert!(matches!(refused(&sandbox, "work"), Error::WrongPassphrase(_)));
    let both = sandbox.store.unlock(&profile("work"), &"personal".into()).unwrap_err();
    assert!(matches!(both, Error::Corrupt { flaw: Flaw::OtherProfile, .. }), "{both}");
}

#[test]
fn a_file_of_the_wrong_kind_is_no_file() {
    let sandbox = Sandbox::with_two();
    for file in ["work/items.age", "work/identity.age"] {
        let path = sandbox.file(file);
        fs::remove_file(&path).unwrap();
        assert_eq!(flaw_of(&sandbox, file, "missing"), Flaw::Missing);
        let listed = sandbox.store.list().unwrap().remove(&profile("work")).unwrap().unwrap();
        assert!(matches!(&listed, Error::Corrupt { file, flaw: Flaw::Missing } if *file == path), "{listed}");

        symlink(sandbox.file("personal/items.age"), &path).unwrap();
        assert_eq!(flaw_of(&sandbox, file, "a link"), Flaw::NoFile);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(flaw_of(&sandbox, file, "a folder"), Flaw::NoFile);
        fs::remove_dir(&path).unwrap();
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert_eq!(flaw_of_pipe(&sandbox), Flaw::NoFile);
        let listed = sandbox.store.list().unwrap().remove(&profile("work")).unwrap();
        assert!(matches!(listed, Some(Error::Corrupt { flaw: Flaw::NoFile, .. })));
    }
    fs::remove_dir_all(sandbox.file("work")).unwrap();
    fs::write(sandbox.file("work"), "not even a folder").unwrap();
    assert!(matches!(refused(&sandbox, "work"), Error::Corrupt { flaw: Flaw::NoFile, .. }));
}

/// A named pipe cannot be read to compare it: opening it would wait for ever, which is what this is about.
fn flaw_of_pipe(sandbox: &Sandbox) -> Flaw {
    match refused(sandbox, "work") {
        Error::Corrupt { flaw, .. } => flaw,
        other => panic!("{other}"),
    }
}

#[test]
fn a_content_is_checked_before_it_is_believed() {
    for (json, expected) in [
        (r#"{"format":1,"profile":"personal","items":[]}"#, Flaw::OtherProfile),
        (r#"{"format":1,"profile":"work","items":"hunter2"}"#, Flaw::NoJson { line: 1, column: 46 }),
        (r#"{"format":2,"profile":"work","things":[]}"#, Flaw::Format(2)),
        ("hunter2", Flaw::NoJson { line: 1, column: 1 }),
        ("", Flaw::NoJson { line: 1, column: 0 }),
    ] {
        let sandbox = Sandbox::with_two();
        forge(&sandbox, json);
        assert_eq!(flaw_of(&sandbox, "work/items.age", json), expected);
        assert!(!refused(&sandbox, "work").to_string().contains("hunter2"));
    }
}

#[test]
fn what_other_applications_stored_survives_our_writes() {
    let sandbox = Sandbox::with_two();
    let foreign = concat!(
        r#"{"name":"who","label":"Wi-Fi","attributes":{"ssid":"café"},"content_type":"text/x","created":1,"#,
        r#""modified":2,"origin":"org.example.App","value_base64":"/w=="}"#
    );
    forge(&sandbox, &format!(r#"{{"format":1,"profile":"work","items":[{foreign}]}}"#));
    let mut vault = sandbox.unlock("work");
    assert_eq!((vault.len(), vault.names().len()), (1, 0), "theirs are not served as ours");
    change(&sandbox.store, &mut vault, set("who", "ours")).unwrap();
    change(&sandbox.store, &mut vault, Change::Delete { name: secret("who") }).unwrap();
    let mut json = Vec::new();
    format::write(&mut json, &profile("work"), &sandbox.unlock("work").content, None).unwrap();
    assert!(String::from_utf8(json).unwrap().contains(foreign));
}

#[test]
fn a_work_factor_above_18_is_not_tried() {
    let sandbox = Sandbox::with_two();
    let whole = String::from_utf8_lossy(&fs::read(sandbox.file("work/identity.age")).unwrap()).into_owned();
    for factor in ["19", "20", "63", "255"] {
        let (first, rest) = whole.split_once(" 1\n").unwrap();
        fs::write(sandbox.file("work/identity.age"), format!("{first} {factor}\n{rest}")).unwrap();
        let flaw = flaw_of(&sandbox, "work/identity.age", factor);
        assert_eq!(flaw, Flaw::WorkFactor, "{factor}");
    }
}

#[test]
fn a_file_larger_than_a_vault_is_not_read() {
    let sandbox = Sandbox::with_two();
    let file = File::options().write(true).open(sandbox.file("work/items.age")).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(matches!(refused(&sandbox, "work"), Error::OversizedFile(file) if file.ends_with("work/items.age")));
}

#[test]
fn more_than_a_vault_may_hold_is_refused_and_changes_nothing() {
    let sandbox = Sandbox::with_two();
    let mut vault = sandbox.unlock("work");
    for n in 0..15 {
        change(&sandbox.store, &mut vault, set(&n.to_string(), &"x".repeat(1 << 20))).unwrap();
    }
    let before = fs::read(sandbox.file("work/items.age")).unwrap();
    let whole = sandbox.store.write(&vault, &set("last", &"x".repeat(1 << 20))).unwrap_err();
    assert!(matches!(whole, Error::TooLarge(Limit::Json)));
    let value = sandbox.store.write(&vault, &set("a", &"x".repeat((1 << 20) + 1))).unwrap_err();
    assert!(matches!(value, Error::TooLarge(Limit::Value)));
    assert!(fs::read(sandbox.file("work/items.age")).unwrap() == before);
    assert_eq!(sandbox.names("work"), [IDENTITY, ITEMS]);
}
