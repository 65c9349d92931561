//! The store on real files: what it promises, what it makes of bad ones (`bad_files`), of a disk that fails or a process
//! that stops at each operation in turn (`faults`), and of one that is killed at random (`killed`).

mod bad_files;
mod faults;
mod killed;
mod order;

use std::os::unix::fs::PermissionsExt;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::*;

const WEAK: WorkFactor = WorkFactor::weak();

/// A store in a folder of its own, which goes with it.
struct Sandbox {
    store: Store,
    home: TempDir,
}

impl Sandbox {
    fn new() -> Self {
        // In memory where that can be had: there are thousands of them, and an fsync takes its time.
        let home = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        Self { store: Store::open(&home.path().join("vaults")).unwrap(), home }
    }

    /// With the vaults `personal` and `work`, whose passphrases are their names, and in each a secret `who`.
    fn with_two() -> Self {
        let sandbox = Self::new();
        for name in ["personal", "work"] {
            sandbox.store.create(&profile(name), &name.into(), WEAK).unwrap();
            let mut vault = sandbox.unlock(name);
            change(&sandbox.store, &mut vault, set("who", name)).unwrap();
        }
        sandbox
    }

    fn file(&self, name: &str) -> PathBuf {
        self.home.path().join("vaults").join(name)
    }

