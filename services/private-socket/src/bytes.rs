//! Bytes over a stream that both halves of a connection share. Nothing is read ahead and nothing is kept.

use std::io;

use rustix::net::Shutdown;
use tokio::{io::Interest, net::UnixStream};

/// Reads what there is, at least a byte. Descriptors that were sent along are closed by the kernel, since `read`
/// has no place for them.
///
/// # Errors
/// `UnexpectedEof` at the end, and what the system says.
pub async fn read(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        stream.readable().await?;
        match stream.try_read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

/// Fills the buffer.
///
/// # Errors
/// As [`read`].
pub async fn read_exact(stream: &UnixStream, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        let read = read(stream, buffer).await?;
        buffer = buffer.get_mut(read..).unwrap_or_default();
    }
    Ok(())
}

/// Writes what the socket takes at once, which may be nothing.
///
/// # Errors
/// What the system says.
pub fn write_some(stream: &UnixStream, bytes: &[u8]) -> io::Result<usize> {
    match stream.try_write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        done => done,
    }
}

/// Writes all of the bytes.
///
/// # Errors
/// What the system says; the bytes may then have been written in part.
pub async fn write_all(stream: &UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        match stream.try_write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Returns when the peer is gone, though bytes that it sent may be unread.
///
/// # Errors
/// What the system says.
pub async fn gone(stream: &UnixStream) -> io::Result<()> {
    // Not READABLE, which unread bytes would satisfy: of PRIORITY a Unix socket only ever has the end.
    stream.ready(Interest::PRIORITY).await.map(drop)
}

/// Ends both directions at once, for whoever else holds the stream too.
pub fn end(stream: &UnixStream) {
    // It fails only where the peer has ended it already.
    let _ = rustix::net::shutdown(stream, Shutdown::Both);
}
