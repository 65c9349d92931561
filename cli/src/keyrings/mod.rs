//! The other stores of this session, for `sesame status --all`: who they are, whether they answer, what is locked.
//! Read only: nothing here starts a program, makes one ask the user, or waits longer than [`LIMIT`].

mod gpg_agent;
mod keepassxc;
mod kwallet;
mod listener;
mod secret_service;
mod socket;
mod ssh_agent;

use std::{fs, path::PathBuf, time::Duration};

use serde::Serialize;
use zbus::OwnedVariant;

use self::listener::Listener;
use crate::{
    bus::{Bus, DRIVER, Service},
    deadline::Deadline,
    error::Error,
};

/// How long all of them together may take.
pub const LIMIT: Duration = Duration::from_secs(1);

/// One store that is not of this project.
#[derive(Debug, Serialize)]
pub struct Keyring {
    /// Its name on the bus, or the program that is expected at its socket.
    pub name: &'static str,
    /// Its socket, where it has no name on the bus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Its process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What the kernel calls that process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// Whether somebody owns the name or listens at the socket.
    pub alive: bool,
    /// Whether it answered within [`LIMIT`]; nothing where it was not asked.
    pub answers: Option<bool>,
    /// Of all its collections together.
    pub lock: Lock,
    /// What it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<&'static str>,
    /// Why something is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Its parts that are locked by themselves, where it has such.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub collections: Vec<Collection>,
}

/// A part of a store: a collection, or a wallet.
#[derive(Debug, Serialize)]
pub struct Collection {
    /// As its user calls it.
    pub label: String,
    /// Nothing where that could not be had.
    pub locked: Option<bool>,
}

/// Whether a store is locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Lock {
    /// All of it.
    Locked,
    /// None of it.
    Unlocked,
    /// Some of it.
    Mixed,
    /// It is empty.
    None,
    /// It does not say, or was not asked.
    Unknown,
}

impl Lock {
    /// As in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::Unlocked => "unlocked",
            Self::Mixed => "mixed",
            Self::None => "none",
            Self::Unknown => "unknown",
        }
    }

    /// Of a store whose parts are locked or not.
    fn of(parts: impl IntoIterator<Item = Option<bool>>) -> Self {
        let together = |all: Self, part: Self| if all == part { all } else { Self::Mixed };
        let word = |locked: Option<bool>| match locked {
            Some(true) => Self::Locked,
            Some(false) => Self::Unlocked,
            None => Self::Unknown,
        };
        let parts: Vec<Self> = parts.into_iter().map(word).collect();
        match parts.contains(&Self::Unknown) {
            true => Self::Unknown,
            false => parts.into_iter().reduce(together).unwrap_or(Self::None),
        }
    }
}

impl Keyring {
    /// One at a socket, of whom nothing is known yet.
    fn at(name: &'static str, socket: PathBuf) -> Self {
        Self {
            name,
            socket: Some(socket),
            pid: None,
            program: None,
            alive: false,
            answers: None,
            lock: Lock::Unknown,
            asked: None,
            why: None,
            collections: Vec::new(),
        }
    }

    /// One on the bus that has not been asked yet.
    fn owning(name: &'static str, pid: Option<u32>) -> Self {
        let mut keyring = Self { socket: None, alive: true, ..Self::at(name, PathBuf::new()) };
        keyring.process(pid);
        keyring
    }

    /// Notes its process, where it is known.
    fn process(&mut self, pid: Option<u32>) {
        if let Some(pid) = pid
            && let Ok(program) = fs::read_to_string(format!("/proc/{pid}/comm"))
        {
            self.pid = Some(pid);
            self.program = Some(program.trim_end().into());
        }
    }

    /// Whether asking it starts nothing, by who listens at its socket; if not, says so.
    fn may_be_asked(&mut self, listener: Listener) -> bool {
        self.why = match listener {
            Listener::Program => None,
            Listener::Nobody => Some("nobody listens at its socket".into()),
            Listener::Systemd => Some("not asked: systemd listens at its socket, and would start it".into()),
        };
        self.alive = listener == Listener::Program;
        self.alive
    }

