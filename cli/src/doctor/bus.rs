//! No session bus: why, and which way out fits.

use std::path::{Path, PathBuf};

use dbus_interfaces::places;

use super::{Finding, Severity, finding as found, quoted};
use crate::error::Error;

/// What decides how to come by a bus.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// The address that the environment gives.
    address_variable: Option<String>,
    /// The folder of the session's sockets, where there is one.
    runtime: Option<PathBuf>,
    /// Whether a bus listens, or could, at the usual place in it.
    usual_socket: bool,
    /// Whether systemd runs this machine.
    systemd: bool,
}

impl Surroundings {
    /// As they are.
    pub fn look() -> Self {
        let runtime = places::runtime_home().ok().filter(|folder| folder.is_dir());
        Self {
            address_variable: std::env::var("DBUS_SESSION_BUS_ADDRESS").ok().filter(|address| !address.is_empty()),
            usual_socket: runtime.as_ref().is_some_and(|folder| folder.join("bus").exists()),
            runtime,
            systemd: Path::new("/run/systemd/system").exists(),
        }
    }
}

/// What the failure to connect means here.
pub fn finding(error: &Error, around: &Surroundings) -> Finding {
    if let Error::NoAnswer { .. } = error {
        let sentence = format!("{error}: it is stopped or overloaded");
        return found("bus-silent", Severity::Error, "session bus", sentence, "systemctl --user status dbus");
    }
    let no_bus =
        |why: &str, mend: String| found("no-bus", Severity::Error, "session bus", format!("{error}; {why}"), mend);
    match around {
        Surroundings { address_variable: Some(_), usual_socket: true, runtime: Some(runtime), .. } => no_bus(
            "DBUS_SESSION_BUS_ADDRESS is of a bus that has ended, and this session has another one",
            format!("export DBUS_SESSION_BUS_ADDRESS=unix:path={}", quoted(runtime.join("bus"))),
        ),
        Surroundings { systemd: false, .. } => no_bus(
            "systemd does not run here, so no session has a bus unless it starts one",
            "dbus-run-session -- sh".into(),
        ),
        Surroundings { runtime: None, .. } => no_bus(
            "your service manager does not run, since nobody is logged in through a session of yours",
            "loginctl enable-linger".into(),
        ),
        Surroundings { .. } => {
            no_bus("your service manager does not serve one", "systemctl --user enable --now dbus.socket".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mend(around: Surroundings) -> String {
        let error = Error::NoBus { address: "unix:path=/a".into(), cause: "No such file or directory".into() };
        let finding = finding(&error, &around);
        assert_eq!((finding.id, finding.severity), ("no-bus", Severity::Error));
        assert!(finding.sentence.contains("unix:path=/a (No such file"), "{}", finding.sentence);
        finding.mend
    }

    #[test]
    fn the_way_out_fits_the_machine() {
        let runtime = || Some(PathBuf::from("/run/user/1000"));
        assert_eq!(mend(Surroundings::default()), "dbus-run-session -- sh");
        assert_eq!(mend(Surroundings { systemd: true, ..Default::default() }), "loginctl enable-linger");
        let session = Surroundings { systemd: true, runtime: runtime(), ..Default::default() };
        assert_eq!(mend(session), "systemctl --user enable --now dbus.socket");
        let stale = Surroundings {
            address_variable: Some("unix:path=/a".into()),
            runtime: runtime(),
            usual_socket: true,
            systemd: true,
        };
        assert_eq!(mend(stale), "export DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus");
    }
}
