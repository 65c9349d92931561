//! The same socket for a program that has one question, and nothing else to do until it is answered: it blocks, up to a
//! moment, and so needs no event loop.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::{Duration, Instant},
};

use rustix::net::{SocketFlags, connect, sockopt};
use tokio::task::yield_now;

use crate::{fresh, place};

/// The longest that a read blocks at once: a signal that came just before it interrupts nothing, and is seen after it.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The socket. Whatever is not done at its moment fails with `TimedOut`.
#[derive(Debug)]
pub struct BlockingSocket {
    stream: UnixStream,
    until: Instant,
}

impl BlockingSocket {
    /// Connected to who listens at `path`; while the queue there is full, it is waited for.
    ///
    /// # Errors
    /// Nobody listens there, and `TimedOut`.
    pub fn connect(path: &Path, until: Instant) -> io::Result<Self> {
        let socket = fresh(SocketFlags::empty())?;
        // A connection is waited for as room to write is (unix(7), socket(7)).
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(left(until)?))?;
        connect(&socket, &place(path)?).map_err(|error| in_time(error.into()))?;
        Ok(Self { stream: socket.into(), until })
    }

    /// Reads what there is, at least a byte. Before it blocks, and when a signal has interrupted it, tasks that are ready go
    /// on; what waits for a descriptor or a time waits for this too.
    ///
    /// # Errors
    /// `UnexpectedEof` at the end, `TimedOut`, and what the system says.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            yield_now().await;
            self.stream.set_read_timeout(Some(left(self.until)?.min(AT_ONCE)))?;
            match (&self.stream).read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                read => return read,
            }
        }
    }

    /// Writes all of the bytes.
    ///
    /// # Errors
    /// `TimedOut`, and what the system says; the bytes may then have been written in part.
    pub fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            // Each time anew: what is written in part at a timeout is no error.
            self.stream.set_write_timeout(Some(left(self.until)?))?;
            match (&self.stream).write(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                written => bytes = bytes.get(written.map_err(in_time)?..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// Ends both directions.
    pub fn end(&self) {
        // It fails only where the peer has ended it already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
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
        let (limit, begun) = (Duration::from_secs(1), Instant::now());
        let (ours, _theirs) = connected(limit);
        assert_eq!(ours.write_all(&vec![0; 10 << 20]).unwrap_err().kind(), ErrorKind::TimedOut);
        let took = begun.elapsed();
        assert!(took >= limit && took < limit * 2, "{took:?}");
    }

    #[tokio::test]
    async fn a_full_queue_is_waited_for_up_to_the_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        let soon = || Instant::now() + Duration::from_millis(20);
        let mut waiting = Vec::new();
        let refused = loop {
            match BlockingSocket::connect(&path, soon()) {
                Ok(connected) => waiting.push(connected),
                Err(error) => break error,
            }
        };
        assert_eq!(refused.kind(), ErrorKind::TimedOut);
        let later = Instant::now() + Duration::from_secs(10);
        let connecting = std::thread::spawn(move || BlockingSocket::connect(&path, later));
        drop(listener.accept().unwrap());
        connecting.join().unwrap().unwrap();
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
