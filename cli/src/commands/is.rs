//! `sesame is`: one report, one verdict, an exit code.

use dbus_interfaces::ProfileName;

use crate::{
    args::Is,
    condition::{Condition, Verdict},
    daemons,
    deadline::{CALL, Deadline},
    error::{During, Error, Failure},
    exit::Code,
};

pub(super) async fn run(args: &Is) -> Result<Code, Failure> {
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(CALL));
    answer(args, deadline).await.during("cannot tell")
}

async fn answer(args: &Is, deadline: Deadline) -> Result<Code, Error> {
    let profiles = profiles(args.condition, &args.profiles)?;
    let report = daemons::report(deadline).await?;
    match args.condition.verdict(&profiles, &report) {
        Verdict::Holds => Ok(Code::Success),
        Verdict::HoldsNot => Ok(Code::ConditionFalse),
        Verdict::NotReported => Err(Error::NotReported),
        Verdict::Unresponsive => Err(Error::Unresponsive),
        Verdict::NoSuchProfile(profile) => Err(Error::no_profile(&profile, &report.vaults)),
    }
}

/// The profiles that a condition is asked of: the default one where none is named.
pub(super) fn profiles(condition: Condition, named: &[ProfileName]) -> Result<Vec<ProfileName>, Error> {
    match (condition.is_of_vaults(), named) {
        (true, []) => Ok(vec![daemons::chosen(None)?]),
        (false, [_, ..]) => Err(Error::Usage("running and healthy are not about a profile; leave -p out".into())),
        _ => Ok(named.to_vec()),
    }
}
