//! The deadline that everything waited for has: connecting, the handshake and the call together.

use std::{io::ErrorKind, time::Duration};

use tokio::time::Instant;

use crate::error::Error;

/// For a call that is answered from memory.
pub const CALL: Duration = Duration::from_secs(2);
/// For a call that derives a key from a passphrase.
pub const KEY: Duration = Duration::from_secs(30);
/// For starting a daemon.
pub const START: Duration = Duration::from_secs(10);

/// A moment, and how long it was away when the waiting began.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    at: Instant,
    limit: Duration,
    of_change: bool,
}

impl Deadline {
    /// The moment `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self { at: Instant::now() + limit, limit, of_change: false }
    }

    /// The same moment, for a call that changes something: whoever misses it may do so later.
    pub fn of_change(self) -> Self {
        Self { of_change: true, ..self }
    }

    /// Waits for `who` until the deadline.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] at the deadline.
    pub async fn wait<T>(self, who: &'static str, answer: impl Future<Output = T>) -> Result<T, Error> {
        tokio::time::timeout_at(self.at, answer).await.map_err(|_| self.missed(who))
    }

    /// As [`Deadline::wait`], for what may block until the deadline.
    ///
    /// # Errors
    /// [`Error::NoAnswer`] at the deadline.
    pub async fn wait_blocking<T>(
        self,
        who: &'static str,
        answer: impl Future<Output = zbus::Result<T>>,
    ) -> Result<zbus::Result<T>, Error> {
        match self.wait(who, answer).await? {
            Err(zbus::Error::InputOutput(cause)) if cause.kind() == ErrorKind::TimedOut => Err(self.missed(who)),
            answered => Ok(answered),
        }
    }

    /// The moment, for what blocks until then.
    pub fn at(self) -> std::time::Instant {
        self.at.into_std()
    }

    /// The error of a call that had this deadline: whoever died may have made the change.
    pub fn of_call(self, error: Error) -> Error {
        match error {
            Error::Died(who) if self.of_change => Error::DiedChanging(who),
            error => error,
        }
    }

    /// The error of missing this deadline.
    pub fn missed(self, who: &'static str) -> Error {
        Error::NoAnswer { who, limit: self.limit, of_change: self.of_change }
    }
}
