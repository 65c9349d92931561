//! Who calls, and what is done on a caller's behalf.

use std::{sync::Arc, time::Duration};

use dbus_interfaces::{ProfileName, profile};
use tokio::time::timeout;
use zbus::{Connection, OwnedObjectPath, message::Header};

use super::{
    desk::Desk,
    error::{Error, limits},
    paths,
    prompts::Wish,
};

/// What an application is called that cannot be told.
const SOMEBODY: &str = "application";
/// How long the bus, or the hub, may take to answer.
const DEADLINE: Duration = Duration::from_secs(2);

/// The connection that a call came from.
pub fn connection(header: &Header<'_>) -> String {
    header.sender().map(ToString::to_string).unwrap_or_default()
}

/// The process that the bus says is behind the connection `owner`; 0 where it does not tell.
pub async fn process(connection: &Connection, owner: &str) -> u32 {
    let (bus, path) = (daemon_runtime::bus::DRIVER, daemon_runtime::bus::DRIVER_PATH);
    let call = connection.call_method(Some(bus), path, Some(bus), "GetConnectionUnixProcessID", &owner);
    let Ok(Ok(reply)) = timeout(DEADLINE, call).await else { return 0 };
    reply.body().deserialize().unwrap_or(0)
}

/// What the calling program is called. Information for people: a program can call itself anything.
pub async fn program(desk: &Desk, header: &Header<'_>) -> String {
    let pid = process(&desk.connection, &connection(header)).await;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    match name.trim_end() {
        // An item of this origin would be handed to programs by `sesame run`.
        "" | vault_store::SESAME => SOMEBODY.into(),
        name => name.into(),
    }
}

/// A new prompt of the caller.
///
/// # Errors
/// `LimitsExceeded`.
pub fn prompt(desk: &Arc<Desk>, header: &Header<'_>, wish: Wish) -> Result<OwnedObjectPath, Error> {
    let owner = connection(header);
    let added = desk.open().prompts.add(&owner, wish);
    let (number, first) = added.ok_or_else(|| limits("100 prompts wait; answer or dismiss some and retry"))?;
    if first {
        desk.follow(owner);
    }
    Ok(paths::prompt(number))
}

/// Asks the hub, whose the default profile is, for another one.
///
/// # Errors
/// `Failed` where the hub is not there, or refuses.
pub async fn set_default_profile(desk: &Desk, profile: &ProfileName) -> Result<(), Error> {
    let (name, path) = (profile::NAME, profile::PATH);
    let body = profile.as_str();
    let call = desk.connection.call_method(Some(name), path, Some(name), "SetDefaultProfile", &body);
    let failed = |why: String| Error::Failed(format!("the default profile stays as it is: {why}"));
    match timeout(DEADLINE, call).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(cause)) => Err(failed(cause.to_string())),
        Err(_) => Err(failed("daemon-profile does not answer".into())),
    }
}
