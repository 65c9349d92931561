//! What can be configured, and what holds where nothing is. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dbus_interfaces::ProfileName;

/// The whole configuration. The default is what holds without a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// scrypt's work factor for vault files written from now on: 15 to 18.
    pub work_factor: u8,
    /// What to do where the kernel cannot enforce the whole sandbox.
    pub sandbox: Sandbox,
    /// Whether the desktop is notified.
    pub notify: bool,
    /// What locks a vault.
    pub lock_on: BTreeSet<LockOn>,
    /// How long a vault may be idle, where [`LockOn::Idle`] is among the reasons.
    pub lock_after: Duration,
    /// The program that asks for a passphrase where there is no terminal, and its arguments.
    pub askpass: Vec<String>,
    /// Whether the Secret Service is offered to applications.
    pub secret_service: bool,
    /// Whether the Secret Service accepts sessions without encryption.
    pub plain_sessions: bool,
    /// What single profiles have otherwise.
    pub profiles: BTreeMap<ProfileName, ProfileOverrides>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            work_factor: 17,
            sandbox: Sandbox::BestEffort,
            notify: false,
            lock_on: BTreeSet::new(),
            lock_after: Duration::from_secs(15 * 60),
            askpass: vec!["pinentry".into()],
            secret_service: false,
            plain_sessions: true,
            profiles: BTreeMap::new(),
        }
    }
}

impl Config {
    /// What locks any vault.
    pub fn locks_on(&self) -> BTreeSet<LockOn> {
        let own = self.profiles.values().filter_map(|own| own.lock_on.as_ref());
        own.chain([&self.lock_on]).flatten().copied().collect()
    }

    /// What holds for one profile.
    pub fn for_profile(&self, profile: &ProfileName) -> ProfileConfig {
        let own = self.profiles.get(profile);
        ProfileConfig {
            lock_on: own.and_then(|own| own.lock_on.clone()).unwrap_or_else(|| self.lock_on.clone()),
            lock_after: own.and_then(|own| own.lock_after).unwrap_or(self.lock_after),
            locked_search: own.and_then(|own| own.locked_search).unwrap_or(true),
        }
    }
}

/// `sandbox`: `best-effort` or `required`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// Less than the whole sandbox is said, and goes on.
    BestEffort,
    /// Less than the whole sandbox is fatal.
    Required,
}

/// `lock_on`: what locks a vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockOn {
    /// The machine goes to sleep.
    Sleep,
    /// The screen is locked.
    Screen,
    /// Nothing was read for `lock_after`.
    Idle,
}

/// A `[profiles.<name>]` table: what is left out is as for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProfileOverrides {
    /// In place of [`Config::lock_on`].
    pub lock_on: Option<BTreeSet<LockOn>>,
    /// In place of [`Config::lock_after`].
    pub lock_after: Option<Duration>,
    /// Whether the Secret Service finds items of the profile while its vault is locked: true where it is left out.
    pub locked_search: Option<bool>,
}

/// What holds for one profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileConfig {
    /// What locks its vault.
    pub lock_on: BTreeSet<LockOn>,
    /// How long its vault may be idle.
    pub lock_after: Duration,
    /// Whether the Secret Service finds its items while the vault is locked.
    pub locked_search: bool,
}
