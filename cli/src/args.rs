//! The command line's definition: help texts, manual pages and completions all come from here. The commands, and what
//! several of them have in common; the rest is in one file a subject.

#![allow(missing_docs, reason = "a field's comment is its help text; a group that is taken in whole has none")]

mod health;
mod profiles;
mod secrets;
mod values;

use std::{path::PathBuf, time::Duration};

use clap::{Args as Group, CommandFactory, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::ArgValueCandidates;
use dbus_interfaces::ProfileName;

use self::values::seconds;
pub use self::{health::*, profiles::*, secrets::*, values::mapping};
use crate::{complete, passphrase::Source, render::paint::When};

const NAME: &str = "sesame";

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
#[command(name = NAME, version, after_long_help = EXIT_STATUS)]
pub struct Args {
    #[command(flatten)]
    pub shared: Shared,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

// What every command takes.
#[derive(Clone, Copy, Debug, Group)]
pub struct Shared {
    /// When to use colour
    #[arg(long, value_name = "WHEN", value_enum, default_value_t, global = true)]
    pub color: When,
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
    // The monitoring plugins' guidelines want it.
    #[command(version)]
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
    ///
    /// zsh: source <(sesame completions zsh)
    ///
    /// fish: sesame completions fish | source
    Completions(Completions),
}

// Which profile: the default one where it is left out.
#[derive(Debug, Group)]
pub struct WhichProfile {
    /// The trust profile; the default profile where left out
    #[arg(short, long, value_name = "PROFILE", add = ArgValueCandidates::new(complete::profiles))]
    pub profile: Option<ProfileName>,
}

// How long to wait.
#[derive(Clone, Copy, Debug, Group)]
pub struct Timeout {
    /// Seconds to wait for an answer: 2 where left out, 30 where a key is derived from a passphrase
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
}

// Where the passphrase comes from: the terminal where left out.
#[derive(Debug, Group)]
pub struct ThePassphrase {
    /// Read the passphrase from this file; one trailing newline is not part of it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    passphrase_file: Option<PathBuf>,
    /// Read the passphrase from this open file descriptor
    #[arg(long, value_name = "N", conflicts_with = "passphrase_file")]
    passphrase_fd: Option<u32>,
}

// Where the new passphrase comes from: the terminal where left out.
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

// `sesame completions`.
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

/// How a command's own arguments are defined.
type Define = fn(clap::Command) -> clap::Command;

/// The commands by their names.
const COMMANDS: [(&str, Define); 16] = [
    ("init", Init::augment_args),
    ("status", Status::augment_args),
    ("is", Is::augment_args),
    ("wait", Wait::augment_args),
    ("events", Events::augment_args),
    ("profile", Profile::augment_subcommands),
    ("unlock", UnlockNow::augment_args),
    ("lock", Lock::augment_args),
    ("toggle", Unlock::augment_args),
    ("passphrase", Passphrase::augment_args),
    ("secret", Secret::augment_subcommands),
    ("import", Import::augment_args),
    ("run", Run::augment_args),
    ("check", Check::augment_args),
    ("doctor", Doctor::augment_args),
    ("completions", Completions::augment_args),
];

/// The definition with no command but the one called `name`, and without texts: enough for a command line that is right. clap
/// makes and copies for the others what takes a tenth of the time of a `sesame status`.
pub fn command_alone(name: &str) -> Option<clap::Command> {
    let (name, define) = COMMANDS.iter().find(|(own, _)| *own == name)?;
    Some(Shared::augment_args(clap::Command::new(NAME)).subcommand(clap::Command::new(*name).defer(*define)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command().debug_assert();
    }

    /// What is said of a command where it is listed is what its own help begins with, not what is said of the group of
    /// its options.
    #[test]
    fn a_command_is_told_by_what_it_does() {
        fn all(command: &clap::Command, told: &mut Vec<String>) {
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                told.push(format!("{}: {}", below.get_name(), below.get_about().unwrap_or_default()));
                all(below, told);
            }
        }
        let (mut listed, mut built) = (Vec::new(), command());
        all(&command(), &mut listed);
        built.build();
        let mut told = Vec::new();
        all(&built, &mut told);
        assert!(told.len() > 25, "{told:?}");
        assert!(listed.iter().all(|line| told.contains(line)), "{listed:#?} {told:#?}");
        assert!(told.iter().all(|line| line.len() > 15 && !line.contains('`')), "{told:#?}");
    }
}
