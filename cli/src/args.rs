//! The command line's definition: help texts, manual pages and completions all come from here.

#![allow(missing_docs, reason = "a field's comment is its help text; a group that is taken in whole has none")]

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args as Group, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCandidates;
use dbus_interfaces::{ProfileName, SecretName};

use crate::{complete, condition::Condition, monitoring::Range, passphrase::Source, render::paint::When};

const EXIT_STATUS: &str = "\
Exit status:
  0  it worked
  1  any other failure
  2  wrong usage, a name or passphrase out of form
  3  the daemon is not running
  4  there is no session bus
  5  the daemon is there but did not answer in time
  6  the vault is locked (or not active), or the passphrase is wrong
  7  no such profile, vault or secret
  8  the condition asked for does not hold

Every failure is one line on standard error, and where there is one, a second line that says what to do.";

/// Keep secrets in encrypted vaults, one for each trust profile
///
/// Open Sesame keeps secrets in encrypted vaults, one for each trust profile (personal, work, ...). A vault is locked
/// or unlocked; an unlocked and active one serves its secrets to the programs of this user.
#[derive(Debug, Parser)]
#[command(name = "sesame", version, after_long_help = EXIT_STATUS)]
pub struct Args {
    /// When to use colour
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    pub color: When,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
// `defer`: the options of a command are put together only where it is the one that is used.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Set up for the first time: create, unlock and choose a first profile
    ///
    /// Starts both daemons, creates the profile's vault (asking for a new passphrase), unlocks it, makes it the default
    /// profile, and lets the daemons start with the session where systemd runs it. Does only what is missing, so it
    /// may be run again.
    Init(Init),
    /// Show vaults, profiles, and what is wrong
    ///
    /// Never starts a daemon, and ends with 0 for whatever it could report.
    Status(Status),
    /// Test a condition, for scripts: 0 it holds, 8 it does not
    ///
    /// Prints nothing where it could tell. 3, 4 and 5 mean that it cannot tell; 7 that there is no such profile.
    Is(Is),
    /// Wait until a condition holds
    ///
    /// Returns as soon as it is so: 0. A daemon or a bus that is not there is waited for. 7 where daemon-secrets has
    /// reported and there is no such profile, 8 at the timeout. Ends with 0 at SIGTERM too.
    Wait(Wait),
    /// Print every change as it happens, one line each, until interrupted
    ///
    /// The first line is a snapshot of the whole state. After a restart of the hub or of the bus, and where something was
    /// missed, comes another one.
    Events(Events),
    /// List, create, delete and choose trust profiles
    #[command(subcommand)]
    Profile(Profile),
    /// Unlock a vault, and activate its profile
    Unlock(UnlockNow),
    /// Lock a vault: its key leaves memory
    ///
    /// Done when the keys are gone: a vault that is locked already, or a daemon that does not run, is no failure.
    Lock(Lock),
    /// Unlock the vault if it is locked, lock it if it is unlocked
    Toggle(Unlock),
    /// Change a vault's passphrase, and its key with it
    Passphrase(Passphrase),
    /// List, read, store and delete the secrets of an unlocked vault
    #[command(subcommand)]
    Secret(Secret),
    /// Take over what another keyring keeps, by the Secret Service API
    ///
    /// Reads everything that is unlocked from the program that owns org.freedesktop.secrets (gnome-keyring, KWallet,
    /// KeePassXC, oo7-daemon, ...) in an encrypted session, and shows what is to be stored in the profile's vault; with
    /// --yes, stores it. It starts no keyring, unlocks none, and changes nothing there.
    ///
    /// new: stored. present: the vault has an item with the same attributes, label and secret. conflict: it has one with
    /// the same attributes and another secret or label; stored beside it, or skipped with --skip-conflicts. failed: with
    /// the reason. locked: a collection that was not looked into. It may be run again, also after an interruption.
    ///
    /// Ends with 1 where an item failed and with 6 where a collection was locked, after all others were stored.
    Import(Import),
    /// Run a program with a profile's secrets in its environment
    ///
    /// Replaces itself by COMMAND, with every secret of the profile in the environment: the secret db-url is DB_URL.
    /// Names that are set already, that two secrets share, or that steer programs (PATH, LD_*, ...) are refused unless
    /// mapped by hand with --env.
    ///
    /// Ends with what COMMAND ends with; 125 where it could not be started, 126 where it is not executable, 127 where
    /// there is no such program, 2 for refused names, 3 where daemon-secrets does not run.
    Run(Run),
    /// Check the health, as a monitoring plugin (Nagios, Icinga, ...)
    ///
    /// Prints one line, SESAME STATE - WHAT | PERFDATA, and ends with 0 (OK), 1 (WARNING), 2 (CRITICAL) or 3 (UNKNOWN),
    /// and with nothing else. Starts no daemon.
    ///
    /// Health ok is OK, degraded WARNING, failed CRITICAL. A hub that does not run or does not answer is CRITICAL; no
    /// session bus, and wrong usage, are UNKNOWN.
    Check(Check),
    /// Find what is wrong with the installation, and say how to mend it
    ///
    /// Looks at the bus, the units, the daemons and their sandbox, files, configuration and vaults. Below each finding
    /// stands the command that mends it. Starts no daemon and changes nothing; each look has a deadline, and what could
    /// not be looked at is said. Advice to keep a second copy of a vault is given once for each key, as text; that it
    /// was given is remembered in $XDG_STATE_HOME/open-sesame/advised-of-copies.
    ///
    /// Ends with 0 where nothing has to be mended (advice need not be followed), and with 8 where something has.
    Doctor(Doctor),
    /// Print the completion script of a shell
    ///
    /// bash: source <(sesame completions bash)
    /// zsh: source <(sesame completions zsh)
    /// fish: sesame completions fish | source
    #[command(verbatim_doc_comment)]
    Completions(Completions),
}

