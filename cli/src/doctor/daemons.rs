//! Who owns the daemons' names, who would be started for them, and what they say of themselves.

use std::{fs, path::PathBuf, time::Duration};

use dbus_interfaces::{
    daemon, places,
    secrets::{self, Vaults},
};
use serde::Deserialize;
use zbus::{Type, wire::as_variant};

use super::{Diagnosis, Finding, Severity, finding};
use crate::{
    bus::{Bus, DRIVER, HUB, SECRETS, Service},
    complete, daemons,
    deadline::Deadline,
    error::Error,
};

/// What the other looks need to know of the daemons.
pub(super) struct Running {
    /// daemon-secrets' process, where it runs.
    pub secrets: Option<u32>,
    /// The vaults that daemon-secrets has, where it tells.
    pub vaults: Option<Vaults>,
}

/// What a daemon says of itself.
#[derive(Debug, Default, Deserialize, Type)]
#[serde(rename_all = "PascalCase", default)]
#[zbus(signature = "a{sv}")]
struct Introduction {
    #[serde(with = "as_variant::optional")]
    name: Option<String>,
    #[serde(with = "as_variant::optional")]
    version: Option<String>,
    #[serde(with = "as_variant::optional")]
    sandbox: Option<String>,
}

/// The owner of a daemon's name.
struct Owner {
    /// Its process.
    pid: u32,
    /// What the kernel calls that process; empty where it does not tell.
    program: String,
    /// What it says of itself, or why it says nothing.
    said: Result<Introduction, Error>,
}

/// One daemon's name on the bus.
struct Facts {
    daemon: Service<'static>,
    unit: &'static str,
    /// Whether the bus would start something for the name.
    activatable: bool,
    /// Whether there is no vault yet.
    fresh: bool,
    owner: Option<Owner>,
    /// What it listens at, where that is gone.
    lost_socket: Option<PathBuf>,
}

pub(super) async fn look(bus: &Bus, patience: Duration, diagnosis: &mut Diagnosis) -> Running {
    let names = bus.call::<Vec<String>>(DRIVER, "ListActivatableNames", &(), Deadline::after(patience)).await;
    if let Err(error) = &names {
        diagnosis.skip("activation files", error);
    }
    let mut running = Running { secrets: None, vaults: None };
    let fresh = complete::profiles().is_empty();
    for (daemon, unit) in [(HUB, daemon::PROFILE_UNIT), (SECRETS, daemon::SECRETS_UNIT)] {
        // Where the bus does not tell, nothing is said to be missing.
        let activatable = names.as_ref().map_or(true, |names| names.iter().any(|name| name == daemon.name));
        let owner = owner(bus, daemon, patience).await;
        let mut lost_socket = None;
        if daemon.name == secrets::NAME {
            running.secrets = owner.as_ref().map(|owner| owner.pid);
            lost_socket = places::private_socket().ok().filter(|socket| !fs::exists(socket).unwrap_or(true));
        }
        diagnosis.add(findings(&Facts { daemon, unit, activatable, fresh, owner, lost_socket }));
    }
    if running.secrets.is_some() {
        running.vaults = daemons::vaults(bus, Deadline::after(patience)).await.ok();
    }
    running
}

async fn owner(bus: &Bus, daemon: Service<'static>, patience: Duration) -> Option<Owner> {
    let deadline = Deadline::after(patience);
    let pid = bus.call::<u32>(DRIVER, "GetConnectionUnixProcessID", &daemon.name, deadline).await.ok()?;
    let program = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned();
    let object = Service { path: daemon::PATH, interface: "org.freedesktop.DBus.Properties", ..daemon };
    let said = bus.call(object, "GetAll", &daemon::INTERFACE, deadline).await;
    Some(Owner { pid, program, said })
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let who = facts.daemon.who;
    let mut found = Vec::new();
    if !facts.activatable {
        let sentence = format!(
            "the bus knows no activation file for {}, so sesame unlock cannot start it; install it again, by hand or as a \
             package, and log in anew",
            facts.daemon.name
        );
        let mend = "make install PREFIX=~/.local";
        found.push(finding("no-activation-file", Severity::Error, who, sentence, mend));
    }
    match &facts.owner {
        None => {
            let mend = if facts.fresh { "sesame init" } else { "sesame unlock" };
            let sentence =
                format!("it does not run; if it fails to start, this tells why: journalctl --user -u {}", facts.unit);
            found.push(finding("not-running", Severity::Warning, who, sentence, mend));
        }
        Some(owner) => found.extend(of_owner(facts, owner)),
    }
    found
}

