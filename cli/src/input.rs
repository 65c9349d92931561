//! Descriptors that this program was started with, for what is secret.

use std::{fs::File, io};

use rustix::{
    io::dup,
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
    stdio::stdin,
};

/// Standard input, unbuffered: the buffer of `std::io::stdin` lives to the end of the program, with what was read.
///
/// # Errors
/// What the system said.
pub fn standard() -> io::Result<File> {
    Ok(dup(stdin())?.into())
}

/// The descriptor `number`, with its position: a socket too, and a file that could not be opened again.
///
/// # Errors
/// There is none, and what the system said.
pub fn descriptor(number: u32) -> io::Result<File> {
    let number = i32::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?;
    // The only way to one by its number that takes no unsafe code.
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    match pidfd_getfd(this, number, PidfdGetfdFlags::empty()) {
        // A container may refuse the call; what can be opened again is then all that can be read.
        Err(refused @ (rustix::io::Errno::PERM | rustix::io::Errno::NOSYS)) => {
            File::open(format!("/dev/fd/{number}")).map_err(|_| refused.into())
        }
        found => Ok(found?.into()),
    }
}
