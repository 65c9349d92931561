//! Secrets for units: a socket a profile, from which systemd itself takes what a unit's `LoadCredential=` names. The
//! only "no" that systemd understands is an empty answer, so the journal says who was refused what, and why.

mod address;

use std::{
    collections::BTreeMap,
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt, PermissionsExt},
        net::UnixListener as StdListener,
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use dbus_interfaces::ProfileName;
use tokio::{
    io::AsyncWriteExt,
    net::{UnixListener, UnixStream},
    sync::{Semaphore, watch},
    task::AbortHandle,
    time::timeout,
};
use zbus::DBusError;

use self::address::Asked;
use crate::{
    handle::{Handle, Wanted},
    journal,
    reader::Reader,
    state::Snapshot,
};

/// How long a peer may take for all of it.
const DEADLINE: Duration = Duration::from_secs(5);
/// Answered at once, of all profiles: 64 MiB at most. The kernel keeps the others waiting, in order.
const AT_ONCE: usize = 64;
/// How long accepting rests after a failure, which is a lack of descriptors or memory: there is no event to await.
const REST: Duration = Duration::from_millis(100);

/// Why a unit got nothing, or perhaps not all.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The kernel says that it is another user's.
    #[error("it is a process of user {0}, not of this one")]
    Stranger(u32),
    /// It is not systemd, or asks for a name that no secret can have.
    #[error("its address does not name a unit and a secret; only LoadCredential= of a user unit is answered")]
    Address,
    /// The vault says no.
    #[error("{}", .0.description().unwrap_or("the vault says no"))]
    Vault(#[from] dbus_interfaces::Error),
    /// The answer was not taken.
    #[error("the answer was not taken within 5 s, and may have been taken in part")]
    Slow,
    /// The vault was locked meanwhile.
    #[error("the vault was locked before the answer was taken, which may have been taken in part")]
    LockedMeanwhile,
    /// The system refuses.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// The sockets, as many as there are profiles.
pub struct Credentials {
    folder: PathBuf,
    vaults: Handle,
    snapshots: watch::Receiver<Arc<Snapshot>>,
    places: Arc<Semaphore>,
    // None where a socket could not be made, which was said.
    sockets: BTreeMap<String, Option<Socket>>,
}

impl Credentials {
    /// Makes `folder` (0700), empties it of what an earlier run left, and makes the sockets of the profiles there are.
    /// The caller holds the runtime folder's lock.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: PathBuf, vaults: Handle) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        fs::set_permissions(&folder, Permissions::from_mode(0o700))?;
        for entry in fs::read_dir(&folder)? {
            // What cannot be removed is in the way of one profile at most, which is said then.
            let _ = fs::remove_file(entry?.path());
        }
        let (snapshots, places) = (vaults.snapshots(), Arc::new(Semaphore::new(AT_ONCE)));
        let mut this = Self { folder, vaults, snapshots, places, sockets: BTreeMap::new() };
        this.follow_profiles();
        Ok(this)
    }

    /// Lets sockets come and go with the profiles, until the state has no owner any more.
    pub async fn run(mut self) {
        while self.snapshots.changed().await.is_ok() {
            self.follow_profiles();
        }
    }

    fn follow_profiles(&mut self) {
        let snapshot = Arc::clone(&self.snapshots.borrow_and_update());
        self.sockets.retain(|profile, _| snapshot.vaults.contains_key(profile));
        for profile in snapshot.vaults.keys().filter_map(|profile| profile.parse::<ProfileName>().ok()) {
            if !self.sockets.contains_key(profile.as_str()) {
                let socket = self.listen(&profile).inspect_err(|cause| journal::no_credentials(&profile, cause)).ok();
                self.sockets.insert(profile.to_string(), socket);
            }
        }
    }

    fn listen(&self, profile: &ProfileName) -> io::Result<Socket> {
        let path = self.folder.join(profile.as_str());
        let socket = bind(&path)?;
        let server = Server { profile: profile.clone(), vaults: self.vaults.clone(), places: self.places.clone() };
        Ok(Socket { path, accepting: tokio::spawn(server.accept(socket)).abort_handle() })
    }
}

/// A socket that is accepted from. Dropped, its file goes at once, so that the next of its name finds the place free.
struct Socket {
    path: PathBuf,
    accepting: AbortHandle,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.accepting.abort();
        // Somebody may have removed it before.
        let _ = fs::remove_file(&self.path);
    }
}

/// In a folder of mode 0700, so that nobody else connects before its own mode is set.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let socket = StdListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(socket)
}

/// Answers for one profile.
#[derive(Clone)]
struct Server {
    profile: ProfileName,
    vaults: Handle,
    places: Arc<Semaphore>,
}

impl Server {
    async fn accept(self, socket: UnixListener) {
        loop {
            let Ok((stream, _)) = socket.accept().await else {
                tokio::time::sleep(REST).await;
                continue;
            };
            // It fails only where the semaphore was closed, which nobody does.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            let server = self.clone();
            tokio::spawn(async move {
                server.serve(stream).await;
                drop(place);
            });
        }
    }

    async fn serve(&self, mut stream: UnixStream) {
        let asked = asked(&stream);
        let answered = match &asked {
            Ok(asked) => self.answer(asked, &mut stream).await,
            Err(_) => Ok(()),
        };
        // The answer ends with the connection: nobody waits for the journal.
        drop(stream);
        match (asked, answered) {
            (Err(refusal), _) => journal::credential_refused(&self.profile, None, &refusal),
            (Ok(asked), Err(refusal)) => {
                journal::credential_refused(&self.profile, Some((&asked.unit, &asked.name)), &refusal);
            }
            (Ok(_), Ok(())) => {}
        }
    }

    async fn answer(&self, asked: &Asked, stream: &mut UnixStream) -> Result<(), Refusal> {
        let wanted = Wanted {
            profile: self.profile.clone(),
            name: asked.name.clone(),
            reader: Reader::unit(asked.unit.clone()),
        };
        let mut snapshots = self.vaults.snapshots();
        let value = self.vaults.get(wanted).await?;
        let is_shut = |now: &Arc<Snapshot>| now.vaults.get(self.profile.as_str()).is_none_or(|vault| vault.locked);
        tokio::select! {
            biased;
            written = timeout(DEADLINE, stream.write_all(&value)) => match written {
                Ok(written) => Ok(written?),
                Err(_) => Err(Refusal::Slow),
            },
            // No value outlives the lock for want of a reader.
            _ = snapshots.wait_for(is_shut) => Err(Refusal::LockedMeanwhile),
        }
    }
}

/// Who asks for what, by the kernel's word on the user and systemd's address.
fn asked(stream: &UnixStream) -> Result<Asked, Refusal> {
    let uid = stream.peer_cred()?.uid();
    if uid != rustix::process::geteuid().as_raw() {
        return Err(Refusal::Stranger(uid));
    }
    let address = stream.peer_addr()?;
    address.as_abstract_name().and_then(Asked::parse).ok_or(Refusal::Address)
}

#[cfg(test)]
mod tests;
