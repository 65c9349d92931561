//! When nobody watches any more: a signal, or the reader of the output is gone, also where nothing is written.

use std::{io, os::fd::OwnedFd, pin::pin};

use rustix::stdio::stdout;
use tokio::{
    io::{Interest, unix::AsyncFd},
    signal::unix::{Signal, SignalKind, signal},
};

use crate::{error::Error, output};

/// The end of a watch.
#[derive(Debug)]
pub struct End {
    terminate: Signal,
    /// SIGINT and SIGHUP, where they are orderly ends.
    interrupts: Option<[Signal; 2]>,
    // None where standard output has no reader: a file.
    reader: Option<AsyncFd<OwnedFd>>,
}

/// Whether Ctrl-C, and the end of the terminal, is an orderly end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// It is.
    Ends,
    /// It ends the program as it does any other: a shell does not go on as if what was waited for had come.
    Kills,
}

impl End {
    /// Listens for it from now on.
    ///
    /// # Errors
    /// What the system said.
    pub fn listen(interrupt: Interrupt) -> Result<Self, Error> {
        let begin = || -> io::Result<Self> {
            let output = stdout().try_clone_to_owned()?;
            Ok(Self {
                terminate: signal(SignalKind::terminate())?,
                interrupts: match interrupt {
                    Interrupt::Ends => Some([signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?]),
                    Interrupt::Kills => None,
                },
                reader: watched(output),
            })
        };
        begin().map_err(|cause| Error::File { name: "the signals".into(), cause })
    }

    /// Waits for it.
    pub async fn came(&mut self) {
        let interrupted = async {
            match &mut self.interrupts {
                Some([interrupt, hangup]) => tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = hangup.recv() => {}
                },
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            () = interrupted => {}
            () = reader_gone(self.reader.as_ref()) => {}
        }
    }

    /// Writes to standard output; whether the watch goes on. A reader that does not read keeps no signal waiting.
    ///
    /// # Errors
    /// What the system said.
    pub async fn write(&mut self, text: String) -> Result<bool, Error> {
        let written = tokio::task::spawn_blocking(move || output::write(text.as_bytes()));
        let mut written = pin!(written);
        tokio::select! {
            // Nothing panics there, and nothing cancels it.
            ended = &mut written => ended.map_err(|cause| Error::Other(cause.to_string()))?.map(|()| true),
            () = self.came() => Ok(false),
        }
    }
}

/// Nothing where it cannot be watched: a file has no reader.
#[expect(deprecated, reason = "an owned descriptor stays open, so it is sound; its successor is unsafe code")]
fn watched(output: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(output, Interest::READABLE | Interest::ERROR).ok()
}

async fn reader_gone(output: Option<&AsyncFd<OwnedFd>>) {
    let Some(output) = output else { return std::future::pending().await };
    loop {
        let Ok(mut guard) = output.ready(Interest::READABLE | Interest::ERROR).await else { return };
        // Not that reading has ended: the journal's streams are opened for writing alone.
        if guard.ready().is_error() || guard.ready().is_write_closed() {
            return;
        }
        guard.clear_ready();
    }
}
