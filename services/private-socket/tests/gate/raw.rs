//! A client that says what it is told, byte by byte.

use std::{
    io::{ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use zbus::{Message, message::Flags};

use crate::probe::{INTERFACE, PATH};

/// An answer's kind: METHOD_RETURN.
pub const RETURN: u8 = 2;
/// An answer's kind: ERROR.
pub const ERROR: u8 = 3;

/// No wait of a raw client is longer.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Raw(pub UnixStream);

impl Raw {
    pub fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// Connected, and through the handshake.
    pub fn authenticated(path: &Path) -> Self {
        let mut raw = Self::connect(path);
        raw.send(&handshake());
        raw.skip_ok();
        raw
    }

    /// Sends; a server that has hung up is no failure here.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes);
    }

    /// Reads a line of the handshake.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        String::from_utf8(line).unwrap()
    }

    /// Reads the handshake's answer.
    pub fn skip_ok(&mut self) {
        let line = self.line();
        assert!(line.starts_with("OK "), "{line}");
    }

    /// The next answer's kind and bytes.
    pub fn answer(&mut self) -> (u8, Vec<u8>) {
        let mut message = vec![0; 16];
        self.0.read_exact(&mut message).unwrap();
        let from_bytes = if message[0] == b'l' { u32::from_le_bytes } else { u32::from_be_bytes };
        let number = |at: usize| from_bytes(*message[at..].first_chunk().unwrap()) as usize;
        let length = 16 + number(12).next_multiple_of(8) + number(4);
        message.resize(length, 0);
        self.0.read_exact(&mut message[16..]).unwrap();
        (message[1], message)
    }

    /// Whether the server hangs up, whatever it says before.
    pub fn ends(&mut self) -> bool {
        let mut said = [0; 4096];
        loop {
            match self.0.read(&mut said) {
                Ok(0) => return true,
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return true,
                Err(_) => return false,
                Ok(_) => {}
            }
        }
    }
}

/// A whole handshake of this user.
pub fn handshake() -> Vec<u8> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let identity: String = uid.bytes().map(|digit| format!("{digit:02x}")).collect();
    format!("\0AUTH EXTERNAL {identity}\r\nBEGIN\r\n").into_bytes()
}

/// A call of the probe.
pub fn call(member: &str, body: &(impl serde::Serialize + zbus::DynamicType)) -> Vec<u8> {
    build(member, body, Flags::empty())
}

/// A call that wants no answer.
pub fn silent_call(member: &str, body: &(impl serde::Serialize + zbus::DynamicType)) -> Vec<u8> {
    build(member, body, Flags::NO_REPLY_EXPECTED)
}

fn build(member: &str, body: &(impl serde::Serialize + zbus::DynamicType), flags: Flags) -> Vec<u8> {
    let call = Message::method_call(PATH, member).interface(INTERFACE).with_flags(flags).build(body).unwrap();
    call.data().to_vec()
}
