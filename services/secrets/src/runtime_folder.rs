//! The runtime folder: one daemon-secrets at a time (contract, section 1).

use std::{
    fs::{DirBuilder, File, OpenOptions, Permissions, set_permissions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock};

/// The folder, ours until this is dropped.
#[derive(Debug)]
pub struct RuntimeFolder {
    _lock: File,
}

/// Why the folder is not ours.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeFolderError {
    /// Another daemon-secrets has it.
    #[error("another daemon-secrets serves {0:?}; stop it first, or set XDG_RUNTIME_DIR to another folder")]
    Taken(PathBuf),
    /// It is another user's.
    #[error("{folder:?} belongs to user {owner}, not to this one; remove it or set XDG_RUNTIME_DIR to another folder")]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// Its owner's uid.
        owner: u32,
    },
    /// The system refuses.
    #[error("cannot use the runtime folder {folder:?}: {cause}")]
    Refused {
        /// The folder.
        folder: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

impl RuntimeFolder {
    /// Makes `folder` (0700) where it is missing, and takes its lock.
    ///
    /// # Errors
    /// It is another's, or another daemon-secrets' now, or cannot be used.
    pub fn take(folder: &Path) -> Result<Self, RuntimeFolderError> {
        let refused = |cause| RuntimeFolderError::Refused { folder: folder.to_owned(), cause };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(refused)?;
        let owner = folder.symlink_metadata().map_err(refused)?.uid();
        if owner != rustix::process::geteuid().as_raw() {
            return Err(RuntimeFolderError::Foreign { folder: folder.to_owned(), owner });
        }
        set_permissions(folder, Permissions::from_mode(0o700)).map_err(refused)?;
        let mut options = OpenOptions::new();
        let lock = options.write(true).create(true).truncate(false).mode(0o600).open(folder.join(".lock"));
        let lock = lock.map_err(refused)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(RuntimeFolderError::Taken(folder.to_owned())),
            Err(cause) => Err(refused(cause.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("open-sesame");
        let first = RuntimeFolder::take(&folder).unwrap();
        assert!(matches!(RuntimeFolder::take(&folder), Err(RuntimeFolderError::Taken(_))));
        assert_eq!(folder.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        drop(first);
        RuntimeFolder::take(&folder).unwrap();
    }
}
