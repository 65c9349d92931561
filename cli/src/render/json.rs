//! The status as one JSON object, and the object that stands in its place where there is none.

use std::collections::BTreeMap;

use dbus_interfaces::{
    ProfileName,
    profile::{DaemonRow, Report, VaultRow},
};
use serde::Serialize;

use super::asked_for;
use crate::{error::Failure, keyrings::Keyring};

/// The status, key by key.
#[derive(Serialize)]
pub struct Status<'a> {
    lock_state: &'a BTreeMap<String, bool>,
    default_profile: &'a str,
    active_profiles: &'a [String],
    locked: bool,
    health: &'a str,
    problems: Vec<Problem<'a>>,
    reconciled_usec: u64,
    generation: u64,
    vaults: BTreeMap<&'a str, Vault<'a>>,
    daemons: BTreeMap<&'a str, Daemon<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyrings: Option<&'a [Keyring]>,
}

#[derive(Serialize)]
struct Problem<'a> {
    subject: &'a str,
    code: &'a str,
    sentence: &'a str,
}

#[derive(Serialize)]
struct Vault<'a> {
    locked: bool,
    active: bool,
    default: bool,
    since_usec: u64,
    reason: &'a str,
    known: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Daemon<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    state: &'a str,
    since_usec: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_usec: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_usec: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restarts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// What stands in place of a status that could not be had.
#[derive(Serialize)]
pub struct Unknown<'a> {
    health: &'static str,
    error: Cause<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keyrings: Option<&'a [Keyring]>,
}

#[derive(Serialize)]
struct Cause<'a> {
    code: u8,
    what: &'a str,
    why: &'a str,
}

/// The whole status; `vaults` holds those in `only`, where it names any. `keyrings` are the other stores, where they
/// were asked for.
pub fn status(report: &Report, only: &[ProfileName], keyrings: Option<&[Keyring]>) -> String {
    print(&whole(report, only, keyrings))
}

/// What [`status`] prints.
pub fn whole<'a>(report: &'a Report, only: &'a [ProfileName], keyrings: Option<&'a [Keyring]>) -> Status<'a> {
    Status {
        lock_state: &report.lock_state,
        default_profile: &report.default_profile,
        active_profiles: &report.active_profiles,
        locked: report.locked,
        health: &report.health,
        problems: report.problems.iter().map(|(subject, code, sentence)| Problem { subject, code, sentence }).collect(),
        reconciled_usec: report.reconciled_usec,
        generation: report.generation,
        vaults: asked_for(report, only).map(|(name, row)| (name, vault(row))).collect(),
        daemons: report.daemons.iter().map(|(name, row)| (&**name, daemon(row))).collect(),
        keyrings,
    }
}

/// What stands in place of a status that could not be had.
pub fn unknown(failure: &Failure, keyrings: Option<&[Keyring]>) -> String {
    print(&cause(failure, keyrings))
}

/// What [`unknown`] prints.
pub fn cause<'a>(failure: &'a Failure, keyrings: Option<&'a [Keyring]>) -> Unknown<'a> {
    let error = Cause { code: failure.code as u8, what: &failure.what, why: &failure.why };
    Unknown { health: "unknown", error, keyrings }
}

/// An object on one line.
pub fn line(object: &impl Serialize) -> String {
    // Strings and numbers in maps of strings: there is nothing that JSON could not hold.
    serde_json::to_string(object).unwrap_or_default() + "\n"
}

/// Any object, in the form that people can read too.
pub fn print(object: &impl Serialize) -> String {
    // Strings and numbers in maps of strings: there is nothing that JSON could not hold.
    serde_json::to_string_pretty(object).unwrap_or_default() + "\n"
}

fn vault(row: &VaultRow) -> Vault<'_> {
    Vault {
        locked: row.locked,
        active: row.active,
        default: row.default,
        since_usec: row.since_usec,
        reason: &row.reason,
        known: &row.known,
        error: row.error.as_deref(),
    }
}

fn daemon(row: &DaemonRow) -> Daemon<'_> {
    Daemon {
        id: row.id.as_deref(),
        state: &row.state,
        since_usec: row.since_usec,
        unit: row.unit.as_deref(),
        pid: row.pid,
        started_usec: row.started_usec,
        last_seen_usec: row.last_seen_usec,
        restarts: row.restarts,
        sandbox: row.sandbox.as_deref(),
        sessions: row.sessions,
        reason: row.reason.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::{error::Error, render::sample};

    // Snapshots of the text, not of the values: the order of the keys is held as well.

    #[test]
    fn everything_that_can_be_known() {
        assert_snapshot!(status(&sample::full(), &[], None));
    }

    #[test]
    fn what_is_not_known_is_absent_and_other_vaults_are_left_out() {
        let mut report = sample::lost();
        let secrets = report.daemons.get_mut("daemon-secrets").unwrap();
        secrets.pid = Some(4);
        secrets.reason = Some("signal:SIGKILL".into());
        report.vaults.get_mut("work").unwrap().error = Some("items.age is not there".into());
        assert_snapshot!(status(&report, &["work".parse().unwrap()], None));
    }

    #[test]
    fn before_the_first_report() {
        assert_snapshot!(status(&sample::not_reported(), &[], None));
    }

    #[test]
    fn under_watch_it_is_one_line() {
        assert_snapshot!(line(&whole(&sample::full(), &[], None)));
    }

    #[test]
    fn a_failure_is_an_object_too() {
        let failure = Error::NotRunning("daemon-profile").during("cannot read the status");
        assert_snapshot!(unknown(&failure, None));
    }
}
