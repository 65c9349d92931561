//! The questions that commands ask the two daemons over the session bus.

use dbus_interfaces::{
    ProfileName, places,
    profile::{Report, Status, VaultRow},
    secrets::{VaultState, Vaults},
};
use zbus::fdo;

use crate::{
    bus::{Bus, DRIVER, HUB, SECRETS, Service, ask},
    deadline::{Deadline, START},
    error::Error,
};

/// The profile meant by `-p`: the default one where it is left out.
///
/// # Errors
/// Where the environment does not tell where the default profile stands, or its file does not tell which it is.
pub fn chosen(profile: Option<&ProfileName>) -> Result<ProfileName, Error> {
    match profile {
        Some(profile) => Ok(profile.clone()),
        None => Ok(places::read_default_profile(&places::default_profile_file()?)?),
    }
}

/// Connects to the bus and starts both daemons where they do not run. daemon-secrets first, so that the hub hears a
/// report as soon as it asks.
///
/// # Errors
/// No bus, or the daemon that could not be started.
pub async fn start() -> Result<Bus, Error> {
    let deadline = Deadline::after(START);
    let bus = Bus::connect(deadline).await?;
    let secrets_started = start_one(&bus, SECRETS, deadline).await?;
    let hub_started = start_one(&bus, HUB, deadline).await?;
    if secrets_started || hub_started {
        // So that a status right after this command knows the vaults. Where it fails, what the command asks next says why.
        let _ = bus.call::<bool>(HUB, "Reconcile", &(), deadline).await;
    }
    Ok(bus)
}

/// Whether it had to be started.
async fn start_one(bus: &Bus, daemon: Service<'_>, deadline: Deadline) -> Result<bool, Error> {
    // Asked first: dbus-daemon knows no daemon that was started by hand and has no activation file.
    if bus.call(DRIVER, "NameHasOwner", &daemon.name, deadline).await? {
        return Ok(false);
    }
    let not_started = |why: String| Error::NotStarted { who: daemon.who, why };
    match bus.call::<u32>(DRIVER, "StartServiceByName", &(daemon.name, 0_u32), deadline).await {
        // dbus-broker says the same of a program that ended before it had its name.
        Err(Error::NotRunning(_)) => {
            let known = bus.call::<Vec<String>>(DRIVER, "ListActivatableNames", &(), deadline).await?;
            let why = match known.iter().any(|name| name == daemon.name) {
                true => "its unit does not start, or it ended before it was ready",
                false => "the session bus knows no activation file for it",
            };
            Err(not_started(why.into()))
        }
        Err(Error::NoAnswer { limit, .. }) => Err(not_started(format!("not within {} s", limit.as_secs()))),
        Err(Error::Call { cause, .. }) => Err(not_started(cause.to_string())),
        answer => answer.map(|_| true),
    }
}

/// One snapshot of everything, from the hub.
///
/// # Errors
/// As [`ask`].
pub async fn report(deadline: Deadline) -> Result<Report, Error> {
    ask(HUB, "Report", &(), deadline).await
}

/// As [`report`], made up from `Status` where the hub is too old to have it: health is then `unknown`.
///
/// # Errors
/// As [`ask`].
pub async fn report_or_status(deadline: Deadline) -> Result<Report, Error> {
    match report(deadline).await {
        Err(Error::Call { cause: zbus::Error::FDO(cause), .. }) if matches!(*cause, fdo::Error::UnknownMethod(_)) => {
            ask(HUB, "Status", &(), deadline).await.map(from_status)
        }
        answer => answer,
    }
}

fn from_status((lock_state, default_profile, active_profiles, locked): Status) -> Report {
    let row = |(name, locked): (&String, &bool)| {
        let row = VaultRow {
            locked: *locked,
            active: active_profiles.contains(name),
            default: *name == default_profile,
            since_usec: 0,
            reason: String::new(),
            known: "reported".into(),
            error: None,
        };
        (name.clone(), row)
    };
    Report {
        vaults: lock_state.iter().map(row).collect(),
        // A hub that knows vaults has heard a report; when, it does not say.
        reconciled_usec: u64::from(!lock_state.is_empty()),
        lock_state,
        default_profile,
        active_profiles,
        locked,
        health: "unknown".into(),
        problems: Vec::new(),
        generation: 0,
        daemons: Default::default(),
    }
}

/// The vaults as daemon-secrets itself states them.
///
/// # Errors
/// As [`Bus::call`].
pub async fn vaults(bus: &Bus, deadline: Deadline) -> Result<Vaults, Error> {
    bus.call::<(Vaults, u64)>(SECRETS, "State", &(), deadline).await.map(|(vaults, _)| vaults)
}

/// One vault as daemon-secrets itself states it.
///
/// # Errors
/// As [`Bus::call`], and [`Error::NoProfile`] which lists those there are.
pub async fn vault(bus: &Bus, profile: &ProfileName, deadline: Deadline) -> Result<VaultState, Error> {
    let mut vaults = vaults(bus, deadline).await?;
    vaults.remove(profile.as_str()).ok_or_else(|| Error::no_profile(profile, &vaults))
}
