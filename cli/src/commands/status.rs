//! `sesame status`: connect, one call, print.

mod watch;

use dbus_interfaces::profile::Report;
use rustix::process::getuid;

use crate::{
    args::{Format, Status},
    clock, daemons,
    deadline::{CALL, Deadline},
    error::{During, Error, Failure},
    exit::Code,
    keyrings::{self, Keyring},
    output,
    render::{
        self, WHAT, json,
        paint::{Paint, When},
        prometheus,
        text::{self, Ages},
        waybar,
    },
};

pub(super) async fn run(args: &Status, color: When) -> Result<Code, Failure> {
    if args.all && matches!(args.format, Format::Waybar | Format::Prometheus) {
        return Err(Error::Usage("--all is shown as text or json alone".into()).during(WHAT));
    }
    let paint = if args.output.is_some() { Paint::for_file(color) } else { Paint::for_output(color) };
    if args.watch {
        return Box::pin(watch::run(args, paint)).await;
    }
    // Not side by side: while the hub is asked, nothing else is heard.
    let (keyrings, report) = (keyrings(args).await, report(args).await);
    let keyrings = keyrings.as_deref();
    let (shown, ended) = match report.during(WHAT) {
        Ok(report) => (show(&report, keyrings, args, paint), Ok(Code::Success)),
        Err(failure) => (show_failure(&failure, keyrings, args, paint), Err(failure)),
    };
    match &args.output {
        // A name that does not exist says nothing of the state: what was told before stays.
        Some(_) if matches!(&ended, Err(failure) if !is_unknown(failure)) => {}
        Some(file) => output::replace(file, shown.as_bytes()).during("cannot write the status")?,
        None => output::write(shown.as_bytes()).during(WHAT)?,
    }
    ended
}

async fn keyrings(args: &Status) -> Option<Vec<Keyring>> {
    if args.all { Some(Box::pin(keyrings::find()).await) } else { None }
}

async fn report(args: &Status) -> Result<Report, Error> {
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(CALL));
    let report = daemons::report_or_status(deadline).await?;
    check_profiles(&report, args)?;
    Ok(report)
}

/// Whether there is every profile that is asked for, as far as anything is known.
fn check_profiles(report: &Report, args: &Status) -> Result<(), Error> {
    let unknown = args.profiles.iter().find(|profile| !report.vaults.contains_key(profile.as_str()));
    match unknown {
        Some(profile) if report.reconciled_usec != 0 => Err(Error::no_profile(profile, &report.vaults)),
        _ => Ok(()),
    }
}

fn show(report: &Report, keyrings: Option<&[Keyring]>, args: &Status, paint: Paint) -> String {
    match args.format {
        Format::Json => json::status(report, &args.profiles, keyrings),
        Format::Text => text::status(report, &args.profiles, Some(ages(false)), paint) + &other(keyrings, paint),
        Format::Waybar => waybar::status(report, &args.profiles),
        Format::Prometheus => prometheus::status(report, &args.profiles, getuid().as_raw()),
    }
}

fn ages(of_vaults: bool) -> Ages {
    Ages { now_usec: clock::now_usec(), of_vaults }
}

/// Whether the state cannot be told, which is told to programs as well.
fn is_unknown(failure: &Failure) -> bool {
    matches!(failure.code, Code::NotRunning | Code::NoBus | Code::NoAnswer)
}

/// What there is to show all the same where the status cannot be told.
fn show_failure(failure: &Failure, keyrings: Option<&[Keyring]>, args: &Status, paint: Paint) -> String {
    match args.format {
        // A file keeps what it says: an empty one, or the old one, would be no answer.
        Format::Text if args.output.is_some() => format!("{failure}\n") + &other(keyrings, paint),
        Format::Text => other(keyrings, paint),
        _ if !is_unknown(failure) => String::new(),
        Format::Json => json::unknown(failure, keyrings),
        Format::Waybar => waybar::unknown(failure),
        Format::Prometheus => prometheus::unknown(getuid().as_raw()),
    }
}

fn other(keyrings: Option<&[Keyring]>, paint: Paint) -> String {
    keyrings.map(|keyrings| render::keyrings::keyrings(keyrings, paint)).unwrap_or_default()
}
