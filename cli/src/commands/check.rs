//! `sesame check`: one report, one line for a monitor, and its exit codes.

use crate::{
    args::{Check, LockedIs},
    clock, daemons,
    deadline::{CALL, Deadline},
    error::{During, Error, Failure},
    exit::Code,
    monitoring::{self, Limits, State},
    output,
};

pub(super) async fn run(args: &Check) -> Result<Code, Failure> {
    let limits = Limits {
        warning: args.warning.clone(),
        critical: args.critical.clone(),
        locked: match args.locked {
            LockedIs::Ok => State::Ok,
            LockedIs::Warning => State::Warning,
            LockedIs::Critical => State::Critical,
        },
        profiles: args.profiles.clone(),
    };
    let deadline = Deadline::after(args.timeout.unwrap_or(CALL));
    let (state, line) = match daemons::report(deadline).await {
        Ok(report) => monitoring::check(&report, &limits, clock::now_usec()),
        Err(error) => {
            let state = match error {
                Error::NotRunning(_) | Error::Died(_) | Error::NoAnswer { .. } => State::Critical,
                _ => State::Unknown,
            };
            (state, monitoring::line(state, &error.to_string()) + "\n")
        }
    };
    // Where it cannot be told, what a monitor knows by the exit code is that it does not know.
    let told = output::write(line.as_bytes()).during("cannot tell the state");
    told.map_err(|failure| Failure { code: State::Unknown.code(), ..failure })?;
    Ok(state.code())
}
