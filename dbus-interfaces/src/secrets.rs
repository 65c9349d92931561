//! `org.opensesame.Secrets`: the vaults, as the session bus sees them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zbus::{Type, wire::as_variant};

/// The well-known name, and its interface.
pub const NAME: &str = "org.opensesame.Secrets";
/// The interface.
pub const INTERFACE: &str = NAME;
/// Its only object.
pub const PATH: &str = "/org/opensesame/Secrets";

/// One vault as daemon-secrets states it. Unknown keys are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "kebab-case")]
#[zbus(signature = "a{sv}")]
pub struct VaultState {
    /// Whether the key is not in memory.
    #[serde(with = "as_variant")]
    pub locked: bool,
    /// Unlocked and serving its secrets.
    #[serde(with = "as_variant")]
    pub active: bool,
    /// When this state began (CLOCK_REALTIME, microseconds).
    #[serde(with = "as_variant")]
    pub since_usec: u64,
    /// Why it is so.
    #[serde(with = "as_variant")]
    pub reason: String,
    /// What is wrong with the vault.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// The problem code that goes with `error`: `corrupt` or `write-failed`.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none", default)]
    pub error_code: Option<String>,
}

/// By profile.
pub type Vaults = BTreeMap<String, VaultState>;

/// The vaults; documented in `org.opensesame.Secrets.xml`.
#[zbus::proxy(
    interface = "org.opensesame.Secrets",
    default_service = "org.opensesame.Secrets",
    default_path = "/org/opensesame/Secrets"
)]
pub trait Secrets {
    /// Every vault, and the generation of this state.
    #[zbus(no_autostart)]
    fn state(&self) -> Result<(Vaults, u64), crate::Error>;

    /// Locks one vault.
    #[zbus(no_autostart)]
    fn lock(&self, profile: &str) -> Result<(), crate::Error>;

    /// Locks every vault; the profiles that this call locked.
    #[zbus(no_autostart)]
    fn lock_all(&self) -> Result<Vec<String>, crate::Error>;

    /// Serves an unlocked profile's secrets.
    #[zbus(no_autostart)]
    fn activate(&self, profile: &str) -> Result<(), crate::Error>;

    /// Stops serving a profile's secrets; no lock.
    #[zbus(no_autostart)]
    fn deactivate(&self, profile: &str) -> Result<(), crate::Error>;

    /// The names of an active vault's secrets, in order.
    #[zbus(no_autostart)]
    fn list_secrets(&self, profile: &str) -> Result<Vec<String>, crate::Error>;

    /// A vault's state changed.
    #[zbus(signal)]
    fn vault_changed(&self, profile: String, locked: bool, active: bool, reason: String) -> zbus::Result<()>;

    /// Somebody read a secret.
    #[zbus(signal)]
    fn secret_read(&self, profile: String, name: String, pid: u32, unit: String) -> zbus::Result<()>;
}