    /// Takes in what it answered to `asked`: its parts, or why there are none.
    fn answered(mut self, asked: &'static str, answer: Result<Lock, Error>) -> Self {
        self.asked = Some(asked);
        self.answers = Some(!matches!(answer, Err(Error::NoAnswer { .. } | Error::Died(_) | Error::NotRunning(_))));
        match answer {
            Ok(lock) => self.lock = lock,
            Err(why) => self.why = Some(why.to_string()),
        }
        self
    }
}

/// All stores that this session has, in name order.
pub async fn find() -> Vec<Keyring> {
    let deadline = Deadline::after(LIMIT);
    // Without a bus there is nobody on it. The status itself says so.
    let bus = Bus::connect(deadline).await.ok();
    let (on_bus, gpg, ssh) = tokio::join!(
        async {
            match &bus {
                Some(bus) => on_bus(bus, deadline).await,
                None => Vec::new(),
            }
        },
        gpg_agent::find(bus.as_ref(), deadline),
        ssh_agent::find(bus.as_ref(), deadline),
    );
    let mut found: Vec<Keyring> = on_bus.into_iter().chain(gpg).chain(ssh).collect();
    found.sort_by(|one, other| (one.name, &one.socket).cmp(&(other.name, &other.socket)));
    found
}

async fn on_bus(bus: &Bus, deadline: Deadline) -> Vec<Keyring> {
    let (secrets, wallet6, wallet5, keepassxc) = tokio::join!(
        secret_service::find(bus, deadline),
        kwallet::find(bus, &kwallet::KWALLETD6, deadline),
        kwallet::find(bus, &kwallet::KWALLETD5, deadline),
        keepassxc::find(bus, deadline),
    );
    [secrets, wallet6, wallet5, keepassxc].into_iter().flatten().collect()
}

/// Who owns a name on the bus. Calls go to the connection itself: such a one cannot be started by calling it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    connection: String,
    pid: Option<u32>,
}

impl Owner {
    async fn of(bus: &Bus, name: &'static str, deadline: Deadline) -> Option<Self> {
        let connection: String = bus.call(DRIVER, "GetNameOwner", &name, deadline).await.ok()?;
        let pid = bus.call(DRIVER, "GetConnectionUnixProcessID", &connection, deadline).await.ok();
        Some(Self { connection, pid })
    }

    /// One of its objects; `who` it is to the user.
    fn object<'a>(&'a self, who: &'static str, path: &'a str, interface: &'a str) -> Service<'a> {
        Service { who, name: &self.connection, path, interface }
    }
}

/// One property of an object.
///
/// # Errors
/// As [`Bus::call`], and where it is of another type.
pub async fn property<T: TryFrom<OwnedVariant>>(
    bus: &Bus,
    object: Service<'_>,
    name: &str,
    deadline: Deadline,
) -> Result<T, Error> {
    let properties = Service { interface: "org.freedesktop.DBus.Properties", ..object };
    let value: OwnedVariant = bus.call(properties, "Get", &(object.interface, name), deadline).await?;
    value.try_into().map_err(|_| Error::Other(format!("{}: {name} is of another type", object.who)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_locked_as_far_as_all_its_parts_are() {
        for (parts, lock) in [
            (&[][..], Lock::None),
            (&[Some(true)], Lock::Locked),
            (&[Some(false), Some(false)], Lock::Unlocked),
            (&[Some(true), Some(false), Some(true)], Lock::Mixed),
            (&[Some(false), Some(true), Some(false)], Lock::Mixed),
            (&[Some(true), None], Lock::Unknown),
            (&[Some(true), Some(false), None], Lock::Unknown),
        ] {
            assert_eq!(Lock::of(parts.iter().copied()), lock, "{parts:?}");
        }
    }

    #[test]
    fn words_are_those_of_json() {
        for lock in [Lock::Locked, Lock::Unlocked, Lock::Mixed, Lock::None, Lock::Unknown] {
            assert_eq!(serde_json::to_value(lock).unwrap(), lock.word());
        }
    }
}
