//! The Secret Service API of freedesktop.org (0.2), by which applications keep their secrets in the vaults. On a
//! connection of its own, which there is only while the configuration says `secret_service = true`.
//!
//! Rules: `paths`, `sessions`, `prompts`, `turns`. Edges: `provider` (the name), `dispatch` (from a message to an
//! object), `desk` (what the objects share), `announcements` (what is said of changes), `asking` (the prompter), and
//! one file an interface: `service`, `collection`, `item`, `session`, `prompt`.

pub mod announcements;
pub mod asking;
mod caller;
pub mod collection;
pub mod desk;
pub mod dispatch;
pub mod error;
pub mod item;
pub mod paths;
pub mod prompt;
pub mod prompts;
pub mod provider;
pub mod service;
pub mod session;
pub mod sessions;
pub mod turns;
pub mod wire;
