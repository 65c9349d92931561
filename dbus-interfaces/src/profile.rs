//! `org.opensesame.Profile`: the health hub.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use zbus::{Type, wire::as_variant};

/// The well-known name, and its interface.
pub const NAME: &str = "org.opensesame.Profile";
/// The interface.
pub const INTERFACE: &str = NAME;
/// Its only object.
pub const PATH: &str = "/org/opensesame/Profile";

/// `Status`: lock_state (true is locked), default profile, active profiles, locked.
pub type Status = (BTreeMap<String, bool>, String, Vec<String>, bool);

/// One problem: subject (daemon, profile or `config`), code, sentence.
pub type Problem = (String, String, String);

/// One row of `Vaults`. Unknown keys are absent, and unknown to an older reader are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "kebab-case")]
#[zbus(signature = "a{sv}")]
pub struct VaultRow {
    /// Whether the key is not in memory.
    #[serde(with = "as_variant")]
    pub locked: bool,
    /// Unlocked and serving its secrets.
    #[serde(with = "as_variant")]
    pub active: bool,
    /// Whether this is the default profile.
    #[serde(with = "as_variant")]
    pub default: bool,
    /// When this state began.
    #[serde(with = "as_variant")]
    pub since_usec: u64,
    /// Why it is so.
    #[serde(with = "as_variant")]
    pub reason: String,
    /// `reported`, `assumed` or `last-known`.
    #[serde(with = "as_variant")]
    pub known: String,
    /// What is wrong with the vault.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
}

/// One row of `Daemons`. Unknown keys are absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "kebab-case", default)]
#[zbus(signature = "a{sv}")]
pub struct DaemonRow {
    /// The daemon id.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `running`, `unresponsive`, `lost`, `stopped` or `failed`.
    #[serde(with = "as_variant")]
    pub state: String,
    /// When this state began.
    #[serde(with = "as_variant")]
    pub since_usec: u64,
    /// The systemd unit.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// The process.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// When this run began.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none")]
    pub started_usec: Option<u64>,
    /// When it was last heard from.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none")]
    pub last_seen_usec: Option<u64>,
    /// systemd's count of automatic restarts.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
    /// What its sandbox enforces.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// The sessions that applications have open with it.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
    /// Why its last run ended, kept while it runs.
    #[serde(with = "as_variant::optional", skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `Report`: one snapshot, every property by its name, `Vaults` and `Daemons`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Type)]
#[serde(rename_all = "PascalCase")]
#[zbus(signature = "a{sv}")]
pub struct Report {
    /// By profile: true is locked.
    #[serde(with = "as_variant")]
    pub lock_state: BTreeMap<String, bool>,
    /// The default profile.
    #[serde(with = "as_variant")]
    pub default_profile: String,
    /// In name order.
    #[serde(with = "as_variant")]
    pub active_profiles: Vec<String>,
    /// True when no vault is known to be unlocked.
    #[serde(with = "as_variant")]
    pub locked: bool,
    /// `ok`, `degraded` or `failed`.
    #[serde(with = "as_variant")]
    pub health: String,
    /// Empty exactly while health is `ok`.
    #[serde(with = "as_variant")]
    pub problems: Vec<Problem>,
    /// +1 a change; begins anew with the daemon id.
    #[serde(with = "as_variant")]
    pub generation: u64,
    /// The last successful reconciliation, 0 for none.
    #[serde(with = "as_variant")]
    pub reconciled_usec: u64,
    /// By profile.
    #[serde(with = "as_variant")]
    pub vaults: BTreeMap<String, VaultRow>,
    /// By daemon: always both.
    #[serde(with = "as_variant")]
    pub daemons: BTreeMap<String, DaemonRow>,
}

/// What one `PropertiesChanged` of the hub carries: the properties that one event changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangedProperties {
    /// `LockState`.
    pub lock_state: Option<BTreeMap<String, bool>>,
    /// `DefaultProfile`.
    pub default_profile: Option<String>,
    /// `ActiveProfiles`.
    pub active_profiles: Option<Vec<String>>,
    /// `Locked`.
    pub locked: Option<bool>,
    /// `Health`.
    pub health: Option<String>,
    /// `Problems`.
    pub problems: Option<Vec<Problem>>,
    /// `Generation`: always there.
    pub generation: u64,
}

impl ChangedProperties {
    /// What differs between two reports; `None` where nothing does. The generation is for its owner to count: 0 here.
    pub fn between(before: &Report, after: &Report) -> Option<Self> {
        fn new<T: Clone + PartialEq>(before: &T, after: &T) -> Option<T> {
            (before != after).then(|| after.clone())
        }
        let changed = Self {
            lock_state: new(&before.lock_state, &after.lock_state),
            default_profile: new(&before.default_profile, &after.default_profile),
            active_profiles: new(&before.active_profiles, &after.active_profiles),
            locked: new(&before.locked, &after.locked),
            health: new(&before.health, &after.health),
            problems: new(&before.problems, &after.problems),
            generation: 0,
        };
        (changed != Self::default()).then_some(changed)
    }
}

/// The health hub; documented in `org.opensesame.Profile.xml`.
#[zbus::proxy(
    interface = "org.opensesame.Profile",
    default_service = "org.opensesame.Profile",
    default_path = "/org/opensesame/Profile"
)]
pub trait Profile {
    /// Lock states, default profile, active profiles, locked.
    #[zbus(no_autostart)]
    fn status(&self) -> Result<Status, crate::Error>;

    /// One snapshot of everything.
    #[zbus(no_autostart)]
    fn report(&self) -> Result<Report, crate::Error>;

    /// Every vault.
    #[zbus(no_autostart)]
    fn vaults(&self) -> Result<BTreeMap<String, VaultRow>, crate::Error>;

    /// Both daemons.
    #[zbus(no_autostart)]
    fn daemons(&self) -> Result<BTreeMap<String, DaemonRow>, crate::Error>;

    /// Serves an unlocked profile's secrets.
    #[zbus(no_autostart)]
    fn activate_profile(&self, profile: &str) -> Result<(), crate::Error>;

    /// Stops serving a profile's secrets; no lock.
    #[zbus(no_autostart)]
    fn deactivate_profile(&self, profile: &str) -> Result<(), crate::Error>;

    /// Chooses the default profile.
    #[zbus(no_autostart)]
    fn set_default_profile(&self, profile: &str) -> Result<(), crate::Error>;

    /// Asks daemon-secrets now; true where something had drifted.
    #[zbus(no_autostart)]
    fn reconcile(&self) -> Result<bool, crate::Error>;

    /// A vault's state changed.
    #[zbus(signal)]
    fn vault_changed(&self, profile: String, locked: bool, active: bool, reason: String) -> zbus::Result<()>;

    /// A daemon's state changed.
    #[zbus(signal)]
    fn daemon_changed(&self, name: String, state: String, id: String, reason: String) -> zbus::Result<()>;

    /// A daemon ended unasked.
    #[zbus(signal)]
    fn daemon_lost(&self, name: String, id: String, reason: String) -> zbus::Result<()>;

    /// A crash-restart was detected.
    #[zbus(signal)]
    fn daemon_restarted(&self, name: String, old_id: String, new_id: String) -> zbus::Result<()>;

    /// After each reconciliation that got an answer.
    #[zbus(signal)]
    fn reconciled(&self, tick: u64, changed: bool) -> zbus::Result<()>;
}
