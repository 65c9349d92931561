//! Attacks by number: calls and connections, and how connections end.

use std::{
    fs::{self, File},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    thread,
};

use private_socket::{BindError, Listener};
use rustix::process::{Uid, geteuid};

use crate::{
    children::Child,
    probe::{Server, assert_serves, reaches},
    raw::{RETURN, Raw, call, handshake},
};

#[test]
fn the_seventeenth_call_waits_for_an_answer() {
    let server = Server::start();
    let mut raw = Raw::authenticated(&server.path());
    (0..20).for_each(|_| raw.send(&call("Hang", &())));
    reaches(&server.seen.started, 16);
    assert_serves(&server.path());
    assert_eq!(*server.seen.started.borrow(), 16);
    server.seen.release.add_permits(1);
    reaches(&server.seen.started, 17);
    server.seen.release.add_permits(19);
    (0..20).for_each(|_| assert_eq!(raw.answer().0, RETURN));
}

/// Its end lies behind calls that nobody reads yet.
#[test]
fn a_peer_that_leaves_with_calls_unread_is_seen_to_leave() {
    let server = Server::start();
    let mut raw = Raw::authenticated(&server.path());
    (0..20).for_each(|_| raw.send(&call("Hang", &())));
    reaches(&server.seen.started, 16);
    drop(raw);
    reaches(&server.seen.ended, 16);
    reaches(&server.seen.idle, 1);
    assert_eq!(*server.seen.started.borrow(), 16);
}

#[test]
fn callers_that_take_no_answers_are_not_read() {
    let server = Server::start();
    let mut raws: Vec<_> = (0..2).map(|_| Raw::authenticated(&server.path())).collect();
    for raw in &mut raws {
        (0..40).for_each(|_| raw.send(&call("Big", &())));
    }
    assert_serves(&server.path());
    // Whoever begins to take them gets every one.
    (0..40).for_each(|_| assert_eq!(raws[0].answer().0, RETURN));
    assert_serves(&server.path());
}

/// Another process makes 500 connections, each with hanging calls: it alone loses them.
#[test]
fn five_hundred_connections_of_another_process_keep_nobody_out() {
    let server = Server::start();
    let mut honest = Raw::authenticated(&server.path());
    let mut flood = Child::flood(&server.path());
    let still_open: usize = flood.line("open ").parse().unwrap();
    honest.send(&call("Echo", &&b"beside"[..]));
    assert!(honest.answer().1.ends_with(b"beside"));
    assert_serves(&server.path());
    assert!((32..=63).contains(&still_open), "{still_open}");
    drop((flood, honest));
    reaches(&server.seen.idle, 1);
    assert_eq!(*server.seen.started.borrow(), *server.seen.ended.borrow());
}

#[test]
fn half_open_connections_go_before_authenticated_ones() {
    let server = Server::start();
    let mut open: Vec<_> = (0..10).map(|_| Raw::authenticated(&server.path())).collect();
    let mut silent: Vec<_> = (0..200).map(|_| Raw::connect(&server.path())).collect();
    assert_serves(&server.path());
    assert!(silent[0].ends());
    for raw in &mut open {
        raw.send(&call("Echo", &&b"kept"[..]));
        assert!(raw.answer().1.ends_with(b"kept"));
    }
}

#[test]
fn stopping_ends_every_connection_and_removes_the_socket() {
    let mut server = Server::start();
    let path = server.path();
    let mut raws: Vec<_> = (0..3).map(|_| Raw::authenticated(&path)).collect();
    raws[0].send(&call("Hang", &()));
    reaches(&server.seen.started, 1);
    let mut fresh = Raw::connect(&path);
    server.stop();
    assert!(raws.iter_mut().all(Raw::ends));
    assert!(fresh.ends());
    assert!(!path.exists());
}

#[test]
fn the_socket_replaces_a_stale_one_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listener = Listener::bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(listener);
    assert!(!path.exists());

    File::create(&path).unwrap();
    assert!(matches!(Listener::bind(&path), Err(BindError::NotASocket(named)) if named == path));
    let deep = folder.path().join("d".repeat(200));
    assert!(matches!(Listener::bind(&deep), Err(BindError::Refused { .. })));
}

/// Though every permission lets it through: the check is ours.
#[test]
fn a_peer_of_another_user_is_turned_away() {
    if !geteuid().is_root() {
        println!("a_peer_of_another_user_is_turned_away: skipped, only root can become another user");
        return;
    }
    let server = Server::start();
    let path = server.path();
    fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let attack = thread::spawn(move || {
        // Of this thread alone.
        rustix::thread::set_thread_uid(Uid::from_raw(65534)).unwrap();
        let mut raw = Raw::connect(&path);
        raw.send(&handshake());
        raw.ends()
    });
    assert!(attack.join().unwrap());
    assert_serves(&server.path());
    assert_eq!(*server.seen.made.borrow(), 1);
}
