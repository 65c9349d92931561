//! A conversation with an agent at its socket.

use std::{io, path::Path};

use rustix::net::sockopt::socket_peercred;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
};

use crate::error::Error;

/// The longest answer that is listened to.
const LONGEST: u64 = 256 * 1024;

/// A connection to an agent.
pub(super) struct Socket {
    /// How the user knows the agent.
    who: &'static str,
    stream: BufReader<tokio::io::Take<UnixStream>>,
}

impl Socket {
    /// Connects. Only where connecting starts nobody.
    pub(super) async fn connect(who: &'static str, path: &Path) -> Result<Self, Error> {
        let stream = UnixStream::connect(path).await.map_err(|cause| failed(who, cause))?;
        Ok(Self { who, stream: BufReader::new(stream.take(LONGEST)) })
    }

    /// The process that listened first: perhaps one that has ended since.
    pub(super) fn listener(&self) -> Option<u32> {
        let peer = socket_peercred(self.stream.get_ref().get_ref()).ok()?;
        u32::try_from(peer.pid.as_raw_pid()).ok()
    }

    /// Says `bytes`.
    pub(super) async fn say(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.get_mut().get_mut().write_all(bytes).await.map_err(|cause| failed(self.who, cause))
    }

    /// Hears one line, without its end.
    pub(super) async fn line(&mut self) -> Result<String, Error> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).await.map_err(|cause| failed(self.who, cause))?;
        if line.pop() != Some(b'\n') {
            return Err(Error::Died(self.who));
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }

    /// Hears as many bytes as `heard` holds.
    pub(super) async fn exactly(&mut self, heard: &mut [u8]) -> Result<(), Error> {
        self.stream.read_exact(heard).await.map(|_| ()).map_err(|cause| failed(self.who, cause))
    }
}

fn failed(who: &'static str, cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::ConnectionRefused => Error::NotRunning(who),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => Error::Died(who),
        _ => Error::File { name: who.into(), cause },
    }
}
