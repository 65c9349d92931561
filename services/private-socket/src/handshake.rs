//! Takes a fresh peer through authentication, within bounds of length and time.

use std::{io, time::Duration};

use tokio::time::timeout;
use unix_socket::Socket;

use crate::sasl::{Sasl, Step};

/// The most bytes of a handshake, from the first NUL to the end of `BEGIN`.
const MAX_BYTES: usize = 512;
/// The most time for a handshake.
const MAX_TIME: Duration = Duration::from_secs(2);

/// Why a peer was not let in.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Too slow.
    #[error("it took longer than {MAX_TIME:?}")]
    TooSlow,
    /// Too long.
    #[error("it was longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Bytes that no D-Bus client sends.
    #[error("it was no D-Bus handshake")]
    NotDBus,
    /// The peer left, or the system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Authenticates the peer. What follows its `BEGIN` is not read.
pub async fn authenticate(stream: &Socket, sasl: Sasl) -> Result<(), HandshakeError> {
    timeout(MAX_TIME, talk(stream, sasl)).await.map_err(|_| HandshakeError::TooSlow)?
}

async fn talk(stream: &Socket, mut sasl: Sasl) -> Result<(), HandshakeError> {
    if next(stream).await? != 0 {
        return Err(HandshakeError::NotDBus);
    }
    let mut line = Vec::new();
    for _ in 1..MAX_BYTES {
        line.push(next(stream).await?);
        if line.last() != Some(&b'\n') {
            continue;
        }
        let text = line.strip_suffix(b"\r\n").and_then(|line| str::from_utf8(line).ok());
        match sasl.line(text.ok_or(HandshakeError::NotDBus)?) {
            Step::Say(answer) => stream.write_all(format!("{answer}\r\n").as_bytes()).await?,
            Step::Begin => return Ok(()),
            Step::Leave => return Err(HandshakeError::NotDBus),
        }
        line.clear();
    }
    Err(HandshakeError::TooLong)
}

/// One byte at a time: clients send their first message together with `BEGIN`, and a passphrase in it belongs
/// into the message's own buffer alone. A handshake has some thirty bytes.
async fn next(stream: &Socket) -> io::Result<u8> {
    let mut byte = [0];
    stream.read(&mut byte).await?;
    Ok(byte[0])
}
