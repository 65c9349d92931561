//! daemon-secrets' parts. Rules: `state`, `attempts`, `holds`, `autolock`, `items`. Edges: `actor` (the one owner of
//! the vaults) and `handle` (the way to it), `work` (what workers do), `alarm` (its timer), `signals`, `dbus`, `units`
//! and `journal` (what is said and asked), `listening`, `logind` and `screen_saver` (what is heard), `reader` (who
//! reads), `credentials` (secrets for units), `runtime_folder`.

pub mod actor;
pub mod attempts;
pub mod autolock;
pub mod credentials;
pub mod dbus;
pub mod handle;
pub mod holds;
pub mod items;
pub mod journal;
pub mod listening;
pub mod logind;
pub mod reader;
pub mod runtime_folder;
pub mod screen_saver;
pub mod secret_service;
pub mod signals;
pub mod state;
pub mod units;
pub mod work;
