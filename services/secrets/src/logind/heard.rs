//! What a message of the system bus means while somebody owns logind's name. Pure. Believes nobody but the bus itself
//! and the owner: on this bus any user may send a signal to anybody.

use std::collections::HashMap;

use daemon_runtime::bus::DRIVER;
use zbus::{Message, OwnedVariant, message::Type, names::OwnedUniqueName};

/// The name.
pub const NAME: &str = "org.freedesktop.login1";
/// Its manager's object.
pub const PATH: &str = "/org/freedesktop/login1";
/// Its manager's interface.
pub const MANAGER: &str = "org.freedesktop.login1.Manager";
/// A session's interface.
pub const SESSION: &str = "org.freedesktop.login1.Session";
/// A user's interface.
pub const USER: &str = "org.freedesktop.login1.User";
/// The interface that tells of properties.
pub const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Everything that is subscribed to.
pub const SUBSCRIPTIONS: [&str; 5] = [
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.freedesktop.login1'",
    "type='signal',sender='org.freedesktop.login1',path='/org/freedesktop/login1',\
     interface='org.freedesktop.login1.Manager'",
    "type='signal',sender='org.freedesktop.login1',interface='org.freedesktop.login1.Session',member='Lock'",
    "type='signal',sender='org.freedesktop.login1',interface='org.freedesktop.DBus.Properties',\
     member='PropertiesChanged',arg0='org.freedesktop.login1.Session'",
    "type='signal',sender='org.freedesktop.login1',interface='org.freedesktop.DBus.Properties',\
     member='PropertiesChanged',arg0='org.freedesktop.login1.User'",
];

/// A message that concerns the vaults.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard {
    /// logind's name has this owner now.
    OwnerChanged(Option<OwnedUniqueName>),
    /// The machine is about to sleep, or awake again.
    Sleep(bool),
    /// The screen of the session with this path is locked, or is asked to be.
    Locked(String),
    /// A user or a session came, went or changed.
    UsersChanged,
    /// Somebody who is not the owner speaks in its name.
    Forged { sender: String, member: String },
    /// Nothing that concerns the vaults.
    Other,
}

/// What `message` means while `owner` owns the name.
pub fn decode(message: &Message, owner: Option<&OwnedUniqueName>) -> Heard {
    if message.message_type() != Type::Signal {
        return Heard::Other;
    }
    let header = message.header();
    let (Some(interface), Some(member), Some(sender)) = (header.interface(), header.member(), header.sender()) else {
        return Heard::Other;
    };
    // The bus writes the sender: nobody else can be the driver.
    if sender.as_str() == DRIVER {
        return owner_changed(message);
    }
    if owner.is_none_or(|owner| owner.as_str() != sender.as_str()) {
        return Heard::Forged { sender: sender.to_string(), member: member.to_string() };
    }
    let path = || header.path().map(ToString::to_string).unwrap_or_default();
    match (interface.as_str(), member.as_str()) {
        (MANAGER, "PrepareForSleep") => message.body().deserialize().map_or(Heard::Other, Heard::Sleep),
        (MANAGER, "SessionNew" | "SessionRemoved" | "UserNew") => Heard::UsersChanged,
        (SESSION, "Lock") => Heard::Locked(path()),
        (PROPERTIES, "PropertiesChanged") => properties_changed(message, path),
        _ => Heard::Other,
    }
}

fn owner_changed(message: &Message) -> Heard {
    match message.body().deserialize::<(&str, &str, &str)>() {
        Ok((NAME, _, new)) => Heard::OwnerChanged(OwnedUniqueName::try_from(new.to_owned()).ok()),
        _ => Heard::Other,
    }
}

fn properties_changed(message: &Message, path: impl Fn() -> String) -> Heard {
    let body = message.body();
    match body.deserialize::<(&str, HashMap<String, OwnedVariant>, Vec<&str>)>() {
        Ok((USER, ..)) => Heard::UsersChanged,
        Ok((SESSION, changed, _)) if is_true(changed.get("LockedHint")) => Heard::Locked(path()),
        _ => Heard::Other,
    }
}

/// Whether a property is there, and true.
pub fn is_true(property: Option<&OwnedVariant>) -> bool {
    property.is_some_and(|value| bool::try_from(value) == Ok(true))
}

#[cfg(test)]
mod tests {
    use zbus::Variant;

    use super::*;

    const OWNER: &str = ":1.4";

    fn signal<B>(sender: &str, path: &str, interface: &str, member: &str, body: &B) -> Message
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        Message::signal(path, interface, member).sender(sender).build(body).unwrap()
    }

    fn heard(message: &Message) -> Heard {
        decode(message, Some(&OwnedUniqueName::try_from(OWNER.to_owned()).unwrap()))
    }

    fn locked_hint(is: bool) -> Message {
        let changed = HashMap::from([("LockedHint", Variant::from(is))]);
        let body = (SESSION, changed, Vec::<&str>::new());
        signal(OWNER, "/org/freedesktop/login1/session/_32", PROPERTIES, "PropertiesChanged", &body)
    }

    #[test]
    fn the_owner_is_understood() {
        let session = "/org/freedesktop/login1/session/_32".to_owned();
        for is in [true, false] {
            assert_eq!(heard(&signal(OWNER, PATH, MANAGER, "PrepareForSleep", &is)), Heard::Sleep(is));
        }
        assert_eq!(heard(&signal(OWNER, &session, SESSION, "Lock", &())), Heard::Locked(session.clone()));
        assert_eq!(heard(&locked_hint(true)), Heard::Locked(session.clone()));
        assert_eq!(heard(&locked_hint(false)), Heard::Other, "unlocking a screen opens no vault");
        assert_eq!(heard(&signal(OWNER, &session, SESSION, "Unlock", &())), Heard::Other);
        let new = signal(OWNER, PATH, MANAGER, "SessionNew", &("2", zbus::ObjectPath::try_from(&*session).unwrap()));
        assert_eq!(heard(&new), Heard::UsersChanged);
        assert_eq!(heard(&signal(OWNER, PATH, MANAGER, "PrepareForSleep", &"soon")), Heard::Other);
    }

    #[test]
    fn nobody_else_is_believed() {
        for message in [
            signal(":1.5", PATH, MANAGER, "PrepareForSleep", &true),
            signal(":1.5", "/org/freedesktop/login1/session/_32", SESSION, "Lock", &()),
            signal(":1.5", PATH, DRIVER, "NameOwnerChanged", &(NAME, OWNER, ":1.5")),
        ] {
            assert!(matches!(heard(&message), Heard::Forged { .. }), "{message:?}");
            assert!(matches!(decode(&message, None), Heard::Forged { .. }), "{message:?}");
        }
    }

    #[test]
    fn the_bus_tells_of_the_owner() {
        let told = |new: &str| heard(&signal(DRIVER, PATH, DRIVER, "NameOwnerChanged", &(NAME, OWNER, new)));
        assert_eq!(told(":1.9"), Heard::OwnerChanged(OwnedUniqueName::try_from(":1.9".to_owned()).ok()));
        assert_eq!(told(""), Heard::OwnerChanged(None));
        let other = signal(DRIVER, PATH, DRIVER, "NameOwnerChanged", &("org.freedesktop.hostname1", "", ":1.9"));
        assert_eq!(heard(&other), Heard::Other);
    }
}
