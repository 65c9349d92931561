//! This test program again, as another process: a server to be measured, or a flood from elsewhere.

use std::{
    env,
    io::{BufRead, BufReader, Read, stdin},
    path::{Path, PathBuf},
    process::{self, ChildStdin, ChildStdout, Command, Stdio},
};

use private_socket::Listener;

use crate::{
    probe::{Seen, serve},
    raw::{Raw, call},
};

/// Tells a child which socket is meant. Without it, it is no child.
const SOCKET: &str = "PRIVATE_SOCKET_TEST";

/// A child process, killed and waited for when dropped.
pub struct Child {
    process: process::Child,
    _input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Child {
    pub fn server(socket: &Path) -> Self {
        let mut child = Self::spawn("children::server", socket);
        child.line("ready");
        child
    }

    pub fn flood(socket: &Path) -> Self {
        Self::spawn("children::flood", socket)
    }

    fn spawn(name: &str, socket: &Path) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", name, "--ignored", "--nocapture"])
            .env(SOCKET, socket)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, _input: input, output }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What follows this on the first line that has it.
    pub fn line(&mut self, mark: &str) -> String {
        let found = self.output.by_ref().lines().map(Result::unwrap).find_map(|line| {
            let (_, rest) = line.split_once(mark)?;
            Some(rest.to_owned())
        });
        found.expect("the child says so")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn socket() -> Option<PathBuf> {
    env::var_os(SOCKET).map(PathBuf::from)
}

/// Returns when the parent closes the child's input.
fn wait_for_parent() {
    let _ = stdin().read_to_end(&mut Vec::new());
}

#[test]
#[ignore = "a child of other tests"]
fn server() {
    let Some(socket) = socket() else { return };
    let listener = Listener::bind(&socket).unwrap();
    println!("ready");
    // Killed by the parent.
    serve(listener, Seen::new(), std::future::pending::<()>());
}

#[test]
#[ignore = "a child of other tests"]
fn flood() {
    let Some(socket) = socket() else { return };
    let mut raws: Vec<_> = (0..500)
        .map(|_| {
            let mut raw = Raw::authenticated(&socket);
            raw.send(&call("Hang", &()).repeat(20));
            raw
        })
        .collect();
    let is_open = |raw: &mut Raw| {
        raw.0.set_nonblocking(true).unwrap();
        !raw.ends()
    };
    println!("open {}", raws.iter_mut().map(is_open).filter(|open| *open).count());
    wait_for_parent();
}
