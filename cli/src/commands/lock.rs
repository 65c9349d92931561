//! `sesame lock`: done when the keys are gone, however they went.

use std::{fs, time::Duration};

use dbus_interfaces::ProfileName;

use crate::{
    args::Lock,
    bus::{Bus, DRIVER, SECRETS},
    daemons,
    deadline::{CALL, Deadline},
    error::{During, Error, Failure},
    exit::Code,
};

/// For asking the bus which process it is that hangs.
const LOOK: Duration = Duration::from_secs(1);

pub(super) async fn run(args: &Lock) -> Result<Code, Failure> {
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(CALL));
    if args.all {
        let what = "cannot lock the vaults";
        let bus = Bus::connect(deadline).await.during(what)?;
        let locked = bus.call::<Vec<String>>(SECRETS, "LockAll", &(), deadline).await;
        done(&bus, locked.map(|_| ()), what.into()).await
    } else {
        let profile = daemons::chosen(args.which.profile.as_ref()).during("cannot lock")?;
        let bus = Bus::connect(deadline).await.during(format!("cannot lock {profile}"))?;
        lock(&bus, &profile, deadline).await
    }
}

/// Locks `profile`.
pub(super) async fn lock(bus: &Bus, profile: &ProfileName, deadline: Deadline) -> Result<Code, Failure> {
    let locked = bus.call(SECRETS, "Lock", &profile.as_str(), deadline).await;
    done(bus, locked, format!("cannot lock {profile}")).await
}

async fn done(bus: &Bus, locked: Result<(), Error>, what: String) -> Result<Code, Failure> {
    match locked {
        // The keys were in the memory of a process that is gone.
        Ok(()) | Err(Error::NotRunning(_) | Error::Died(_)) => Ok(Code::Success),
        Err(hung @ Error::NoAnswer { .. }) => Err(hung.during(what).hint(killing(bus).await)),
        Err(error) => Err(error.during(what)),
    }
}

/// The command that ends a daemon-secrets that hangs, and its keys with it.
async fn killing(bus: &Bus) -> String {
    let pid = bus.call::<u32>(DRIVER, "GetConnectionUnixProcessID", &SECRETS.name, Deadline::after(LOOK)).await;
    let Ok(pid) = pid else { return "kill it, and the keys with it: pkill -KILL -x daemon-secrets".into() };
    let unit = "open-sesame-secrets.service";
    let of_systemd = fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|group| group.contains(unit));
    let command =
        if of_systemd { format!("systemctl --user kill -s KILL {unit}") } else { format!("kill -KILL {pid}") };
    format!("kill it, and the keys with it: {command}")
}
