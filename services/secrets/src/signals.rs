//! The messages that tell of a change: `PropertiesChanged`, which carries the whole state, then `VaultChanged`; and of
//! who read what.

use std::collections::BTreeMap;

use dbus_interfaces::secrets::{INTERFACE, PATH, Vaults};
use serde::Serialize;
use zbus::{Message, Type, names::OwnedUniqueName, wire::as_variant};

use crate::{
    handle::Read,
    state::{Change, Snapshot},
};

/// Every property. Each signal is the whole state, so that a lost one is healed by the next.
#[derive(Serialize, Type)]
#[serde(rename_all = "PascalCase")]
#[zbus(signature = "a{sv}")]
struct Properties<'s> {
    #[serde(with = "as_variant")]
    lock_state: BTreeMap<String, bool>,
    #[serde(with = "as_variant")]
    active_profiles: Vec<String>,
    #[serde(with = "as_variant")]
    locked: bool,
    #[serde(with = "as_variant")]
    errors: BTreeMap<String, String>,
    #[serde(with = "as_variant")]
    vaults: &'s Vaults,
    #[serde(with = "as_variant")]
    generation: u64,
}

impl<'s> From<&'s Snapshot> for Properties<'s> {
    fn from(state: &'s Snapshot) -> Self {
        Self {
            lock_state: state.lock_state(),
            active_profiles: state.active_profiles(),
            locked: state.locked(),
            errors: state.errors(),
            vaults: &state.vaults,
            generation: state.generation,
        }
    }
}

/// The signals that tell of `change`, in order.
///
/// # Errors
/// A message would be larger than D-Bus allows.
pub fn messages(sender: &OwnedUniqueName, change: &Change) -> zbus::Result<Vec<Message>> {
    let invalidated: &[&str] = &[];
    let properties = Message::signal(PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged")
        .sender(sender.clone())
        .build(&(INTERFACE, Properties::from(&*change.snapshot), invalidated));
    let vaults = change.vaults.iter().map(|vault| {
        let body = (vault.profile.as_str(), vault.locked, vault.active, vault.reason.as_str());
        Message::signal(PATH, INTERFACE, "VaultChanged").sender(sender.clone()).build(&body)
    });
    std::iter::once(properties).chain(vaults).collect()
}

/// The signal that tells that a secret was read.
///
/// # Errors
/// A message would be larger than D-Bus allows.
pub fn read(sender: &OwnedUniqueName, Read { profile, name, reader }: &Read) -> zbus::Result<Message> {
    let body = (profile.as_str(), name.as_str(), reader.pid, reader.unit.as_str());
    Message::signal(PATH, INTERFACE, "SecretRead").sender(sender.clone()).build(&body)
}
