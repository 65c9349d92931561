//! `sesame toggle`: the other of `lock` and `unlock`.

use dbus_interfaces::ProfileName;

use super::{lock, unlock};
use crate::{
    args::Unlock,
    daemons,
    deadline::{CALL, Deadline},
    error::{During, Failure},
    exit::Code,
};

pub(super) async fn run(args: &Unlock) -> Result<Code, Failure> {
    let what = |profile: &ProfileName| format!("cannot toggle {profile}");
    let profile = daemons::chosen(args.which.profile.as_ref()).during("cannot toggle")?;
    let bus = daemons::start().await.during(what(&profile))?;
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(CALL));
    if daemons::vault(&bus, &profile, deadline).await.during(what(&profile))?.locked {
        let unlocked = unlock::unlock(bus, &profile, &args.passphrase.source(), args.timeout.timeout).await;
        unlocked.during(format!("cannot unlock {profile}")).map(|()| Code::Success)
    } else {
        lock::lock(&bus, &profile, deadline).await
    }
}
