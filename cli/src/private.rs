//! The private socket of daemon-secrets: the only way that passphrases and secrets take. Needs no bus, unless it is gone.

use std::{io, path::Path};

use dbus_interfaces::{ProfileName, places, secrets, vault};
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Serialize, de::DeserializeOwned};
use unix_socket::{
    BlockingSocket, Socket,
    messages::{ask_over, over},
};
use zbus::{Connection, DynamicType, Message, Type};

use crate::{
    bus::{self, DRIVER, SECRETS, answer_to, explain},
    deadline::Deadline,
    error::Error,
};

/// A connection to the private socket.
#[derive(Debug)]
pub struct Private(Connection);

impl Private {
    /// Connects to daemon-secrets.
    ///
    /// # Errors
    /// [`Error::NotRunning`] where nobody listens, or why nobody answered.
    pub async fn connect(deadline: Deadline) -> Result<Self, Error> {
        let socket = reach(Socket::connect, deadline).await?;
        deadline.wait(SECRETS.who, over(socket).p2p().build()).await?.map(Self).map_err(lost)
    }

    /// Calls `member` of the vaults.
    ///
    /// # Errors
    /// What daemon-secrets refused, or why it did not answer.
    pub async fn call<R: DeserializeOwned + Type>(
        &self,
        member: &str,
        body: &(impl Serialize + DynamicType),
        deadline: Deadline,
    ) -> Result<R, Error> {
        let call = self.0.call_method(None::<&str>, vault::PATH, Some(vault::INTERFACE), member, body);
        let answer = deadline.wait(SECRETS.who, call).await?;
        answer.and_then(|answer| answer.body().deserialize()).map_err(|cause| deadline.of_call(lost(cause)))
    }
}

/// The socket that `connect` connects.
async fn reach<S>(connect: impl FnOnce(&Path) -> io::Result<S>, deadline: Deadline) -> Result<S, Error> {
    let path = places::private_socket()?;
    match connect(&path) {
        Ok(socket) => Ok(socket),
        Err(cause) => Err(match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => nobody_listens(deadline).await,
            // The queue of a listener that accepts nobody is full.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => deadline.missed(SECRETS.who),
            _ => Error::File { name: path.display().to_string(), cause },
        }),
    }
}

/// Whether nobody runs, or whoever does has lost the socket: the bus knows.
async fn nobody_listens(deadline: Deadline) -> Error {
    let is_owned = bus::is_at_unix_sockets()
        && bus::ask(DRIVER, "NameHasOwner", &secrets::NAME, deadline).await.is_ok_and(|is_owned: bool| is_owned);
    if is_owned { Error::NoSocket } else { Error::NotRunning(SECRETS.who) }
}

/// One call over a connection of its own, sent together with the handshake. Nothing else is done until it is answered, and
/// no event loop is needed.
///
/// # Errors
/// As [`Private::connect`] and [`Private::call`].
pub async fn call<R: DeserializeOwned + Type>(
    member: &str,
    body: &(impl Serialize + DynamicType),
    deadline: Deadline,
) -> Result<R, Error> {
    let socket = reach(|path| BlockingSocket::connect(path, deadline.at()), deadline).await?;
    let answer = async {
        let call = Message::method_call(vault::PATH, member).interface(vault::INTERFACE).build(body)?;
        let answers = ask_over(socket, call.clone()).p2p().build_message_stream().await?;
        answer_to(&call, answers).await?.body().deserialize()
    };
    deadline.wait_blocking(SECRETS.who, answer).await?.map_err(|cause| deadline.of_call(lost(cause)))
}

/// One call that takes a profile and its passphrase.
///
/// # Errors
/// As [`call`].
pub async fn call_with(
    passphrase: &SecretSlice<u8>,
    member: &str,
    profile: &ProfileName,
    deadline: Deadline,
) -> Result<(), Error> {
    call(member, &(profile.as_str(), passphrase.expose_secret()), deadline).await
}

/// What a failed call means. The end of this connection is the end of the daemon.
fn lost(cause: zbus::Error) -> Error {
    match explain(SECRETS.who, cause) {
        Error::Call { who, cause: zbus::Error::InputOutput(_) } => Error::Died(who),
        error => error,
    }
}
