//! The same socket for a program that has one question, and nothing else to do until it is answered: it blocks, up to a
//! moment, and so needs no event loop.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use tokio::task::yield_now;

/// The socket. Whatever is not done at its moment fails with `TimedOut`.
#[derive(Debug)]
pub struct BlockingSocket {
    stream: UnixStream,
    until: Instant,
}

impl BlockingSocket {
    /// Connected to who listens at `path`.
    ///
    /// # Errors
    /// As [`crate::Socket::connect`].
    pub fn connect(path: &Path, until: Instant) -> io::Result<Self> {
        let stream = crate::connected(path)?;
        stream.set_nonblocking(false)?;
        Ok(Self { stream, until })
    }

    /// Reads what there is, at least a byte. Before it blocks, everything else that the thread has to do is done.
    ///
    /// # Errors
    /// `UnexpectedEof` at the end, `TimedOut`, and what the system says.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        yield_now().await;
        loop {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match (&self.stream).read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return read.map_err(in_time),
            }
        }
    }

    /// Writes all of the bytes.
    ///
    /// # Errors
    /// `TimedOut`, and what the system says; the bytes may then have been written in part.
    pub fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        (&self.stream).write_all(bytes).map_err(in_time)
    }

    /// Ends both directions.
    pub fn end(&self) {
        // It fails only where the peer has ended it already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

/// A blocking socket says at its timeout that it would block.
fn in_time(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    fn connected(limit: Duration) -> (BlockingSocket, UnixStream) {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("socket")).unwrap();
        let ours = BlockingSocket::connect(&folder.path().join("socket"), Instant::now() + limit).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    #[tokio::test]
    async fn a_silent_peer_is_waited_for_up_to_the_moment() {
        let (ours, _theirs) = connected(Duration::from_millis(20));
        let read = ours.read(&mut [0]).await;
        assert_eq!(read.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(ours.write_all(b"late").unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_is_waited_for_up_to_the_moment() {
        let (ours, _theirs) = connected(Duration::from_millis(20));
        assert_eq!(ours.write_all(&vec![0; 10 << 20]).unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn what_was_said_is_read_and_then_the_end() {
        let (ours, mut theirs) = connected(Duration::from_secs(10));
        theirs.write_all(b"said").unwrap();
        drop(theirs);
        let mut buffer = [0; 64];
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 4);
        assert_eq!(ours.read(&mut buffer).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
