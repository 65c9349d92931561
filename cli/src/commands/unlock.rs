//! `sesame unlock`: asks the daemon, then the user, then the private socket.

use std::time::Duration;

use dbus_interfaces::ProfileName;

use crate::{
    args::Unlock,
    bus::{Bus, SECRETS},
    daemons,
    deadline::{CALL, Deadline, KEY},
    error::{During, Error, Failure},
    exit::Code,
    passphrase::Source,
    private,
};

pub(super) async fn run(args: &Unlock) -> Result<Code, Failure> {
    let what = |profile: &ProfileName| format!("cannot unlock {profile}");
    let profile = daemons::chosen(args.which.profile.as_ref()).during("cannot unlock")?;
    let bus = daemons::start().await.during(what(&profile))?;
    unlock(bus, &profile, &args.passphrase.source(), args.timeout.timeout).await.during(what(&profile))?;
    Ok(Code::Success)
}

/// Unlocks and activates `profile`. The passphrase is asked for only where it is locked.
pub(super) async fn unlock(
    bus: Bus,
    profile: &ProfileName,
    passphrase: &Source,
    timeout: Option<Duration>,
) -> Result<(), Error> {
    let deadline = Deadline::after(timeout.unwrap_or(CALL));
    let vault = daemons::vault(&bus, profile, deadline).await?;
    if vault.locked {
        let passphrase = passphrase.existing(&format!("Passphrase of {profile}: ")).await?;
        let deadline = Deadline::after(timeout.unwrap_or(KEY));
        return private::call_with(&passphrase, "Unlock", profile, deadline).await;
    }
    if !vault.active {
        // Needs no passphrase: the key is in memory already.
        bus.call::<()>(SECRETS, "Activate", &profile.as_str(), deadline).await?;
    }
    Ok(())
}
