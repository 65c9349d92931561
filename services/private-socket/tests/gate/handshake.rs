//! Attacks before authentication.

use std::{
    io::{Read, Write},
    thread,
    time::{Duration, Instant},
};

use crate::{
    probe::{Server, assert_serves},
    raw::{RETURN, Raw, call, handshake},
};

/// Sends this instead of a handshake, and is turned away while others are served.
fn turned_away(bytes: &[u8]) {
    let server = Server::start();
    let mut raw = Raw::connect(&server.path());
    raw.send(bytes);
    assert_serves(&server.path());
    assert!(raw.ends(), "{}", bytes.escape_ascii());
    assert_eq!(*server.seen.made.borrow(), 1, "only the honest caller is served");
    assert_serves(&server.path());
}

#[test]
fn a_newline_as_first_byte() {
    turned_away(b"\n");
    // Nor does the rest help.
    turned_away(&[&b"\n"[..], &handshake()[1..]].concat());
}

#[test]
fn bytes_of_another_protocol() {
    turned_away(b"GET / HTTP/1.1\r\n\r\n");
}

#[test]
fn a_line_without_carriage_return() {
    turned_away(b"\0AUTH EXTERNAL\n");
}

#[test]
fn a_line_that_is_no_text() {
    turned_away(b"\0\xff\xfe\r\n");
}

#[test]
fn begin_without_authentication() {
    turned_away(b"\0BEGIN\r\n");
    turned_away(b"\0AUTH EXTERNAL\r\nBEGIN\r\n");
    turned_away(b"\0AUTH ANONYMOUS\r\nBEGIN\r\n");
}

#[test]
fn begin_with_the_identity_of_another_user() {
    turned_away(b"\0AUTH EXTERNAL 34323737\r\nBEGIN\r\n");
}

#[test]
fn a_handshake_of_one_endless_line_and_one_of_endless_lines() {
    turned_away(&[&b"\0"[..], &[b'A'; 100_000]].concat());
    turned_away(&[&b"\0"[..], &b"NONSENSE\r\n".repeat(10_000)].concat());
}

#[test]
fn a_handshake_ends_after_512_bytes() {
    let server = Server::start();
    let mut raw = Raw::connect(&server.path());
    raw.send(&[&b"\0"[..], &b"X\r\n".repeat(10_000)].concat());
    let mut said = Vec::new();
    // It may end in a reset, since most was not read.
    let _ = raw.0.read_to_end(&mut said);
    assert_eq!(String::from_utf8(said).unwrap().lines().count(), (512 - 1) / 3);
}

#[test]
fn silence_and_half_a_handshake_have_two_seconds() {
    let server = Server::start();
    let start = Instant::now();
    let whole = handshake();
    let attacks = [b"", &b"\0AUTH EXT"[..], whole.strip_suffix(b"BEGIN\r\n").unwrap()];
    let mut raws = attacks.map(|bytes| {
        let mut raw = Raw::connect(&server.path());
        raw.send(bytes);
        raw
    });
    assert_serves(&server.path());
    assert!(raws.iter_mut().all(Raw::ends));
    assert!(start.elapsed() >= Duration::from_millis(1900));
    assert_eq!(*server.seen.made.borrow(), 1, "only the honest caller is served");
}

/// Each byte comes in time, the handshake does not.
#[test]
fn a_handshake_in_drops_has_two_seconds_in_all() {
    let server = Server::start();
    let mut raw = Raw::connect(&server.path());
    let start = Instant::now();
    // The pace is the attack.
    while raw.0.write_all(b"\0").is_ok() && start.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(100));
    }
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_serves(&server.path());
}

#[test]
fn a_call_in_one_write_with_its_handshake_is_answered() {
    let server = Server::start();
    let mut raw = Raw::connect(&server.path());
    raw.send(&[handshake(), call("Echo", &&b"one"[..]), call("Echo", &&b"two"[..])].concat());
    raw.skip_ok();
    for expected in [b"one", b"two"] {
        let (kind, answer) = raw.answer();
        assert_eq!(kind, RETURN);
        assert!(answer.ends_with(expected));
    }
}

#[test]
fn a_call_in_single_bytes_is_answered() {
    let server = Server::start();
    let mut raw = Raw::connect(&server.path());
    for byte in [handshake(), call("Echo", &&b"slow"[..])].concat() {
        raw.send(&[byte]);
    }
    raw.skip_ok();
    assert!(raw.answer().1.ends_with(b"slow"));
}
