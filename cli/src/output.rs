//! Standard output, which holds only what was asked for and whose reader may go, and the file in its place.

use std::{
    borrow::Cow,
    fs,
    io::{self, Write},
    path::Path,
};

use crate::error::Error;

/// Writes all of `bytes` to standard output.
///
/// # Errors
/// What the system said, unless nobody reads any more.
pub fn write(bytes: &[u8]) -> Result<(), Error> {
    let mut output = io::stdout().lock();
    match output.write_all(bytes).and_then(|()| output.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::File { name: "standard output".into(), cause })
        }
        _ => Ok(()),
    }
}

/// Replaces `file` by one that holds `bytes`: its readers see the old or the new one, and nothing between.
///
/// # Errors
/// What the system said, or that it is no regular file.
pub fn replace(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |cause| Error::File { name: file.display().to_string(), cause };
    let target = match fs::metadata(file) {
        // Through a link, which stays.
        Ok(known) if known.is_file() => fs::canonicalize(file).map_err(failed)?,
        Ok(_) => return Err(failed(io::Error::other("is no regular file, and is not replaced"))),
        Err(_) => file.to_owned(),
    };
    let name = target.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    // Hidden, and with an ending that no collector of files reads.
    let draft = target.with_file_name(format!(".{}.{}.new", name.display(), std::process::id()));
    let replaced = fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, &target));
    replaced.map_err(|cause| {
        // It may not even exist.
        let _ = fs::remove_file(&draft);
        failed(cause)
    })
}

/// Writes each item on a line of its own.
///
/// # Errors
/// As [`write()`].
pub fn lines<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Result<(), Error> {
    let text: String =
        items.into_iter().flat_map(|item| [printable(item.as_ref()).into_owned(), "\n".into()]).collect();
    write(text.as_bytes())
}

/// `text` with a blank for each control character: what came over the bus never steers a terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.contains(char::is_control) { text.replace(char::is_control, " ").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_through_its_link_and_leaves_no_draft() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("status"), folder.path().join("link"));
        replace(&file, b"old").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let before = fs::File::open(&file).unwrap();
        replace(&link, b"new").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"new");
        assert_eq!(io::read_to_string(before).unwrap(), "old", "a reader keeps what it has opened");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        assert!(replace(folder.path(), b"x").is_err());
        assert!(replace(Path::new("/dev/null"), b"x").is_err());
        assert!(replace(&folder.path().join("none/status"), b"x").is_err());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
