//! A home, a bus and daemons of each test's own.

pub mod hub;
pub mod session;
pub mod terminal;
pub mod vaults;

pub use session::{Ended, Session};
