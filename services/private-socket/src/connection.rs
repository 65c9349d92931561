//! The life of one peer's connection: handshake, D-Bus, end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::time::timeout;
use unix_socket::Socket;
use zbus::{
    ObjectPath, OwnedGuid,
    connection::{
        Builder,
        socket::{ReadHalf, Split, WriteHalf},
    },
    object_server::Interface,
};

use crate::{
    Peer,
    answers::Answers,
    calls::Calls,
    halves::{Reader, Writer},
    handshake::{self, HandshakeError},
    hello::{self, Hello},
    sasl::Sasl,
};

/// The most time that calls of a peer that is gone may keep its place among the connections.
const MAX_LINGER: Duration = Duration::from_secs(1);

/// Why a connection never came to serve.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The peer was not let in.
    #[error("the handshake failed: {0}")]
    Handshake(#[from] HandshakeError),
    /// zbus could not be set up.
    #[error("the connection could not be served: {0}")]
    ZBus(#[from] zbus::Error),
}

/// A fresh connection. Dropping it, or the future that serves it, ends the connection for everybody.
#[derive(Debug)]
pub struct Connection {
    stream: Arc<Socket>,
    peer: Peer,
    half_open: Arc<AtomicBool>,
    answers: Answers,
}

impl Connection {
    /// Takes an accepted stream; `half_open` becomes false once the peer is authenticated. What
    /// waits for the peer is among `answers`.
    pub fn new(stream: Socket, peer: Peer, half_open: Arc<AtomicBool>, answers: Answers) -> Self {
        Self { stream: Arc::new(stream), peer, half_open, answers }
    }

    /// Serves what `interface` makes for the peer at `path`, until the connection ends.
    ///
    /// # Errors
    /// Where it never came to serve.
    pub async fn serve<I: Interface>(
        self,
        guid: OwnedGuid,
        path: ObjectPath<'static>,
        interface: impl FnOnce(Peer) -> I,
    ) -> Result<(), ConnectionError> {
        handshake::authenticate(&self.stream, Sasl::new(self.peer.uid, guid.as_str())).await?;
        self.half_open.store(false, Ordering::Relaxed);
        let calls = Arc::new(Calls::default());
        let reader: Box<dyn ReadHalf> = Box::new(Reader::new(self.stream.clone(), calls.clone(), self.peer));
        let writer: Box<dyn WriteHalf> = Box::new(Writer::new(&self.stream, calls, self.answers.clone()));
        let connection = Builder::authenticated_socket(Split::new(reader, writer), guid)
            .p2p()
            .serve_at(path, interface(self.peer))
            .serve_at(hello::PATH, Hello)
            .build()
            .await?;
        connection.closed().await;
        drop(self);
        // Its calls hold the connection and their memory until they end too. One that does not end then loses its
        // connection all the same, and is the daemon's to answer for.
        let _ = timeout(MAX_LINGER, connection.graceful_shutdown()).await;
        Ok(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.stream.end();
    }
}
