//! `sesame init`: everything from nothing to an unlocked default profile. Does only what is missing.

use std::time::Duration;

use dbus_interfaces::{Error as Refusal, ProfileName, profile::Status, secrets::Vaults};

use super::unlock;
use crate::{
    args::Init,
    bus::{Bus, HUB, MANAGER},
    daemons,
    deadline::{CALL, Deadline, KEY},
    error::{During, Error, Failure},
    exit::Code,
    output, private,
};

/// The unit that starts both daemons with the session.
const TARGET: &str = "open-sesame.target";

pub(super) async fn run(args: &Init) -> Result<Code, Failure> {
    let what = "cannot set up";
    let call = args.timeout.timeout.unwrap_or(CALL);
    let bus = daemons::start().await.during(what)?;
    let vaults = daemons::vaults(&bus, Deadline::after(call)).await.during(what)?;
    let profile = first_profile(args.profile.as_ref(), &vaults).during(what)?;
    if !vaults.is_empty() && !vaults.contains_key(profile.as_str()) {
        let failure = Error::Other(format!("there are profiles already, and {profile} is none of them")).during(what);
        return Err(failure.hint(format!("create it: sesame profile add {profile}")));
    }
    let what = format!("cannot set up {profile}");
    open(args, &profile, vaults.is_empty(), bus).await.during(what.as_str())?;
    let bus = Bus::connect(Deadline::after(call)).await.during(what.as_str())?;
    make_default(&bus, &profile, call).await.during(what)?;
    enable(&bus, call).await.during(format!("cannot let {TARGET} start with the session"))?;
    output::write(b"Next: sesame secret set NAME\n").during("cannot print the next command")?;
    Ok(Code::Success)
}

/// Where none is named: the first one is `personal`, later it is the default one that may be incomplete.
fn first_profile(named: Option<&ProfileName>, vaults: &Vaults) -> Result<ProfileName, Error> {
    match named {
        None if vaults.is_empty() => Ok(ProfileName::personal()),
        named => daemons::chosen(named),
    }
}

/// Leaves `profile` unlocked and active.
async fn open(args: &Init, profile: &ProfileName, is_missing: bool, bus: Bus) -> Result<(), Error> {
    let source = args.passphrase.source();
    if !is_missing {
        return unlock::unlock(bus, profile, &source, args.timeout.timeout).await;
    }
    // Not kept while the user types: nobody would read what the bus sends.
    drop(bus);
    let passphrase = source.new_one(&format!("New passphrase of {profile}: ")).await?;
    let deadline = || Deadline::after(args.timeout.timeout.unwrap_or(KEY)).of_change();
    match source.then(private::call_with(&passphrase, "Create", profile, deadline())).await {
        // It lies on the disk, and the daemon did not know: its folder was away for a while.
        Err(Error::Refused(Refusal::AlreadyExists(_))) => {}
        created => created?,
    }
    source.then(private::call_with(&passphrase, "Unlock", profile, deadline())).await
}

async fn make_default(bus: &Bus, profile: &ProfileName, call: Duration) -> Result<(), Error> {
    let deadline = Deadline::after(call);
    let (_, default, ..) = bus.call::<Status>(HUB, "Status", &(), deadline).await?;
    if default == profile.as_str() {
        return Ok(());
    }
    bus.call(HUB, "SetDefaultProfile", &profile.as_str(), deadline.of_change()).await
}

/// Lets the daemons start with the session, where a user manager runs that knows their target.
async fn enable(bus: &Bus, call: Duration) -> Result<(), Error> {
    let deadline = Deadline::after(call);
    match bus.call::<String>(MANAGER, "GetUnitFileState", &TARGET, deadline).await {
        Ok(state) if state == "disabled" => {}
        // Enabled already, no manager, or no such unit: nothing is missing that could be had.
        _ => return Ok(()),
    }
    let body = (&[TARGET][..], false, false);
    bus.call::<(bool, Vec<(String, String, String)>)>(MANAGER, "EnableUnitFiles", &body, deadline).await?;
    bus.call(MANAGER, "Reload", &(), deadline).await
}
