//! The file itself, read again when it changed. A bad one leaves the last good configuration in force.

use std::{
    fs::{self, Metadata},
    io::{self, ErrorKind},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use crate::{
    parse::{Parsed, parse},
    values::Config,
};

/// The largest file that is read.
const MAX_SIZE: u64 = 1024 * 1024;

/// `config.toml`, and what was last read from it.
#[derive(Debug)]
pub struct ConfigFile {
    path: PathBuf,
    /// Of the file that was read; `None` before the first reading.
    seen: Option<Stamp>,
    config: Config,
    warnings: Vec<String>,
    error: Option<String>,
}

/// What is in force after [`ConfigFile::load`].
#[derive(Clone, Copy, Debug)]
pub struct Loaded<'a> {
    /// The last good configuration; the defaults where there was none.
    pub config: &'a Config,
    /// A sentence for each unknown key in the file that `config` is from.
    pub warnings: &'a [String],
    /// What is wrong with the file that is there now: one sentence. `config` is then an earlier one.
    pub error: Option<&'a str>,
    /// Whether the file is another one than at the last call. True at the first.
    pub changed: bool,
}

/// What tells a file from the one that was there before.
#[derive(Debug, PartialEq)]
enum Stamp {
    Missing,
    Unreadable(ErrorKind),
    Found { inode: (u64, u64), size: u64, modified: (i64, i64), changed: (i64, i64) },
}

impl From<&io::Result<Metadata>> for Stamp {
    fn from(found: &io::Result<Metadata>) -> Self {
        match found {
            Ok(found) => Self::Found {
                inode: (found.dev(), found.ino()),
                size: found.size(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            },
            Err(cause) if cause.kind() == ErrorKind::NotFound => Self::Missing,
            Err(cause) => Self::Unreadable(cause.kind()),
        }
    }
}

impl ConfigFile {
    /// Reads nothing yet: the defaults are in force.
    pub fn new(path: PathBuf) -> Self {
        Self { path, seen: None, config: Config::default(), warnings: Vec::new(), error: None }
    }

    /// Where the file is, or would be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file if it is another one than at the last call. A missing file means the defaults.
    pub fn load(&mut self) -> Loaded<'_> {
        // The stamp is older than the content: what changes meanwhile is read at the next call.
        let found = fs::metadata(&self.path);
        let stamp = Stamp::from(&found);
        let changed = self.seen.as_ref() != Some(&stamp);
        if changed {
            self.seen = Some(stamp);
            match self.read(found) {
                Ok(Parsed { config, warnings }) => {
                    self.config = config;
                    self.warnings = warnings.iter().map(|warning| format!("{:?}, {warning}", self.path)).collect();
                    self.error = None;
                }
                Err(error) => self.error = Some(error),
            }
        }
        Loaded { config: &self.config, warnings: &self.warnings, error: self.error.as_deref(), changed }
    }

    fn read(&self, found: io::Result<Metadata>) -> Result<Parsed, String> {
        let sentence = |what: &str| {
            let path = &self.path;
            format!(
                "{path:?}{what}; until it is corrected the last good configuration stays in force, and the defaults \
                 in a daemon that began after the mistake"
            )
        };
        let text = found.and_then(|found| match found {
            found if !found.is_file() => Err(io::Error::other("it is not a regular file")),
            found if found.len() > MAX_SIZE => Err(io::Error::other("it is larger than 1 MiB")),
            _ => fs::read_to_string(&self.path),
        });
        match text {
            Ok(text) => parse(&text).map_err(|problem| sentence(&format!(", {problem}"))),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Parsed::default()),
            Err(cause) => Err(sentence(&format!(" cannot be read: {cause}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn file(home: &TempDir) -> ConfigFile {
        ConfigFile::new(home.path().join("config.toml"))
    }

    #[test]
    fn a_missing_file_is_the_defaults() {
        let home = TempDir::new().unwrap();
        let mut file = file(&home);
        let loaded = file.load();
        assert_eq!((loaded.config, loaded.error, loaded.changed), (&Config::default(), None, true));
        assert!(!file.load().changed);
    }

    #[test]
    fn a_bad_file_leaves_the_last_good_configuration_in_force() {
        let home = TempDir::new().unwrap();
        let mut file = file(&home);
        let path = file.path().to_owned();
        fs::write(&path, "work_factor = 15\ncolour = 1\n").unwrap();
        let loaded = file.load();
        assert_eq!((loaded.config.work_factor, loaded.error, loaded.changed), (15, None, true));
        assert!(loaded.warnings[0].contains("config.toml\", line 2: ") && loaded.warnings[0].contains("colour"));

        fs::write(&path, "notify = true\nwork_factor = 1\n").unwrap();
        let loaded = file.load();
        assert_eq!((loaded.config.work_factor, loaded.config.notify, loaded.changed), (15, false, true));
        let error = loaded.error.unwrap().to_owned();
        for part in [path.to_str().unwrap(), "line 2", "work_factor", "15 to 18"] {
            assert!(error.contains(part), "{error}");
        }
        let again = file.load();
        assert_eq!((again.error, again.changed), (Some(error.as_str()), false), "it stays wrong until it changes");

        fs::write(&path, "work_factor = 18\n").unwrap();
        let loaded = file.load();
        assert_eq!((loaded.config.work_factor, loaded.error, loaded.warnings.len()), (18, None, 0));
        fs::remove_file(&path).unwrap();
        assert_eq!(file.load().config, &Config::default());
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        let home = TempDir::new().unwrap();
        let mut file = file(&home);
        let path = file.path().to_owned();
        fs::create_dir(&path).unwrap();
        assert!(file.load().error.unwrap().contains("not a regular file"));
        fs::remove_dir(&path).unwrap();
        fs::write(&path, b"a = \"\xff\"").unwrap();
        assert!(file.load().error.unwrap().contains("UTF-8"));
        fs::write(&path, vec![b'\n'; 1024 * 1024 + 1]).unwrap();
        assert!(file.load().error.unwrap().contains("1 MiB"));
        fs::write(&path, vec![b'\n'; 1024 * 1024]).unwrap();
        assert_eq!(file.load().error, None);
    }
}
