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
    // On the heap, where it is wiped as it is freed: clients send their first message together with `BEGIN`, and a
    // passphrase in it belongs into the message's own buffer alone.
    let mut bytes = vec![0; MAX_BYTES];
    let (mut taken, mut line) = (0, 1);
    while taken < MAX_BYTES {
        let seen = taken + stream.peek(bytes.get_mut(taken..).unwrap_or_default()).await?;
        if bytes.first() != Some(&0) {
            return Err(HandshakeError::NotDBus);
        }
        let heard = hear(&mut sasl, bytes.get(line..seen).unwrap_or_default());
        line += heard.length;
        let understood = if heard.end.is_some() { line } else { seen };
        stream.read_exact(bytes.get_mut(taken..understood).unwrap_or_default()).await?;
        taken = understood;
        stream.write_all(heard.answers.as_bytes()).await?;
        if let Some(end) = heard.end {
            return end;
        }
    }
    Err(HandshakeError::TooLong)
}

/// What whole lines led to.
#[derive(Default)]
struct Heard {
    /// Of the lines, in bytes.
    length: usize,
    answers: String,
    /// Where the handshake is over.
    end: Option<Result<(), HandshakeError>>,
}

fn hear(sasl: &mut Sasl, said: &[u8]) -> Heard {
    let mut heard = Heard::default();
    let lines = said.split_inclusive(|byte| *byte == b'\n').take_while(|line| line.ends_with(b"\n"));
    for line in lines {
        heard.length += line.len();
        let text = line.strip_suffix(b"\r\n").and_then(|line| str::from_utf8(line).ok());
        match text.map(|text| sasl.line(text)) {
            Some(Step::Say(answer)) => heard.answers.extend([&*answer, "\r\n"]),
            Some(Step::Begin) => heard.end = Some(Ok(())),
            Some(Step::Leave) | None => heard.end = Some(Err(HandshakeError::NotDBus)),
        }
        if heard.end.is_some() {
            break;
        }
    }
    heard
}
