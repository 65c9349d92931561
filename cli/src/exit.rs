//! The exit codes (contract, section 5), all of them.

use std::process::ExitCode;

/// How `sesame` ends. Scripts rely on these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It worked.
    Success = 0,
    /// Any other failure.
    Failure = 1,
    /// Wrong usage, a name or passphrase out of form.
    Usage = 2,
    /// The daemon is not running, or died while answering.
    NotRunning = 3,
    /// There is no session bus.
    NoBus = 4,
    /// The daemon is there but did not answer in time.
    NoAnswer = 5,
    /// The vault is locked or not active, or the passphrase is wrong.
    Locked = 6,
    /// No such profile, vault or secret.
    Missing = 7,
    /// The condition asked for does not hold.
    ConditionFalse = 8,
    /// `run` failed before it could become the command.
    RunFailed = 125,
    /// `run` found the command but could not execute it.
    NotExecutable = 126,
    /// `run` did not find the command.
    CommandMissing = 127,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}
