//! `sesame wait`: until a condition holds.

use std::time::Duration;

use dbus_interfaces::ProfileName;
use tokio::time::timeout;

use super::is;
use crate::{
    args::Wait,
    condition::Verdict,
    deadline::CALL,
    error::{During, Error, Failure},
    exit::Code,
    render::line,
    watch::{
        self, Seen,
        end::{End, Interrupt},
    },
};

const WHAT: &str = "cannot wait";

pub(super) async fn run(args: &Wait) -> Result<Code, Failure> {
    let profiles = is::profiles(args.condition, &args.profiles).during(WHAT)?;
    let mut end = End::listen(Interrupt::Kills).during(WHAT)?;
    let mut last = None;
    let waited = tokio::select! {
        () = end.came() => return Ok(Code::Success),
        waited = limited(args.timeout, until(args, &profiles, &mut last)) => waited,
    };
    match (waited, args.timeout) {
        (None, Some(limit)) => Err(in_vain(limit, last.as_ref(), &profiles)),
        (Some(Err(error)), _) => Err(error.during(WHAT)),
        (Some(Ok(())) | None, _) => Ok(Code::Success),
    }
}

async fn limited<T>(limit: Option<Duration>, waiting: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => timeout(limit, waiting).await.ok(),
        None => Some(waiting.await),
    }
}

/// Waits until the condition holds, or never can: there is no such profile.
async fn until(args: &Wait, profiles: &[ProfileName], last: &mut Option<Seen>) -> Result<(), Error> {
    let mut steps = watch::start(CALL);
    while let Some(step) = steps.recv().await {
        if let Seen::Known(report) = &step.seen {
            match args.condition.verdict(profiles, report) {
                Verdict::Holds => return Ok(()),
                // What signals say of a vault comes after what they say of all: the hub's own word counts.
                Verdict::NoSuchProfile(profile) if step.settled => {
                    return Err(Error::no_profile(&profile, &report.vaults));
                }
                _ => {}
            }
        }
        *last = Some(step.seen);
    }
    Ok(())
}

fn in_vain(limit: Duration, last: Option<&Seen>, profiles: &[ProfileName]) -> Failure {
    let now = last.map_or("nothing was heard".into(), |seen| line::seen(seen, profiles));
    Failure {
        what: format!("waited {} in vain", humantime::format_duration(limit)),
        why: now,
        hint: Some("see what is wrong: sesame status".into()),
        code: Code::ConditionFalse,
        signal: None,
    }
}
