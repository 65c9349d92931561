//! The definition of what is done with profiles and their vaults.

#![allow(missing_docs, reason = "a field's comment is its help text; a group that is taken in whole has none")]

use clap::{Args as Group, Subcommand};
use clap_complete::ArgValueCandidates;
use dbus_interfaces::ProfileName;

use super::{NewPassphrase, ThePassphrase, Timeout, WhichProfile};
use crate::complete;

// `sesame init`.
#[derive(Debug, Group)]
pub struct Init {
    /// The first profile's name; personal where left out
    pub profile: Option<ProfileName>,
    #[command(flatten)]
    pub passphrase: ThePassphrase,
    #[command(flatten)]
    pub timeout: Timeout,
}

// `sesame profile ...`.
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

// A profile to create.
#[derive(Debug, Group)]
pub struct NewProfile {
    /// The new profile's name: letters, digits, _ and -
    pub name: ProfileName,
    #[command(flatten)]
    pub passphrase: ThePassphrase,
    #[command(flatten)]
    pub timeout: Timeout,
}

// A profile to delete.
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

// An existing profile.
#[derive(Debug, Group)]
pub struct NamedProfile {
    /// The profile's name
    #[arg(add = ArgValueCandidates::new(complete::profiles))]
    pub name: ProfileName,
    #[command(flatten)]
    pub timeout: Timeout,
}

// `sesame unlock`.
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

// What `sesame unlock` and `sesame toggle` both take.
#[derive(Debug, Group)]
pub struct Unlock {
    #[command(flatten)]
    pub which: WhichProfile,
    #[command(flatten)]
    pub passphrase: ThePassphrase,
    #[command(flatten)]
    pub timeout: Timeout,
}

// `sesame lock`.
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

// `sesame passphrase`.
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
