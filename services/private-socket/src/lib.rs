//! A peer-to-peer D-Bus server on a Unix socket, behind a gate of its own: bounded handshakes, messages, unanswered
//! calls and connections (contract, section 2, rule 4), so that what crosses it never crosses the session bus.
//! It serves whatever interface it is given, and knows nothing of vaults, nor of how long a call may wait.

mod answers;
mod calls;
mod connection;
mod evict;
mod halves;
mod handshake;
mod header;
mod hello;
mod limiter;
mod listener;
mod sasl;

#[cfg(fuzzing)]
#[allow(clippy::unwrap_used, clippy::panic)]
pub mod fuzzed;

pub use answers::Answers;
pub use limiter::Limiter;
pub use listener::{BindError, Listener};

/// The process at the other end of a connection, as the kernel saw it when it connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    /// Its process; 0 where that lies in another pid namespace.
    pub pid: u32,
    /// Its effective user; always our own, since others are turned away.
    pub uid: u32,
}
