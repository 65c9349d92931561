//! The vault files (contract, section 3): what is in them, how they are encrypted, and how they are written so that
//! nothing is ever lost. Synchronous: the caller brings the thread and the time. No bus, no configuration, no log.
//!
//! Pure: `content` (items and changes to them), `item`, `kept`, `found` (looking for items), `sidecar`
//! (finding them in a locked vault), `format` (their JSON), `work_factor`. Edges: `keys` (age), `files`
//! (the disk), `draft` (a file on its way in). [`Store`] joins them.

mod content;
mod draft;
mod error;
mod files;
mod format;
mod found;
mod index;
mod item;
mod kept;
mod keys;
mod open_vault;
mod sidecar;
mod store;
mod work_factor;

#[cfg(fuzzing)]
#[allow(clippy::expect_used, clippy::panic)]
pub mod fuzzed;

pub use content::{Alteration, Change, Content, Effect, Foreign, Refused};
pub use error::{Error, Flaw, Limit};
pub use files::{Disk, Files, Stamp};
pub use found::{Found, SCHEMA};
pub use item::{Attributes, InvalidItemId, Item, ItemId, SESAME};
pub use open_vault::{NextWrite, OpenVault, Rekeyed, Written};
pub use store::{SearchFile, Store, find_locked};
pub use work_factor::{InvalidWorkFactor, WorkFactor};
