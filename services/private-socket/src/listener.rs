//! The listening socket: its file, who may connect, and how many at once.

use std::{
    convert::Infallible,
    fs, io,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{FileTypeExt, PermissionsExt},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use dbus_interfaces::events;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use tokio::{
    net::UnixStream,
    task::{AbortHandle, JoinSet, yield_now},
};
use tracing::{debug, warn};
use unix_socket::Socket;
use zbus::{Guid, ObjectPath, OwnedGuid, object_server::Interface};

use crate::{
    Peer,
    answers::Answers,
    connection::Connection,
    evict::{self, Candidate},
    limiter::Limiter,
};

/// Connections that the kernel keeps until they are accepted. A burst beyond it fails callers that do not block.
const BACKLOG: i32 = 512;
/// How long accepting rests after a failure, which is a lack of descriptors or memory: there is no event to await.
const REST: Duration = Duration::from_millis(100);

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Something else has its name.
    #[error("cannot make the private socket: {0:?} exists and is no socket; move it away")]
    NotASocket(PathBuf),
    /// The system refuses.
    #[error("cannot make the private socket {path:?}: {cause}; check its folder's owner, permissions and path length")]
    Refused {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// A private socket, its file there until this is dropped.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    file: SocketFile,
    guid: OwnedGuid,
    answers: Answers,
}

impl Listener {
    /// Makes the socket at `path`, mode 0600, in place of a stale one. The caller holds the folder's lock: a socket
    /// that is there belongs to nobody. Peers may connect from now on, and wait for [`serve`](Self::serve).
    ///
    /// # Errors
    /// Where there is something else, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self, BindError> {
        let refused = |cause: io::Error| BindError::Refused { path: path.to_owned(), cause };
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => fs::remove_file(path).map_err(refused)?,
            Ok(_) => return Err(BindError::NotASocket(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused(error)),
        }
        let (socket, file) = listen(path).map_err(refused)?;
        Ok(Self { socket: socket.into(), file, guid: Guid::generate().into(), answers: Answers::default() })
    }

    /// The answers of all connections that wait for their peers.
    pub fn answers(&self) -> Answers {
        self.answers.clone()
    }

    /// Serves what `interface` makes for each peer at `path`, one connection a peer, for as long as the future is
    /// polled; dropping it ends every connection. `on_idle` is called when the last connection has ended and its
    /// memory is free.
    ///
    /// A method should end when its connection does (`zbus::Connection::closed`), which happens as soon as its peer
    /// ends, breaks a rule or is evicted. Each call is answered, also one that wants no answer: that one is dropped.
    ///
    /// # Errors
    /// Only where the runtime cannot take the socket.
    pub async fn serve<I: Interface>(
        self,
        path: ObjectPath<'static>,
        interface: impl Fn(Peer) -> I + Send + Sync + 'static,
        on_idle: impl Fn(),
    ) -> io::Result<Infallible> {
        let socket = tokio::net::UnixListener::from_std(self.socket)?;
        // Named, so that the file goes with this future.
        let _file = self.file;
        let interface = Arc::new(interface);
        let mut gate = Gate::default();
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                accepted = socket.accept() => {
                    let Some((stream, peer)) = gate.accepted(accepted.map(|(stream, _)| stream)).await else {
                        continue;
                    };
                    gate.make_room().await;
                    let half_open = Arc::new(AtomicBool::new(true));
                    let connection = Connection::new(stream, peer, half_open.clone(), self.answers.clone());
                    let (guid, path, interface) = (self.guid.clone(), path.clone(), interface.clone());
                    let task = tasks.spawn(async move {
                        if let Err(error) = connection.serve(guid, path, |peer| interface(peer)).await {
                            debug!(pid = peer.pid, %error, "a private connection did not come to be");
                        }
                    });
                    gate.live.push(Live { pid: peer.pid, half_open, task });
                }
                Some(ended) = tasks.join_next_with_id() => {
                    let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                    gate.live.retain(|live| live.task.id() != id);
                    if tasks.is_empty() {
                        on_idle();
                    }
                }
            }
        }
    }
}

/// A connection that has a place.
#[derive(Debug)]
struct Live {
    pid: u32,
    /// Cleared by the connection's task at the end of its handshake.
    half_open: Arc<AtomicBool>,
    task: AbortHandle,
}

/// Who has a place, in order of arrival, and what was said lately of those who lost theirs.
#[derive(Debug, Default)]
struct Gate {
    live: Vec<Live>,
    failures: Limiter,
    strangers: Limiter,
    evictions: Limiter,
}

impl Gate {
    /// The stream and its peer, where it is one of our own user.
    async fn accepted(&mut self, accepted: io::Result<UnixStream>) -> Option<(Socket, Peer)> {
        match accepted.and_then(|stream| Ok((peer(&stream)?, Socket::new(stream.into_std()?)?))) {
            Ok((peer, stream)) if peer.uid == rustix::process::geteuid().as_raw() => Some((stream, peer)),
            Ok((peer, _)) => {
                if let Some(held_back) = self.strangers.pass(Instant::now()) {
                    let (message_id, Peer { uid, pid }) = (events::PEER_TURNED_AWAY, peer);
                    warn!(message_id, uid, pid, held_back, "turned away the process {pid} of another user, {uid}");
                }
                None
            }
            Err(error) => {
                if let Some(held_back) = self.failures.pass(Instant::now()) {
                    warn!(held_back, "cannot accept private connections for now: {error}; trying again");
                }
                tokio::time::sleep(REST).await;
                None
            }
        }
    }

    /// Ends a connection where there are too many.
    async fn make_room(&mut self) {
        let candidate = |live: &Live| Candidate { pid: live.pid, half_open: live.half_open.load(Ordering::Relaxed) };
        let candidates: Vec<_> = self.live.iter().map(candidate).collect();
        let Some(index) = evict::victim(&candidates) else { return };
        let evicted = self.live.remove(index);
        evicted.task.abort();
        if let Some(held_back) = self.evictions.pass(Instant::now()) {
            let (message_id, pid) = (events::CONNECTION_EVICTED, evicted.pid);
            warn!(
                message_id,
                pid, held_back, "too many private connections; the process with the most, {pid}, lost one"
            );
        }
        // Lets the aborted task go, and its descriptor with it, before the next one is accepted.
        yield_now().await;
    }
}

/// The kernel's word on who connected.
fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let credentials = stream.peer_cred()?;
    let pid = credentials.pid().and_then(|pid| u32::try_from(pid).ok()).unwrap_or_default();
    Ok(Peer { pid, uid: credentials.uid() })
}

/// Removed when dropped, which may fail where somebody did so before.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A socket at `path`, whose mode is set before anybody can connect.
fn listen(path: &Path) -> io::Result<(OwnedFd, SocketFile)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    let file = SocketFile(path.to_owned());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok((socket, file))
}
