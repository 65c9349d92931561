//! What a watcher is told of, in the order of the bus.

use super::fold::Seen;

/// Whether a vault is locked, and whether its profile is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the contract")]
pub struct Lock {
    pub locked: bool,
    pub active: bool,
}

/// One change.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the signals")]
pub enum Event {
    /// All that is known now: the first event, and where something may have been missed since the last one.
    Snapshot { missed: bool, seen: Seen },
    /// A vault was locked, unlocked, activated or deactivated; made, where there is no `old`, or deleted.
    Vault { profile: String, old: Option<Lock>, new: Option<Lock>, reason: String },
    /// A daemon's state.
    Daemon { daemon: String, old: Option<String>, new: String, reason: String },
    /// A daemon ended unasked.
    Lost { daemon: String, id: String, reason: String },
    /// A daemon was restarted after a crash.
    Restarted { daemon: String, old: String, new: String },
    /// The default profile.
    Default { old: String, new: String },
    /// The health; `unknown` while it cannot be told.
    Health { old: String, new: String, reason: String },
    /// Somebody read a secret.
    Read { profile: String, name: String, pid: u32, unit: String },
    /// An application found items in a locked vault.
    LockedItem { profile: String, connection: String },
}
