//! What attacks cost the process that is attacked, which is one of its own.

use std::{fs, path::PathBuf, thread, time::Duration};

use tempfile::TempDir;

use crate::{
    children::Child,
    probe::assert_serves,
    raw::{Raw, call, handshake},
};

/// A server in a process of its own.
struct Measured {
    child: Child,
    folder: TempDir,
}

impl Measured {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let child = Child::server(&folder.path().join("socket"));
        let measured = Self { child, folder };
        // Whatever is allocated once is allocated now.
        assert_serves(&measured.path());
        measured
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// The most memory that it ever had, in KiB.
    fn peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }
}

#[test]
fn headers_that_announce_120_mib_cost_nothing() {
    let server = Measured::start();
    let before = server.peak();
    let announcement = [&[b'l', 1, 0, 1][..], &(120u32 << 20).to_le_bytes(), &[1, 0, 0, 0], &[0; 4]].concat();
    let mut raws: Vec<_> = (0..20).map(|_| Raw::authenticated(&server.path())).collect();
    raws.iter_mut().for_each(|raw| raw.send(&announcement));
    assert_serves(&server.path());
    assert!(raws.iter_mut().all(Raw::ends));
    let cost = server.peak() - before;
    println!("20 announcements of 120 MiB: {cost} KiB");
    assert!(cost < 4 << 10, "{cost} KiB");
}

#[test]
fn five_hundred_connections_with_hanging_calls_cost_little_and_leave_nothing() {
    let server = Measured::start();
    let (before, descriptors) = (server.peak(), server.descriptors());
    let attack = [handshake(), call("Hang", &()).repeat(20)].concat();
    let raws: Vec<_> = (0..500)
        .map(|_| {
            let mut raw = Raw::connect(&server.path());
            raw.send(&attack);
            raw
        })
        .collect();
    assert_serves(&server.path());
    let cost = server.peak() - before;
    println!("500 connections with hanging calls: {cost} KiB");
    assert!(cost < 12 << 10, "{cost} KiB");
    assert!(server.descriptors() <= descriptors + 64 + 1);
    drop(raws);
    // Nothing of another process's descriptors can be awaited.
    let gone = (0..100).any(|_| {
        thread::sleep(Duration::from_millis(20));
        server.descriptors() <= descriptors
    });
    assert!(gone, "{} descriptors, {descriptors} before", server.descriptors());
}

#[test]
fn callers_that_take_no_answers_cost_no_more_than_sixteen_each() {
    let server = Measured::start();
    let before = server.peak();
    let mut raws: Vec<_> = (0..2).map(|_| Raw::authenticated(&server.path())).collect();
    for raw in &mut raws {
        (0..200).for_each(|_| raw.send(&call("Big", &())));
    }
    assert_serves(&server.path());
    let cost = server.peak() - before;
    println!("2 callers that take no answers: {cost} KiB");
    // Each answer twice: as the interface made it, and as it is sent.
    assert!(cost < (2 * 16 * 2 + 8) << 10, "{cost} KiB");
}
