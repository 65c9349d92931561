//! The signals that a watcher hears, from the messages that carry them.

use std::collections::HashMap;

use dbus_interfaces::{
    daemon,
    profile::{self, ChangedProperties},
    secrets,
};
use serde::de::DeserializeOwned;
use zbus::{Message, OwnedVariant, Type};

/// One signal.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of the signals")]
pub enum Signal {
    Properties(ChangedProperties),
    Vault {
        profile: String,
        locked: bool,
        active: bool,
        reason: String,
    },
    Daemon {
        name: String,
        state: String,
        id: String,
        reason: String,
    },
    Lost {
        name: String,
        id: String,
        reason: String,
    },
    Restarted {
        name: String,
        old: String,
        new: String,
    },
    Read {
        profile: String,
        name: String,
        pid: u32,
        unit: String,
    },
    LockedItem {
        profile: String,
        connection: String,
    },
    /// A tick, a reconciliation, or what a newer hub says.
    Alive,
}

/// Decodes a signal of the hub.
pub fn of_hub(message: &Message) -> Signal {
    known(message).unwrap_or(Signal::Alive)
}

fn known(message: &Message) -> Option<Signal> {
    let header = message.header();
    let (interface, member) = (header.interface()?.as_str(), header.member()?.as_str());
    Some(match (interface, member) {
        ("org.freedesktop.DBus.Properties", "PropertiesChanged") => Signal::Properties(properties(message)?),
        (profile::INTERFACE, "VaultChanged") => {
            let (profile, locked, active, reason) = body(message)?;
            Signal::Vault { profile, locked, active, reason }
        }
        (profile::INTERFACE, "DaemonChanged") => {
            let (name, state, id, reason) = body(message)?;
            Signal::Daemon { name, state, id, reason }
        }
        (profile::INTERFACE, "DaemonLost") => {
            let (name, id, reason) = body(message)?;
            Signal::Lost { name, id, reason }
        }
        (profile::INTERFACE, "DaemonRestarted") => {
            let (name, old, new) = body(message)?;
            Signal::Restarted { name, old, new }
        }
        _ => return None,
    })
}

/// Decodes a signal of daemon-secrets: who read a secret, or found one behind a lock.
pub fn of_secrets(message: &Message) -> Option<Signal> {
    let header = message.header();
    if header.interface()?.as_str() != secrets::INTERFACE {
        return None;
    }
    Some(match header.member()?.as_str() {
        "SecretRead" => {
            let (profile, name, pid, unit) = body(message)?;
            Signal::Read { profile, name, pid, unit }
        }
        "LockedItemRequested" => {
            let (profile, connection) = body(message)?;
            Signal::LockedItem { profile, connection }
        }
        _ => return None,
    })
}

/// Whether it is a sign of the hub's turning, which comes at a known time.
pub fn is_tick(message: &Message) -> bool {
    let header = message.header();
    header.interface().is_some_and(|interface| interface.as_str() == daemon::INTERFACE)
        && header.member().is_some_and(|member| member.as_str() == "WatchdogTick")
}

fn body<T: DeserializeOwned + Type>(message: &Message) -> Option<T> {
    message.body().deserialize().ok()
}

fn properties(message: &Message) -> Option<ChangedProperties> {
    let (interface, mut changed, _): (String, HashMap<String, OwnedVariant>, Vec<String>) = body(message)?;
    if interface != profile::INTERFACE {
        return None;
    }
    fn take<T: TryFrom<OwnedVariant>>(changed: &mut HashMap<String, OwnedVariant>, name: &str) -> Option<T> {
        changed.remove(name)?.try_into().ok()
    }
    let changed = &mut changed;
    Some(ChangedProperties {
        lock_state: take::<HashMap<String, bool>>(changed, "LockState").map(|map| map.into_iter().collect()),
        default_profile: take(changed, "DefaultProfile"),
        active_profiles: take(changed, "ActiveProfiles"),
        locked: take(changed, "Locked"),
        health: take(changed, "Health"),
        problems: take(changed, "Problems"),
        generation: take(changed, "Generation")?,
    })
}
