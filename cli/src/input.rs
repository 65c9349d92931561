//! Standard input, for what is secret.

use std::{fs::File, io};

use rustix::{io::dup, stdio::stdin};

/// Standard input, unbuffered: the buffer of `std::io::stdin` lives to the end of the program, with what was read.
///
/// # Errors
/// What the system said.
pub fn standard() -> io::Result<File> {
    Ok(dup(stdin())?.into())
}
