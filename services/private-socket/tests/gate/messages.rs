//! Attacks by messages, after authentication.

use std::{
    io::{IoSlice, Read, pipe},
    mem::MaybeUninit,
    os::fd::AsFd,
};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use zbus::{Message, wire::BE};

use crate::{
    probe::{INTERFACE, PATH, Server, assert_serves, echo, honest, reaches},
    raw::{ERROR, RETURN, Raw, call, handshake, silent_call},
};

/// A header of this kind that announces so many bytes of body and of fields.
fn header(kind: u8, body: u32, fields: u32) -> Vec<u8> {
    let numbers = [body.to_le_bytes(), 1u32.to_le_bytes(), fields.to_le_bytes()];
    [&[b'l', kind, 0, 1][..], numbers.as_flattened()].concat()
}

/// Sends this after the handshake, and loses the connection while others are served.
fn ends_over(bytes: &[u8]) {
    let server = Server::start();
    let mut raw = Raw::authenticated(&server.path());
    raw.send(bytes);
    assert_serves(&server.path());
    assert!(raw.ends(), "{}", bytes[..bytes.len().min(64)].escape_ascii());
    assert_serves(&server.path());
}

#[test]
fn headers_that_announce_too_much() {
    ends_over(&header(1, 120 << 20, 0));
    ends_over(&header(1, u32::MAX, u32::MAX));
    ends_over(&header(1, 0, 5000));
    ends_over(&header(1, (1 << 20) + (8 << 10), 16));
}

#[test]
fn half_a_message_does_not_hold_its_buffer_for_ever() {
    let server = Server::start();
    let whole = call("Echo", &&[7u8; 1000][..]);
    let mut raws = [7, 16, 500].map(|length| {
        let mut raw = Raw::authenticated(&server.path());
        raw.send(&whole[..length]);
        raw
    });
    assert_serves(&server.path());
    assert!(raws.iter_mut().all(Raw::ends));
}

#[test]
fn bytes_in_wrong_order() {
    ends_over(&[b'x'; 16]);
    ends_over(&[0; 4096]);
    ends_over(&handshake());
    let mut reversed = call("Echo", &&b"hello"[..]);
    reversed.reverse();
    ends_over(&reversed);
}

#[test]
fn messages_that_are_no_calls() {
    let signal = Message::signal(PATH, INTERFACE, "Changed").build(&()).unwrap();
    ends_over(signal.data());
    let asked = Message::method_call(PATH, "Echo").build(&()).unwrap();
    ends_over(Message::method_return(&asked.header()).build(&()).unwrap().data());
    ends_over(Message::error(&asked.header(), "a.b").build(&()).unwrap().data());
    ends_over(&header(9, 0, 0));
}

#[test]
fn calls_whose_fields_are_missing_or_garbled() {
    ends_over(&header(1, 0, 0));
    let mut garbled = call("Echo", &&b"hello"[..]);
    garbled[16..].fill(0xff);
    ends_over(&garbled);
}

#[test]
fn a_bad_body_is_answered_with_an_error() {
    let server = Server::start();
    let mut raw = Raw::authenticated(&server.path());
    raw.send(&call("Echo", &"a string where bytes are wanted"));
    assert_eq!(raw.answer().0, ERROR);
    raw.send(&call("Echo", &()));
    assert_eq!(raw.answer().0, ERROR);
    // An array that claims to be longer than its message.
    let mut longer = call("Echo", &&b"abcd"[..]);
    let array = longer.len() - 8;
    longer[array..][..4].copy_from_slice(&400u32.to_le_bytes());
    raw.send(&longer);
    assert_eq!(raw.answer().0, ERROR);
    raw.send(&call("Echo", &&b"still here"[..]));
    assert!(raw.answer().1.ends_with(b"still here"));
}

#[test]
fn what_is_unknown_has_its_own_error() {
    let server = Server::start();
    let error = |path: &'static str, interface: &'static str, member: &'static str| {
        honest(&server.path(), async |connection| {
            connection.call_method(None::<&str>, path, Some(interface), member, &()).await.unwrap_err().to_string()
        })
    };
    let texts = [
        error("/nowhere", INTERFACE, "Echo"),
        error(PATH, "org.opensesame.Nothing", "Echo"),
        error(PATH, INTERFACE, "Nothing"),
    ];
    for (text, part) in texts.iter().zip(["UnknownObject", "UnknownInterface", "UnknownMethod"]) {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn both_byte_orders_and_the_largest_secret_pass() {
    let server = Server::start();
    let value = vec![0xa5; 1 << 20];
    assert!(honest(&server.path(), async |connection| echo(connection, &value).await) == value);

    let call = Message::method_call(PATH, "Echo").interface(INTERFACE).endian(BE).build(&&b"big end"[..]).unwrap();
    let mut raw = Raw::authenticated(&server.path());
    raw.send(call.data());
    let (kind, answer) = raw.answer();
    assert_eq!(kind, RETURN);
    assert!(answer.ends_with(b"big end"));
}

/// Calls without answers neither take the places of others for good nor get an answer.
#[test]
fn silent_calls_do_not_wedge_the_count() {
    let server = Server::start();
    let mut raw = Raw::authenticated(&server.path());
    for _ in 0..100 {
        raw.send(&silent_call("Echo", &&b"quiet"[..]));
        raw.send(&silent_call("Nothing", &()));
    }
    raw.send(&call("Echo", &&b"loud"[..]));
    assert!(raw.answer().1.ends_with(b"loud"), "the first answer is the one that is wanted");
}

#[test]
fn silent_calls_are_counted() {
    let server = Server::start();
    let mut raw = Raw::authenticated(&server.path());
    (0..100).for_each(|_| raw.send(&silent_call("Hang", &())));
    reaches(&server.seen.started, 16);
    assert_serves(&server.path());
    assert_eq!(*server.seen.started.borrow(), 16);
    server.seen.release.add_permits(100);
    reaches(&server.seen.ended, 100);
}

/// A descriptor sent along is closed at once: the pipe ends with our own copy of its writing end.
#[test]
fn descriptors_sent_along_do_not_stay() {
    let server = Server::start();
    let bytes = [handshake(), call("Echo", &&b"carrier"[..])].concat();
    let raw = Raw::connect(&server.path());
    let (mut reader, writer) = pipe().unwrap();
    for part in [&bytes[..1], &bytes[1..20], &bytes[20..50], &bytes[50..]] {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let descriptors = [writer.as_fd(), writer.as_fd()];
        assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
        let sent = sendmsg(&raw.0, &[IoSlice::new(part)], &mut control, SendFlags::empty()).unwrap();
        assert_eq!(sent, part.len());
    }
    let mut raw = raw;
    raw.skip_ok();
    assert!(raw.answer().1.ends_with(b"carrier"));
    drop(writer);
    assert_eq!(reader.read(&mut [0]).unwrap(), 0);
}

/// A call that claims descriptors which never came.
#[test]
fn claimed_descriptors_end_the_connection() {
    let (_, writer) = pipe().unwrap();
    let claimed = Message::method_call(PATH, "Echo").interface(INTERFACE).build(&zbus::Fd::from(&writer)).unwrap();
    ends_over(claimed.data());
}