    fn unlock(&self, name: &str) -> Box<OpenVault> {
        self.store.unlock(&profile(name), &name.into()).unwrap()
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.file(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn profile(name: &str) -> ProfileName {
    name.parse().unwrap()
}

fn secret(name: &str) -> SecretName {
    name.parse().unwrap()
}

fn set(name: &str, value: &str) -> Change {
    Change::Set { name: secret(name), value: value.as_bytes().to_vec().into(), now_usec: 1 }
}

fn change(store: &Store, vault: &mut OpenVault, change: Change) -> Result<(), Error> {
    let written = store.write(vault, &change)?;
    vault.apply(change, written);
    Ok(())
}

fn value<'a>(vault: &'a OpenVault, name: &str) -> Option<&'a str> {
    vault.get(&secret(name)).map(|value| std::str::from_utf8(value).unwrap())
}

#[test]
fn what_is_stored_is_there_after_a_restart() {
    let sandbox = Sandbox::new();
    sandbox.store.create(&profile("work"), &"pass".into(), WEAK).unwrap();
    let mut vault = sandbox.store.unlock(&profile("work"), &"pass".into()).unwrap();
    assert!(vault.is_empty());
    for (name, text) in [("b", "two"), ("a", "one"), ("c", "three")] {
        change(&sandbox.store, &mut vault, set(name, text)).unwrap();
    }
    change(&sandbox.store, &mut vault, Change::Delete { name: secret("c") }).unwrap();
    assert!(matches!(
        change(&sandbox.store, &mut vault, Change::Delete { name: secret("c") }),
        Err(Error::NotFound { .. })
    ));

    let Sandbox { store, home } = sandbox;
    drop(store);
    let store = Store::open(&home.path().join("vaults")).unwrap();
    let vault = store.unlock(&profile("work"), &"pass".into()).unwrap();
    assert_eq!(vault.names().map(SecretName::as_str).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!((value(&vault, "a"), value(&vault, "c")), (Some("one"), None));
    assert_eq!(vault.content.generation, 5, "one for the new vault, one for each write");
}

#[test]
fn folders_are_0700_and_files_0600() {
    let sandbox = Sandbox::with_two();
    let mode = |name: &str| fs::metadata(sandbox.file(name)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(""), mode("work")), (0o700, 0o700));
    assert_eq!((mode("work/identity.age"), mode("work/items.age"), mode(".lock")), (0o600, 0o600, 0o600));
}

#[test]
fn memory_is_left_alone_until_the_disk_has_it() {
    let sandbox = Sandbox::with_two();
    let mut vault = sandbox.unlock("work");
    let (first, second) = (set("a", "1"), set("b", "2"));
    let written = sandbox.store.write(&vault, &first).unwrap();
    assert_eq!(value(&vault, "a"), None);
    assert!(matches!(sandbox.store.write(&vault, &second), Err(Error::ChangedOnDisk(_))), "memory is behind the disk");
    vault.apply(first, written);
    assert_eq!(value(&vault, "a"), Some("1"));
    change(&sandbox.store, &mut vault, second).unwrap();
    assert_eq!(sandbox.unlock("work").names().len(), 3);
}

#[test]
fn a_file_that_another_program_changed_is_not_written_over() {
    let sandbox = Sandbox::with_two();
    let mut vault = sandbox.unlock("work");
    let items = sandbox.file("work/items.age");
    let restored = fs::read(&items).unwrap();
    fs::remove_file(&items).unwrap();
    let missing = sandbox.store.write(&vault, &set("a", "1")).unwrap_err();
    fs::write(&items, &restored).unwrap();
    let replaced = sandbox.store.write(&vault, &set("a", "1")).unwrap_err();
    assert!(matches!(&missing, Error::OnlyCopy(file) if *file == items), "{missing}");
    assert!(matches!(&replaced, Error::ChangedOnDisk(file) if *file == items), "{replaced}");
    fs::write(&items, &restored[..100]).unwrap();
    let damaged = sandbox.store.write(&vault, &set("a", "1")).unwrap_err();
    assert!(matches!(&damaged, Error::OnlyCopy(file) if *file == items), "{damaged}");
    fs::write(&items, &restored).unwrap();
    assert_eq!(fs::read(&items).unwrap(), restored);
    assert_eq!(sandbox.names("work"), [IDENTITY, ITEMS]);

    vault = sandbox.store.reread(&vault).unwrap();
    change(&sandbox.store, &mut vault, set("a", "1")).unwrap();
}

#[test]
fn the_new_passphrase_opens_and_the_old_one_does_not() {
    let sandbox = Sandbox::with_two();
    let mut vault = sandbox.unlock("work");
    let old_identity = fs::read(sandbox.file("work/identity.age")).unwrap();
    let rekeyed = sandbox.store.change_passphrase(&profile("work"), &"work".into(), &"new".into(), WEAK).unwrap();
    vault.rekey(rekeyed);
    change(&sandbox.store, &mut vault, set("later", "x")).unwrap();
    assert_eq!(sandbox.names("work"), [IDENTITY, ITEMS]);

    let refused = sandbox.store.unlock(&profile("work"), &"work".into());
    assert!(matches!(refused, Err(Error::WrongPassphrase(_))));
    let opened = sandbox.store.unlock(&profile("work"), &"new".into()).unwrap();
    assert_eq!((value(&opened, "who"), value(&opened, "later")), (Some("work"), Some("x")));

    // An old copy of identity.age and the old passphrase: they open nothing that was written later.
    fs::write(sandbox.file("work/identity.age"), old_identity).unwrap();
    let refused = sandbox.store.unlock(&profile("work"), &"work".into()).unwrap_err();
    assert!(matches!(refused, Error::Corrupt { flaw: Flaw::OtherKey, .. }));
}

#[test]
fn a_wrong_passphrase_changes_and_deletes_nothing() {
    let sandbox = Sandbox::with_two();
    let (work, wrong) = (profile("work"), SecretString::from("wrong"));
    for refused in [
        sandbox.store.delete(&work, &wrong).unwrap_err(),
        sandbox.store.change_passphrase(&work, &wrong, &"new".into(), WEAK).unwrap_err(),
        sandbox.store.unlock(&work, &wrong).unwrap_err(),
    ] {
        assert!(matches!(&refused, Error::WrongPassphrase(_)), "{refused}");
        assert!(!refused.to_string().contains(wrong.expose_secret()));
    }
    assert_eq!(value(&sandbox.unlock("work"), "who"), Some("work"));
}

#[test]
fn a_deleted_vault_is_gone_with_its_files() {
    let sandbox = Sandbox::with_two();
    sandbox.store.delete(&profile("work"), &"work".into()).unwrap();
    assert_eq!(sandbox.names(""), [LOCK, "personal"]);
    let missing = sandbox.store.unlock(&profile("work"), &"work".into()).unwrap_err();
    assert!(matches!(missing, Error::NoSuchProfile(_)));
    sandbox.store.create(&profile("work"), &"again".into(), WEAK).unwrap();
}

#[test]
fn there_are_at_most_64_vaults() {
    let sandbox = Sandbox::with_two();
    (2..MAX_VAULTS).for_each(|n| fs::create_dir(sandbox.file(&n.to_string())).unwrap());
    let refused = sandbox.store.create(&profile("another"), &"p".into(), WEAK).unwrap_err();
    assert!(matches!(refused, Error::TooLarge(Limit::Vaults)));
    let exists = sandbox.store.create(&profile("work"), &"p".into(), WEAK).unwrap_err();
    assert!(matches!(exists, Error::AlreadyExists(_)));
    assert_eq!(value(&sandbox.unlock("work"), "who"), Some("work"));
}

#[test]
fn a_second_store_is_kept_out_until_the_first_is_gone() {
    let Sandbox { store, home } = Sandbox::new();
    let folder = home.path().join("vaults");
    assert!(matches!(Store::open(&folder), Err(Error::Held(_))));
    drop(store);
    assert!(Store::open(&folder).is_ok());
}

#[test]
fn leftovers_are_swept_at_the_start_and_nothing_else_is() {
    let Sandbox { store, home } = Sandbox::with_two();
    drop(store);
    let folder = home.path().join("vaults");
    fs::create_dir_all(folder.join(".x.new/deeper")).unwrap();
    for name in [".x.deleted", "work/.items.age.new", "not a profile", "work/notes"] {
        fs::write(folder.join(name), "x").unwrap();
    }
    let sandbox = Sandbox { store: Store::open(&folder).unwrap(), home };
    assert_eq!(sandbox.names(""), [LOCK, "not a profile", "personal", "work"]);
    assert_eq!(sandbox.names("work"), [IDENTITY, ITEMS, "notes"]);
    let listed: Vec<ProfileName> = sandbox.store.list().unwrap().into_keys().collect();
    assert_eq!(listed, [profile("personal"), profile("work")]);
}

#[test]
fn a_leftover_of_this_run_is_in_no_writes_way() {
    let sandbox = Sandbox::with_two();
    let (mut vault, leftover) = (sandbox.unlock("work"), sandbox.file("work/.items.age.new"));
    let elsewhere = sandbox.file("elsewhere");
    fs::write(&elsewhere, "untouched").unwrap();
    let makers: [&dyn Fn(); 3] =
        [&|| fs::write(&leftover, "x").unwrap(), &|| fs::create_dir_all(leftover.join("deeper")).unwrap(), &|| {
            std::os::unix::fs::symlink(&elsewhere, &leftover).unwrap()
        }];
    for (number, make) in makers.iter().enumerate() {
        make();
        change(&sandbox.store, &mut vault, set("who", &number.to_string())).unwrap();
        assert_eq!(value(&sandbox.unlock("work"), "who"), Some(&*number.to_string()));
        assert_eq!(sandbox.names("work"), [IDENTITY, ITEMS]);
    }
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "untouched");
}

#[test]
fn the_store_is_shared_between_threads() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Store>();
    shared::<OpenVault>();
    shared::<Change>();
}

#[test]
fn a_file_among_the_vaults_is_none() {
    let sandbox = Sandbox::with_two();
    fs::write(sandbox.file("notes"), "mine").unwrap();
    assert!(sandbox.store.list().unwrap().keys().eq(&[profile("personal"), profile("work")]));
}
