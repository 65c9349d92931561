//! A daemon-profile that says what the test wants it to say.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use dbus_interfaces::{
    Error,
    profile::{DaemonRow, NAME, PATH, Report, Status, VaultRow},
};
use serde::Serialize;
use zbus::{
    Connection, Type, Variant,
    wire::{Endian, OwnedVariant, serialized::Context, to_bytes},
};

use super::Session;

/// What is asked of the hub, in order.
pub type Calls = Arc<Mutex<Vec<String>>>;

/// What the hub does when it is asked for a report.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Answers,
    /// As one that is hung.
    Silent,
    /// As one that is killed meanwhile.
    Dies,
}

struct Hub {
    report: Report,
    manner: Manner,
    calls: Calls,
}

#[zbus::interface(name = "org.opensesame.Profile")]
impl Hub {
    async fn report(&self, #[zbus(connection)] connection: &Connection) -> Result<Report, Error> {
        match self.manner {
            Manner::Answers => Ok(self.report.clone()),
            Manner::Silent => std::future::pending().await,
            Manner::Dies => {
                connection.clone().close().await.unwrap();
                std::future::pending().await
            }
        }
    }

    fn status(&self) -> Status {
        let report = self.report.clone();
        (report.lock_state, report.default_profile, report.active_profiles, report.locked)
    }

    fn set_default_profile(&self, profile: &str) -> Result<(), Error> {
        self.called(format!("default {profile}"), profile)
    }

    fn activate_profile(&self, profile: &str) -> Result<(), Error> {
        self.called(format!("activate {profile}"), profile)
    }

    fn deactivate_profile(&self, profile: &str) -> Result<(), Error> {
        self.called(format!("deactivate {profile}"), profile)
    }

    fn reconcile(&self) -> bool {
        self.calls.lock().unwrap().push("reconcile".into());
        false
    }
}

impl Hub {
    fn called(&self, call: String, profile: &str) -> Result<(), Error> {
        self.calls.lock().unwrap().push(call);
        match profile {
            "gone" => Err(Error::NoSuchProfile("There is no profile gone; see sesame profile list.".into())),
            "early" => Err(Error::Unavailable("daemon-secrets does not run; start it: sesame unlock.".into())),
            _ => Ok(()),
        }
    }
}

/// Serves a hub that reports `report`, until the connection is dropped.
pub async fn serve(session: &Session, report: Report, manner: Manner) -> (Connection, Calls) {
    let calls = Calls::default();
    let connection = session.connect().await;
    let hub = Hub { report, manner, calls: calls.clone() };
    connection.object_server().at(PATH, hub).await.unwrap();
    connection.request_name(NAME).await.unwrap();
    (connection, calls)
}

struct OldHub(Status);

#[zbus::interface(name = "org.opensesame.Profile")]
impl OldHub {
    fn status(&self) -> Status {
        self.0.clone()
    }
}

/// Serves a hub that has no `Report` yet.
pub async fn serve_old(session: &Session, report: Report) -> Connection {
    let connection = session.connect().await;
    let status = (report.lock_state, report.default_profile, report.active_profiles, report.locked);
    connection.object_server().at(PATH, OldHub(status)).await.unwrap();
    connection.request_name(NAME).await.unwrap();
    connection
}

/// A dictionary, whatever it holds.
type Dictionary = BTreeMap<String, OwnedVariant>;

struct NewHub(Dictionary);

#[zbus::interface(name = "org.opensesame.Profile")]
impl NewHub {
    fn report(&self) -> Dictionary {
        self.0.clone()
    }
}

/// Serves a hub whose dictionaries hold keys that nobody knows yet.
pub async fn serve_new(session: &Session, report: Report) -> Connection {
    let connection = session.connect().await;
    let rows: BTreeMap<_, _> = report.vaults.iter().map(|(name, row)| (name.clone(), widened(row))).collect();
    let mut report = widened(&report);
    report.insert("Vaults".into(), Variant::from(rows).try_to_owned().unwrap());
    connection.object_server().at(PATH, NewHub(report)).await.unwrap();
    connection.request_name(NAME).await.unwrap();
    connection
}

fn widened(known: &(impl Serialize + Type)) -> Dictionary {
    let bytes = to_bytes(Context::new(Endian::Little, 0), known).unwrap();
    let mut all: Dictionary = bytes.deserialize().unwrap().0;
    all.insert("Novel-thing".into(), Variant::from(("anything", 7_u32)).try_to_owned().unwrap());
    all
}

/// A healthy report of these vaults: name, locked, active.
pub fn report(vaults: &[(&str, bool, bool)]) -> Report {
    let row = |&(name, locked, active): &(&str, bool, bool)| {
        let row = VaultRow {
            locked,
            active,
            default: name == "personal",
            since_usec: 1,
            reason: "user".into(),
            known: "reported".into(),
            error: None,
        };
        (name.to_owned(), row)
    };
    let vaults: BTreeMap<_, _> = vaults.iter().map(row).collect();
    let daemon = |name: &str| (name.to_owned(), DaemonRow { state: "running".into(), ..DaemonRow::default() });
    Report {
        lock_state: vaults.iter().map(|(name, row)| (name.clone(), row.locked)).collect(),
        default_profile: "personal".into(),
        active_profiles: vaults.iter().filter(|(_, row)| row.active).map(|(name, _)| name.clone()).collect(),
        locked: vaults.values().all(|row| row.locked),
        health: "ok".into(),
        problems: Vec::new(),
        generation: 1,
        reconciled_usec: 1,
        vaults,
        daemons: ["daemon-profile", "daemon-secrets"].into_iter().map(daemon).collect(),
    }
}