fn of_owner(facts: &Facts, owner: &Owner) -> Vec<Finding> {
    let (who, name, pid) = (facts.daemon.who, facts.daemon.name, owner.pid);
    let restart = format!("systemctl --user restart {}", facts.unit);
    let said = match &owner.said {
        Ok(said) if said.name.as_deref() == Some(who) => said,
        // A stranger may well answer nobody.
        Err(error @ Error::NoAnswer { .. }) if owner.program == who || owner.program.is_empty() => {
            return vec![finding("unresponsive", Severity::Error, who, error, format!("kill -9 {pid}"))];
        }
        // It ended between two questions.
        Err(Error::NotRunning(_) | Error::Died(_)) => {
            return vec![finding("not-running", Severity::Warning, who, "it has just ended", restart)];
        }
        _ => {
            let program = if owner.program.is_empty() { "an unknown program" } else { &owner.program };
            let sentence = format!("another program owns the name {name}: {program}, process {pid}");
            return vec![finding("foreign-owner", Severity::Error, who, sentence, format!("kill {pid}"))];
        }
    };
    let mut found = Vec::new();
    if let Some(socket) = &facts.lost_socket {
        let sentence = format!(
            "its private socket is gone, so nobody can unlock or read a vault: {}; a restart, which locks all of them, \
             makes it anew",
            socket.display()
        );
        found.push(finding("no-private-socket", Severity::Error, who, sentence, &restart));
    }
    let own = env!("CARGO_PKG_VERSION");
    let version = said.version.as_deref().unwrap_or("unknown");
    if version != own {
        let sentence = format!(
            "its version is {version}, and that of sesame is {own}: it was not restarted after an upgrade, or two are installed"
        );
        found.push(finding("version-differs", Severity::Warning, who, sentence, restart));
    }
    let sandbox = said.sandbox.as_deref().unwrap_or("unknown");
    if sandbox != "full" {
        let sentence = format!(
            "the kernel enforces less than its whole sandbox: {sandbox}; full needs Linux 6.12, with landlock in its \
             parameter lsm="
        );
        let mend = "cat /sys/kernel/security/lsm; uname -r";
        found.push(finding("sandbox-not-full", Severity::Warning, who, sentence, mend));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, version: &str, sandbox: &str) -> Introduction {
        Introduction { name: Some(name.into()), version: Some(version.into()), sandbox: Some(sandbox.into()) }
    }

    fn ids(activatable: bool, said: Option<Result<Introduction, Error>>) -> Vec<&'static str> {
        let owner = said.map(|said| Owner { pid: 42, program: "daemon-secrets".into(), said });
        let facts =
            Facts { daemon: SECRETS, unit: daemon::SECRETS_UNIT, activatable, fresh: false, owner, lost_socket: None };
        findings(&facts).into_iter().map(|finding| finding.id).collect()
    }

    #[test]
    fn each_fault_is_found() {
        let own = env!("CARGO_PKG_VERSION");
        assert!(ids(true, Some(Ok(said("daemon-secrets", own, "full")))).is_empty());
        assert_eq!(ids(false, None), ["no-activation-file", "not-running"]);
        assert_eq!(
            ids(true, Some(Ok(said("daemon-secrets", "0.0.9", "partial")))),
            ["version-differs", "sandbox-not-full"]
        );
        assert_eq!(ids(true, Some(Ok(said("daemon-profile", own, "full")))), ["foreign-owner"]);
        assert_eq!(ids(true, Some(Ok(Introduction::default()))), ["foreign-owner"]);
        let silent = Error::NoAnswer { who: "daemon-secrets", limit: Duration::from_secs(2), of_change: false };
        assert_eq!(ids(true, Some(Err(silent))), ["unresponsive"]);
    }
}
