//! The status in Prometheus' text format 0.0.4. Every series says whose it is, so that the files of several users can
//! lie in one folder.

use std::fmt::Write;

use dbus_interfaces::{ProfileName, profile::Report};

use super::asked_for;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Every series; those of vaults for the profiles in `only`, or for all where it names none.
pub fn status(report: &Report, only: &[ProfileName], user: u32) -> String {
    let mut page = head(1, user);
    let truth = |holds: bool| f64::from(u8::from(holds));
    let state = |state: &'static str| (format!("state=\"{state}\""), truth(report.health == state));
    page.family("sesame_health", GAUGE, "The health, 1 at what it is.", ["ok", "degraded", "failed"].map(state));

    let vaults = || asked_for(report, only).map(|(name, row)| (label("profile", name), row));
    let locked = vaults().map(|(profile, row)| (profile, truth(row.locked)));
    page.family("sesame_vault_locked", GAUGE, "Whether the key of the vault is not in memory.", locked);
    let since = vaults().map(|(profile, row)| (profile, seconds(row.since_usec)));
    let help = "When the vault was locked or unlocked last.";
    page.family("sesame_vault_since_timestamp_seconds", GAUGE, help, since);
    let active = vaults().map(|(profile, row)| (profile, truth(row.active)));
    page.family("sesame_profile_active", GAUGE, "Whether the profile serves its secrets.", active);
    let default = vaults().map(|(profile, row)| (profile, truth(row.default)));
    page.family("sesame_profile_default", GAUGE, "Whether it is the default profile.", default);

    let daemons = || report.daemons.iter().map(|(name, row)| (label("daemon", name), row));
    let up = daemons().map(|(daemon, row)| (daemon, truth(row.state == "running")));
    page.family("sesame_daemon_up", GAUGE, "Whether the daemon runs and answers.", up);
    let restarts = daemons().filter_map(|(daemon, row)| Some((daemon, f64::from(row.restarts?))));
    let help = "How often systemd restarted the daemon by itself.";
    page.family("sesame_daemon_restarts_total", COUNTER, help, restarts);
    let started = daemons().filter_map(|(daemon, row)| Some((daemon, seconds(row.started_usec?))));
    page.family("sesame_daemon_start_time_seconds", GAUGE, "When this run of the daemon began.", started);

    let reconciled = [(String::new(), seconds(report.reconciled_usec))];
    let help = "When daemon-secrets was last asked for its state and answered; 0 for never.";
    page.family("sesame_reconciled_timestamp_seconds", GAUGE, help, reconciled);
    page.text
}

/// What stands in place of a status that could not be had.
pub fn unknown(user: u32) -> String {
    head(0, user).text
}

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

struct Page {
    text: String,
    user: u32,
}

fn head(up: u8, user: u32) -> Page {
    let mut page = Page { text: String::new(), user };
    page.family("sesame_up", GAUGE, "Whether the health could be told.", [(String::new(), f64::from(up))]);
    let build = [(label("version", VERSION), 1.0)];
    page.family("sesame_build_info", GAUGE, "The version of the command line that tells this.", build);
    page
}

impl Page {
    /// One family with its samples: labels beside the user's, and value. Without samples, nothing.
    fn family(&mut self, name: &str, kind: &str, help: &str, samples: impl IntoIterator<Item = (String, f64)>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_some() {
            let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        }
        for (labels, value) in samples {
            let comma = if labels.is_empty() { "" } else { "," };
            // Writing to a string cannot fail.
            let _ = writeln!(self.text, "{name}{{user=\"{}\"{comma}{labels}}} {value}", self.user);
        }
    }
}

fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53 microseconds until the year 2255")]
fn seconds(usec: u64) -> f64 {
    usec as f64 / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::render::sample;

    #[test]
    fn every_series_of_the_contract() {
        assert_snapshot!(status(&sample::full(), &[], 1000));
    }

    #[test]
    fn what_is_not_known_has_no_series() {
        assert_snapshot!(status(&sample::not_reported(), &[], 1000));
    }

    #[test]
    fn a_failure_is_told_too() {
        assert_snapshot!(unknown(1000));
    }

    #[test]
    fn labels_are_escaped() {
        assert_eq!(label("a", "b\\\"c\nd"), "a=\"b\\\\\\\"c\\nd\"");
    }

    #[test]
    fn times_keep_their_microseconds() {
        assert_eq!(format!("{}", seconds(1_795_582_200_123_456)), "1795582200.123456");
    }
}
