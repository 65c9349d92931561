//! Who this run of a daemon is: its daemon id.

use std::{env, fmt, process};

/// The identity of one run: 32 lower-case hex digits. systemd's `INVOCATION_ID` where it was given to this very
/// process, else random. Both variables are inherited by children, hence the look at `SYSTEMD_EXEC_PID`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonId(String);

impl DaemonId {
    /// The id of this process.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn of_this_process() -> Result<Self, getrandom::Error> {
        let given = |variable| env::var(variable).ok();
        match Self::from_systemd(given("INVOCATION_ID"), given("SYSTEMD_EXEC_PID"), process::id()) {
            Some(id) => Ok(id),
            None => {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes)?;
                Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
            }
        }
    }

    fn from_systemd(invocation: Option<String>, exec_pid: Option<String>, pid: u32) -> Option<Self> {
        let ours = exec_pid?.parse() == Ok(pid);
        invocation.filter(|id| ours && id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit())).map(Self)
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DaemonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVOCATION: &str = "0123456789abcdef0123456789abcdef";

    fn id(invocation: &str, exec_pid: &str) -> Option<DaemonId> {
        DaemonId::from_systemd(Some(invocation.into()), Some(exec_pid.into()), 42)
    }

    #[test]
    fn systemds_id_counts_only_for_the_process_it_was_given_to() {
        assert_eq!(id(INVOCATION, "42").unwrap().as_str(), INVOCATION);
        assert_eq!(id(INVOCATION, "41"), None, "inherited from a parent");
        assert_eq!(id("short", "42"), None);
        assert_eq!(DaemonId::from_systemd(Some(INVOCATION.into()), None, 42), None);
    }

    #[test]
    fn a_random_id_has_the_same_form() {
        let id = DaemonId::of_this_process().unwrap();
        assert_eq!(id.as_str().len(), 32);
        assert!(id.as_str().bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(id, DaemonId::of_this_process().unwrap());
    }
}
