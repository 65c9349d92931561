//! What the tests serve: a small interface behind the private socket, in a thread of its own.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use private_socket::{Listener, Peer};
use tempfile::TempDir;
use tokio::{
    runtime::Builder,
    sync::{Semaphore, oneshot, watch},
    time::timeout,
};
use zbus::{ObjectPath, connection};

pub const PATH: &str = "/probe";
pub const INTERFACE: &str = "org.opensesame.Probe";

/// Within this an honest caller has its answer, and what is to happen has happened.
pub const SOON: Duration = Duration::from_secs(5);

/// What the interface saw.
#[derive(Debug)]
pub struct Seen {
    /// Hanging calls that began.
    pub started: watch::Sender<usize>,
    /// Hanging calls that ended, by themselves or with their connection.
    pub ended: watch::Sender<usize>,
    /// Interfaces made.
    pub made: watch::Sender<usize>,
    /// Times that the last connection ended.
    pub idle: watch::Sender<usize>,
    /// A permit lets one hanging call go.
    pub release: Semaphore,
}

impl Seen {
    pub fn new() -> Arc<Self> {
        let count = || watch::Sender::new(0);
        let (started, ended, made, idle) = (count(), count(), count(), count());
        Arc::new(Self { started, ended, made, idle, release: Semaphore::new(0) })
    }
}

/// Waits until the count is at least this.
pub fn reaches(count: &watch::Sender<usize>, least: usize) {
    let mut count = count.subscribe();
    let waiting = async { timeout(Duration::from_secs(10), count.wait_for(|now| *now >= least)).await.map(drop) };
    let reached = Builder::new_current_thread().enable_time().build().unwrap().block_on(waiting);
    assert!(reached.is_ok(), "{least} expected");
}

struct Probe {
    seen: Arc<Seen>,
    peer: Peer,
}

#[zbus::interface(name = "org.opensesame.Probe")]
impl Probe {
    fn echo(&self, bytes: Vec<u8>) -> Vec<u8> {
        bytes
    }

    fn big(&self) -> Vec<u8> {
        vec![7; 1 << 20]
    }

    fn pid(&self) -> u32 {
        self.peer.pid
    }

    async fn hang(&self, #[zbus(connection)] connection: &zbus::Connection) {
        self.seen.started.send_modify(|count| *count += 1);
        tokio::select! {
            permit = self.seen.release.acquire() => permit.unwrap().forget(),
            () = connection.closed() => {}
        }
        self.seen.ended.send_modify(|count| *count += 1);
    }
}

/// Serves probes at `path` until `stop` ends.
pub fn serve(listener: Listener, seen: Arc<Seen>, stop: impl Future) {
    let (made, idle) = (seen.clone(), seen);
    let interface = move |peer| {
        made.made.send_modify(|count| *count += 1);
        Probe { seen: made.clone(), peer }
    };
    let on_idle = || idle.idle.send_modify(|count| *count += 1);
    let served = listener.serve(ObjectPath::try_from(PATH).unwrap(), interface, on_idle);
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        tokio::select! {
            served = served => panic!("{served:?}"),
            _ = stop => {}
        }
    });
}

/// A server in a thread of this process; dropping it stops it.
pub struct Server {
    pub seen: Arc<Seen>,
    folder: TempDir,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Server {
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seen = Seen::new();
        let listener = Listener::bind(&folder.path().join("socket")).unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn({
            let seen = seen.clone();
            move || serve(listener, seen, stopped)
        });
        Self { seen, folder, running: Some((stop, thread)) }
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    pub fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            drop(stop);
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Runs an honest zbus client, which has each of its answers soon.
pub fn honest<T>(path: &Path, talk: impl AsyncFnOnce(&zbus::Connection) -> T) -> T {
    let address = format!("unix:path={}", path.display());
    let connecting = connection::Builder::address(address.as_str()).p2p().method_timeout(SOON).build();
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let connection = timeout(SOON, connecting).await.expect("an honest caller is let in soon").unwrap();
        talk(&connection).await
    })
}

/// An honest caller comes, and has its answer.
pub fn assert_serves(path: &Path) {
    let answer = honest(path, async |connection| echo(connection, b"hello").await);
    assert_eq!(answer, b"hello");
}

pub async fn echo(connection: &zbus::Connection, bytes: &[u8]) -> Vec<u8> {
    let answer = connection.call_method(None::<&str>, PATH, Some(INTERFACE), "Echo", &bytes).await.unwrap();
    answer.body().deserialize().unwrap()
}
