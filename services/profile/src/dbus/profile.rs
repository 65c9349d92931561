//! `org.opensesame.Profile`: translates calls into messages to the owner of the state. Decides nothing.

use std::{collections::BTreeMap, sync::Arc};

use daemon_runtime::admission::{Admitted, Permits};
use dbus_interfaces::{
    Error, ProfileName,
    profile::{DaemonRow, Problem, Report, VaultRow},
};
use tokio::sync::watch;
use zbus::{interface, object_server::SignalEmitter};

use crate::handle::Handle;

/// The methods that wait for a disk or for daemon-secrets.
const WAITS: &[&str] = &["ActivateProfile", "DeactivateProfile", "SetDefaultProfile", "Reconcile"];

/// The interface's object.
pub struct Profile {
    hub: Handle,
    // Properties are read from one snapshot, without awaiting: a getter that awaits tears `GetAll`.
    seen: watch::Receiver<Arc<Report>>,
}

impl Profile {
    /// The object, with its calls admitted.
    pub fn admitted(hub: Handle) -> Admitted<Self> {
        let settle = hub.clone();
        let profile = Self { seen: hub.snapshots(), hub };
        Admitted::on_bus(profile, Permits::default(), WAITS).settled_by(move || {
            let hub = settle.clone();
            Box::pin(async move { hub.settle().await })
        })
    }

    fn seen(&self) -> Arc<Report> {
        Arc::clone(&self.seen.borrow())
    }
}

fn named(profile: &str) -> Result<ProfileName, Error> {
    Ok(profile.parse::<ProfileName>()?)
}

#[interface(name = "org.opensesame.Profile", introspection_docs = false)]
impl Profile {
    #[zbus(out_args("lock_state", "default_profile", "active_profiles", "locked"))]
    async fn status(&self) -> Result<(BTreeMap<String, bool>, String, Vec<String>, bool), Error> {
        let report = self.hub.look().await?;
        Ok((report.lock_state.clone(), report.default_profile.clone(), report.active_profiles.clone(), report.locked))
    }

    #[zbus(out_args("report"))]
    async fn report(&self) -> Result<Report, Error> {
        Ok(Arc::unwrap_or_clone(self.hub.look().await?))
    }

    #[zbus(out_args("vaults"))]
    async fn vaults(&self) -> Result<BTreeMap<String, VaultRow>, Error> {
        Ok(self.hub.look().await?.vaults.clone())
    }

    #[zbus(out_args("daemons"))]
    async fn daemons(&self) -> Result<BTreeMap<String, DaemonRow>, Error> {
        Ok(self.hub.look().await?.daemons.clone())
    }

    async fn activate_profile(&self, profile: &str) -> Result<(), Error> {
        self.hub.forward("Activate", named(profile)?).await
    }

    async fn deactivate_profile(&self, profile: &str) -> Result<(), Error> {
        self.hub.forward("Deactivate", named(profile)?).await
    }

    async fn set_default_profile(&self, profile: &str) -> Result<(), Error> {
        self.hub.set_default(named(profile)?).await
    }

    #[zbus(out_args("changed"))]
    async fn reconcile(&self) -> Result<bool, Error> {
        self.hub.reconcile().await
    }

    #[zbus(property)]
    fn lock_state(&self) -> BTreeMap<String, bool> {
        self.seen().lock_state.clone()
    }

    #[zbus(property)]
    fn default_profile(&self) -> String {
        self.seen().default_profile.clone()
    }

    #[zbus(property)]
    fn active_profiles(&self) -> Vec<String> {
        self.seen().active_profiles.clone()
    }

    #[zbus(property)]
    fn locked(&self) -> bool {
        self.seen().locked
    }

    #[zbus(property)]
    fn health(&self) -> String {
        self.seen().health.clone()
    }

    #[zbus(property)]
    fn problems(&self) -> Vec<Problem> {
        self.seen().problems.clone()
    }

    #[zbus(property)]
    fn generation(&self) -> u64 {
        self.seen().generation
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn reconciled_usec(&self) -> u64 {
        self.seen().reconciled_usec
    }

    #[zbus(signal)]
    async fn vault_changed(
        emitter: &SignalEmitter<'_>,
        profile: &str,
        locked: bool,
        active: bool,
        reason: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn daemon_changed(
        emitter: &SignalEmitter<'_>,
        name: &str,
        state: &str,
        id: &str,
        reason: &str,
    ) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn daemon_lost(emitter: &SignalEmitter<'_>, name: &str, id: &str, reason: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn daemon_restarted(emitter: &SignalEmitter<'_>, name: &str, old_id: &str, new_id: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn reconciled(emitter: &SignalEmitter<'_>, tick: u64, changed: bool) -> zbus::Result<()>;
}
