//! `sesame status`: connect, one call, print.

use std::time::{SystemTime, UNIX_EPOCH};

use dbus_interfaces::profile::Report;

use crate::{
    args::{Format, Status},
    bus::Bus,
    daemons,
    deadline::{CALL, Deadline},
    error::{During, Error, Failure},
    exit::Code,
    output,
    render::{
        json,
        paint::{Paint, When},
        text,
    },
};

const WHAT: &str = "cannot read the status";

pub(super) async fn run(args: &Status, color: When) -> Result<Code, Failure> {
    let shown = match report(args).await.during(WHAT) {
        Ok(report) => show(&report, args, color),
        Err(failure) => {
            if args.format == Format::Json && matches!(failure.code, Code::NotRunning | Code::NoBus | Code::NoAnswer) {
                output::write(json::unknown(&failure).as_bytes()).during(WHAT)?;
            }
            return Err(failure);
        }
    };
    output::write(shown.as_bytes()).during(WHAT)?;
    Ok(Code::Success)
}

async fn report(args: &Status) -> Result<Report, Error> {
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(CALL));
    let bus = Bus::connect(deadline).await?;
    let report = daemons::report_or_status(&bus, deadline).await?;
    let unknown = args.profiles.iter().find(|profile| !report.vaults.contains_key(profile.as_str()));
    match unknown {
        Some(profile) if report.reconciled_usec != 0 => Err(Error::NoProfile(profile.clone())),
        _ => Ok(report),
    }
}

fn show(report: &Report, args: &Status, color: When) -> String {
    match args.format {
        Format::Json => json::status(report, &args.profiles),
        Format::Text => text::status(report, &args.profiles, now_usec(), Paint::for_output(color)),
    }
}

fn now_usec() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
