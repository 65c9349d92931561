//! The definition of what is done with secrets.

#![allow(missing_docs, reason = "a field's comment is its help text; a group that is taken in whole has none")]

use std::ffi::OsString;

use clap::{Args as Group, Subcommand, ValueEnum};
use clap_complete::{ArgValueCandidates, ArgValueCompleter, PathCompleter};
use dbus_interfaces::SecretName;

use super::{Timeout, WhichProfile, values::mapping};
use crate::complete;

// `sesame secret ...`.
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

// `sesame secret list`.
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

// `sesame import`.
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

// An existing secret.
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

// A secret to store.
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

// `sesame run`.
#[derive(Debug, Group)]
pub struct Run {
    #[command(flatten)]
    pub which: WhichProfile,
    /// Set VAR to the secret NAME; may be given several times, and then only the named secrets are set
    #[arg(long, value_name = "VAR=NAME", value_parser = mapping, add = ArgValueCompleter::new(complete::mappings))]
    pub env: Vec<(String, SecretName)>,
    /// Set VAR to the path /dev/fd/N of a sealed memory file that holds the secret NAME; may be given several times
    #[arg(long, value_name = "VAR=NAME", value_parser = mapping, add = ArgValueCompleter::new(complete::mappings))]
    pub file: Vec<(String, SecretName)>,
    #[command(flatten)]
    pub timeout: Timeout,
    /// The program to run, and its arguments
    #[arg(last = true, required = true, add = ArgValueCompleter::new(PathCompleter::any()))]
    pub command: Vec<OsString>,
}
