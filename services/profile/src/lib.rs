//! The health hub's parts. Rules: `hub`, `vaults`, `peers`, `units`, `health`. Edges: `actor` (the one owner of the state) and
//! `handle` (the way to it),
//! `stream` and `calls` (what it hears and asks), `signals`, `dbus` and `journal` (what it says), `default_profile` (its
//! file).

pub mod actor;
pub mod calls;
pub mod dbus;
pub mod default_profile;
pub mod handle;
pub mod health;
pub mod hub;
pub mod journal;
pub mod notifications;
pub mod peers;
pub mod signals;
pub mod stream;
pub mod units;
pub mod vaults;
