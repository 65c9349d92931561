//! The order of operations: a rename before the content's fsync would lose data, and no fault shows it.

use std::sync::{Arc, Mutex};

use super::*;

/// The real disk, and what was done there.
struct Noted(Arc<Mutex<Vec<String>>>);

impl Noted {
    fn note<T>(&self, what: &str, done: io::Result<T>) -> io::Result<T> {
        self.0.lock().unwrap().push(what.into());
        done
    }
}

impl Files for Noted {
    fn read(&self, file: &Path, limit: u64) -> io::Result<(Vec<u8>, Stamp)> {
        Disk.read(file, limit)
    }

    fn stamp(&self, file: &Path) -> io::Result<Stamp> {
        self.note("stamp", Disk.stamp(file))
    }

    fn create(&self, file: &Path, content: &[u8]) -> io::Result<File> {
        self.note("create", Disk.create(file, content))
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.note("sync", Disk.sync(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.note(&format!("rename {}", to.file_name().unwrap().display()), Disk.rename(from, to))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.note("sync folder", Disk.sync_folder(folder))
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        self.note("make folder", Disk.make_folder(folder))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Disk.remove(path)
    }
}

#[test]
fn content_is_synced_before_it_is_named_and_names_before_the_answer() {
    let home = TempDir::new().unwrap();
    let notes = Arc::new(Mutex::new(Vec::new()));
    let store = Store::open_with(home.path(), Box::new(Noted(Arc::clone(&notes)))).unwrap();
    let taken = || std::mem::take(&mut *notes.lock().unwrap());
    let work = profile("work");

    store.create(&work, &"old".into(), WEAK).unwrap();
    let made = ["make folder", "create", "sync", "create", "sync", "sync folder", "rename work", "sync folder"];
    assert_eq!(taken(), made);

    let mut vault = store.unlock(&work, &"old".into()).unwrap();
    change(&store, &mut vault, set("a", "1")).unwrap();
    assert_eq!(taken(), ["create", "sync", "stamp", "rename items.age", "sync folder"]);

    store.change_passphrase(&work, &"old".into(), &"new".into(), WEAK).unwrap();
    let [identity, items] = [["rename identity.age", "sync folder"], ["rename items.age", "sync folder"]];
    let drafts = [["create", "sync"]; 3].concat();
    assert_eq!(taken(), [&drafts[..], &["stamp"], &identity, &items, &identity].concat());

    store.delete(&work, &"new".into()).unwrap();
    assert_eq!(taken(), ["rename .work.deleted", "sync folder"]);
}
