//! What logind is asked.

use std::{collections::HashMap, os::fd::OwnedFd};

use daemon_runtime::bus::{DRIVER, DRIVER_PATH};
use zbus::{Connection, DynamicType, Message, ObjectPath, OwnedObjectPath, OwnedVariant, fdo, names::OwnedUniqueName};

use super::heard::{MANAGER, NAME, PATH, PROPERTIES, SESSION, USER, is_true};

/// Subscribes to the signals that match `rule`.
pub async fn subscribe(connection: &Connection, rule: &str) -> zbus::Result<()> {
    connection.call_method(Some(DRIVER), DRIVER_PATH, Some(DRIVER), "AddMatch", &rule).await.map(|_| ())
}

/// Who owns logind's name, if anybody does.
pub async fn owner(connection: &Connection) -> zbus::Result<Option<OwnedUniqueName>> {
    match connection.call_method(Some(DRIVER), DRIVER_PATH, Some(DRIVER), "GetNameOwner", &NAME).await {
        Ok(owner) => owner.body().deserialize::<String>().map(|owner| OwnedUniqueName::try_from(owner).ok()),
        Err(zbus::Error::FDO(error)) if matches!(*error, fdo::Error::NameHasNoOwner(_)) => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// Sleep waits for as long as the descriptor, or a copy of it, is open: a delay, not a veto.
pub fn inhibitor(connection: &Connection) -> impl Future<Output = zbus::Result<OwnedFd>> + Send + 'static {
    let connection = connection.clone();
    async move {
        let body = ("sleep", "Open Sesame", "Vaults are locked before sleep", "delay");
        let inhibitor = call(&connection, PATH, MANAGER, "Inhibit", &body).await?;
        inhibitor.body().deserialize::<zbus::OwnedFd>().map(OwnedFd::from)
    }
}

/// Whether the machine is about to sleep already.
pub fn sleeps(connection: &Connection) -> impl Future<Output = zbus::Result<bool>> + Send + 'static {
    let connection = connection.clone();
    async move {
        let sleeps = property(&connection, PATH, MANAGER, "PreparingForSleep").await?;
        Ok(is_true(Some(&sleeps)))
    }
}

/// Whether the desktop says that nobody has touched it for a while. A user without one is never away: logind calls a
/// user without sessions idle.
pub fn away(connection: &Connection) -> impl Future<Output = zbus::Result<bool>> + Send + 'static {
    let connection = connection.clone();
    async move {
        let user = call(&connection, PATH, MANAGER, "GetUser", &uid()).await?;
        let user: OwnedObjectPath = user.body().deserialize()?;
        let properties = call(&connection, &user, PROPERTIES, "GetAll", &USER).await?;
        let properties: HashMap<String, OwnedVariant> = properties.body().deserialize()?;
        let display =
            properties.get("Display").and_then(|display| display.downcast_ref::<(String, ObjectPath<'_>)>().ok());
        let has_desktop = display.is_some_and(|(session, _)| !session.is_empty());
        Ok(has_desktop && is_true(properties.get("IdleHint")))
    }
}

/// Whether a session is this user's. Every one of them counts: they share one service manager, one session bus and
/// these vaults.
pub fn is_ours(connection: &Connection, session: String) -> impl Future<Output = zbus::Result<bool>> + Send + 'static {
    let connection = connection.clone();
    async move {
        let user = property(&connection, &session, SESSION, "User").await?;
        let (user, _) = user.downcast_ref::<(u32, ObjectPath<'_>)>()?;
        Ok(user == uid())
    }
}

/// Whether the screen of one of this user's sessions is locked already, as far as a desktop says so.
pub fn is_locked(connection: &Connection) -> impl Future<Output = zbus::Result<bool>> + Send + 'static {
    let connection = connection.clone();
    async move {
        let sessions = call(&connection, PATH, MANAGER, "ListSessions", &()).await?;
        let sessions: Vec<(String, u32, String, String, OwnedObjectPath)> = sessions.body().deserialize()?;
        for (_, _, _, _, path) in sessions.iter().filter(|(_, user, ..)| *user == uid()) {
            // One may have ended meanwhile.
            let hint = property(&connection, path, SESSION, "LockedHint").await;
            if hint.is_ok_and(|hint| is_true(Some(&hint))) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

async fn property(connection: &Connection, path: &str, interface: &str, name: &str) -> zbus::Result<OwnedVariant> {
    call(connection, path, PROPERTIES, "Get", &(interface, name)).await?.body().deserialize()
}

async fn call<B>(connection: &Connection, path: &str, interface: &str, member: &str, body: &B) -> zbus::Result<Message>
where
    B: serde::Serialize + DynamicType,
{
    connection.call_method(Some(NAME), path, Some(interface), member, body).await
}
