//! The messages that tell of a change: signals of `org.opensesame.Profile` and `PropertiesChanged`.

use std::collections::HashMap;

use dbus_interfaces::profile::{ChangedProperties, INTERFACE, PATH};
use zbus::{Message, Variant, names::OwnedUniqueName};

use crate::{hub::Change, peers::PeerChange};

/// The signal that tells of `change`.
///
/// # Errors
/// The message would be larger than D-Bus allows.
pub fn message(sender: &OwnedUniqueName, change: Change) -> zbus::Result<Message> {
    let signal = |member: &'static str| Message::signal(PATH, INTERFACE, member).sender(sender.clone());
    match change {
        Change::Properties(changed) => properties_changed(sender, changed),
        Change::Vault { profile, locked, active, reason } => {
            signal("VaultChanged").build(&(profile, locked, active, reason))
        }
        Change::Peer(PeerChange::Changed { name, state, id, reason }) => {
            signal("DaemonChanged").build(&(name.as_str(), state.as_str(), id, reason))
        }
        Change::Peer(PeerChange::Lost { name, id, reason }) => signal("DaemonLost").build(&(name.as_str(), id, reason)),
        Change::Peer(PeerChange::Restarted { name, old, new }) => {
            signal("DaemonRestarted").build(&(name.as_str(), old, new))
        }
        Change::Reconciled { tick, changed } => signal("Reconciled").build(&(tick, changed)),
    }
}

fn properties_changed(sender: &OwnedUniqueName, changed: ChangedProperties) -> zbus::Result<Message> {
    let mut values: HashMap<&str, Variant<'_>> = HashMap::new();
    let mut put = |name, value: Option<Variant<'static>>| {
        if let Some(value) = value {
            values.insert(name, value);
        }
    };
    put("LockState", changed.lock_state.map(Variant::from));
    put("DefaultProfile", changed.default_profile.map(Variant::from));
    put("ActiveProfiles", changed.active_profiles.map(Variant::from));
    put("Locked", changed.locked.map(Variant::from));
    put("Health", changed.health.map(Variant::from));
    put("Problems", changed.problems.map(Variant::from));
    put("Generation", Some(Variant::from(changed.generation)));
    let invalidated: &[&str] = &[];
    Message::signal(PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged").sender(sender.clone()).build(&(
        INTERFACE,
        values,
        invalidated,
    ))
}
