//! The disk, one operation at a time, so that a test can fail or stop at each in turn. Knows no vault.

use std::{
    fmt,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::OFlags;

/// What tells a file from the one that was there before: inode, size and time of change (contract, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    inode: (u64, u64),
    size: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of an open file, whatever its name is by now.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|found| Self::from(&found))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inode: (device, inode), size, changed: (seconds, nanoseconds) } = self;
        write!(f, "{device}:{inode}:{size}:{seconds}.{nanoseconds:09}")
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(found: &fs::Metadata) -> Self {
        Self { inode: (found.dev(), found.ino()), size: found.size(), changed: (found.ctime(), found.ctime_nsec()) }
    }
}

/// Every operation by which the store reads or changes a vault. [`Disk`] does them.
pub trait Files: Send + Sync {
    /// The content of a regular file of at most `limit` bytes, and the stamp of just that file. A symbolic link is
    /// not followed.
    ///
    /// # Errors
    /// `InvalidData` for what is no regular file, `FileTooLarge`, else what the system says.
    fn read(&self, file: &Path, limit: u64) -> io::Result<(Vec<u8>, Stamp)>;

    /// The stamp of what has this name now.
    ///
    /// # Errors
    /// What the system says.
    fn stamp(&self, file: &Path) -> io::Result<Stamp>;

    /// Makes a new file (0600) with this content, in place of what an interrupted run left under its name.
    ///
    /// # Errors
    /// What the system says; an unfinished file may be left.
    fn create(&self, file: &Path, content: &[u8]) -> io::Result<File>;

    /// Waits until the disk has the file's content. After an error the file must not be used: the kernel may have
    /// thrown the unwritten pages away, and a second call would succeed.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Gives a file or folder another name, replacing what has it.
    ///
    /// # Errors
    /// What the system says; then nothing is changed.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Waits until the disk has the names in a folder.
    ///
    /// # Errors
    /// What the system says.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// Makes a folder (0700).
    ///
    /// # Errors
    /// What the system says.
    fn make_folder(&self, folder: &Path) -> io::Result<()>;

    /// Removes a file, or a folder with what is in it. Nothing there is no error.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// The real file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn read(&self, file: &Path, limit: u64) -> io::Result<(Vec<u8>, Stamp)> {
        // NONBLOCK: opening a named pipe would wait for a writer.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file =
            OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(file).map_err(|cause| {
                let link = rustix::io::Errno::from_io_error(&cause) == Some(rustix::io::Errno::LOOP);
                if link { ErrorKind::InvalidData.into() } else { cause }
            })?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(ErrorKind::InvalidData.into());
        }
        if found.len() > limit {
            return Err(ErrorKind::FileTooLarge.into());
        }
        // The stamp is older than the content: what changes meanwhile is noticed at the next write.
        let mut content = Vec::with_capacity(usize::try_from(found.len()).unwrap_or_default() + 1);
        file.take(limit).read_to_end(&mut content)?;
        Ok((content, Stamp::from(&found)))
    }

    fn stamp(&self, file: &Path) -> io::Result<Stamp> {
        fs::symlink_metadata(file).map(|found| Stamp::from(&found))
    }

    fn create(&self, file: &Path, content: &[u8]) -> io::Result<File> {
        let create = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        let mut file = match create() {
            Err(cause) if cause.kind() == ErrorKind::AlreadyExists => self.remove(file).and_then(|()| create())?,
            created => created?,
        };
        file.write_all(content)?;
        Ok(file)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(folder)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = match fs::symlink_metadata(path) {
            Ok(found) if found.is_dir() => fs::remove_dir_all(path),
            Ok(_) => fs::remove_file(path),
            Err(cause) => Err(cause),
        };
        removed.or_else(|cause| if cause.kind() == ErrorKind::NotFound { Ok(()) } else { Err(cause) })
    }
}