/// Which profile: the default one where it is left out.
#[derive(Debug, Group)]
pub struct WhichProfile {
    /// The trust profile; the default profile where left out
    #[arg(short, long, value_name = "PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub profile: Option<ProfileName>,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, Group)]
pub struct Timeout {
    /// Seconds to wait for an answer: 2 where left out, 30 where a key is derived from a passphrase
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

/// Where the passphrase comes from: the terminal where left out.
#[derive(Debug, Group)]
pub struct ThePassphrase {
    /// Read the passphrase from this file; one trailing newline is not part of it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase from this open file descriptor
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    passphrase_fd: Option<u32>,
}

/// Where the new passphrase comes from: the terminal where left out.
#[derive(Debug, Group)]
pub struct NewPassphrase {
    /// Read the new passphrase from this file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    new_passphrase_file: Option<PathBuf>,
    /// Read the new passphrase from this open file descriptor
    #[arg(long, value_name = "N", conflicts_with = "new_passphrase_file")]
    new_passphrase_fd: Option<u32>,
}

impl ThePassphrase {
    /// Where the passphrase comes from.
    pub fn source(&self) -> Source {
        source(self.passphrase_file.as_ref(), self.passphrase_fd)
    }
}

impl NewPassphrase {
    /// Where the new passphrase comes from.
    pub fn source(&self) -> Source {
        source(self.new_passphrase_file.as_ref(), self.new_passphrase_fd)
    }
}

fn source(file: Option<&PathBuf>, descriptor: Option<u32>) -> Source {
    let file = file.cloned().map(Source::File);
    file.or(descriptor.map(Source::Descriptor)).unwrap_or_default()
}

/// `sesame init`.
#[derive(Debug, Group)]
pub struct Init {
    /// The first profile's name; personal where left out
    pub profile: Option<ProfileName>,
    #[command(flatten)]
    pub passphrase: ThePassphrase,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// `sesame status`.
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

/// `sesame is`.
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

/// `sesame wait`.
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

/// `sesame events`.
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

/// `sesame profile ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Profile {
    /// Print the names of all profiles, one a line
    List(Timeout),
    /// Create a profile with a new, locked vault
    Add(NewProfile),
    /// Delete a profile with its vault and all its secrets
    ///
    /// Asks for the vault's passphrase. The default profile cannot be deleted: choose another one first.
    Remove(RemovedProfile),
    /// Choose the profile that is meant where none is named
    Default(NamedProfile),
    /// Let an unlocked profile serve its secrets
    Activate(NamedProfile),
    /// Stop a profile from serving its secrets, without locking its vault
    Deactivate(NamedProfile),
}

/// A profile to create.
#[derive(Debug, Group)]
pub struct NewProfile {
    /// The new profile's name: letters, digits, _ and -
    pub name: ProfileName,
    #[command(flatten)]
    pub passphrase: ThePassphrase,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// A profile to delete.
#[derive(Debug, Group)]
pub struct RemovedProfile {
    /// The profile's name
    #[arg(add = ArgValueCandidates::new(complete::profiles))]
    pub name: ProfileName,
    #[command(flatten)]
    pub passphrase: ThePassphrase,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// An existing profile.
#[derive(Debug, Group)]
pub struct NamedProfile {
    /// The profile's name
    #[arg(add = ArgValueCandidates::new(complete::profiles))]
    pub name: ProfileName,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// `sesame unlock`.
#[derive(Debug, Group)]
pub struct UnlockNow {
    /// For programs that log a user in: wait a minute for the session, and do nothing where this user has no vault
    ///
    /// How to have a vault unlocked by the login is told in docs/unlock-at-login.md, which comes with the source.
    #[arg(long)]
    pub at_login: bool,
    #[command(flatten)]
    pub unlock: Unlock,
}

/// What `sesame unlock` and `sesame toggle` both take.
#[derive(Debug, Group)]
pub struct Unlock {
    #[command(flatten)]
    pub which: WhichProfile,
    #[command(flatten)]
    pub passphrase: ThePassphrase,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// `sesame lock`.
#[derive(Debug, Group)]
pub struct Lock {
    #[command(flatten)]
    pub which: WhichProfile,
    /// Lock every vault
    #[arg(long, conflicts_with = "profile")]
    pub all: bool,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// `sesame passphrase`.
#[derive(Debug, Group)]
pub struct Passphrase {
    #[command(flatten)]
    pub which: WhichProfile,
    #[command(flatten)]
    pub passphrase: ThePassphrase,
    #[command(flatten)]
    pub new_passphrase: NewPassphrase,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// `sesame secret ...`.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Secret {
    /// Print the names of the secrets, one a line
    List(SecretList),
    /// Print a secret as it is, with a newline only on a terminal
    Get(NamedSecret),
    /// Store standard input as a secret, as it is; on a terminal, ask for it
    ///
    /// The value is never taken from the arguments. At most 1 MiB.
    Set(SecretSet),
    /// Delete a secret
    Rm(NamedSecret),
}

/// `sesame secret list`.
#[derive(Debug, Group)]
pub struct SecretList {
    #[command(flatten)]
    pub which: WhichProfile,
    /// Print the items of other applications too: whose each is, its name or label, and by what it is found
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// `sesame import`.
#[derive(Debug, Group)]
pub struct Import {
    #[command(flatten)]
    pub which: WhichProfile,
    /// Store what is shown
    #[arg(long)]
    pub yes: bool,
    /// Leave out an item where the vault has one with the same attributes and another secret or label
    #[arg(long)]
    pub skip_conflicts: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    pub format: ImportFormat,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// How to print an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ImportFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
}

/// An existing secret.
#[derive(Debug, Group)]
pub struct NamedSecret {
    /// The secret's name
    #[arg(add = ArgValueCandidates::new(complete::secrets))]
    pub name: SecretName,
    #[command(flatten)]
    pub which: WhichProfile,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// A secret to store.
#[derive(Debug, Group)]
pub struct SecretSet {
    /// The secret's name: letters, digits, . _ and -
    #[arg(add = ArgValueCandidates::new(complete::secrets))]
    pub name: SecretName,
    #[command(flatten)]
    pub which: WhichProfile,
    /// Drop one newline at the end of standard input
    #[arg(long)]
    pub strip_newline: bool,
    #[command(flatten)]
    pub timeout: Timeout,
}

/// `sesame run`.
#[derive(Debug, Group)]
pub struct Run {
    #[command(flatten)]
    pub which: WhichProfile,
    /// Set VAR to the secret NAME; may be given several times, and then only the named secrets are set
    #[arg(long, value_name = "VAR=NAME", value_parser = mapping)]
    pub env: Vec<(String, SecretName)>,
    /// Set VAR to the path /dev/fd/N of a sealed memory file that holds the secret NAME; may be given several times
    #[arg(long, value_name = "VAR=NAME", value_parser = mapping)]
    pub file: Vec<(String, SecretName)>,
    #[command(flatten)]
    pub timeout: Timeout,
    /// The program to run, and its arguments
    #[arg(last = true, required = true, value_hint = ValueHint::CommandWithArguments)]
    pub command: Vec<OsString>,
}

/// `sesame check`.
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
    #[command(flatten)]
    pub timeout: Timeout,
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

/// `sesame doctor`.
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

/// `sesame completions`.
#[derive(Debug, Group)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// A shell that completions exist for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The definition as clap knows it.
pub fn command() -> clap::Command {
    Args::command()
}

fn seconds(text: &str) -> Result<Duration, String> {
    let duration = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration
        .filter(|duration| !duration.is_zero() && *duration <= Duration::from_secs(86_400))
        .ok_or_else(|| "a time is a number of seconds above 0, at most 86400".into())
}

/// A time with its unit, or in seconds.
fn span(text: &str) -> Result<Duration, String> {
    let span = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let span = span.or_else(|| humantime::parse_duration(text).ok());
    span.filter(|span| !span.is_zero() && *span <= Duration::from_secs(366 * 86_400))
        .ok_or_else(|| "a time is 5 (seconds), 90s, 5m or 1h30m, above 0 and at most a year".into())
}

/// A variable and a secret, as `--env` and `--file` take them.
///
/// # Errors
/// What the form is, where it does not fit.
pub fn mapping(text: &str) -> Result<(String, SecretName), String> {
    let (variable, name) = text.split_once('=').ok_or("a mapping is VAR=NAME")?;
    let is_name = variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if variable.is_empty() || !is_name || variable.starts_with(|first: char| first.is_ascii_digit()) {
        return Err("a variable's name is letters, digits and _, not beginning with a digit".into());
    }
    Ok((variable.into(), name.parse().map_err(|invalid: dbus_interfaces::name::InvalidName| invalid.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn seconds_are_positive_and_bounded() {
        assert_eq!(seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        for bad in ["0", "-1", "", "2s", "nan", "inf", "86401"] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_have_units_or_are_seconds() {
        for (text, seconds) in [("5", 5), ("5s", 5), ("5m", 300), ("1h30m", 5_400)] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(span("0.5"), Ok(Duration::from_millis(500)));
        for bad in ["0", "-1", "", "5x", "nan", "inf", "9y"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn mappings_name_a_variable_and_a_secret() {
        assert_eq!(mapping("DB=db-url"), Ok(("DB".into(), "db-url".parse().unwrap())));
        for bad in ["DB", "=db", "1A=db", "A-B=db", "A=", "A=-x"] {
            assert!(mapping(bad).is_err(), "{bad}");
        }
    }
}
