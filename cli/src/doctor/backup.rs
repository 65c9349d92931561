//! Advice to keep a second copy of a vault's key file: without identity.age nothing opens the vault. Nobody can know
//! whether there is one, so the advice is given once for each key and then remembered as given; a changed passphrase
//! makes another key, of which an old copy is none.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use dbus_interfaces::places;

use super::{Diagnosis, Finding, Severity, finding, quoted};

const ID: &str = "no-second-copy";

/// The advice for the vaults of `folder` that was not given yet.
pub(super) fn advice<'n>(folder: &Path, profiles: impl Iterator<Item = &'n String>) -> Vec<Finding> {
    let given = given();
    let wanting = profiles.filter(|profile| {
        let key = key(folder, profile);
        key.is_some() && given.get(*profile) != key.as_ref()
    });
    wanting
        .map(|profile| {
            let sentence = "keep a second copy of this vault on another disk: without its identity.age no passphrase \
                            opens it (said once for each key)";
            let mend = format!("cp -a {} /media/ANOTHER-DISK/", quoted(folder.join(profile)));
            finding(ID, Severity::Advice, profile, sentence, mend)
        })
        .collect()
}

/// Remembers that the advice in `diagnosis` was given.
///
/// # Errors
/// Where it cannot be written; it is then given again.
pub fn remember(diagnosis: &Diagnosis) -> io::Result<()> {
    let now: Vec<_> = diagnosis.findings.iter().filter(|finding| finding.id == ID).collect();
    let (Ok(folder), Some(file), false) = (places::vaults_folder(), file(), now.is_empty()) else { return Ok(()) };
    let mut given = given();
    for finding in now {
        given.extend(key(&folder, &finding.subject).map(|key| (finding.subject.clone(), key)));
    }
    // A vault that is gone needs no advice.
    given.retain(|profile, _| key(&folder, profile).is_some());
    let text: String = given.iter().map(|(profile, key)| format!("{profile} {key}\n")).collect();
    if let Some(folder) = file.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(new, file)
}

/// A line for each vault: its name, and which key the advice was given for.
fn file() -> Option<PathBuf> {
    places::state_folder().ok().map(|folder| folder.join("advised-of-copies"))
}

fn given() -> BTreeMap<String, String> {
    let text = file().and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default();
    text.lines().filter_map(|line| line.split_once(' ')).map(|(a, b)| (a.to_owned(), b.to_owned())).collect()
}

/// What tells a key file from the one before: each is written anew.
fn key(folder: &Path, profile: &str) -> Option<String> {
    let found = fs::metadata(folder.join(profile).join("identity.age")).ok()?;
    Some(format!("{}.{:09}", found.mtime(), found.mtime_nsec()))
}
