//! The definition of what looks: status, conditions, events, checks.

#![allow(missing_docs, reason = "a field's comment is its help text; a group that is taken in whole has none")]

use std::{path::PathBuf, time::Duration};

use clap::{Args as Group, ValueEnum, ValueHint};
use clap_complete::ArgValueCandidates;
use dbus_interfaces::ProfileName;

use super::{
    Timeout,
    values::{seconds, span},
};
use crate::{complete, condition::Condition, monitoring::Range};

// `sesame status`.
#[derive(Debug, Group)]
pub struct Status {
    /// Show only this profile's vault; may be given several times
    #[arg(short, long = "profile", value_name = "PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub profiles: Vec<ProfileName>,
    /// Show the other keyrings of this session too: the Secret Service, KWallet, KeePassXC, gpg-agent, ssh-agent
    ///
    /// Each is asked in a way that starts nothing and asks nobody, all at once, for 1 s at most. What cannot be had so
    /// is unknown, and the reason stands beside it. With --format json they are the list "keyrings".
    #[arg(long)]
    pub all: bool,
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// Show it again at each change, until interrupted: in place on a terminal, else one line a change
    #[arg(short, long, conflicts_with = "all")]
    pub watch: bool,
    /// Replace this file by it, atomically, in place of printing it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// How to show a status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object, also where the status cannot be told
    Json,
    /// One JSON object for a custom module of waybar, also where the status cannot be told
    Waybar,
    /// Prometheus' text format 0.0.4, also where the status cannot be told
    Prometheus,
}

// `sesame is`.
#[derive(Debug, Group)]
pub struct Is {
    /// What must hold
    #[arg(value_enum)]
    pub condition: Condition,
    /// The trust profile; may be given several times, and every one must fulfil the condition
    #[arg(short, long = "profile", value_name = "PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub profiles: Vec<ProfileName>,
    #[command(flatten)]
    pub timeout: Timeout,
}

// `sesame wait`.
#[derive(Debug, Group)]
pub struct Wait {
    /// What must hold
    #[arg(value_enum)]
    pub condition: Condition,
    /// The trust profile; may be given several times, and every one must fulfil the condition
    #[arg(short, long = "profile", value_name = "PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub profiles: Vec<ProfileName>,
    /// How long to wait at most: 5 (seconds), 90s, 5m, 1h30m; for ever where left out
    #[arg(long, value_name = "TIME", value_parser = span)]
    pub timeout: Option<Duration>,
}

// `sesame events`.
#[derive(Debug, Group)]
pub struct Events {
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    pub format: EventsFormat,
}

/// How to print events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum EventsFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

// `sesame check`.
#[derive(Debug, Group)]
pub struct Check {
    /// Warn where the seconds since the last reconciliation are outside of this range: 60, 10:, ~:60, 10:60, or inside
    /// of it: @10:60
    #[arg(short, long, value_name = "RANGE", default_value = "60", allow_hyphen_values = true)]
    pub warning: Range,
    /// The same, for CRITICAL
    #[arg(short, long, value_name = "RANGE", default_value = "120", allow_hyphen_values = true)]
    pub critical: Range,
    /// What a locked vault is
    #[arg(long, value_name = "STATE", value_enum, default_value_t)]
    pub locked: LockedIs,
    /// Count only this profile's vault; may be given several times
    #[arg(short, long = "profile", value_name = "PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub profiles: Vec<ProfileName>,
    // By the plugins' guidelines it has a letter, which no other command's has.
    /// Seconds to wait for an answer: 2 where left out
    #[arg(short, long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// What `check` takes a locked vault for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LockedIs {
    /// As it may well be
    #[default]
    Ok,
    /// Worth a warning
    Warning,
    /// Worth waking somebody
    Critical,
}

// `sesame doctor`.
#[derive(Debug, Group)]
pub struct Doctor {
    /// How to show it
    #[arg(long, value_enum, default_value_t)]
    pub format: Listing,
    /// Explain an event of the journal instead: the MESSAGE_ID of its lines, in any case, with or without dashes
    ///
    /// Prints what journalctl -x shows below the event's lines: what happened, what it means, and what to do.
    #[arg(long, value_name = "ID", conflicts_with_all = ["format", "timeout"])]
    pub explain: Option<String>,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// How to show a list of findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Listing {
    /// For people
    #[default]
    Text,
    /// One JSON object: "findings" (id, severity, subject, sentence, mend), "unchecked" (what, why) and "notes"
    /// (subject, sentence)
    Json,
}
