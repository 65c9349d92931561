//! Descriptors that this program was started with, for what is secret.

use std::{fs::File, io, os::unix::fs::MetadataExt};

use rustix::{
    fs::{OFlags, fcntl_getfl, makedev},
    io::{Errno, dup},
    process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open},
    stdio::stdin,
};

/// Standard input, unbuffered: the buffer of `std::io::stdin` lives to the end of the program, with what was read.
///
/// # Errors
/// It is closed, and what the system said.
pub fn standard() -> io::Result<File> {
    let input = File::from(dup(stdin())?);
    // What was closed at the start of a Rust program is the null device since, for writing too. Its end at once is no value.
    let is_null = input.metadata()?.rdev() == makedev(1, 3);
    if is_null && fcntl_getfl(&input)?.contains(OFlags::RDWR) {
        return Err(io::Error::other("it is closed"));
    }
    Ok(input)
}

/// The descriptor `number`, with its position: a socket too, and a file that could not be opened again.
///
/// # Errors
/// There is none, and what the system said.
pub fn descriptor(number: u32) -> io::Result<File> {
    let number = i32::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?;
    // The only way to one by its number that takes no unsafe code.
    let this = pidfd_open(getpid(), PidfdFlags::empty());
    match this.and_then(|this| pidfd_getfd(this, number, PidfdGetfdFlags::empty())) {
        // A container may refuse either call; what can be opened again is then all that can be read.
        Err(Errno::PERM | Errno::NOSYS) => File::open(format!("/dev/fd/{number}")),
        found => Ok(found?.into()),
    }
}
