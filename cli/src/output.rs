//! Standard output: holds only what was asked for. A reader that is gone is no failure.

use std::{
    borrow::Cow,
    io::{self, Write},
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
