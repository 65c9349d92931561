//! What is known of every vault, as it is told: locked, active, since when, why, and what is wrong. Pure: no key, no
//! file, no bus, no clock.

use std::{collections::BTreeMap, sync::Arc};

use dbus_interfaces::{
    Error, ProfileName,
    secrets::{VaultState, Vaults},
};

/// Why a vault's state changed (contract, section 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Since this daemon started.
    NeverUnlocked,
    /// The vault is new.
    Created,
    /// The vault is gone.
    Deleted,
    /// Somebody asked for it.
    User,
    /// It was not used for as long as the configuration says.
    Idle,
    /// The machine goes to sleep.
    Sleep,
    /// The screen was locked.
    Screen,
    /// Its secrets are no longer served.
    Deactivated,
    /// This daemon ends, and its keys before it.
    DaemonStopped,
}

impl Reason {
    /// The word on the bus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverUnlocked => "never-unlocked",
            Self::Created => "created",
            Self::Deleted => "deleted",
            Self::User => "user",
            Self::Idle => "idle",
            Self::Sleep => "sleep",
            Self::Screen => "screen",
            Self::Deactivated => "deactivated",
            Self::DaemonStopped => "daemon-stopped",
        }
    }
}

/// What is wrong with a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Its files cannot be what was written.
    Corrupt(String),
    /// The disk did not take what was to be written.
    WriteFailed(String),
}

/// One `VaultChanged`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultChange {
    /// The profile.
    pub profile: ProfileName,
    /// Whether it is locked now.
    pub locked: bool,
    /// Whether it is active now.
    pub active: bool,
    /// Why.
    pub reason: Reason,
}

/// Everything that one call changed: one `PropertiesChanged`, then a `VaultChanged` for each vault.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The state after it.
    pub snapshot: Arc<Snapshot>,
    /// Each vault that was locked, unlocked, activated, deactivated, created or deleted.
    pub vaults: Vec<VaultChange>,
}

/// The whole state at one generation, as the properties show it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// By profile.
    pub vaults: Vaults,
    /// +1 a change.
    pub generation: u64,
}

impl Snapshot {
    /// By profile: true is locked.
    pub fn lock_state(&self) -> BTreeMap<String, bool> {
        self.vaults.iter().map(|(profile, row)| (profile.clone(), row.locked)).collect()
    }

    /// In name order.
    pub fn active_profiles(&self) -> Vec<String> {
        self.vaults.iter().filter(|(_, row)| row.active).map(|(profile, _)| profile.clone()).collect()
    }

    /// True when every vault is locked.
    pub fn locked(&self) -> bool {
        self.vaults.values().all(|row| row.locked)
    }

    /// The state in one line.
    pub fn line(&self) -> String {
        let unlocked = self.vaults.values().filter(|row| !row.locked).count();
        let troubled: Vec<String> = self.errors().into_keys().collect();
        let vaults = format!("{unlocked} of {} vaults unlocked", self.vaults.len());
        if troubled.is_empty() { vaults } else { format!("{vaults}; trouble with {}", troubled.join(", ")) }
    }

    /// What is wrong, by profile.
    pub fn errors(&self) -> BTreeMap<String, String> {
        self.vaults.iter().filter_map(|(profile, row)| Some((profile.clone(), row.error.clone()?))).collect()
    }
}

/// Every vault.
#[derive(Clone, Debug, Default)]
pub struct State {
    rows: BTreeMap<ProfileName, Row>,
    generation: u64,
}

#[derive(Clone, Debug)]
struct Row {
    locked: bool,
    active: bool,
    since_usec: u64,
    reason: Reason,
    trouble: Option<Trouble>,
}

impl Row {
    fn locked(reason: Reason, now_usec: u64) -> Self {
        Self { locked: true, active: false, since_usec: now_usec, reason, trouble: None }
    }
}

impl State {
    /// The vaults that were found at start, each with what is wrong with it.
    pub fn new(found: impl IntoIterator<Item = (ProfileName, Option<Trouble>)>, now_usec: u64) -> Self {
        let row = |(profile, trouble)| (profile, Row { trouble, ..Row::locked(Reason::NeverUnlocked, now_usec) });
        Self { rows: found.into_iter().map(row).collect(), generation: 0 }
    }

    /// The state as it is told.
    pub fn snapshot(&self) -> Snapshot {
        let row = |(profile, row): (&ProfileName, &Row)| {
            let (error, code) = match &row.trouble {
                Some(Trouble::Corrupt(sentence)) => (Some(sentence.clone()), Some("corrupt")),
                Some(Trouble::WriteFailed(sentence)) => (Some(sentence.clone()), Some("write-failed")),
                None => (None, None),
            };
            let state = VaultState {
                locked: row.locked,
                active: row.active,
                since_usec: row.since_usec,
                reason: row.reason.as_str().into(),
                error,
                error_code: code.map(Into::into),
            };
            (profile.to_string(), state)
        };
        Snapshot { vaults: self.rows.iter().map(row).collect(), generation: self.generation }
    }

