//! The private socket of daemon-secrets: the only way that passphrases and secrets take. Needs no bus.

use std::{io, os::unix::net::UnixStream, path::Path};

use dbus_interfaces::{ProfileName, places, vault};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use secrecy::{ExposeSecret, SecretSlice};
use serde::{Serialize, de::DeserializeOwned};
use zbus::{Connection, DynamicType, Type, connection::Builder};

use crate::{
    bus::{SECRETS, explain},
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
        let path = places::private_socket()?;
        let stream = stream_to(&path).map_err(|cause| match cause.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Error::NotRunning(SECRETS.who),
            // The queue of a listener that accepts nobody is full.
            io::ErrorKind::WouldBlock => deadline.missed(SECRETS.who),
            _ => Error::File { name: path.display().to_string(), cause },
        })?;
        let connection = deadline.wait(SECRETS.who, Builder::unix_stream(stream).p2p().build()).await?;
        connection.map(Self).map_err(lost)
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
        answer.and_then(|answer| answer.body().deserialize()).map_err(lost)
    }
}

/// A Unix socket is connected at once or not at all, so that there is nothing to wait for.
fn stream_to(path: &Path) -> io::Result<UnixStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(UnixStream::from(socket))
}

/// One call over a connection of its own.
///
/// # Errors
/// As [`Private::connect`] and [`Private::call`].
pub async fn call<R: DeserializeOwned + Type>(
    member: &str,
    body: &(impl Serialize + DynamicType),
    deadline: Deadline,
) -> Result<R, Error> {
    Private::connect(deadline).await?.call(member, body, deadline).await
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
