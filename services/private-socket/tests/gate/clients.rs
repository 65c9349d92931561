//! Clients of others: each library's handshake is its own.

use std::process::{self, Command};

use crate::{
    probe::{INTERFACE, PATH, Server, honest},
    raw::{Raw, call},
};

#[test]
fn zbus_is_served_and_known_by_its_process() {
    let server = Server::start();
    let pid: u32 = honest(&server.path(), async |connection| {
        let answer = connection.call_method(None::<&str>, PATH, Some(INTERFACE), "Pid", &()).await.unwrap();
        answer.body().deserialize().unwrap()
    });
    assert_eq!(pid, process::id());
}

/// What a command prints that calls `Echo`, or nothing where it is not installed.
fn prints(mut command: Command) -> Option<String> {
    let output = command.output().ok()?;
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn gdbus_is_served() {
    let server = Server::start();
    let mut gdbus = Command::new("gdbus");
    gdbus.args(["call", "--timeout", "5", "--address", &format!("unix:path={}", server.path().display())]);
    gdbus.args(["--dest", INTERFACE, "--object-path", PATH]);
    gdbus.args(["--method", "org.opensesame.Probe.Echo", "[byte 0x68, 0x69]"]);
    match prints(gdbus) {
        Some(printed) => assert_eq!(printed.trim(), "([byte 0x68, 0x69],)"),
        None => println!("gdbus_is_served: skipped, there is no gdbus (package libglib2.0-bin)"),
    }
}

#[test]
fn busctl_is_served() {
    let server = Server::start();
    let mut busctl = Command::new("busctl");
    busctl.args([&format!("--address=unix:path={}", server.path().display()), "--timeout=5", "call"]);
    busctl.args([INTERFACE, PATH, INTERFACE, "Echo", "ay", "2", "104", "105"]);
    match prints(busctl) {
        Some(printed) => assert_eq!(printed.trim(), "ay 2 104 105"),
        None => println!("busctl_is_served: skipped, there is no busctl (package systemd)"),
    }
}

/// As libsystemd says it, which is in one write, without initial response.
#[test]
fn the_handshake_of_libsystemd_is_answered() {
    let server = Server::start();
    let mut raw = Raw::connect(&server.path());
    raw.send(b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n");
    raw.send(&call("Echo", &&b"systemd"[..]));
    for expected in ["DATA", "OK ", "ERROR "] {
        let line = raw.line();
        assert!(line.starts_with(expected), "{line}");
    }
    assert!(raw.answer().1.ends_with(b"systemd"));
}
