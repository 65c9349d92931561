//! The session bus as a daemon meets it: connecting, owning its name, asking the bus itself.

use std::time::Duration;

use dbus_interfaces::{events, places};
use sd_notify::NotifyState;
use tokio::time::{Instant, sleep, timeout};
use unix_socket::bus::dial;
use zbus::{
    Connection, Message, MessageStream,
    connection::Builder,
    fdo::{RequestNameFlags, RequestNameReply},
};

use crate::{Process, daemon::Daemon};

/// The bus driver's name and interface.
pub const DRIVER: &str = "org.freedesktop.DBus";
/// The bus driver's object.
pub const DRIVER_PATH: &str = "/org/freedesktop/DBus";

/// The bus driver answers from memory; a bus that takes longer is stuck.
const DRIVER_DEADLINE: Duration = Duration::from_secs(5);
/// How long a daemon under a service manager waits for a bus at its start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks for it.
const RETRY: Duration = Duration::from_millis(250);

/// Why a daemon cannot be on the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Nothing answers at the address.
    #[error("no session bus at {address:?}: {cause}; run the daemon inside a session, or under dbus-run-session")]
    Connect {
        /// The address that was tried.
        address: String,
        /// What went wrong.
        cause: zbus::Error,
    },
    /// The bus accepted the connection and then said nothing.
    #[error("the session bus at {0:?} does not answer; restart the session")]
    Silent(String),
    /// Another process owns the name.
    #[error("another process owns {0} on this bus; stop it first (busctl --user status {0} names it)")]
    NameTaken(&'static str),
    /// The bus refused something.
    #[error("the session bus refused {what}: {cause}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// What it said.
        cause: zbus::Error,
    },
    /// The connection ended.
    #[error("the connection to the session bus is lost; the session has ended or the bus was restarted")]
    Lost,
}

/// Connects, with the objects that `serve` adds and `org.opensesame.Daemon` served. The name comes later
/// ([`own_name`]), when whatever answers the calls is ready.
///
/// Under a service manager a bus that is missing, refuses or is silent is waited for, up to 60 s, so that a bus that
/// is away uses up no start limit. By hand it is an error at once.
///
/// # Errors
/// No bus, or one that is silent for 5 s.
pub async fn connect(
    process: &Process,
    serve: impl Fn(Builder<'static>) -> Builder<'static>,
) -> Result<Connection, BusError> {
    let patience = if process.notifier.is_connected() { PATIENCE } else { Duration::ZERO };
    let end = Instant::now() + patience;
    let mut said = false;
    loop {
        match try_connect(process, &serve).await {
            Err(error) if Instant::now() < end => {
                let status = format!("waiting for the session bus: {error}");
                process.notifier.tell(&[NotifyState::Status(&status)]);
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(message_id = events::BUS_SILENT, "{status}");
                }
                // There is no event to await: what is missing may be the folder of the bus's socket.
                sleep(RETRY).await;
            }
            outcome => return outcome,
        }
    }
}

async fn try_connect(
    process: &Process,
    serve: impl Fn(Builder<'static>) -> Builder<'static>,
) -> Result<Connection, BusError> {
    let address = places::session_bus();
    let connecting = async {
        let builder = dial(&address).await?.serve_at(dbus_interfaces::daemon::PATH, Daemon::new(process.clone()));
        serve(builder).build().await
    };
    match timeout(DRIVER_DEADLINE, connecting).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(cause)) => Err(BusError::Connect { address, cause }),
        Err(_) => Err(BusError::Silent(address)),
    }
}

/// Takes a well-known name: without queueing, without replacing, without allowing to be replaced.
///
/// # Errors
/// Another process has it, or the bus refuses or is silent.
pub async fn own_name(connection: &Connection, name: &'static str) -> Result<(), BusError> {
    let flags = RequestNameFlags::DO_NOT_QUEUE;
    let reply = ask(connection, "RequestName", "the name", &(name, flags)).await?;
    match reply.body().deserialize() {
        Ok(RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner) => Ok(()),
        Ok(RequestNameReply::Exists | RequestNameReply::InQueue) => Err(BusError::NameTaken(name)),
        Err(cause) => Err(BusError::Refused { what: "the name", cause }),
    }
}

/// Subscribes to the signals that match `rule`. They then appear in every [`MessageStream`] of the connection.
///
/// # Errors
/// The bus refuses or is silent.
pub async fn subscribe(connection: &Connection, rule: &str) -> Result<(), BusError> {
    ask(connection, "AddMatch", "a subscription", &rule).await.map(|_| ())
}

/// Says that this daemon is there: `DaemonStarted`, once, after it owns its name.
///
/// # Errors
/// The connection is lost.
pub async fn announce(connection: &Connection, process: &Process) -> Result<(), BusError> {
    let (path, interface) = (dbus_interfaces::daemon::PATH, dbus_interfaces::daemon::INTERFACE);
    let body = (process.name, process.id.as_str());
    connection.emit_signal(None::<&str>, path, interface, "DaemonStarted", &body).await.map_err(|_| BusError::Lost)
}

/// One round trip with the bus. What was sent before it has been routed when it returns; a bus that does not answer
/// within `deadline` is not waited for.
pub async fn round_trip(connection: &Connection, deadline: Duration) {
    let ping = connection.call_method(Some(DRIVER), DRIVER_PATH, Some("org.freedesktop.DBus.Peer"), "Ping", &());
    // Whatever comes back: there is nobody to tell, and the caller's change is made.
    let _ = timeout(deadline, ping).await;
}

/// Ends when the process `unique_name` has left the bus. Costs nothing in the first 100 ms, in which nearly every
/// call is answered.
pub async fn departure(connection: &Connection, unique_name: &str) {
    sleep(Duration::from_millis(100)).await;
    if watch_departure(connection, unique_name).await.is_err() {
        // It cannot be watched: the call's own deadline ends it.
        std::future::pending::<()>().await;
    }
}

async fn watch_departure(connection: &Connection, unique_name: &str) -> zbus::Result<()> {
    let rule = zbus::MatchRule::builder()
        .msg_type(zbus::message::Type::Signal)
        .sender(DRIVER)
        .interface(DRIVER)
        .member("NameOwnerChanged")
        .arg(0, unique_name)
        .build()?;
    let mut changes = MessageStream::for_match_rule(rule, connection, None).await?;
    // Asked only after subscribing, so that no departure falls between the two.
    let reply = connection.call_method(Some(DRIVER), DRIVER_PATH, Some(DRIVER), "NameHasOwner", &unique_name).await?;
    if reply.body().deserialize::<bool>()? {
        futures_util::StreamExt::next(&mut changes).await;
    }
    Ok(())
}

async fn ask<B>(connection: &Connection, member: &str, what: &'static str, body: &B) -> Result<Message, BusError>
where
    B: serde::Serialize + zbus::DynamicType,
{
    let call = connection.call_method(Some(DRIVER), DRIVER_PATH, Some(DRIVER), member, body);
    match timeout(DRIVER_DEADLINE, call).await {
        Ok(reply) => reply.map_err(|cause| BusError::Refused { what, cause }),
        Err(_) => Err(BusError::Silent(places::session_bus())),
    }
}
