//! The session bus, by hand: connect, one message, its answer. No proxies, no match rules, no auto-start.

use std::io;

use dbus_interfaces::{Error as Refusal, places, profile, secrets};
use futures_util::StreamExt;
use serde::{Serialize, de::DeserializeOwned};
use unix_socket::bus::{self, dial};
use zbus::{
    Connection, DynamicType, Message, MessageStream, Type, fdo,
    message::{Flags, Type as Kind},
};

use crate::{deadline::Deadline, error::Error};

/// The bus itself, in messages to the user.
pub const THE_BUS: &str = "the session bus";

/// Somebody on the bus who can be called.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// How the user knows it.
    pub who: &'static str,
    /// Its name on the bus.
    pub name: &'a str,
    /// The object.
    pub path: &'a str,
    /// The interface.
    pub interface: &'a str,
}

/// The health hub.
pub const HUB: Service<'static> =
    Service { who: "daemon-profile", name: profile::NAME, path: profile::PATH, interface: profile::INTERFACE };
/// The vaults.
pub const SECRETS: Service<'static> =
    Service { who: "daemon-secrets", name: secrets::NAME, path: secrets::PATH, interface: secrets::INTERFACE };
/// The bus driver.
pub const DRIVER: Service<'static> = Service {
    who: THE_BUS,
    name: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};

/// systemd's manager of the user's units.
pub const MANAGER: Service<'static> = Service {
    who: "systemd",
    name: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

/// A connection to the session bus.
#[derive(Debug)]
pub struct Bus {
    connection: Connection,
    address: String,
}

impl Bus {
    /// Connects to the session bus.
    ///
    /// # Errors
    /// [`Error::NoBus`], or [`Error::NoAnswer`] from a bus that is there.
    pub async fn connect(deadline: Deadline) -> Result<Self, Error> {
        let connect = async |one: &str| {
            let connection = dial(one).await?.build().await?;
            bus::check(&connection, one).map(|()| connection)
        };
        let (address, connection) = first(connect, deadline).await?;
        Ok(Self { connection, address })
    }

    /// The connection itself, for who follows it.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Calls `member` of `service`, without starting it.
    ///
    /// # Errors
    /// What the service refused, or why it could not be asked.
    pub async fn call<R: DeserializeOwned + Type>(
        &self,
        service: Service<'_>,
        member: &str,
        body: &(impl Serialize + DynamicType),
        deadline: Deadline,
    ) -> Result<R, Error> {
        let answer = async {
            let call = compose(service, member, body)?;
            let answers = MessageStream::from(&self.connection);
            self.connection.send(&call).await?;
            answer_to(&call, answers).await?.body().deserialize()
        };
        let answer = deadline.wait(service.who, answer).await?;
        answer.map_err(|cause| explain_at(&self.address, service.who, cause))
    }
}

/// Asks `service` one question over a connection of its own: the call goes along with the handshake. Nothing else is done
/// until it is answered, and no event loop is needed.
///
/// # Errors
/// As [`Bus::connect`] and [`Bus::call`].
pub async fn ask<R: DeserializeOwned + Type>(
    service: Service<'_>,
    member: &str,
    body: &(impl Serialize + DynamicType),
    deadline: Deadline,
) -> Result<R, Error> {
    let call = compose(service, member, body).map_err(|cause| explain(service.who, cause))?;
    let (address, answers) = first(async |one| bus::ask(one, &call, deadline.at()).await, deadline).await?;
    let answer = deadline.wait_blocking(service.who, answer_to(&call, answers)).await?;
    answer.and_then(|answer| answer.body().deserialize()).map_err(|cause| explain_at(&address, service.who, cause))
}

/// Whether [`ask`] needs no event loop.
pub fn is_at_unix_sockets() -> bool {
    bus::is_at_unix_sockets(&places::session_bus())
}

/// The first address of the session bus's list at which `connect` succeeds.
async fn first<T>(connect: impl AsyncFn(&str) -> zbus::Result<T>, deadline: Deadline) -> Result<(String, T), Error> {
    let address = places::session_bus();
    let mut cause = "the address is empty".into();
    for one in address.split(';').filter(|one| !one.is_empty()) {
        match deadline.wait_blocking(THE_BUS, connect(one)).await? {
            Ok(connected) => return Ok((address, connected)),
            Err(refused) => cause = plainly(&refused),
        }
    }
    Err(Error::NoBus { address, cause })
}

/// A call that starts nobody.
fn compose(service: Service<'_>, member: &str, body: &(impl Serialize + DynamicType)) -> zbus::Result<Message> {
    Message::method_call(service.path, member)
        .destination(service.name)
        .interface(service.interface)
        .with_flags(Flags::NO_AUTO_START)
        .build(body)
}

/// The answer to `call` among `answers`.
///
/// # Errors
/// What was refused, or the end of the connection.
pub async fn answer_to(call: &Message, mut answers: MessageStream) -> zbus::Result<Message> {
    let serial = call.primary_header().serial_num();
    while let Some(message) = answers.next().await {
        let message = message?;
        if message.header().reply_serial() == Some(serial) {
            return if message.message_type() == Kind::Error { Err(message.into()) } else { Ok(message) };
        }
    }
    Err(io::Error::from(io::ErrorKind::UnexpectedEof).into())
}

/// What the system said: the address is told beside it.
fn plainly(error: &zbus::Error) -> String {
    match error {
        zbus::Error::Connection(cause, _) | zbus::Error::InputOutput(cause) => cause.to_string(),
        other => other.to_string(),
    }
}

/// What a failed call to `who` on the bus at `address` means.
fn explain_at(address: &str, who: &'static str, cause: zbus::Error) -> Error {
    match explain(who, cause) {
        Error::Call { cause: cause @ zbus::Error::InputOutput(_), .. } => {
            Error::NoBus { address: address.to_owned(), cause: plainly(&cause) }
        }
        error => error,
    }
}

/// What a failed call to `who` means.
pub fn explain(who: &'static str, cause: zbus::Error) -> Error {
    let cause = match Refusal::from(cause) {
        Refusal::ZBus(cause) => cause,
        refusal => return Error::Refused(refusal),
    };
    let zbus::Error::FDO(named) = &cause else { return Error::Call { who, cause } };
    match **named {
        fdo::Error::ServiceUnknown(_) | fdo::Error::NameHasNoOwner(_) => Error::NotRunning(who),
        fdo::Error::NoReply(_) | fdo::Error::Disconnected(_) => Error::Died(who),
        _ => Error::Call { who, cause },
    }
}
