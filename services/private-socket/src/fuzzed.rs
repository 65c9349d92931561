//! A door for fuzzing: what is private is reached from `fuzz/` through here, and from nowhere else.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use unix_socket::Socket;
use zbus::connection::socket::ReadHalf;

use crate::{
    Peer,
    calls::MAX_UNANSWERED,
    halves::Reader,
    handshake,
    header::{self, HEADER},
    sasl::Sasl,
};

const PEER: Peer = Peer { pid: 1, uid: 1000 };
const IDENTITY: &str = "31303030";
/// The most that a message may have, its fields, and a handshake.
const MAX_MESSAGE: usize = 1024 * 1024 + 8 * 1024;
const MAX_FIELDS: usize = 4096;
const MAX_HANDSHAKE: usize = 512;

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
}

/// Takes `bytes` as all that a peer says before it leaves.
///
/// # Panics
/// It is let in though it did not authenticate, or turned away though it did; a message is taken that may not be, is
/// not what was sent, or is read too far.
pub fn first_bytes(bytes: &[u8]) {
    RUNTIME.with(|runtime| runtime.block_on(connect(bytes)));
}

async fn connect(bytes: &[u8]) {
    // More would wait for a reader.
    let bytes = &bytes[..bytes.len().min(64 * 1024)];
    let Some(at) = begins_at(bytes) else {
        assert!(begin(bytes).await.is_none(), "let in");
        return;
    };
    let reader = begin(bytes).await;
    gate(reader.expect("let in"), &bytes[at..]).await;
    let mut reader = begin(bytes).await.expect("let in");
    // More would wait for answers.
    for sequence in 1..MAX_UNANSWERED as u64 {
        let Ok(message) = reader.receive_message(sequence, &mut vec![], &mut vec![]).await else { return };
        look_at(&message);
    }
}

/// A connection whose peer has said `bytes` and left, if it is let in.
async fn begin(bytes: &[u8]) -> Option<Reader> {
    let (ours, theirs) = Socket::pair().unwrap();
    theirs.write_all(bytes).await.unwrap();
    rustix::net::shutdown(&theirs, rustix::net::Shutdown::Write).unwrap();
    handshake::authenticate(&ours, Sasl::new(PEER.uid, "feed")).await.ok()?;
    Some(Reader::new(Arc::new(ours), Arc::default(), PEER))
}

/// Every message passes that may, as it was sent but for the wish for an answer, and nothing behind one that may not.
async fn gate(mut reader: Reader, mut rest: &[u8]) {
    for _ in 1..MAX_UNANSWERED {
        let mut header = [0; HEADER];
        let passed = reader.recvmsg(&mut header).await.is_ok();
        let length = rest.first_chunk().and_then(length);
        assert_eq!(passed, length.is_some(), "{header:?}");
        let Some(length) = length else { return };
        let mut passed = header.to_vec();
        passed.resize(length, 0);
        let mut at = HEADER;
        while at < length {
            match reader.recvmsg(&mut passed[at..]).await {
                Ok((read, _)) => at += read,
                Err(_) => return assert!(rest.len() < length, "cut off"),
            }
        }
        let mut sent = rest[..length].to_vec();
        header::expect_reply(sent.first_chunk_mut().unwrap());
        assert!(passed == sent);
        rest = &rest[length..];
    }
}

/// Where the messages begin, told from the specification: by whole lines, after a right identity that nothing took
/// back.
fn begins_at(bytes: &[u8]) -> Option<usize> {
    let handshake = &bytes[..bytes.len().min(MAX_HANDSHAKE)];
    if handshake.first() != Some(&0) {
        return None;
    }
    let (mut asked, mut authenticated, mut at) = (false, false, 1);
    loop {
        let end = at + handshake.get(at..)?.iter().position(|byte| *byte == b'\n')?;
        let line = std::str::from_utf8(handshake[at..end].strip_suffix(b"\r")?).ok()?;
        at = end + 1;
        let words: Vec<&str> = line.split(' ').filter(|word| !word.is_empty()).collect();
        let is_own = |response: Option<&&str>| response.is_none_or(|word| word.eq_ignore_ascii_case(IDENTITY));
        match (words.first().copied().unwrap_or_default(), authenticated, asked) {
            ("BEGIN", begins, _) => return begins.then_some(at),
            ("AUTH", false, false) if words.get(1) == Some(&"EXTERNAL") => match words.get(2) {
                None => asked = true,
                response => authenticated = is_own(response),
            },
            ("DATA", false, true) => (authenticated, asked) = (is_own(words.get(1)), false),
            ("CANCEL", ..) | ("ERROR", ..) => (authenticated, asked) = (false, false),
            _ => {}
        }
    }
}

/// How long a message is that may be taken, told from the specification.
fn length(header: &[u8; HEADER]) -> Option<usize> {
    let number = |at: usize| {
        let bytes = [header[at], header[at + 1], header[at + 2], header[at + 3]];
        let number = if header[0] == b'l' { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
        usize::try_from(number).unwrap()
    };
    let length = HEADER + number(12).next_multiple_of(8) + number(4);
    let is_call = b"lB".contains(&header[0]) && header[1] == 1 && header[3] == 1 && number(8) != 0;
    (is_call && number(12) <= MAX_FIELDS && length <= MAX_MESSAGE).then_some(length)
}

/// What the object server and the interface look at.
fn look_at(message: &zbus::Message) {
    let header = message.header();
    let _ = (header.path(), header.interface(), header.member(), header.sender(), header.destination());
    let body = message.body();
    let _ = body.deserialize::<&str>();
    let _ = body.deserialize::<(&str, &str)>();
    let _ = body.deserialize::<(&str, &[u8])>();
    let _ = body.deserialize::<(&str, &str, &[u8])>();
    let _ = body.deserialize::<(&str, dbus_interfaces::vault::NewItem, &[u8])>();
}
