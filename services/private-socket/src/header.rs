//! Judges a message by its first 16 bytes, before anything is allocated for it. Pure; what zbus checks later
//! (fields, required fields, padding) is left to it.

use std::num::NonZeroU32;

/// The bytes that tell a message's length (D-Bus specification, "Message Format").
pub const HEADER: usize = 16;
/// The largest message: a secret of 1 MiB, and 8 KiB around it.
const MAX_MESSAGE: usize = 1024 * 1024 + 8 * 1024;
/// The largest array of header fields: a path, three names and a signature, with room to spare.
const MAX_FIELDS: usize = 4096;

const METHOD_CALL: u8 = 1;
const PROTOCOL_VERSION: u8 = 1;
const NO_REPLY_EXPECTED: u8 = 1;
/// Where the flags lie.
const FLAGS: usize = 2;

/// A method call whose header may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its serial, which its answer refers to.
    pub serial: NonZeroU32,
    /// The caller wants no answer.
    pub silent: bool,
    /// The bytes that follow the header.
    pub rest: usize,
}

/// Why a message is refused, and its connection with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a D-Bus message, version 1.
    #[error("it is no D-Bus message")]
    NotDBus,
    /// A signal or an answer; nothing is ever asked of a peer.
    #[error("it is no method call")]
    NotACall,
    /// Larger than allowed.
    #[error("it is too large")]
    TooLarge,
}

/// Judges a header.
pub fn judge(header: &[u8; HEADER]) -> Result<Call, Refusal> {
    let [endian, kind, flags, version, numbers @ ..] = header;
    let (numbers, _) = numbers.as_chunks::<4>();
    let [body, serial, fields] = match (endian, numbers) {
        (b'l', &[a, b, c]) => [a, b, c].map(u32::from_le_bytes),
        (b'B', &[a, b, c]) => [a, b, c].map(u32::from_be_bytes),
        _ => return Err(Refusal::NotDBus),
    };
    let serial = NonZeroU32::new(serial).filter(|_| *version == PROTOCOL_VERSION).ok_or(Refusal::NotDBus)?;
    if *kind != METHOD_CALL {
        return Err(Refusal::NotACall);
    }
    let too_large = |_| Refusal::TooLarge;
    let fields = usize::try_from(fields).map_err(too_large)?;
    let body = usize::try_from(body).map_err(too_large)?;
    if fields > MAX_FIELDS || body > MAX_MESSAGE - HEADER - fields.next_multiple_of(8) {
        return Err(Refusal::TooLarge);
    }
    let rest = fields.next_multiple_of(8) + body;
    Ok(Call { serial, silent: flags & NO_REPLY_EXPECTED != 0, rest })
}

/// Makes a call one that wants its answer, so that every call read is answered once, and none is uncounted.
pub fn expect_reply(header: &mut [u8; HEADER]) {
    header[FLAGS] &= !NO_REPLY_EXPECTED;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zbus::{Message, message::Flags};

    use super::*;

    fn header(endian: u8, body: u32, fields: u32) -> [u8; HEADER] {
        let number = |n: u32| if endian == b'l' { n.to_le_bytes() } else { n.to_be_bytes() };
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(&[endian, METHOD_CALL, 0, 1]);
        header[4..8].copy_from_slice(&number(body));
        header[8..12].copy_from_slice(&number(7));
        header[12..].copy_from_slice(&number(fields));
        header
    }

    #[test]
    fn a_built_call_passes_with_its_exact_length() {
        let call = Message::method_call("/a", "B").unwrap_built();
        let judged = judge(call.data().first_chunk().unwrap()).unwrap();
        assert_eq!(judged.rest + HEADER, call.data().len());
        assert_eq!(judged.serial, call.primary_header().serial_num());
        assert!(!judged.silent);
    }

    trait Built {
        fn unwrap_built(self) -> Message;
    }

    impl Built for zbus::message::Builder<'_> {
        fn unwrap_built(self) -> Message {
            self.build(&("some body", vec![7u8; 99])).unwrap()
        }
    }

    #[test]
    fn a_silent_call_is_seen_and_made_to_be_answered() {
        let call = Message::method_call("/a", "B").with_flags(Flags::NO_REPLY_EXPECTED).unwrap_built();
        let mut bytes = *call.data().first_chunk().unwrap();
        assert!(judge(&bytes).unwrap().silent);
        expect_reply(&mut bytes);
        assert!(!judge(&bytes).unwrap().silent);
    }

    #[test]
    fn only_calls_pass() {
        for kind in [0, 2, 3, 4, 5, 255] {
            let mut bytes = header(b'l', 0, 0);
            bytes[1] = kind;
            assert_eq!(judge(&bytes), Err(Refusal::NotACall));
        }
    }

    #[test]
    fn what_is_not_dbus_is_refused() {
        assert_eq!(judge(b"GET / HTTP/1.1\r\n"), Err(Refusal::NotDBus));
        let mut version = header(b'l', 0, 0);
        version[3] = 2;
        assert_eq!(judge(&version), Err(Refusal::NotDBus));
        let mut serial = header(b'l', 0, 0);
        serial[8..12].fill(0);
        assert_eq!(judge(&serial), Err(Refusal::NotDBus));
    }

    #[test]
    fn the_largest_message_is_1_mib_and_8_kib() {
        let largest = u32::try_from(MAX_MESSAGE - HEADER - 104).unwrap();
        for endian in [b'l', b'B'] {
            assert_eq!(judge(&header(endian, largest, 100)).unwrap().rest + HEADER, MAX_MESSAGE);
            assert_eq!(judge(&header(endian, largest + 1, 100)), Err(Refusal::TooLarge));
            assert_eq!(judge(&header(endian, 120 << 20, 100)), Err(Refusal::TooLarge));
            assert_eq!(judge(&header(endian, u32::MAX, u32::MAX)), Err(Refusal::TooLarge));
            assert!(judge(&header(endian, 0, 4096)).is_ok());
            assert_eq!(judge(&header(endian, 0, 4097)), Err(Refusal::TooLarge));
        }
    }

    proptest! {
        #[test]
        fn no_header_asks_for_more_than_the_limit(bytes: [u8; HEADER]) {
            prop_assert!(judge(&bytes).is_ok_and(|call| call.rest + HEADER <= MAX_MESSAGE) || judge(&bytes).is_err());
        }

        #[test]
        fn sizes_are_bounded_whatever_they_claim(body: u32, fields: u32) {
            if let Ok(call) = judge(&header(b'l', body, fields)) {
                prop_assert!(call.rest + HEADER <= MAX_MESSAGE && fields <= 4096);
            }
        }
    }
}
