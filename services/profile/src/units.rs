//! What systemd knows of a daemon's unit, and what that says of a run. Pure.

use dbus_interfaces::daemon::SECRETS_UNIT;

/// One reading of a unit's properties (org.freedesktop.systemd1(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFacts {
    /// `LoadState`: `loaded`, `not-found`, ...
    pub load_state: String,
    /// `ActiveState`: `active`, `activating`, `deactivating`, `inactive`, `failed`.
    pub active_state: String,
    /// `SubState`: `running`, `auto-restart`, `stop-sigterm`, ...
    pub sub_state: String,
    /// `InvocationID`, as a daemon id. Empty where the unit never ran.
    pub invocation: String,
    /// `Result`: `success`, `signal`, `exit-code`, `watchdog`, ...
    pub result: String,
    /// `ExecMainStatus`: the exit status or the signal.
    pub exec_status: i32,
    /// `NRestarts`.
    pub restarts: u32,
}

/// What a reading says of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs, or systemd has not noticed its end yet.
    Alive,
    /// It was asked to stop.
    Asked,
    /// It ended unasked, and systemd restarts it.
    Lost(String),
    /// It has stopped, or is between a stop and a start.
    Stopped,
    /// systemd has given up, or is between a crash and a restart.
    Failed(String),
}

impl Fate {
    /// Whether the state lasts. The others pass within a tenth of a millisecond at every restart, so they are
    /// believed only when nothing follows.
    pub fn lasts(&self) -> bool {
        matches!(self, Self::Lost(_))
    }
}

impl UnitFacts {
    /// Whether there is such a unit at all.
    pub fn is_loaded(&self) -> bool {
        self.load_state == "loaded"
    }

    /// What this reading says of the unit's last run.
    pub fn fate(&self) -> Fate {
        match self.active_state.as_str() {
            "failed" => Fate::Failed(self.reason()),
            "inactive" => Fate::Stopped,
            "activating" if self.sub_state.starts_with("auto-restart") => Fate::Lost(self.reason()),
            "deactivating" if self.result == "success" && self.sub_state.starts_with("stop") => Fate::Asked,
            "deactivating" if self.result != "success" => Fate::Lost(self.reason()),
            _ => Fate::Alive,
        }
    }

    /// systemd's `Result` with its detail: `signal:SIGKILL`, `exit-code:1`, `watchdog`, ...
    fn reason(&self) -> String {
        match self.result.as_str() {
            "signal" | "core-dump" => format!("{}:{}", self.result, signal_name(self.exec_status)),
            "exit-code" => format!("exit-code:{}", self.exec_status),
            "success" => "exit-code:0".into(),
            result => result.into(),
        }
    }
}

/// The signals that end a process (signal(7)), by their Linux numbers; others as a number.
fn signal_name(number: i32) -> String {
    const NAMES: [&str; 31] = [
        "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM",
        "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF",
        "WINCH", "IO", "PWR", "SYS",
    ];
    let name = usize::try_from(number - 1).ok().and_then(|index| NAMES.get(index));
    name.map_or_else(|| number.to_string(), |name| format!("SIG{name}"))
}

/// The commands that help when systemd has given up on daemon-secrets.
pub fn advice_when_given_up() -> String {
    format!("systemctl --user reset-failed {SECRETS_UNIT}; systemctl --user restart {SECRETS_UNIT}")
}

/// The command that shows what daemon-secrets and systemd said: of all runs, since the last ones may never have said which
/// they were.
pub fn journal() -> String {
    format!("journalctl --user -u {SECRETS_UNIT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(active: &str, sub: &str, result: &str, status: i32) -> UnitFacts {
        UnitFacts {
            load_state: "loaded".into(),
            active_state: active.into(),
            sub_state: sub.into(),
            result: result.into(),
            exec_status: status,
            ..UnitFacts::default()
        }
    }

    #[test]
    fn the_reason_is_systemds_result_with_its_detail() {
        let reason = |result, status| facts("failed", "failed", result, status).fate();
        assert_eq!(reason("signal", 9), Fate::Failed("signal:SIGKILL".into()));
        assert_eq!(reason("core-dump", 6), Fate::Failed("core-dump:SIGABRT".into()));
        assert_eq!(reason("exit-code", 1), Fate::Failed("exit-code:1".into()));
        assert_eq!(reason("watchdog", 6), Fate::Failed("watchdog".into()));
        assert_eq!(reason("oom-kill", 9), Fate::Failed("oom-kill".into()));
        assert_eq!(signal_name(64), "64");
    }

    #[test]
    fn only_an_awaited_restart_is_a_loss_that_lasts() {
        let crash = facts("activating", "auto-restart", "signal", 9).fate();
        assert_eq!((crash.lasts(), crash), (true, Fate::Lost("signal:SIGKILL".into())));
        assert_eq!(facts("activating", "auto-restart", "success", 0).fate(), Fate::Lost("exit-code:0".into()));
        assert_eq!(facts("deactivating", "stop-sigterm", "success", 0).fate(), Fate::Asked);
        assert_eq!(facts("deactivating", "stop-watchdog", "watchdog", 0).fate(), Fate::Lost("watchdog".into()));
        assert_eq!(facts("inactive", "dead", "success", 0).fate(), Fate::Stopped);
        assert_eq!(facts("active", "running", "success", 0).fate(), Fate::Alive, "not noticed yet");
        assert!(!facts("failed", "failed", "signal", 9).fate().lasts(), "passes at every crash");
    }
}
