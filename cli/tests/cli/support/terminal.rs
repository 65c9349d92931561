//! A terminal with a person at it.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use super::{Ended, Session, session::code_in_shell};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// `sesame` at a terminal, and all that the terminal shows.
pub struct Terminal {
    keyboard: File,
    /// Kept open, so that the terminal outlives the program.
    line: File,
    screen: Receiver<Vec<u8>>,
    shown: String,
    program: Child,
}

impl Terminal {
    /// Runs `sesame` with the terminal as its standard input, and as its standard output where `on_screen`.
    pub fn run(session: &Session, line: &str, on_screen: bool) -> Self {
        Self::run_in(session, line, on_screen, "xterm")
    }

    /// The same in a terminal of another kind.
    pub fn run_in(session: &Session, line: &str, on_screen: bool, kind: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = File::options().read(true).write(true).open(name).unwrap();
        let keyboard = File::from(master);
        let screen = watch(keyboard.try_clone().unwrap());

        let mut command: Command = session.command("setsid");
        command.args(["--wait", "--ctty", env!("CARGO_BIN_EXE_sesame")]).args(line.split(' ')).env("TERM", kind);
        let output = if on_screen { slave.try_clone().unwrap().into() } else { Stdio::piped() };
        command.stdin(slave.try_clone().unwrap()).stdout(output).stderr(Stdio::piped());
        Self { keyboard, line: slave, screen, shown: String::new(), program: command.spawn().unwrap() }
    }

    /// Waits until the terminal shows `text`, beyond what was waited for before.
    pub fn expect(&mut self, text: &str) {
        while !self.shown.contains(text) {
            let more = self.screen.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {text:?} in {:?}", self.shown));
            self.shown += &String::from_utf8(more).unwrap();
        }
        let end = self.shown.find(text).unwrap() + text.len();
        self.shown.drain(..end);
    }

    /// Types.
    pub fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits for the program's end. What the terminal showed since the last [`Terminal::expect`] is its output.
    pub fn end(mut self) -> Ended {
        // Read before waiting: a full pipe would keep the program.
        let mut piped = String::new();
        if let Some(mut output) = self.program.stdout.take() {
            output.read_to_string(&mut piped).unwrap();
        }
        let mut stderr = String::new();
        self.program.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let code = code_in_shell(self.program.wait().unwrap());
        assert!(tcgetattr(&self.line).unwrap().local_modes.contains(LocalModes::ECHO), "the echo is back");
        // The program is gone, and with these the last who could write: the screen ends.
        drop(self.line);
        let shown = self.screen.iter().fold(self.shown, |shown, more| shown + &String::from_utf8(more).unwrap());
        Ended { code, stdout: shown + &piped, stderr }
    }
}

/// Passes on what is shown; ends with the terminal.
fn watch(mut screen: File) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut piece = [0; 1024];
        while let Ok(read @ 1..) = screen.read(&mut piece) {
            if sender.send(piece[..read].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}
