//! Watching: what the hub says, as it says it, across the ends of daemons and of the bus. Shared by `status --watch`,
//! `wait` and `events`.
//!
//! `fold` is the rule, without I/O or clock; `source` feeds it from the bus; `end` is when nobody watches any more.

pub mod end;
pub mod event;
pub mod fold;
pub mod signal;
pub mod source;

pub use event::Event;
pub use fold::{Away, Seen};
pub use source::{Step, start};
