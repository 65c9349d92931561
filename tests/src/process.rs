//! A child of a test: its standard error is kept, its end can be awaited, and it never outlives the test.

use std::{
    fs,
    path::PathBuf,
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::process::{Child, ChildStdout, Command};

use crate::{home::Home, within_deadline};

/// A running program. Killed, and waited for, when this is dropped.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

/// What to run: a [`Command`] whose environment is the home's.
pub struct Recipe {
    name: String,
    command: Command,
    log: PathBuf,
}

impl Recipe {
    /// Runs `words` in `home`. `name` tells its log from others.
    pub fn new(home: &Home, name: &str, words: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Self {
        // Killed with the thread that runs the test, even where that does not live to drop anything.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).args(words);
        command.env_clear().envs(home.environment()).current_dir(home.path()).stdin(Stdio::null());
        Self { name: name.into(), command, log: home.path().join("logs").join(name) }
    }

    /// Sets a variable.
    #[must_use]
    pub fn with(mut self, variable: &str, value: &str) -> Self {
        self.command.env(variable, value);
        self
    }

    /// Gives it `stdin`.
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.command.stdin(stdin);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// It cannot be started.
    pub fn start(mut self) -> Process {
        let log = fs::File::options().create(true).append(true).open(&self.log).expect("a log file");
        let child = self.command.stdout(Stdio::piped()).stderr(log).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {}: {error}", self.name));
        Process { name: self.name, child, log: self.log }
    }
}

impl Process {
    /// Its process id.
    ///
    /// # Panics
    /// It has ended and was waited for.
    pub fn pid(&self) -> Pid {
        self.running().expect("a child that runs")
    }

    fn running(&self) -> Option<Pid> {
        self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?))
    }

    /// What it has said on its standard error until now, its predecessors of the same name before it.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Its standard output, once.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// It has ended and was waited for.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a signal to a child");
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It does not end in time.
    pub async fn exited(&mut self) -> ExitStatus {
        let what = format!("the end of {}", self.name);
        within_deadline(&what, self.child.wait()).await.expect("a child to wait for")
    }

    /// SIGKILL, and waits until it is gone.
    pub async fn kill9(&mut self) {
        self.signal(Signal::KILL);
        self.exited().await;
    }

    /// SIGTERM, and waits until it is gone.
    pub async fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.exited().await
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Waited for here, not by the runtime, which ends with the test. Both fail only where it has ended already.
        if let Some(pid) = self.running() {
            let _ = kill_process(pid, Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
        }
    }
}
