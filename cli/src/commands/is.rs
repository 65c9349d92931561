//! `sesame is`: one report, one verdict, an exit code.

use crate::{
    args::Is,
    bus::Bus,
    condition::Verdict,
    daemons,
    deadline::{CALL, Deadline},
    error::{During, Error, Failure},
    exit::Code,
};

pub(super) async fn run(args: &Is) -> Result<Code, Failure> {
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(CALL));
    match verdict(args, deadline).await.during("cannot tell")? {
        Verdict::Holds => Ok(Code::Success),
        Verdict::HoldsNot => Ok(Code::ConditionFalse),
        Verdict::NotReported => Err(Error::NotReported.during("cannot tell")),
        Verdict::Unresponsive => Err(Error::Unresponsive.during("cannot tell")),
        Verdict::NoSuchProfile(profile) => Err(Error::NoProfile(profile).during("cannot tell")),
    }
}

async fn verdict(args: &Is, deadline: Deadline) -> Result<Verdict, Error> {
    let mut profiles = args.profiles.clone();
    if args.condition.is_of_vaults() {
        if profiles.is_empty() {
            profiles.push(daemons::chosen(None)?);
        }
    } else if !profiles.is_empty() {
        return Err(Error::Usage("running and healthy are not about a profile; leave -p out".into()));
    }
    let bus = Bus::connect(deadline).await?;
    Ok(args.condition.verdict(&profiles, &daemons::report(&bus, deadline).await?))
}
