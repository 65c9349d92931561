//! What the journal is told of the vaults: never a secret's name, nor who read it.

use dbus_interfaces::{ProfileName, events};

use crate::state::{Trouble, VaultChange};

/// A vault was locked, unlocked, activated, deactivated, created or deleted.
pub fn changed(VaultChange { profile, locked, active, reason }: &VaultChange) {
    let state = match (locked, active) {
        (true, _) => "locked",
        (false, true) => "unlocked",
        (false, false) => "unlocked, not active",
    };
    let (message_id, reason) = (events::VAULT_CHANGED, reason.as_str());
    tracing::info!(message_id, %profile, locked, active, reason, "the vault of {profile} is {state} ({reason})");
}

/// Something is wrong with a vault's files.
pub fn trouble(profile: &ProfileName, trouble: &Trouble) {
    let (message_id, sentence) = match trouble {
        Trouble::Corrupt(sentence) => (events::VAULT_CORRUPT, sentence),
        Trouble::WriteFailed(sentence) => (events::WRITE_FAILED, sentence),
    };
    tracing::error!(message_id, %profile, "{sentence}");
}