    /// Every profile.
    pub fn profiles(&self) -> impl Iterator<Item = &ProfileName> {
        self.rows.keys()
    }

    /// # Errors
    /// `NoSuchProfile`.
    pub fn must_exist(&self, profile: &ProfileName) -> Result<(), Error> {
        self.row(profile).map(|_| ())
    }

    /// Whether the vault is unlocked.
    ///
    /// # Errors
    /// `NoSuchProfile`.
    pub fn is_unlocked(&self, profile: &ProfileName) -> Result<bool, Error> {
        self.row(profile).map(|row| !row.locked)
    }

    /// # Errors
    /// `NoSuchProfile`; `Locked` or `NotActive` where the vault's secrets are not served.
    pub fn must_serve(&self, profile: &ProfileName) -> Result<(), Error> {
        let row = self.row(profile)?;
        if row.locked {
            return Err(locked(profile));
        }
        if !row.active {
            return Err(Error::NotActive(format!(
                "the profile {profile} is unlocked but not active; activate it: sesame profile activate {profile}"
            )));
        }
        Ok(())
    }

    /// A new vault, locked. `None` where there was one of this name.
    pub fn create(&mut self, profile: &ProfileName, now_usec: u64) -> Option<Change> {
        if self.rows.contains_key(profile) {
            return None;
        }
        self.rows.insert(profile.clone(), Row::locked(Reason::Created, now_usec));
        Some(self.changed([profile.clone()]))
    }

    /// The vault is gone.
    pub fn delete(&mut self, profile: &ProfileName) -> Option<Change> {
        self.rows.remove(profile)?;
        let gone = VaultChange { profile: profile.clone(), locked: true, active: false, reason: Reason::Deleted };
        self.generation += 1;
        Some(Change { snapshot: Arc::new(self.snapshot()), vaults: vec![gone] })
    }

    /// The vault is unlocked, and active. What was wrong with it is not any more.
    pub fn unlock(&mut self, profile: &ProfileName, now_usec: u64) -> Option<Change> {
        let row = self.rows.get_mut(profile).filter(|row| !row.active)?;
        *row = Row { locked: false, active: true, since_usec: now_usec, reason: Reason::User, trouble: None };
        Some(self.changed([profile.clone()]))
    }

    /// Locks those of `profiles` that are unlocked.
    pub fn lock(
        &mut self,
        profiles: impl IntoIterator<Item = ProfileName>,
        reason: Reason,
        now_usec: u64,
    ) -> Option<Change> {
        let mut locked = Vec::new();
        for profile in profiles {
            if let Some(row) = self.rows.get_mut(&profile).filter(|row| !row.locked) {
                *row = Row { trouble: row.trouble.take(), ..Row::locked(reason, now_usec) };
                locked.push(profile);
            }
        }
        (!locked.is_empty()).then(|| self.changed(locked))
    }

    /// Serves the vault's secrets.
    ///
    /// # Errors
    /// `NoSuchProfile`, `Locked`.
    pub fn activate(&mut self, profile: &ProfileName, now_usec: u64) -> Result<Option<Change>, Error> {
        if !self.is_unlocked(profile)? {
            return Err(locked(profile));
        }
        Ok(self.set_active(profile, true, Reason::User, now_usec))
    }

    /// Serves the vault's secrets no longer. A locked vault is inactive already.
    ///
    /// # Errors
    /// `NoSuchProfile`.
    pub fn deactivate(&mut self, profile: &ProfileName, now_usec: u64) -> Result<Option<Change>, Error> {
        self.must_exist(profile)?;
        Ok(self.set_active(profile, false, Reason::Deactivated, now_usec))
    }

    /// Records what is wrong with a vault, or that nothing is.
    pub fn set_trouble(&mut self, profile: &ProfileName, trouble: Option<Trouble>) -> Option<Change> {
        let row = self.rows.get_mut(profile).filter(|row| row.trouble != trouble)?;
        row.trouble = trouble;
        self.generation += 1;
        Some(Change { snapshot: Arc::new(self.snapshot()), vaults: Vec::new() })
    }

    fn set_active(&mut self, profile: &ProfileName, active: bool, reason: Reason, now_usec: u64) -> Option<Change> {
        let row = self.rows.get_mut(profile).filter(|row| row.active != active)?;
        (row.active, row.reason, row.since_usec) = (active, reason, now_usec);
        Some(self.changed([profile.clone()]))
    }

