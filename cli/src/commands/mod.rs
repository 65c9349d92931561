//! The commands, one file each.

mod check;
mod completions;
mod doctor;
mod events;
mod import;
mod init;
mod is;
mod lock;
mod passphrase;
mod profile;
mod run;
mod secret;
mod status;
mod toggle;
mod unlock;
mod wait;

use std::{
    future::{Future, ready},
    pin::Pin,
};

use crate::{
    args::{Args, Command, Profile, Secret},
    bus,
    error::{Error, Failure},
    exit::Code,
};

/// Runs one command to its end.
///
/// # Errors
/// The failure to print, with the code to end with.
pub fn run(args: Args) -> Result<Code, Failure> {
    if let Command::Completions(args) = &args.command {
        return completions::run(args);
    }
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time();
    if !asks_once(&args.command) {
        // Room for the usual 1024 events would be wiped at the end.
        runtime.enable_io().max_io_events_per_tick(16);
    }
    let runtime =
        runtime.build().map_err(|cause| Error::File { name: "the event loop".into(), cause }.during("cannot begin"))?;
    let ended = runtime.block_on(dispatch(&args));
    runtime.shutdown_background();
    ended
}

/// Whether the command does nothing but to ask one question, and to wait for its answer: descriptors and signals are then
/// nobody's to wait for, and what would be made for it is a tenth of a start.
fn asks_once(command: &Command) -> bool {
    match command {
        Command::Secret(Secret::Get(_) | Secret::List(_) | Secret::Rm(_)) => true,
        Command::Secret(Secret::Set(_)) => !secret::asks_for_value(),
        Command::Profile(Profile::Add(_) | Profile::Remove(_)) => false,
        Command::Is(_) | Command::Check(_) | Command::Profile(_) => bus::is_at_unix_sockets(),
        Command::Status(status) => !status.watch && !status.all && bus::is_at_unix_sockets(),
        _ => false,
    }
}

/// In a box and behind a pointer, so that a command's code and stack are its own, and not in one piece with all others'.
fn dispatch(args: &Args) -> Pin<Box<dyn Future<Output = Result<Code, Failure>> + '_>> {
    let color = args.shared.color;
    match &args.command {
        Command::Init(init) => Box::pin(init::run(init)),
        Command::Status(status) => Box::pin(status::run(status, color)),
        Command::Import(import) => Box::pin(import::run(import)),
        Command::Is(is) => Box::pin(is::run(is)),
        Command::Wait(wait) => Box::pin(wait::run(wait)),
        Command::Events(events) => Box::pin(events::run(events)),
        Command::Check(check) => Box::pin(check::run(check)),
        Command::Profile(profile) => Box::pin(profile::run(profile)),
        Command::Unlock(unlock) => Box::pin(unlock::run(unlock)),
        Command::Lock(lock) => Box::pin(lock::run(lock)),
        Command::Toggle(toggle) => Box::pin(toggle::run(toggle)),
        Command::Passphrase(passphrase) => Box::pin(passphrase::run(passphrase)),
        Command::Secret(secret) => Box::pin(secret::run(secret)),
        Command::Run(run) => Box::pin(run::run(run)),
        Command::Completions(completions) => Box::pin(ready(completions::run(completions))),
        Command::Doctor(doctor) => Box::pin(doctor::run(doctor, color)),
    }
}
