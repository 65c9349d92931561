//! The gate under attack: real sockets, real clients, an honest caller beside each attack.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(missing_docs, reason = "tests")]

mod children;
mod clients;
mod connections;
mod handshake;
mod memory;
mod messages;
mod probe;
mod raw;
