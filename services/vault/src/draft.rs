//! A file on its way into a vault: written under a hidden name, synced where it must outlive a loss of power, then put in
//! place. One that never gets there is removed.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    files::{Files, Stamp},
};

/// A complete file under a name that begins with a dot.
pub(crate) struct Draft<'a> {
    files: &'a dyn Files,
    file: File,
    path: PathBuf,
    target: PathBuf,
    installed: bool,
    lasts: bool,
}

impl<'a> Draft<'a> {
    /// Writes what is to become `target` beside it. `mark` tells the drafts of one target apart.
    ///
    /// # Errors
    /// `Storage`; then nothing is left behind.
    pub(crate) fn write(files: &'a dyn Files, target: &Path, mark: &str, content: &[u8]) -> Result<Self, Error> {
        Self::begin(files, target, mark, content, true)
    }

    /// As [`Draft::write`], of what can be made again: after a loss of power it may be there in part, or as it was.
    pub(crate) fn write_unsynced(
        files: &'a dyn Files,
        target: &Path,
        mark: &str,
        content: &[u8],
    ) -> Result<Self, Error> {
        Self::begin(files, target, mark, content, false)
    }

    fn begin(files: &'a dyn Files, target: &Path, mark: &str, content: &[u8], lasts: bool) -> Result<Self, Error> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.{mark}"));
        let written = files
            .create(&path, content)
            .and_then(|file| if lasts { files.sync(&file).map(|()| file) } else { Ok(file) });
        match written {
            Ok(file) => Ok(Self { files, file, path, target: target.into(), installed: false, lasts }),
            Err(cause) => {
                // If this fails too, the leftover is swept at the next start.
                let _ = files.remove(&path);
                Err(Error::storage("written", target)(cause))
            }
        }
    }

    /// Puts the draft in place. The stamp is that of the file that is there then.
    ///
    /// # Errors
    /// `Storage` where the target is as it was, `Uncertain` where only the folder could not be synced.
    pub(crate) fn install(mut self) -> Result<Stamp, Error> {
        self.files.rename(&self.path, &self.target).map_err(Error::storage("replaced", &self.target))?;
        self.installed = true;
        let folder = self.target.parent().unwrap_or(&self.target);
        let synced = if self.lasts { self.files.sync_folder(folder) } else { Ok(()) };
        // Renaming changes the file's time of change: its stamp is taken afterwards, from the file that was written.
        synced
            .and_then(|()| Stamp::of(&self.file))
            .map_err(|cause| Error::Uncertain { path: self.target.clone(), cause })
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.installed {
            // If this fails, the leftover is swept at the next start.
            let _ = self.files.remove(&self.path);
        }
    }
}
