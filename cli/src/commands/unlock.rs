//! `sesame unlock`: asks the daemon, then the user, then the private socket.

use std::time::Duration;

use dbus_interfaces::{ProfileName, places};
use tokio::time::{Instant, sleep};

use crate::{
    args::UnlockNow,
    bus::{Bus, SECRETS},
    daemons,
    deadline::{CALL, Deadline, KEY},
    error::{During, Error, Failure},
    exit::Code,
    passphrase::Source,
    private,
};

/// How long a login may take from the passphrase to the session.
const LOGIN: Duration = Duration::from_secs(60);
/// Between two looks for the session's bus, whose coming nobody tells.
const LOOK: Duration = Duration::from_millis(250);

pub(super) async fn run(args: &UnlockNow) -> Result<Code, Failure> {
    let what = |profile: &ProfileName| format!("cannot unlock {profile}");
    if args.at_login {
        session().await.during("cannot unlock at login")?;
        // Asked only now: the home may come with the session.
        if !places::vaults_folder().during("cannot unlock at login")?.is_dir() {
            return Ok(Code::Success);
        }
    }
    let args = &args.unlock;
    let profile = daemons::chosen(args.which.profile.as_ref()).during("cannot unlock")?;
    let bus = daemons::start().await.during(what(&profile))?;
    unlock(bus, &profile, &args.passphrase.source(), args.timeout.timeout).await.during(what(&profile))?;
    Ok(Code::Success)
}

/// Waits until there is a session bus.
async fn session() -> Result<(), Error> {
    let end = Instant::now() + LOGIN;
    loop {
        match Bus::connect(Deadline::after(CALL)).await {
            Err(Error::NoBus { .. }) if Instant::now() < end => sleep(LOOK).await,
            answer => return answer.map(|_| ()),
        }
    }
}

/// Unlocks and activates `profile`. The passphrase is asked for only where it is locked.
pub(super) async fn unlock(
    bus: Bus,
    profile: &ProfileName,
    source: &Source,
    timeout: Option<Duration>,
) -> Result<(), Error> {
    let deadline = Deadline::after(timeout.unwrap_or(CALL));
    let vault = daemons::vault(&bus, profile, deadline).await?;
    if vault.locked {
        let passphrase = source.existing(&format!("Passphrase of {profile}: ")).await?;
        let deadline = Deadline::after(timeout.unwrap_or(KEY)).of_change();
        let unlocked = source.then(private::call_with(&passphrase, "Unlock", profile, deadline)).await;
        // What it unlocked died with it.
        return unlocked.map_err(|error| if let Error::DiedChanging(who) = error { Error::Died(who) } else { error });
    }
    if !vault.active {
        // Needs no passphrase: the key is in memory already.
        bus.call::<()>(SECRETS, "Activate", &profile.as_str(), deadline.of_change()).await?;
    }
    Ok(())
}
