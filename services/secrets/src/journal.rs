//! What the journal is told of the vaults: never a secret's name, nor who read it, but of what a unit was refused.

use std::{fmt, time::Instant};

use dbus_interfaces::{ProfileName, SecretName, events};
use private_socket::Limiter;

use crate::{
    credentials::Refusal,
    state::{Trouble, VaultChange},
};

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

/// Sleep was delayed for as long as it may be, and a worker still has a key.
pub fn sleep_is_not_delayed_longer() {
    let message_id = events::KEYS_KEPT_INTO_SLEEP;
    tracing::error!(
        message_id,
        "a worker still has a key after 5 s, and the machine is let asleep; the key goes when the worker is done"
    );
}

/// A unit was given nothing by a profile's socket, or perhaps not all. Who asked and for what, where that is known.
pub fn credential_refused(profile: &ProfileName, asked: Option<(&str, &SecretName)>, why: &Refusal) {
    let message_id = events::CREDENTIAL_REFUSED;
    if let Some((unit, name)) = asked {
        tracing::warn!(message_id, %profile, unit, "{unit} was refused the credential {name} of {profile}: {why}");
    } else {
        tracing::warn!(message_id, %profile, "somebody was refused a credential of {profile}: {why}");
    }
}

/// A profile has no socket for units.
pub fn no_credentials(profile: &ProfileName, cause: &std::io::Error) {
    tracing::error!(%profile, "no unit can load a credential of {profile}: its socket cannot be made: {cause}");
}

/// What the journal was told of logind.
#[derive(Debug, Default)]
pub struct Logind {
    is_missing: bool,
    is_refused: bool,
    forgeries: Limiter,
}

impl Logind {
    /// It cannot be asked. Said once.
    pub fn missing(&mut self, why: &dyn fmt::Display) {
        if !std::mem::replace(&mut self.is_missing, true) {
            let message_id = events::LOGIND_MISSING;
            tracing::warn!(
                message_id,
                "logind does not tell of sleep and locked screens ({why}); vaults are not locked by them meanwhile"
            );
        }
    }

    /// It is there.
    pub fn there(&mut self) {
        if std::mem::take(&mut self.is_missing) {
            tracing::info!("logind is there, and tells of sleep and locked screens");
        }
    }

    /// It gives no inhibitor. Said once.
    pub fn no_inhibitor(&mut self, cause: &zbus::Error) {
        if !std::mem::replace(&mut self.is_refused, true) {
            let message_id = events::SLEEP_NOT_DELAYED;
            tracing::warn!(
                message_id,
                "logind does not let sleep wait for the vaults ({cause}); they are locked, perhaps too late"
            );
        }
    }

    /// It gave one.
    pub fn inhibitor(&mut self) {
        self.is_refused = false;
    }

    /// Somebody spoke in its name.
    pub fn forged(&mut self, sender: &str, member: &str) {
        if let Some(held_back) = self.forgeries.pass(Instant::now()) {
            let message_id = events::STRANGER_IGNORED;
            tracing::warn!(
                message_id,
                sender,
                member,
                held_back,
                "ignored a signal {member} on the system bus from {sender}, who is not logind"
            );
        }
    }
}
