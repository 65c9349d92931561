//! A disk that fails once, or from then on, or a process that ends, at each operation in turn. Afterwards the real disk
//! must hold the old content or the new, whole, and nothing that was acknowledged may be missing.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::*;

use rustix::io::Errno;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    /// The operation fails, those after it work.
    Once(Errno),
    /// The operation and all after it fail.
    Lasting(Errno),
    /// The process ends in the midst of it.
    Crash,
}

/// Disks that are broken, full or not ours, and a process that has too many files open.
const FAULTS: [Fault; 5] = [
    Fault::Once(Errno::IO),
    Fault::Once(Errno::MFILE),
    Fault::Lasting(Errno::NOSPC),
    Fault::Lasting(Errno::ACCESS),
    Fault::Crash,
];

/// The real disk, until operation number `at`.
struct Faulty {
    fault: Fault,
    at: usize,
    done: Arc<AtomicUsize>,
}

/// What an operation is to do.
enum Turn {
    Work,
    Fail(io::Error),
    /// Fail, but not without having done a part.
    Tear(io::Error),
}

impl Faulty {
    fn turn(&self) -> Turn {
        let index = self.done.fetch_add(1, Ordering::Relaxed);
        match self.fault {
            _ if index < self.at => Turn::Work,
            Fault::Once(errno) if index == self.at => Turn::Tear(errno.into()),
            Fault::Once(_) => Turn::Work,
            Fault::Lasting(errno) => Turn::Tear(errno.into()),
            Fault::Crash if index == self.at => Turn::Tear(Errno::INTR.into()),
            Fault::Crash => Turn::Fail(Errno::INTR.into()),
        }
    }

    fn now(&self) -> io::Result<()> {
        match self.turn() {
            Turn::Work => Ok(()),
            Turn::Fail(cause) | Turn::Tear(cause) => Err(cause),
        }
    }
}

impl Files for Faulty {
    fn read(&self, file: &Path, limit: u64) -> io::Result<(Vec<u8>, Stamp)> {
        self.now().and_then(|()| Disk.read(file, limit))
    }

    fn stamp(&self, file: &Path) -> io::Result<Stamp> {
        self.now().and_then(|()| Disk.stamp(file))
    }

