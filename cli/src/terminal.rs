//! Asking on the terminal without echo.

use std::{
    fs::File,
    io::{self, Read, Write},
};

use rustix::{
    process::getpgrp,
    termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr},
};
use secrecy::SecretSlice;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::Error;

/// What a terminal holds of one line; a longer one it cuts without a word.
const LONGEST_LINE: usize = 4095;

/// Asks for one line on the terminal of this process, wherever its standard input comes from.
///
/// # Errors
/// [`Error::NoTerminal`], [`Error::Interrupted`], that nothing was typed, or what the system said.
pub async fn ask(prompt: &str) -> Result<SecretSlice<u8>, Error> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").map_err(|_| Error::NoTerminal)?;
    // A program in the background of a terminal, as all of a desktop may be, would be stopped when it reads from it.
    if tcgetpgrp(&terminal) != Ok(getpgrp()) {
        return Err(Error::NoTerminal);
    }
    // Before the echo goes: from here on every way out gives it back.
    let interruption = Interruption::listen().map_err(failed)?;
    let silence = Silence::begin(terminal.try_clone().map_err(failed)?)?;
    terminal.write_all(prompt.as_bytes()).map_err(failed)?;
    let typed = terminal.try_clone().map_err(failed)?;
    // A thread of its own, since signals end the question. It ends with the line, or with the program.
    let line = tokio::task::spawn_blocking(move || read_line(typed));
    let line = interruption.unless(async { line.await.map_err(failed)? }).await;
    drop(silence);
    terminal.write_all(b"\n").map_err(failed)?;
    line.map(SecretSlice::from)
}

fn failed(cause: impl Into<io::Error>) -> Error {
    Error::File { name: "the terminal".into(), cause: cause.into() }
}

/// Reads up to the first newline, or the end; an end at once, Ctrl-D, is no answer.
fn read_line(mut terminal: File) -> Result<Vec<u8>, Error> {
    let mut line = vec![0; LONGEST_LINE + 1];
    let mut length = 0;
    // A terminal hands over a line at once, unless Ctrl-D cuts it into pieces.
    while length < line.len() && !line[..length].ends_with(b"\n") {
        match terminal.read(&mut line[length..]).map_err(failed)? {
            0 if length == 0 => return Err(Error::Other("no answer was typed; nothing was tried".into())),
            0 => break,
            read => length += read,
        }
    }
    line.truncate(length);
    line.pop_if(|last| *last == b'\n');
    if line.len() >= LONGEST_LINE {
        return Err(Error::Other("a terminal holds no longer line than 4094 bytes; use a pipe or a file".into()));
    }
    Ok(line)
}

/// The terminal without echo, until this is dropped.
struct Silence {
    terminal: File,
    before: Termios,
}

impl Silence {
    fn begin(terminal: File) -> Result<Self, Error> {
        let before = tcgetattr(&terminal).map_err(failed)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        // No Ctrl-Z: a shell that takes the terminal back would turn the echo on again under the question.
        silent.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(failed)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // Flush: lines that were pasted beyond the first one must not reach the shell as commands.
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(&self.terminal, OptionalActions::Flush, &self.before);
    }
}

/// Does `work` unless a signal ends it, also where somebody asked before: who asks takes the signals over for good.
///
/// # Errors
/// [`Error::Interrupted`], what the system said, and those of `work`.
pub async fn unless_interrupted<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let failed = |cause| Error::Other(format!("signals cannot be watched: {cause}"));
    Interruption::listen().map_err(failed)?.unless(work).await
}

/// The signals that end a program that asks.
struct Interruption([Signal; 4]);

impl Interruption {
    fn listen() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::quit())?,
            signal(SignalKind::terminate())?,
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn unless<T>(mut self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            // First, since work may block until something comes, be it a signal.
            biased;
            signal = self.arrived() => Err(Error::Interrupted(signal)),
            done = work => done,
        }
    }

    async fn arrived(&mut self) -> SignalKind {
        let [interrupt, quit, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => SignalKind::interrupt(),
            _ = quit.recv() => SignalKind::quit(),
            _ = terminate.recv() => SignalKind::terminate(),
            _ = hangup.recv() => SignalKind::hangup(),
        }
    }
}
