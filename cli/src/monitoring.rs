//! What a monitoring plugin says of a report: its state, its words and its numbers. Pure.

use std::str::FromStr;

use dbus_interfaces::{ProfileName, profile::Report};

use crate::{exit::Code, output::printable};

/// A range of the monitoring plugins' guidelines: `10`, `10:`, `~:10`, `10:20`; `@10:20` alerts inside.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    low: f64,
    high: f64,
    alerts_inside: bool,
    text: String,
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || "a range is 10, 10:, ~:10, 10:20 or @10:20, in seconds".to_owned();
        let number = |text: &str| text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(bad);
        let (alerts_inside, bounds) = text.strip_prefix('@').map_or((false, text), |rest| (true, rest));
        let (low, high) = match bounds.split_once(':') {
            None => (0.0, number(bounds)?),
            Some((low, high)) => {
                let low = if low == "~" { f64::NEG_INFINITY } else { number(low)? };
                (low, if high.is_empty() { f64::INFINITY } else { number(high)? })
            }
        };
        if low > high { Err(bad()) } else { Ok(Self { low, high, alerts_inside, text: text.into() }) }
    }
}

impl Range {
    /// Whether `value` is worth an alert.
    pub fn alerts(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value) == self.alerts_inside
    }
}

/// How bad it is, the worse the greater; unknown is between a warning and what is known to be critical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// 0
    Ok,
    /// 1
    Warning,
    /// 3
    Unknown,
    /// 2
    Critical,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warning => "WARNING",
            Self::Unknown => "UNKNOWN",
            Self::Critical => "CRITICAL",
        }
    }

    /// What the plugin ends with: the numbers 0 to 3, which mean something else to a monitor than to a script.
    pub fn code(self) -> Code {
        match self {
            Self::Ok => Code::Success,
            Self::Warning => Code::Failure,
            Self::Critical => Code::Usage,
            Self::Unknown => Code::NotRunning,
        }
    }
}

/// What counts as what.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of the seconds since the last reconciliation, for a warning.
    pub warning: Range,
    /// The same, for critical.
    pub critical: Range,
    /// What a locked vault is.
    pub locked: State,
    /// The profiles that count; all where empty.
    pub profiles: Vec<ProfileName>,
}

/// The plugin's one line.
pub fn line(state: State, what: &str) -> String {
    // Beyond a bar are numbers, beyond a newline another plugin's output.
    format!("SESAME {} - {}", state.word(), printable(what).replace('|', " "))
}

/// The state of a report, and the plugin's line.
pub fn check(report: &Report, limits: &Limits, now_usec: u64) -> (State, String) {
    let counts = |name: &str| limits.profiles.is_empty() || limits.profiles.iter().any(|one| one.as_str() == name);
    let vaults: Vec<_> = report.vaults.iter().filter(|(name, _)| counts(name)).collect();
    let mut findings = vec![health(report)];
    let missing = limits.profiles.iter().filter(|profile| !report.vaults.contains_key(profile.as_str()));
    let reported = report.reconciled_usec != 0;
    if reported {
        findings.extend(missing.map(|profile| (State::Unknown, format!("there is no profile {profile}"))));
    }
    let locked: Vec<&str> = vaults.iter().filter(|(_, row)| row.locked).map(|(name, _)| name.as_str()).collect();
    if !locked.is_empty() && limits.locked != State::Ok {
        findings.push((limits.locked, format!("locked: {}", locked.join(", "))));
    }
    // In doubt a vault is locked.
    if !reported && limits.locked != State::Ok {
        findings.push((limits.locked, "no vault is known to be unlocked".into()));
    }
    let age = reported.then(|| seconds_between(report.reconciled_usec, now_usec));
    if let Some(age) = age {
        let late = format!("daemon-secrets was last asked and answered {age:.0} s ago");
        if limits.critical.alerts(age) {
            findings.push((State::Critical, late));
        } else if limits.warning.alerts(age) {
            findings.push((State::Warning, late));
        }
    }
    let state = findings.iter().map(|(state, _)| *state).max().unwrap_or(State::Unknown);
    // The worst first; where something is wrong, what is well is left out.
    findings.retain(|(found, _)| state == State::Ok || *found != State::Ok);
    findings.sort_by_key(|(state, _)| std::cmp::Reverse(*state));
    let mut what = findings.into_iter().map(|(_, what)| what).collect::<Vec<_>>().join("; ");
    if state == State::Ok {
        what += &format!(", {} of {} vaults unlocked", vaults.len() - locked.len(), vaults.len());
    }
    let active = vaults.iter().filter(|(_, row)| row.active).count();
    let count = |number: usize| if reported { number.to_string() } else { "U".into() };
    let age = age.map_or("U".into(), |age| format!("{age:.3}s"));
    let numbers = format!(
        "vaults={} unlocked={} active={} problems={} reconciled_age={age};{};{}",
        count(vaults.len()),
        count(vaults.len() - locked.len()),
        count(active),
        report.problems.len(),
        limits.warning.text,
        limits.critical.text,
    );
    (state, format!("{} | {numbers}\n", line(state, &what)))
}