    fn create(&self, file: &Path, content: &[u8]) -> io::Result<File> {
        match self.turn() {
            Turn::Work => Disk.create(file, content),
            Turn::Fail(cause) => Err(cause),
            Turn::Tear(cause) => Disk.create(file, &content[..content.len() / 2]).and(Err(cause)),
        }
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        match self.turn() {
            Turn::Work => Disk.sync(file),
            Turn::Fail(cause) => Err(cause),
            // What the kernel could not write it may have thrown away, and says so only once.
            Turn::Tear(cause) => file.set_len(file.metadata()?.len() / 2).and(Err(cause)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.now().and_then(|()| Disk.rename(from, to))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.now().and_then(|()| Disk.sync_folder(folder))
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.now().and_then(|()| Disk.make_folder(folder))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.now().and_then(|()| Disk.remove(path))
    }
}

/// Runs `act` once for each operation that it does and each fault, each time on a fresh copy of two vaults, and then
/// gives its result and what the real disk holds to `check`.
fn at_each_operation(act: impl Fn(&Store) -> Result<(), Error>, check: impl Fn(&Sandbox, Result<(), Error>, &str)) {
    for fault in FAULTS {
        for at in 0.. {
            let Sandbox { store, home } = Sandbox::with_two();
            drop(store);
            let folder = home.path().join("vaults");
            let done = Arc::new(AtomicUsize::new(0));
            let faulty = Faulty { fault, at, done: Arc::clone(&done) };
            let store = Store::open_with(&folder, Box::new(faulty)).unwrap();
            let outcome = act(&store);
            drop(store);
            let complete = done.load(Ordering::Relaxed) <= at;
            assert!(!complete || outcome.is_ok(), "without a fault it works");
            let sandbox = Sandbox { store: Store::open(&folder).unwrap(), home };
            check(&sandbox, outcome, &format!("{fault:?} at {at}"));
            assert_eq!(value(&sandbox.unlock("personal"), "who"), Some("personal"), "the other vault");
            if complete {
                assert!(at > 3, "the faults were reached");
                break;
            }
        }
    }
}

/// Only an error that says so leaves a change that was not acknowledged.
fn must_match(outcome: &Result<(), Error>, changed: bool, at: &str) {
    match outcome {
        Ok(()) => assert!(changed, "{at}: acknowledged, but not there"),
        Err(error) if error.is_uncertain() => {}
        Err(error) => assert!(!changed, "{at}: there, in spite of: {error}"),
    }
}

#[test]
fn a_new_vault_is_whole_or_not_there() {
    let new = profile("new");
    at_each_operation(
        |store| store.create(&new, &"pass".into(), WEAK),
        |sandbox, outcome, at| {
            let listed = sandbox.store.list().unwrap();
            must_match(&outcome, listed.contains_key(&new), at);
            match listed.get(&new) {
                Some(fault) => {
                    assert!(fault.is_none(), "{at}: {fault:?}");
                    assert!(sandbox.store.unlock(&new, &"pass".into()).unwrap().is_empty());
                }
                None => sandbox.store.create(&new, &"again".into(), WEAK).unwrap(),
            }
            assert_eq!(sandbox.names(""), [LOCK, "new", "personal", "work"], "{at}");
        },
    );
}

#[test]
fn a_stored_secret_is_there_and_a_refused_one_is_not() {
    at_each_operation(
        |store| {
            let mut vault = store.unlock(&profile("work"), &"work".into())?;
            change(store, &mut vault, set("who", "else"))
        },
        |sandbox, outcome, at| {
            let vault = sandbox.unlock("work");
            let found = value(&vault, "who").unwrap();
            assert!(["work", "else"].contains(&found), "{at}: {found}");
            must_match(&outcome, found == "else", at);
            assert_eq!(sandbox.names("work"), [IDENTITY, ITEMS], "{at}");
        },
    );
}

/// The file by which items of a locked vault are found may be behind its vault where a fault came between the two, and
/// is never ahead of it; the next unlock brings them together.
#[test]
fn a_locked_vault_is_searched_for_what_it_has() {
    let wanted = |name: &str| [("name".into(), name.into())].into();
    at_each_operation(
        |store| {
            let mut vault = store.unlock(&profile("work"), &"work".into())?;
            store.make_searched(&vault)?;
            change(store, &mut vault, set("more", "x"))?;
            // What is found is worth nothing less than the change, which is there.
            let _ = store.search_file(&vault).and_then(|file| store.write_search(&file));
            Ok(())
        },
        |sandbox, outcome, at| {
            let vaults = sandbox.home.path().join("vaults");
            let found = |name| find_locked(&vaults, &profile("work"), &wanted(name)).len();
            let vault = sandbox.unlock("work");
            let there = value(&vault, "more").is_some();
            must_match(&outcome, there, at);
            assert!(found("who") <= 1 && (found("more") == 0 || there), "{at}");
            sandbox.store.make_searched(&vault).unwrap();
            assert_eq!((found("who"), found("more")), (1, usize::from(there)), "{at}");
            assert_eq!(sandbox.names("work"), [SIDECAR, IDENTITY, ITEMS], "{at}");
            sandbox.store.forget_search(&profile("work")).unwrap();
            assert_eq!(sandbox.names("work"), [IDENTITY, ITEMS], "{at}");
        },
    );
}

#[test]
fn a_deleted_secret_is_gone_and_a_kept_one_is_there() {
    at_each_operation(
        |store| {
            let mut vault = store.unlock(&profile("work"), &"work".into())?;
            change(store, &mut vault, Change::Delete { name: secret("who") })
        },
        |sandbox, outcome, at| {
            must_match(&outcome, sandbox.unlock("work").is_empty(), at);
            assert_eq!(sandbox.names("work"), [IDENTITY, ITEMS], "{at}");
        },
    );
}

#[test]
fn an_open_vault_goes_on_after_a_disk_that_failed_once() {
    at_each_operation(
        |store| {
            let vault = store.unlock(&profile("work"), &"work".into());
            // Opening is what failed: once more.
            let mut vault = vault.or_else(|_| store.unlock(&profile("work"), &"work".into()))?;
            let first = change(store, &mut vault, set("a", "1"));
            if first.as_ref().is_err_and(Error::is_uncertain) {
                vault = store.reread(&vault)?;
            }
            change(store, &mut vault, set("b", "2"))
        },
        |sandbox, outcome, at| {
            let vault = sandbox.unlock("work");
            must_match(&outcome, value(&vault, "b").is_some(), at);
            let a = value(&vault, "a").is_some();
            assert!(
                a || outcome.is_err() || at.starts_with("Once") || at.starts_with("Lasting"),
                "{at}: the first was acknowledged"
            );
        },
    );
}

#[test]
fn a_changed_passphrase_loses_nothing() {
    let (work, old, new) = (profile("work"), SecretString::from("work"), SecretString::from("new"));
    at_each_operation(
        |store| store.change_passphrase(&work, &old, &new, WEAK).map(drop),
        |sandbox, outcome, at| {
            let opened = sandbox.store.unlock(&work, &new);
            must_match(&outcome, opened.is_ok(), at);
            let (mut vault, passphrase, other) = match opened {
                Ok(vault) => (vault, &new, &old),
                Err(Error::WrongPassphrase(_)) => (sandbox.unlock("work"), &old, &new),
                Err(error) => panic!("{at}: {error}"),
            };
            assert_eq!(value(&vault, "who"), Some("work"), "{at}");
            assert!(matches!(sandbox.store.unlock(&work, other), Err(Error::WrongPassphrase(_))), "{at}");
            change(&sandbox.store, &mut vault, set("later", "x")).unwrap();
            let again = sandbox.store.unlock(&work, passphrase).unwrap();
            assert_eq!(value(&again, "later"), Some("x"), "{at}");
            let place = sandbox.store.place(&work).unwrap();
            let keys = sandbox.store.read_identity(&place, passphrase).unwrap().0.len();
            assert_eq!((keys, sandbox.names("work").len()), (1, 2), "{at}: an interrupted change is finished");
        },
    );
}

#[test]
fn finishing_a_change_of_passphrase_may_be_interrupted_too() {
    let (work, new) = (profile("work"), SecretString::from("new"));
    at_each_operation(
        |store| {
            let (place, key) = (store.place(&work)?, Key::generate());
            let old = Disk.read(&place.identity, u64::MAX).unwrap().0;
            // As the first step of a change leaves it.
            let keys = keys::open_identity(&old, &"work".into()).ok().unwrap();
            fs::write(&place.identity, keys::seal_identity(&[&key, &keys[0]], &new, WEAK).unwrap()).unwrap();
            store.unlock(&work, &new).map(drop)
        },
        |sandbox, _, at| {
            let mut vault = sandbox.store.unlock(&work, &new).unwrap();
            assert_eq!(value(&vault, "who"), Some("work"), "{at}");
            change(&sandbox.store, &mut vault, set("later", "x")).unwrap();
            let again = sandbox.store.unlock(&work, &new).unwrap();
            assert_eq!(value(&again, "later"), Some("x"), "{at}");
            assert_eq!(sandbox.names("work"), [IDENTITY, ITEMS], "{at}");
        },
    );
}

#[test]
fn a_vault_is_deleted_or_whole() {
    at_each_operation(
        |store| store.delete(&profile("work"), &"work".into()),
        |sandbox, outcome, at| {
            let gone = !sandbox.store.list().unwrap().contains_key(&profile("work"));
            must_match(&outcome, gone, at);
            if !gone {
                assert_eq!(value(&sandbox.unlock("work"), "who"), Some("work"), "{at}");
            }
            assert_eq!(sandbox.names("").len(), if gone { 2 } else { 3 }, "{at}: nothing half deleted stays");
        },
    );
}

#[test]
fn sweeping_may_fail_and_leftovers_never_keep_a_vault_from_opening() {
    for fault in FAULTS {
        for at in 0..5 {
            let Sandbox { store, home } = Sandbox::with_two();
            drop(store);
            let folder = home.path().join("vaults");
            // As a create, a delete, a write and a change of passphrase leave them that were stopped.
            for name in [".new.new", ".old.deleted"] {
                fs::create_dir(folder.join(name)).unwrap();
                fs::write(folder.join(name).join(IDENTITY), "half").unwrap();
            }
            for name in ["work/.items.age.new", "work/.identity.age.both"] {
                fs::write(folder.join(name), "half").unwrap();
            }
            let done = Arc::new(AtomicUsize::new(0));
            let store = Store::open_with(&folder, Box::new(Faulty { fault, at, done: Arc::clone(&done) })).unwrap();
            assert_eq!(done.load(Ordering::Relaxed), 4, "each leftover is tried");
            assert!(store.list().unwrap().values().all(Option::is_none));
            drop(store);
            let sandbox = Sandbox { store: Store::open(&folder).unwrap(), home };
            assert_eq!(sandbox.names(""), [LOCK, "personal", "work"], "{fault:?} at {at}");
            assert_eq!(sandbox.names("work"), [IDENTITY, ITEMS], "{fault:?} at {at}");
            assert_eq!(value(&sandbox.unlock("work"), "who"), Some("work"));
        }
    }
}
