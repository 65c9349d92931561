//! Who keeps the secrets of applications, where the configuration says that daemon-secrets does.

use std::{fs, time::Duration};

use daemon_config::ConfigFile;
use dbus_interfaces::places;

use super::{Diagnosis, Finding, Severity, finding};
use crate::{
    bus::{Bus, DRIVER},
    deadline::Deadline,
};

const NAME: &str = "org.freedesktop.secrets";

/// The process that owns the name.
struct Owner {
    pid: u32,
    program: String,
}

pub(super) async fn look(bus: &Bus, patience: Duration, secrets: Option<u32>, diagnosis: &mut Diagnosis) {
    // The configuration's own flaws are told elsewhere, and so is a daemon that does not run.
    let (Ok(path), Some(secrets)) = (places::config_file(), secrets) else { return };
    if !ConfigFile::new(path).load().config.secret_service {
        return;
    }
    diagnosis.add(findings(secrets, owner(bus, patience).await.as_ref()));
}

/// Starts nobody: asks the bus alone.
async fn owner(bus: &Bus, patience: Duration) -> Option<Owner> {
    let pid = bus.call::<u32>(DRIVER, "GetConnectionUnixProcessID", &NAME, Deadline::after(patience)).await.ok()?;
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned();
    Some(Owner { pid, program })
}

fn findings(secrets: u32, owner: Option<&Owner>) -> Option<Finding> {
    let (id, sentence, mend) = match owner {
        Some(owner) if owner.pid == secrets => return None,
        Some(Owner { pid, program }) => {
            let sentence = format!(
                "secret_service = true, and applications keep their secrets with {program} (process {pid}) all the \
                 same, which owns the name; it is taken when that program has ended and is kept from starting"
            );
            ("secret-service-taken", sentence, format!("kill {pid}"))
        }
        None => {
            let sentence = "secret_service = true, and nobody owns the name: the running daemon has not read that yet";
            (
                "secret-service-not-offered",
                sentence.into(),
                "systemctl --user reload open-sesame-secrets.service".into(),
            )
        }
    };
    Some(finding(id, Severity::Warning, NAME, sentence, mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_owner_is_told_by_its_name_and_no_owner_too() {
        let owner = |pid| Owner { pid, program: "gnome-keyring-d".into() };
        assert_eq!(findings(7, Some(&owner(7))), None);
        let taken = findings(7, Some(&owner(8))).unwrap();
        assert!(taken.sentence.contains("gnome-keyring-d (process 8)"), "{}", taken.sentence);
        assert_eq!(findings(7, None).unwrap().id, "secret-service-not-offered");
    }
}
