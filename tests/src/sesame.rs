//! Runs `sesame`, and other programs, as a user would.

use std::{
    ffi::OsStr,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{io::AsyncWriteExt, process::Command};

use crate::{DEADLINE, home::Home};

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; -1 where a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Ended {
    /// Its standard output, of a program that must have succeeded without a word on standard error.
    ///
    /// # Panics
    /// It failed or complained.
    pub fn stdout_of_success(self) -> String {
        assert!(self.code == 0 && self.stderr.is_empty(), "{self:?}");
        self.stdout
    }

    /// Its standard error, of a program that must have failed with `code`: one line `sesame: WHAT: WHY`, and at most
    /// one more.
    ///
    /// # Panics
    /// It ended otherwise, or said it otherwise.
    pub fn stderr_of(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert!(matches!(lines.len(), 1 | 2), "one line, or two: {self:?}");
        assert!(lines[0].starts_with("sesame: ") && lines[0].matches(": ").count() >= 2, "WHAT and WHY: {self:?}");
        self.stderr
    }
}

/// Runs `words` in `home`, with `stdin` as its standard input.
///
/// # Panics
/// It cannot be started, or does not end in time.
pub async fn run<W: AsRef<OsStr>>(home: &Home, bus: Option<&str>, words: &[W], stdin: &[u8]) -> Ended {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_clear().envs(home.environment()).current_dir(home.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if let Some(address) = bus {
        command.env("DBUS_SESSION_BUS_ADDRESS", address);
    }
    let started = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut pipe = child.stdin.take().expect("a pipe");
    let feed = async move {
        // A program that does not read ends its pipe: that is its right.
        let _ = pipe.write_all(stdin).await;
        drop(pipe);
    };
    let whole = async { tokio::join!(feed, child.wait_with_output()).1 };
    let Ok(output) = tokio::time::timeout(2 * DEADLINE, whole).await else {
        panic!("{command:?} did not end within {:?}", 2 * DEADLINE)
    };
    let output = output.expect("the output of a program");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        took: started.elapsed(),
    }
}
