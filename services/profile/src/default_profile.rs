//! The file that holds the default profile. Written atomically, by this daemon only.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use dbus_interfaces::{Error, ProfileName};

/// Makes `profile` the content of `file`: whole, or not at all.
///
/// # Errors
/// `Storage`, with the cause.
pub fn write(file: &Path, profile: &ProfileName) -> Result<(), Error> {
    replace(file, profile).map_err(|cause| {
        Error::Storage(format!(
            "the default profile could not be written to {}: {cause}; mend that and retry, nothing was changed",
            file.display()
        ))
    })
}

fn replace(file: &Path, profile: &ProfileName) -> io::Result<()> {
    let folder = file.parent().ok_or(io::ErrorKind::InvalidInput)?;
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let new = file.with_extension("new");
    let mut written = File::create(&new)?;
    writeln!(written, "{profile}")?;
    written.sync_all()?;
    fs::rename(&new, file)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use dbus_interfaces::places::read_default_profile;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("state/open-sesame/default-profile");
        for name in ["work", "personal"] {
            write(&file, &name.parse().unwrap()).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), format!("{name}\n"));
            assert_eq!(read_default_profile(&file).unwrap().as_str(), name);
        }
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error = write(Path::new("/proc/nowhere/default-profile"), &ProfileName::personal()).unwrap_err();
        assert!(matches!(&error, Error::Storage(sentence) if sentence.contains("/proc/nowhere/default-profile")));
    }
}
