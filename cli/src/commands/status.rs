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
    keyrings::{self, Keyring},
    output,
    render::{
        self, json,
        paint::{Paint, When},
        text,
    },
};

const WHAT: &str = "cannot read the status";

pub(super) async fn run(args: &Status, color: When) -> Result<Code, Failure> {
    let (report, keyrings) = tokio::join!(report(args), keyrings(args));
    let keyrings = keyrings.as_deref();
    let paint = Paint::for_output(color);
    let (shown, ended) = match report.during(WHAT) {
        Ok(report) => (show(&report, keyrings, args, paint), Ok(Code::Success)),
        Err(failure) => (show_failure(&failure, keyrings, args, paint), Err(failure)),
    };
    output::write(shown.as_bytes()).during(WHAT)?;
    ended
}

async fn keyrings(args: &Status) -> Option<Vec<Keyring>> {
    if args.all { Some(keyrings::find().await) } else { None }
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

fn show(report: &Report, keyrings: Option<&[Keyring]>, args: &Status, paint: Paint) -> String {
    match args.format {
        Format::Json => json::status(report, &args.profiles, keyrings),
        Format::Text => text::status(report, &args.profiles, now_usec(), paint) + &other(keyrings, paint),
    }
}

/// What there is to show all the same where the status cannot be told.
fn show_failure(failure: &Failure, keyrings: Option<&[Keyring]>, args: &Status, paint: Paint) -> String {
    match args.format {
        Format::Json if matches!(failure.code, Code::NotRunning | Code::NoBus | Code::NoAnswer) => {
            json::unknown(failure, keyrings)
        }
        Format::Json => String::new(),
        Format::Text => other(keyrings, paint),
    }
}

fn other(keyrings: Option<&[Keyring]>, paint: Paint) -> String {
    keyrings.map(|keyrings| render::keyrings::keyrings(keyrings, paint)).unwrap_or_default()
}

fn now_usec() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
