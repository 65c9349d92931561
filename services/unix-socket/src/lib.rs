//! A connected Unix socket that is waited for where there may be something to read. That there is room to write is only
//! waited for where there was none: tokio's own stream wakes its process each time that the peer has read something.
//! It keeps nothing, unlike what reads [`Ahead`]; descriptors that were sent along are closed by the kernel, since `read` has
//! no place for them. As zbus's socket: [`messages`], and to a bus: [`bus`]. For who has one question: [`BlockingSocket`].

mod ahead;
mod blocking;
pub mod bus;
pub mod messages;

use std::{
    io::{self, ErrorKind, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{ffi::OsStrExt, net::UnixStream},
    },
    path::Path,
};

use rustix::{
    io::Errno,
    net::{AddressFamily, RecvFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType, connect, recv, socket_with},
};
use tokio::io::{Interest, unix::AsyncFd};

pub use ahead::Ahead;
pub use blocking::BlockingSocket;

fn fresh(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | flags, None)
}

/// Where `path` is, or the abstract name that follows a NUL (unix(7)).
fn place(path: &Path) -> rustix::io::Result<SocketAddrUnix> {
    match path.as_os_str().as_bytes() {
        [0, name @ ..] => SocketAddrUnix::new_abstract_name(name),
        path => SocketAddrUnix::new(path),
    }
}

/// The socket. What waits for it is woken by its reader's runtime.
#[derive(Debug)]
pub struct Socket(AsyncFd<UnixStream>);

impl Socket {
    /// Of a stream that does not block.
    ///
    /// # Errors
    /// The runtime cannot wait for it.
    #[allow(unsafe_code, reason = "tokio waits for one interest alone nowhere else")]
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        // SAFETY: the stream owns its descriptor, which stays open and the same for as long as this holds the stream.
        Ok(Self(unsafe { AsyncFd::register_with_interest(stream, Interest::READABLE)? }))
    }

    /// Connected to who listens at `path`, at once or not at all.
    ///
    /// # Errors
    /// Nobody listens there; `WouldBlock` where the queue of a listener that accepts nobody is full.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = fresh(SocketFlags::NONBLOCK)?;
        connect(&socket, &place(path)?)?;
        Self::new(socket.into())
    }

    /// Two that are connected to each other.
    ///
    /// # Errors
    /// There is no descriptor left.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (one, other) = UnixStream::pair()?;
        for stream in [&one, &other] {
            stream.set_nonblocking(true)?;
        }
        Ok((Self::new(one)?, Self::new(other)?))
    }

    /// Reads what there is, at least a byte.
    ///
    /// # Errors
    /// `UnexpectedEof` at the end, and what the system says.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, RecvFlags::empty()).await
    }

    /// As [`Socket::read`], and leaves it to be read.
    ///
    /// # Errors
    /// As [`Socket::read`].
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.receive(buffer, RecvFlags::PEEK).await
    }

    async fn receive(&self, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
        loop {
            let mut ready = self.0.readable().await?;
            match recv(self, &mut *buffer, flags).map(|(_, received)| received) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(received) => {
                    // Less than asked for is all that there was (epoll(7)): no call to hear that there is no more.
                    if received < buffer.len() && flags.is_empty() {
                        ready.clear_ready();
                    }
                    return Ok(received);
                }
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Fills the buffer.
    ///
    /// # Errors
    /// As [`Socket::read`].
    pub async fn read_exact(&self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let read = self.read(buffer).await?;
            buffer = buffer.get_mut(read..).unwrap_or_default();
        }
        Ok(())
    }

    /// Writes what the socket takes at once, which may be nothing.
    ///
    /// # Errors
    /// What the system says.
    pub fn write_some(&self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.get_ref().write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            written => written,
        }
    }

    /// Writes all of the bytes.
    ///
    /// # Errors
    /// What the system says; the bytes may then have been written in part.
    pub async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_some(bytes)? {
                0 => self.room().await?,
                written => bytes = bytes.get(written..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    async fn room(&self) -> io::Result<()> {
        // A descriptor of its own, as one cannot be waited for twice.
        tokio::net::UnixStream::from_std(self.0.get_ref().try_clone()?)?.writable().await
    }

    /// Returns when the peer is gone, though bytes that it sent may be unread.
    ///
    /// # Errors
    /// What the system says.
    pub async fn gone(&self) -> io::Result<()> {
        // Not READABLE, which unread bytes would satisfy: of PRIORITY a Unix socket only ever has the end.
        self.0.ready(Interest::PRIORITY).await.map(drop)
    }

    /// Ends both directions at once, for whoever else holds the socket too.
    pub fn end(&self) {
        // It fails only where the peer has ended it already.
        let _ = rustix::net::shutdown(self, Shutdown::Both);
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, time::Duration};

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn more_than_there_is_room_for_is_written_as_it_is_read() {
        let (ours, theirs) = Socket::pair().unwrap();
        let bytes: Vec<u8> = (0..10_u32 << 20).map(|at| at.to_le_bytes()[1]).collect();
        let mut read = vec![0; bytes.len()];
        let (written, filled) = tokio::join!(ours.write_all(&bytes), theirs.read_exact(&mut read));
        written.unwrap();
        filled.unwrap();
        assert!(read == bytes);
    }

    #[tokio::test]
    async fn the_end_is_told_to_who_reads_and_to_who_does_not() {
        let (ours, theirs) = Socket::pair().unwrap();
        theirs.write_all(b"unread").await.unwrap();
        let mut gone = pin!(ours.gone());
        assert!(gone.as_mut().now_or_never().is_none(), "there is only something to read");
        theirs.end();
        gone.await.unwrap();
        let mut buffer = [0; 64];
        assert_eq!(ours.read(&mut buffer).await.unwrap(), 6);
        assert_eq!(ours.read(&mut buffer).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn a_peer_that_reads_wakes_nobody() {
        let (ours, theirs) = Socket::pair().unwrap();
        ours.write_all(b"for them").await.unwrap();
        theirs.read_exact(&mut [0; 8]).await.unwrap();
        let room = tokio::time::timeout(Duration::from_millis(50), ours.0.ready(Interest::WRITABLE));
        assert!(room.await.is_err(), "nobody hears of it");
    }
}
