//! What the hub knows of the vaults, and how sure it is. Pure.

use std::collections::{BTreeMap, BTreeSet};

use dbus_interfaces::{ProfileName, secrets::VaultState};

/// The reason of a vault that lost its key with its daemon.
const DAEMON_LOST: &str = "daemon-lost";
/// The same, once a new run of the daemon has reported.
const DAEMON_RESTARTED: &str = "daemon-restarted";
/// The reason of a vault that its daemon locked because it was going to end.
const DAEMON_STOPPED: &str = "daemon-stopped";
/// What a fresh daemon says of every vault.
const NEVER_UNLOCKED: &str = "never-unlocked";

/// Where the knowledge comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// daemon-secrets has not reported yet: nothing is known.
    None,
    /// It said so.
    Report,
    /// It is gone: its keys died with it, so every vault is locked.
    Assumption,
}

/// The hub's view of every vault.
#[derive(Clone, Debug)]
pub struct Vaults {
    rows: BTreeMap<ProfileName, VaultState>,
    source: Source,
    // Unlocked when their daemon was lost, or just before. A fresh daemon knows nothing of that; the user wants to.
    robbed: BTreeSet<ProfileName>,
}

impl Default for Vaults {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), source: Source::None, robbed: BTreeSet::new() }
    }
}

impl Vaults {
    /// Every vault, in name order.
    pub fn rows(&self) -> &BTreeMap<ProfileName, VaultState> {
        &self.rows
    }

    /// Where this knowledge comes from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// True when no vault is known to be unlocked.
    pub fn all_locked(&self) -> bool {
        self.rows.values().all(|row| row.locked)
    }

    /// Takes what daemon-secrets states as the truth. True where that differs from what was known, times aside.
    pub fn report(&mut self, mut stated: BTreeMap<ProfileName, VaultState>) -> bool {
        self.robbed.retain(|profile| {
            stated.get_mut(profile).is_some_and(|row| {
                let untouched = row.locked && row.reason == NEVER_UNLOCKED;
                if untouched {
                    row.reason = DAEMON_RESTARTED.into();
                }
                untouched
            })
        });
        let drifted = self.source != Source::Report || !alike(&self.rows, &stated);
        self.rows = stated;
        self.source = Source::Report;
        drifted
    }

    /// daemon-secrets is gone: every known vault is locked, since `now_usec` where it was not.
    pub fn lose(&mut self, now_usec: u64) {
        if self.source == Source::None {
            return;
        }
        self.source = Source::Assumption;
        let stopped = self.rows.iter().filter(|(_, row)| row.reason == DAEMON_STOPPED);
        self.robbed.extend(stopped.map(|(profile, _)| profile.clone()));
        for (profile, row) in self.rows.iter_mut().filter(|(_, row)| !row.locked) {
            self.robbed.insert(profile.clone());
            row.locked = true;
            row.active = false;
            row.since_usec = now_usec;
            row.reason = DAEMON_LOST.into();
        }
    }
}

fn alike(known: &BTreeMap<ProfileName, VaultState>, stated: &BTreeMap<ProfileName, VaultState>) -> bool {
    let facts = |row: &VaultState| (row.locked, row.active, row.error.clone());
    known.len() == stated.len()
        && known.iter().zip(stated).all(|((a, known), (b, stated))| a == b && facts(known) == facts(stated))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(locked: bool, reason: &str) -> VaultState {
        VaultState { locked, active: !locked, since_usec: 1, reason: reason.into(), error: None, error_code: None }
    }

    fn stated(rows: &[(&str, bool, &str)]) -> BTreeMap<ProfileName, VaultState> {
        rows.iter().map(|(profile, locked, reason)| (profile.parse().unwrap(), row(*locked, reason))).collect()
    }

    fn reason<'a>(vaults: &'a Vaults, profile: &str) -> &'a str {
        &vaults.rows()[profile].reason
    }

    #[test]
    fn nothing_is_assumed_of_a_daemon_that_never_reported() {
        let mut vaults = Vaults::default();
        vaults.lose(9);
        assert_eq!(vaults.source(), Source::None);
        assert!(vaults.all_locked());
    }

    #[test]
    fn a_lost_daemon_leaves_every_vault_locked() {
        let mut vaults = Vaults::default();
        assert!(vaults.report(stated(&[("personal", false, "user"), ("work", true, "user")])));
        vaults.lose(9);
        assert!(vaults.all_locked());
        assert_eq!((reason(&vaults, "personal"), reason(&vaults, "work")), ("daemon-lost", "user"));
        assert_eq!(vaults.rows()["personal"].since_usec, 9);
        assert!(!vaults.rows()["personal"].active);
    }

    #[test]
    fn a_restart_is_remembered_until_the_vault_is_touched() {
        let mut vaults = Vaults::default();
        vaults.report(stated(&[("personal", false, "user"), ("work", true, "never-unlocked")]));
        vaults.lose(9);
        let fresh = stated(&[("personal", true, "never-unlocked"), ("work", true, "never-unlocked")]);
        for _ in 0..2 {
            vaults.report(fresh.clone());
            assert_eq!((reason(&vaults, "personal"), reason(&vaults, "work")), ("daemon-restarted", "never-unlocked"));
        }
        vaults.report(stated(&[("personal", false, "user"), ("work", true, "never-unlocked")]));
        vaults.report(fresh);
        assert_eq!(reason(&vaults, "personal"), "never-unlocked");
    }

    #[test]
    fn a_daemon_that_locks_before_it_ends_is_remembered_too() {
        let mut vaults = Vaults::default();
        vaults.report(stated(&[("personal", true, "daemon-stopped"), ("work", true, "user")]));
        vaults.lose(9);
        assert_eq!(reason(&vaults, "personal"), "daemon-stopped");
        vaults.report(stated(&[("personal", true, "never-unlocked"), ("work", true, "never-unlocked")]));
        assert_eq!((reason(&vaults, "personal"), reason(&vaults, "work")), ("daemon-restarted", "never-unlocked"));
    }

    #[test]
    fn the_same_report_twice_is_no_drift() {
        let mut vaults = Vaults::default();
        assert!(vaults.report(BTreeMap::new()), "the first report is news even when there is no vault");
        assert!(!vaults.report(BTreeMap::new()));
        assert!(vaults.report(stated(&[("personal", true, "created")])));
        assert!(!vaults.report(stated(&[("personal", true, "created")])));
        assert!(vaults.report(stated(&[("personal", false, "user")])));
    }
}
