//! Folders and files that others can read or write, or that are another user's.

use std::{
    fs::{self, Metadata},
    io::ErrorKind,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use dbus_interfaces::places::{self, PlaceError};

use super::{Diagnosis, Finding, Severity, finding, quoted};

/// What a place is for, and so who may reach it.
#[derive(Clone, Copy)]
enum Kind {
    /// Only its owner.
    Private,
    /// Its owner; others may read.
    Own,
}

pub(super) fn look(diagnosis: &mut Diagnosis) {
    match places() {
        Ok(places) => {
            let judged = places.iter().filter_map(|(path, kind)| {
                let found = fs::symlink_metadata(path);
                match found {
                    Ok(found) => judge(path, &Facts::of(&found), *kind),
                    Err(cause) if cause.kind() == ErrorKind::NotFound => None,
                    Err(cause) => Some(finding(
                        "file-unreadable",
                        Severity::Error,
                        path.display(),
                        format!("it cannot be looked at: {cause}"),
                        format!("chmod u+rwx {}", quoted(path.parent().unwrap_or(path))),
                    )),
                }
            });
            diagnosis.add(judged);
            diagnosis.add(places::runtime_folder().err().map(no_runtime_folder));
        }
        Err(error) => diagnosis.skip("files", error),
    }
}

/// Everything of this project in the user's home.
fn places() -> Result<Vec<(PathBuf, Kind)>, PlaceError> {
    let config = places::config_file()?;
    let vaults = places::vaults_folder()?;
    let mut all = vec![(places::data_folder()?, Kind::Private), (vaults.clone(), Kind::Private)];
    all.extend(config.parent().map(|folder| (folder.to_owned(), Kind::Own)));
    all.extend([(config, Kind::Own), (places::state_folder()?, Kind::Own)]);
    all.extend(places::runtime_folder().ok().map(|folder| (folder, Kind::Private)));
    for folder in fs::read_dir(&vaults).into_iter().flatten().flatten() {
        let path = folder.path();
        // The lock is a file.
        if folder.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.extend(["identity.age", "items.age"].map(|name| (path.join(name), Kind::Private)));
        }
        all.push((path, Kind::Private));
    }
    Ok(all)
}

/// Without it no daemon starts, though there may be a bus: under dbus-run-session.
fn no_runtime_folder(error: PlaceError) -> Finding {
    finding("no-runtime-folder", Severity::Error, "XDG_RUNTIME_DIR", error, "export XDG_RUNTIME_DIR=\"$(mktemp -d)\"")
}

/// What a file's metadata say of who may reach it.
struct Facts {
    mode: u32,
    owner: u32,
    own_uid: u32,
    is_folder: bool,
    is_link: bool,
}

impl Facts {
    fn of(found: &Metadata) -> Self {
        Self {
            mode: found.permissions().mode() & 0o777,
            owner: found.uid(),
            own_uid: rustix::process::geteuid().as_raw(),
            is_folder: found.is_dir(),
            is_link: found.is_symlink(),
        }
    }
}

fn judge(path: &Path, facts: &Facts, kind: Kind) -> Option<Finding> {
    let shown = path.display();
    if facts.owner != facts.own_uid {
        let sentence = format!("it belongs to user {}, not to you", facts.owner);
        let mend = format!("sudo chown -h {} {}", facts.own_uid, quoted(path));
        return Some(finding("wrong-owner", Severity::Error, shown, sentence, mend));
    }
    let unwanted = match kind {
        Kind::Private => 0o077,
        Kind::Own => 0o022,
    };
    // A link's own mode means nothing.
    if facts.is_link || facts.mode & unwanted == 0 {
        return None;
    }
    let can = if facts.mode & 0o022 & unwanted != 0 { "change" } else { "read" };
    let right = match (kind, facts.is_folder) {
        (Kind::Private, true) => "700",
        (Kind::Private, false) => "600",
        (Kind::Own, _) => "go-w",
    };
    let sentence = format!("other users can {can} it (mode {:04o})", facts.mode);
    Some(finding("permissions-too-wide", Severity::Warning, shown, sentence, format!("chmod {right} {}", quoted(path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mend(mode: u32, owner: u32, is_folder: bool, kind: Kind) -> Option<String> {
        let facts = Facts { mode, owner, own_uid: 1000, is_folder, is_link: false };
        judge(Path::new("/a b"), &facts, kind).map(|finding| finding.mend)
    }

    #[test]
    fn what_others_can_reach_is_closed_to_them() {
        assert_eq!(mend(0o700, 1000, true, Kind::Private), None);
        assert_eq!(mend(0o600, 1000, false, Kind::Private), None);
        assert_eq!(mend(0o750, 1000, true, Kind::Private).unwrap(), "chmod 700 '/a b'");
        assert_eq!(mend(0o604, 1000, false, Kind::Private).unwrap(), "chmod 600 '/a b'");
        assert_eq!(mend(0o644, 1000, false, Kind::Own), None);
        assert_eq!(mend(0o664, 1000, false, Kind::Own).unwrap(), "chmod go-w '/a b'");
        assert_eq!(mend(0o600, 0, false, Kind::Private).unwrap(), "sudo chown -h 1000 '/a b'");
    }
}
