//! A temporary home with a session bus, and `sesame` run in it.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use zbus::Connection;

/// A home, and its bus where it was given one. Both end with it.
pub struct Session {
    folder: TempDir,
    bus: Option<(Child, String)>,
}

/// How a run of `sesame` ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Session {
    /// A home without a bus.
    pub fn without_bus() -> Self {
        let folder = tempfile::Builder::new().prefix("sesame-").tempdir().unwrap();
        fs::create_dir_all(folder.path().join("run/open-sesame")).unwrap();
        Self { folder, bus: None }
    }

    /// A home with a session bus, which knows no activation files but those of this home.
    pub fn start() -> Self {
        let mut session = Self::without_bus();
        let mut bus = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile", "--print-address"])
            .arg(format!("--address=unix:path={}", session.path("bus").display()))
            .env("XDG_DATA_HOME", session.path("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        session.bus = Some((bus, address.trim().to_owned()));
        session
    }

    /// A place in the home.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where daemon-secrets listens.
    pub fn private_socket(&self) -> PathBuf {
        self.path("run/open-sesame/secrets.socket")
    }

    /// A connection of the test's own to the bus.
    pub async fn connect(&self) -> Connection {
        let address = self.bus.as_ref().unwrap().1.as_str();
        zbus::connection::Builder::address(address).build().await.unwrap()
    }

    /// Stops the bus without ending it.
    pub fn freeze_bus(&self) {
        let pid = Pid::from_child(&self.bus.as_ref().unwrap().0);
        kill_process(pid, Signal::STOP).unwrap();
    }

    /// `program` in this home, and nothing of the environment that the test runs in but PATH.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let path = std::env::var_os("PATH").unwrap();
        command.env_clear().env("PATH", path).env("HOME", self.folder.path()).env("XDG_RUNTIME_DIR", self.path("run"));
        if let Some((_, address)) = &self.bus {
            command.env("DBUS_SESSION_BUS_ADDRESS", address);
        }
        command
    }

    /// `sesame` with these arguments, words parted by blanks, and without a terminal.
    pub fn sesame(&self, line: &str) -> Command {
        let mut command = self.command("setsid");
        command.args(["--wait", env!("CARGO_BIN_EXE_sesame")]).args(line.split(' '));
        command
    }

    /// Runs `sesame` to its end.
    pub async fn run(&self, line: &str) -> Ended {
        self.feed(line, b"").await
    }

    /// Runs `sesame` to its end with this standard input.
    pub async fn feed(&self, line: &str, input: &[u8]) -> Ended {
        end(self.sesame(line), input).await
    }
}

/// Runs a command to its end, with this standard input, while the test's daemons go on.
pub async fn end(mut command: Command, input: &[u8]) -> Ended {
    let input = input.to_vec();
    let run = move || {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that ends before it has read everything is free to.
        let _ = child.stdin.take().unwrap().write_all(&input);
        child.wait_with_output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    Ended {
        code: code_in_shell(output.status),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// As `$?` in a shell: 128 and the number where a signal ended it.
pub fn code_in_shell(status: ExitStatus) -> i32 {
    status.code().or_else(|| Some(128 + status.signal()?)).unwrap_or(-1)
}

impl Ended {
    /// It worked, and this is all it said.
    #[track_caller]
    pub fn printed(&self, stdout: &str) {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.as_str()), (0, stdout, ""));
    }

    /// It failed with this code and these lines on standard error, and said nothing else.
    #[track_caller]
    pub fn failed(&self, code: i32, stderr: &str) {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.as_str()), (code, "", stderr));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some((bus, _)) = &mut self.bus {
            let _ = bus.kill();
            let _ = bus.wait();
        }
    }
}
