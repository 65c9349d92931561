//! `org.opensesame.Secrets`, on the session bus: translates calls into messages to the owner of the vaults. No
//! passphrase and no secret passes here.

use std::{collections::BTreeMap, sync::Arc};

use daemon_runtime::admission::{Admitted, Permits};
use dbus_interfaces::{Error, ProfileName, secrets::Vaults};
use tokio::sync::watch;
use zbus::{interface, object_server::SignalEmitter};

use crate::{
    handle::{Handle, Which},
    state::Snapshot,
};

/// The methods that wait for a worker to let go of a key.
const WAITS: &[&str] = &["Lock", "LockAll"];

/// The interface's object.
pub struct Secrets {
    vaults: Handle,
    // A change is published here before it is announced or answered, so that it is never behind either.
    state: watch::Receiver<Arc<Snapshot>>,
    sessions: watch::Receiver<u32>,
}

impl Secrets {
    /// The object, with its calls admitted.
    pub fn admitted(vaults: Handle, sessions: watch::Receiver<u32>, permits: Permits) -> Admitted<Self> {
        Admitted::on_bus(Self { state: vaults.snapshots(), vaults, sessions }, permits, WAITS)
    }

    fn seen(&self) -> Arc<Snapshot> {
        Arc::clone(&self.state.borrow())
    }
}

fn named(profile: &str) -> Result<ProfileName, Error> {
    Ok(profile.parse::<ProfileName>()?)
}

#[interface(name = "org.opensesame.Secrets", introspection_docs = false)]
impl Secrets {
    #[zbus(out_args("vaults", "generation"))]
    async fn state(&self) -> Result<(Vaults, u64), Error> {
        let state = self.seen();
        Ok((state.vaults.clone(), state.generation))
    }

    async fn lock(&self, profile: &str) -> Result<(), Error> {
        self.vaults.lock(Which::One(named(profile)?)).await.map(|_| ())
    }

    #[zbus(out_args("locked"))]
    async fn lock_all(&self) -> Result<Vec<String>, Error> {
        self.vaults.lock(Which::All).await
    }

    async fn activate(&self, profile: &str) -> Result<(), Error> {
        self.vaults.set_active(named(profile)?, true).await
    }

    async fn deactivate(&self, profile: &str) -> Result<(), Error> {
        self.vaults.set_active(named(profile)?, false).await
    }

    #[zbus(out_args("names"))]
    async fn list_secrets(&self, profile: &str) -> Result<Vec<String>, Error> {
        self.vaults.list(named(profile)?).await
    }

    #[zbus(property)]
    fn lock_state(&self) -> BTreeMap<String, bool> {
        self.seen().lock_state()
    }

    #[zbus(property)]
    fn active_profiles(&self) -> Vec<String> {
        self.seen().active_profiles()
    }

    #[zbus(property)]
    fn locked(&self) -> bool {
        self.seen().locked()
    }

    #[zbus(property)]
    fn errors(&self) -> BTreeMap<String, String> {
        self.seen().errors()
    }

    #[zbus(property)]
    fn vaults(&self) -> Vaults {
        self.seen().vaults.clone()
    }

    #[zbus(property)]
    fn generation(&self) -> u64 {
        self.seen().generation
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn sessions(&self) -> u32 {
        *self.sessions.borrow()
    }

    #[zbus(signal)]
    async fn sessions_changed(emitter: &SignalEmitter<'_>, sessions: u32) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn locked_item_requested(emitter: &SignalEmitter<'_>, profile: &str, connection: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn vault_changed(
        emitter: &SignalEmitter<'_>,
        profile: &str,
        locked: bool,
        active: bool,
        reason: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn secret_read(
        emitter: &SignalEmitter<'_>,
        profile: &str,
        name: &str,
        pid: u32,
        unit: &str,
    ) -> zbus::Result<()>;
}