fn health(report: &Report) -> (State, String) {
    let told = report.problems.iter().map(|(subject, code, sentence)| format!("{subject} ({code}): {sentence}"));
    let told = told.collect::<Vec<_>>().join("; ");
    match report.health.as_str() {
        "ok" => (State::Ok, "both daemons run".into()),
        "degraded" => (State::Warning, told),
        "failed" => (State::Critical, told),
        other => (State::Unknown, format!("the health is {other}")),
    }
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53 microseconds until the year 2255")]
fn seconds_between(from_usec: u64, to_usec: u64) -> f64 {
    (to_usec as f64 - from_usec as f64) / 1_000_000.0
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::render::sample;

    #[test]
    fn ranges_are_those_of_the_plugins_guidelines() {
        for (range, alerting, quiet) in [
            ("10", &[-1.0, 10.1][..], &[0.0, 10.0][..]),
            ("10:", &[9.9, -5.0], &[10.0, 1e9]),
            ("~:10", &[10.1], &[-1e9, 10.0]),
            ("10:20", &[9.9, 20.1], &[10.0, 20.0]),
            ("@10:20", &[10.0, 15.0, 20.0], &[9.9, 20.1]),
            ("@~:0.5", &[-3.0, 0.5], &[0.6]),
        ] {
            let range: Range = range.parse().unwrap();
            assert!(alerting.iter().all(|value| range.alerts(*value)), "{range:?}");
            assert!(quiet.iter().all(|value| !range.alerts(*value)), "{range:?}");
        }
        for bad in ["", "x", "20:10", "~", "10:20:30", "@", "nan", "inf", ":10x", ":10"] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
    }

    fn limits(locked: State) -> Limits {
        Limits { warning: "60".parse().unwrap(), critical: "120".parse().unwrap(), locked, profiles: Vec::new() }
    }

    #[test]
    fn every_state_has_one_line() {
        let good = sample::report(&[("personal", false, true), ("work", true, false)]);
        let mut failed = sample::lost();
        failed.health = "failed".into();
        failed.problems[0].2 = "it is\n gone | for good".into();
        let mut shown = String::new();
        let mut add = |report: &Report, locked: State, age: u64, profile: Option<&str>| {
            let mut limits = limits(locked);
            limits.profiles.extend(profile.map(|name| name.parse().unwrap()));
            let (state, line) = check(report, &limits, report.reconciled_usec + age * 1_000_000);
            shown += &format!("{} {line}", state.code() as u8);
        };
        add(&good, State::Ok, 12, None);
        add(&good, State::Ok, 61, None);
        add(&good, State::Ok, 121, None);
        add(&good, State::Warning, 12, None);
        add(&good, State::Critical, 12, Some("work"));
        add(&good, State::Critical, 12, Some("personal"));
        add(&good, State::Ok, 12, Some("gone"));
        add(&sample::lost(), State::Ok, 12, None);
        add(&failed, State::Ok, 61, None);
        add(&sample::not_reported(), State::Ok, 12, None);
        add(&sample::not_reported(), State::Warning, 12, Some("work"));
        add(&sample::not_reported(), State::Critical, 12, Some("work"));
        assert_snapshot!(shown);
    }
}
