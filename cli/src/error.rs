//! Everything that can go wrong, the exit code that it ends with, and the one or two lines that the user reads.

use std::{collections::BTreeMap, fmt, io, path::Path, time::Duration};

use dbus_interfaces::{Error as Refusal, ProfileName, places::PlaceError};
use tokio::signal::unix::SignalKind;

use crate::{exit::Code, output::printable};

/// Why something failed. Its text is the WHY of `sesame: WHAT: WHY` and never holds a passphrase or a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong usage that only shows later than the parsing of the arguments.
    #[error("{0}")]
    Usage(String),
    /// A place that the environment does not tell.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// No session bus at this address.
    #[error("there is no session bus at {address} ({cause})")]
    NoBus {
        /// What was tried.
        address: String,
        /// What the system said.
        cause: String,
    },
    /// Nobody owns the daemon's name, or listens at its socket.
    #[error("{0} is not running")]
    NotRunning(&'static str),
    /// The daemon went away with the call.
    #[error("{0} ended before it answered")]
    Died(&'static str),
    /// The same of a call that was to change something.
    #[error("{0} ended before it answered, and may have done it")]
    DiedChanging(&'static str),
    /// It runs, and nobody can connect to it.
    #[error("daemon-secrets runs, and its private socket is gone")]
    NoSocket,
    /// The bus could not start the daemon.
    #[error("{who} could not be started ({why})")]
    NotStarted {
        /// The daemon.
        who: &'static str,
        /// What the bus said.
        why: String,
    },
    /// The hub runs, and nothing has told it of the vaults yet.
    #[error("daemon-secrets has not reported, so nothing is known of the vaults")]
    NotReported,
    /// The hub says that daemon-secrets is silent.
    #[error("daemon-secrets does not answer, so what is known of its vaults may be old")]
    Unresponsive,
    /// It is there, and silent.
    #[error("{who} did not answer within {} s{}", limit.as_secs_f64(), if *of_change { ", and may still do it" } else { "" })]
    NoAnswer {
        /// The daemon, or the bus.
        who: &'static str,
        /// How long it was waited for.
        limit: Duration,
        /// Whether it was to change something.
        of_change: bool,
    },
    /// A daemon's own refusal, by name. Its sentence is complete and says what to do.
    #[error("{}", zbus::DBusError::description(.0).unwrap_or("refused without a reason"))]
    Refused(Refusal),
    /// Any other failure of a call.
    #[error("{who} failed the call ({cause})")]
    Call {
        /// Who was called.
        who: &'static str,
        /// What zbus or the bus said.
        cause: zbus::Error,
    },
    /// No trust profile has this name.
    #[error("there is no profile {profile}")]
    NoProfile {
        /// The name that was asked for.
        profile: ProfileName,
        /// Those that there are.
        known: Vec<String>,
    },
    /// A passphrase is needed and there is no terminal to ask for it.
    #[error("a passphrase is needed, and there is no terminal to ask for it")]
    NoTerminal,
    /// The same of the passphrase that is to be the new one, beside one that was given.
    #[error("a new passphrase is needed, and there is no terminal to ask for it")]
    NoTerminalForNew,
    /// The user did not want to answer.
    #[error("it was cancelled; nothing was tried")]
    Cancelled,
    /// The program that asks where there is no terminal could not.
    #[error("{program}, which asks for the passphrase, failed: {why}")]
    Askpass {
        /// The program.
        program: String,
        /// What became of it.
        why: String,
    },
    /// The user or the system interrupted the question.
    #[error("interrupted")]
    Interrupted(SignalKind),
    /// The system refused to read or write.
    #[error("{name}: {cause}")]
    File {
        /// The file or descriptor.
        name: String,
        /// What the system said.
        cause: io::Error,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
    /// `run` could not become the command.
    #[error("{why}")]
    Exec {
        /// 126 or 127.
        code: Code,
        /// What the system said.
        why: String,
    },
}

impl Error {
    /// The kind of failure, as scripts see it.
    pub fn code(&self) -> Code {
        match self {
            Self::Usage(_) => Code::Usage,
            Self::NoBus { .. } => Code::NoBus,
            Self::NotRunning(_)
            | Self::Died(_)
            | Self::DiedChanging(_)
            | Self::NoSocket
            | Self::NotStarted { .. }
            | Self::NotReported => Code::NotRunning,
            Self::NoAnswer { .. } | Self::Unresponsive => Code::NoAnswer,
            Self::NoTerminal | Self::NoTerminalForNew | Self::Cancelled | Self::Askpass { .. } => Code::Locked,
            Self::NoProfile { .. } => Code::Missing,
            Self::Refused(refusal) => refusal_code(refusal),
            Self::Exec { code, .. } => *code,
            Self::Place(_) | Self::Call { .. } | Self::Interrupted(_) | Self::File { .. } | Self::Other(_) => {
                Code::Failure
            }
        }
    }

    /// No trust profile has this name, but there are those of `vaults`.
    pub fn no_profile<V>(profile: &ProfileName, vaults: &BTreeMap<String, V>) -> Self {
        Self::NoProfile { profile: profile.clone(), known: vaults.keys().cloned().collect() }
    }

    /// What to do, where the reason alone does not say it.
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoBus { .. } if Path::new("/run/systemd/system").exists() => {
                "log in through a session, or keep the user's manager running: loginctl enable-linger"
            }
            Self::NoBus { .. } => "start a session bus: dbus-run-session -- sh",
            Self::NotRunning(_) | Self::Died(_) | Self::NotReported => {
                "start it: sesame unlock (the very first time: sesame init)"
            }
            Self::NotStarted { .. } => "see what is wrong with it: sesame doctor",
            Self::NoSocket => {
                "restart it, which locks its vaults: systemctl --user restart open-sesame-secrets.service"
            }
            Self::NoAnswer { of_change: true, .. } | Self::DiedChanging(_) => {
                "see what became of it before you try again: sesame status"
            }
            Self::Unresponsive => "see since when, and what to do: sesame status",
            Self::NoTerminal => "run it in a terminal, or give --passphrase-file FILE or --passphrase-fd N",
            Self::NoTerminalForNew => {
                "run it in a terminal, or give --new-passphrase-file FILE or --new-passphrase-fd N"
            }
            Self::Askpass { .. } => {
                "choose another with askpass in config.toml, run it in a terminal, or give --passphrase-file FILE"
            }
            Self::NoProfile { profile, known } => {
                let known = if known.is_empty() { "none".into() } else { known.join(", ") };
                return Some(format!("there are: {known} (create it: sesame profile add {profile})"));
            }
            _ => return None,
        };
        Some(hint.into())
    }

    /// Says what was being done when this happened.
    pub fn during(self, what: impl Into<String>) -> Failure {
        let signal = if let Self::Interrupted(signal) = self { Some(signal) } else { None };
        Failure { what: what.into(), hint: self.hint(), code: self.code(), signal, why: self.to_string() }
    }
}

fn refusal_code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::InvalidName(_) | Refusal::InvalidPassphrase(_) => Code::Usage,
        Refusal::Unavailable(_) => Code::NotRunning,
        Refusal::Unresponsive(_) => Code::NoAnswer,
        Refusal::Locked(_) | Refusal::NotActive(_) | Refusal::WrongPassphrase(_) => Code::Locked,
        Refusal::NoSuchProfile(_) | Refusal::NotFound(_) => Code::Missing,
        _ => Code::Failure,
    }
}

