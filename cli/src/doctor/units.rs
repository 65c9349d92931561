//! What the user's service manager knows of the daemons: installed, enabled, running, given up.

use std::time::Duration;

use dbus_interfaces::daemon;
use serde::Deserialize;
use zbus::{OwnedObjectPath, Type, wire::as_variant};

use super::{Diagnosis, Finding, Severity, finding};
use crate::{
    bus::{Bus, MANAGER, Service},
    deadline::Deadline,
    error::Error,
};

const TARGET: &str = "open-sesame.target";

/// What is read of a unit: of its general and of its service interface.
#[derive(Clone, Debug, Default, Deserialize, Type)]
#[serde(rename_all = "PascalCase", default)]
#[zbus(signature = "a{sv}")]
struct Facts {
    #[serde(with = "as_variant::optional")]
    load_state: Option<String>,
    #[serde(with = "as_variant::optional")]
    active_state: Option<String>,
    #[serde(with = "as_variant::optional")]
    unit_file_state: Option<String>,
    #[serde(with = "as_variant::optional")]
    need_daemon_reload: Option<bool>,
    #[serde(with = "as_variant::optional")]
    result: Option<String>,
    #[serde(with = "as_variant::optional", rename = "MainPID")]
    main_pid: Option<u32>,
}

pub(super) async fn look(bus: &Bus, patience: Duration, secrets: Option<u32>, diagnosis: &mut Diagnosis) {
    for (unit, pid) in [(daemon::PROFILE_UNIT, None), (daemon::SECRETS_UNIT, secrets), (TARGET, None)] {
        match facts(bus, unit, Deadline::after(patience)).await {
            Ok(facts) => diagnosis.add(findings(unit, &facts, pid)),
            Err(Error::NotRunning(_)) => {
                return diagnosis
                    .skip("units", "there is no service manager on this bus, so nothing restarts a daemon that ends");
            }
            Err(error) => return diagnosis.skip("units", error),
        }
    }
}

async fn facts(bus: &Bus, unit: &str, deadline: Deadline) -> Result<Facts, Error> {
    // Loads its file, and starts nothing.
    let path: OwnedObjectPath = bus.call(MANAGER, "LoadUnit", &unit, deadline).await?;
    let object = Service { path: path.as_str(), interface: "org.freedesktop.DBus.Properties", ..MANAGER };
    let general: Facts = bus.call(object, "GetAll", &"org.freedesktop.systemd1.Unit", deadline).await?;
    if !unit.ends_with(".service") {
        return Ok(general);
    }
    let service: Facts = bus.call(object, "GetAll", &"org.freedesktop.systemd1.Service", deadline).await?;
    Ok(Facts { result: service.result, main_pid: service.main_pid, ..general })
}

/// `pid` is the process that serves the daemon's name, where there is one.
fn findings(unit: &str, facts: &Facts, pid: Option<u32>) -> Vec<Finding> {
    match facts.load_state.as_deref() {
        Some("not-found") => {
            let sentence = "the service manager has no such unit; install it again, by hand or as a package";
            let mend = "make install PREFIX=~/.local && systemctl --user daemon-reload";
            return vec![finding("unit-not-installed", Severity::Error, unit, sentence, mend)];
        }
        Some("masked") => {
            let runtime = if facts.unit_file_state.as_deref() == Some("masked-runtime") { "--runtime " } else { "" };
            let mend = format!("systemctl --user unmask {runtime}{unit}");
            return vec![finding("unit-masked", Severity::Error, unit, "it is masked, so nothing can start it", mend)];
        }
        Some("loaded") | None => {}
        Some(other) => {
            let (sentence, mend) = (format!("its file is wrong ({other})"), format!("systemctl --user status {unit}"));
            return vec![finding("unit-not-loaded", Severity::Error, unit, sentence, mend)];
        }
    }
    let mut found = Vec::new();
    if facts.need_daemon_reload == Some(true) {
        let sentence = "its file has changed since it was loaded";
        found.push(finding("unit-outdated", Severity::Warning, unit, sentence, "systemctl --user daemon-reload"));
    }
    if unit == TARGET && facts.unit_file_state.as_deref() == Some("disabled") {
        let sentence = "it is disabled: the daemons do not start with the session";
        found.push(finding(
            "unit-disabled",
            Severity::Warning,
            unit,
            sentence,
            "systemctl --user enable --now open-sesame.target",
        ));
    }
    let active = facts.active_state.as_deref().unwrap_or_default();
    if active == "failed" {
        // With Restart=always, failed is what remains when no start is left.
        let result = facts.result.as_deref().unwrap_or("unknown");
        let sentence = format!(
            "systemd gave it up after too many starts ({result}); its journal says why: journalctl --user -u {unit}"
        );
        let mend = format!("systemctl --user reset-failed {unit} && systemctl --user start {unit}");
        found.push(finding("unit-failed", Severity::Error, unit, sentence, mend));
    } else if let Some(pid) = pid.filter(|pid| facts.main_pid != Some(*pid)) {
        let sentence =
            format!("the daemon runs as process {pid}, and not under its unit: nothing restarts it when it ends");
        let mend = format!("kill {pid} && systemctl --user start {unit}");
        found.push(finding("not-supervised", Severity::Warning, unit, sentence, mend));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(load: &str, active: &str) -> Facts {
        Facts {
            load_state: Some(load.into()),
            active_state: Some(active.into()),
            main_pid: Some(7),
            ..Default::default()
        }
    }

    fn ids(unit: &str, facts: &Facts, pid: Option<u32>) -> Vec<&'static str> {
        findings(unit, facts, pid).into_iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn each_state_of_a_unit_is_judged() {
        let unit = daemon::SECRETS_UNIT;
        assert!(ids(unit, &facts("loaded", "active"), Some(7)).is_empty());
        assert!(ids(unit, &facts("loaded", "inactive"), None).is_empty());
        assert_eq!(ids(unit, &facts("not-found", "inactive"), Some(7)), ["unit-not-installed"]);
        assert_eq!(ids(unit, &facts("masked", "inactive"), None), ["unit-masked"]);
        assert_eq!(ids(unit, &facts("bad-setting", "inactive"), None), ["unit-not-loaded"]);
        assert_eq!(ids(unit, &facts("loaded", "failed"), None), ["unit-failed"]);
        assert_eq!(ids(unit, &facts("loaded", "inactive"), Some(8)), ["not-supervised"]);
        let disabled = Facts { unit_file_state: Some("disabled".into()), ..facts("loaded", "inactive") };
        assert_eq!(ids(TARGET, &disabled, None), ["unit-disabled"]);
        assert!(ids(unit, &disabled, None).is_empty(), "the services are started by their target");
        let changed = Facts { need_daemon_reload: Some(true), ..facts("loaded", "active") };
        assert_eq!(ids(unit, &changed, Some(7)), ["unit-outdated"]);
    }
}