    fn changed(&mut self, profiles: impl IntoIterator<Item = ProfileName>) -> Change {
        self.generation += 1;
        let vaults = profiles
            .into_iter()
            .filter_map(|profile| {
                let row = self.rows.get(&profile)?;
                Some(VaultChange { locked: row.locked, active: row.active, reason: row.reason, profile })
            })
            .collect();
        Change { snapshot: Arc::new(self.snapshot()), vaults }
    }

    fn row(&self, profile: &ProfileName) -> Result<&Row, Error> {
        self.rows.get(profile).ok_or_else(|| {
            Error::NoSuchProfile(format!("there is no profile {profile}; sesame profile list shows them"))
        })
    }
}

/// The vault of `profile` is locked.
pub fn locked(profile: &ProfileName) -> Error {
    Error::Locked(format!("the vault of {profile} is locked; unlock it and retry: sesame unlock -p {profile}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(profile: &str) -> ProfileName {
        profile.parse().unwrap()
    }

    fn state() -> State {
        State::new([(name("personal"), None), (name("work"), None)], 1)
    }

    fn told(change: &Option<Change>) -> Vec<(String, bool, bool, &'static str)> {
        let vaults = change.iter().flat_map(|change| &change.vaults);
        vaults.map(|v| (v.profile.to_string(), v.locked, v.active, v.reason.as_str())).collect()
    }

    #[test]
    fn a_fresh_daemon_has_everything_locked() {
        let snapshot = state().snapshot();
        assert!(snapshot.locked() && snapshot.active_profiles().is_empty());
        assert_eq!(snapshot.vaults["work"].reason, "never-unlocked");
        assert_eq!(snapshot.generation, 0);
    }

    #[test]
    fn unlocking_activates_and_locking_deactivates() {
        let mut state = state();
        assert!(matches!(state.must_serve(&name("work")), Err(Error::Locked(_))));
        assert_eq!(told(&state.unlock(&name("work"), 2)), [("work".into(), false, true, "user")]);
        assert_eq!(state.must_serve(&name("work")), Ok(()));
        assert_eq!(state.unlock(&name("work"), 3), None, "at once, and no news");
        assert_eq!(told(&state.lock([name("work")], Reason::User, 4)), [("work".into(), true, false, "user")]);
        assert_eq!(state.lock([name("work")], Reason::User, 5), None);
        assert_eq!(state.snapshot().vaults["work"].since_usec, 4);
    }

    #[test]
    fn deactivating_is_no_lock() {
        let mut state = state();
        state.unlock(&name("work"), 2);
        let change = state.deactivate(&name("work"), 3).unwrap();
        assert_eq!(told(&change), [("work".into(), false, false, "deactivated")]);
        assert!(matches!(state.must_serve(&name("work")), Err(Error::NotActive(_))));
        assert_eq!(state.deactivate(&name("work"), 4), Ok(None));
        assert_eq!(told(&state.activate(&name("work"), 5).unwrap()), [("work".into(), false, true, "user")]);
        assert!(matches!(state.activate(&name("personal"), 6), Err(Error::Locked(_))));
        state.deactivate(&name("work"), 7).unwrap();
        assert_eq!(told(&state.unlock(&name("work"), 8)), [("work".into(), false, true, "user")], "unlock activates");
    }

    #[test]
    fn locking_many_is_one_change() {
        let mut state = state();
        state.unlock(&name("work"), 2);
        state.unlock(&name("personal"), 3);
        let before = state.snapshot().generation;
        let change = state.lock([name("personal"), name("work")], Reason::User, 4);
        assert_eq!(told(&change).len(), 2);
        assert_eq!(change.unwrap().snapshot.generation, before + 1);
    }

    #[test]
    fn vaults_come_and_go() {
        let mut state = state();
        assert_eq!(told(&state.create(&name("x"), 2)), [("x".into(), true, false, "created")]);
        assert_eq!(state.create(&name("x"), 3), None);
        assert_eq!(told(&state.delete(&name("x"))), [("x".into(), true, false, "deleted")]);
        assert_eq!(state.delete(&name("x")), None);
        assert!(matches!(state.must_exist(&name("x")), Err(Error::NoSuchProfile(_))));
    }

    #[test]
    fn trouble_is_told_until_it_is_over() {
        let mut state = state();
        let trouble = Some(Trouble::Corrupt("items.age is damaged".into()));
        let change = state.set_trouble(&name("work"), trouble.clone()).unwrap();
        assert_eq!(change.snapshot.errors(), [("work".into(), "items.age is damaged".into())].into());
        assert_eq!(change.snapshot.vaults["work"].error_code.as_deref(), Some("corrupt"));
        assert_eq!(state.set_trouble(&name("work"), trouble), None);
        state.unlock(&name("work"), 3);
        assert!(state.snapshot().errors().is_empty());
    }
}