/// A failure as the user reads it: `sesame: WHAT: WHY`, and a line that says what to do where there is one.
#[derive(Debug)]
pub struct Failure {
    /// What was being done.
    pub what: String,
    /// Why it failed.
    pub why: String,
    /// What to do.
    pub hint: Option<String>,
    /// What the program ends with.
    pub code: Code,
    /// What it ends by in place of that: a shell that sees a signal ends its script too, and does not go on.
    pub signal: Option<SignalKind>,
}

impl Failure {
    /// Puts a more fitting hint in place of the usual one.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Each part stays on its line, whatever a daemon or a file name put into it.
        write!(f, "sesame: {}: {}", printable(&self.what), printable(&self.why))?;
        self.hint.iter().try_for_each(|hint| write!(f, "\n{}", printable(hint)))
    }
}

/// Adds to a result what was being done.
pub trait During<T> {
    /// Turns an [`Error`] into a [`Failure`] of doing `what`.
    ///
    /// # Errors
    /// The failure, where there is one.
    fn during(self, what: impl Into<String>) -> Result<T, Failure>;
}

impl<T, E: Into<Error>> During<T> for Result<T, E> {
    fn during(self, what: impl Into<String>) -> Result<T, Failure> {
        self.map_err(|error| error.into().during(what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_the_contracts_exit_code() {
        let text = String::new;
        for (refusal, code) in [
            (Refusal::InvalidName(text()), 2),
            (Refusal::InvalidPassphrase(text()), 2),
            (Refusal::NoSuchProfile(text()), 7),
            (Refusal::AlreadyExists(text()), 1),
            (Refusal::Locked(text()), 6),
            (Refusal::NotActive(text()), 6),
            (Refusal::WrongPassphrase(text()), 6),
            (Refusal::TooManyAttempts(text()), 1),
            (Refusal::NotFound(text()), 7),
            (Refusal::TooLarge(text()), 1),
            (Refusal::CorruptVault(text()), 1),
            (Refusal::ChangedOnDisk(text()), 1),
            (Refusal::Storage(text()), 1),
            (Refusal::Unavailable(text()), 3),
            (Refusal::Unresponsive(text()), 5),
        ] {
            assert_eq!(Error::Refused(refusal.clone()).code() as u8, code, "{refusal:?}");
        }
    }

    #[test]
    fn a_failure_is_one_line_and_a_hint_whatever_the_daemon_says() {
        let refusal = Refusal::Locked("The vault\nis locked\u{1b}[31m; unlock it.".into());
        let failure = Error::Refused(refusal).during("cannot read the secret a").hint("sesame unlock");
        assert_eq!(
            failure.to_string(),
            "sesame: cannot read the secret a: The vault is locked [31m; unlock it.\nsesame unlock"
        );
    }

    #[test]
    fn a_deadline_is_named_in_seconds() {
        let limit = Duration::from_millis(1500);
        assert_eq!(
            Error::NoAnswer { who: "daemon-profile", limit, of_change: false }.to_string(),
            "daemon-profile did not answer within 1.5 s"
        );
    }
}
