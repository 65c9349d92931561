//! What `sesame is` asks, decided from one report. Pure.

use dbus_interfaces::{
    ProfileName,
    profile::{Report, VaultRow},
};

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Condition {
    /// Both daemons are running
    Running,
    /// Nothing is wrong with any daemon, vault or the configuration
    Healthy,
    /// The vault is unlocked, whether or not it serves its secrets
    Unlocked,
    /// The vault is locked
    Locked,
    /// The vault is unlocked and serves its secrets
    Active,
}

/// What a report says of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not.
    HoldsNot,
    /// daemon-secrets has not reported, so nothing is known of the vaults.
    NotReported,
    /// daemon-secrets does not answer, so what is known may be old.
    Unresponsive,
    /// This profile does not exist.
    NoSuchProfile(ProfileName),
}

impl Condition {
    /// Whether the condition is about vaults, and takes profiles.
    pub fn is_of_vaults(self) -> bool {
        !matches!(self, Self::Running | Self::Healthy)
    }

    /// Whether it holds, for every one of `profiles` where it is about vaults.
    pub fn verdict(self, profiles: &[ProfileName], report: &Report) -> Verdict {
        match self {
            Self::Running => (state(report, "daemon-profile") == Some("running") && runs(report)).into(),
            Self::Healthy => (report.health == "ok").into(),
            // Keys are held by a daemon that runs, and by nobody else.
            Self::Unlocked => match of_vaults(profiles, report, |row| !row.locked) {
                Verdict::Holds => runs(report).into(),
                other => other,
            },
            Self::Locked => of_vaults(profiles, report, |row| row.locked),
            Self::Active => match of_vaults(profiles, report, |row| row.active) {
                Verdict::Holds => runs(report).into(),
                other => other,
            },
        }
    }
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::HoldsNot }
    }
}

fn state<'a>(report: &'a Report, daemon: &str) -> Option<&'a str> {
    report.daemons.get(daemon).map(|row| row.state.as_str())
}

/// Whether daemon-secrets does.
fn runs(report: &Report) -> bool {
    state(report, "daemon-secrets") == Some("running")
}

fn of_vaults(profiles: &[ProfileName], report: &Report, holds: fn(&VaultRow) -> bool) -> Verdict {
    if state(report, "daemon-secrets") == Some("unresponsive") {
        return Verdict::Unresponsive;
    }
    if report.reconciled_usec == 0 {
        return Verdict::NotReported;
    }
    if let Some(unknown) = profiles.iter().find(|profile| !report.vaults.contains_key(profile.as_str())) {
        return Verdict::NoSuchProfile(unknown.clone());
    }
    profiles.iter().filter_map(|profile| report.vaults.get(profile.as_str())).all(holds).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample;

    fn names(names: &[&str]) -> Vec<ProfileName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    fn personal_unlocked() -> Report {
        sample::report(&[("personal", false, true), ("work", true, false), ("spare", false, false)])
    }

    #[track_caller]
    fn expect(report: &Report, condition: Condition, profiles: &[&str], verdict: Verdict) {
        assert_eq!(condition.verdict(&names(profiles), report), verdict, "{condition:?} {profiles:?}");
    }

    #[test]
    fn vault_conditions_must_hold_for_every_profile() {
        use Condition::*;
        use Verdict::*;
        let report = personal_unlocked();
        for (condition, profiles, verdict) in [
            (Unlocked, &["personal"][..], Holds),
            (Unlocked, &["personal", "spare"], Holds),
            (Unlocked, &["personal", "work"], HoldsNot),
            (Locked, &["work"], Holds),
            (Locked, &["work", "personal"], HoldsNot),
            (Active, &["personal"], Holds),
            (Active, &["spare"], HoldsNot),
            (Active, &["work"], HoldsNot),
        ] {
            expect(&report, condition, profiles, verdict);
        }
    }

    #[test]
    fn an_unknown_profile_outweighs_a_condition_that_does_not_hold() {
        let gone = "gone".parse().unwrap();
        expect(&personal_unlocked(), Condition::Unlocked, &["work", "gone"], Verdict::NoSuchProfile(gone));
    }

    #[test]
    fn before_the_first_report_nothing_is_known_of_vaults() {
        let mut report = personal_unlocked();
        report.reconciled_usec = 0;
        for condition in [Condition::Unlocked, Condition::Locked, Condition::Active] {
            expect(&report, condition, &["gone"], Verdict::NotReported);
        }
    }

    #[test]
    fn a_silent_daemon_leaves_the_vaults_unknown() {
        let mut report = personal_unlocked();
        sample::set_state(&mut report, "daemon-secrets", "unresponsive");
        expect(&report, Condition::Unlocked, &["personal"], Verdict::Unresponsive);
        expect(&report, Condition::Locked, &["gone"], Verdict::Unresponsive);
        expect(&report, Condition::Running, &[], Verdict::HoldsNot);
    }

    #[test]
    fn a_lost_or_stopped_daemon_leaves_its_vaults_locked() {
        let mut report = sample::report(&[("personal", true, false)]);
        for state in ["lost", "stopped", "failed"] {
            sample::set_state(&mut report, "daemon-secrets", state);
            expect(&report, Condition::Locked, &["personal"], Verdict::Holds);
            expect(&report, Condition::Unlocked, &["personal"], Verdict::HoldsNot);
            expect(&report, Condition::Running, &[], Verdict::HoldsNot);
        }
    }

    #[test]
    fn running_means_both_daemons_and_healthy_means_ok() {
        let mut report = personal_unlocked();
        expect(&report, Condition::Running, &[], Verdict::Holds);
        expect(&report, Condition::Healthy, &[], Verdict::Holds);
        for health in ["degraded", "failed"] {
            report.health = health.into();
            expect(&report, Condition::Healthy, &[], Verdict::HoldsNot);
            expect(&report, Condition::Running, &[], Verdict::Holds);
        }
        report.daemons.remove("daemon-secrets");
        expect(&report, Condition::Running, &[], Verdict::HoldsNot);
    }
}
