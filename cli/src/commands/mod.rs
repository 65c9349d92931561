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

use crate::{
    args::{Args, Command},
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
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| Error::File { name: "the event loop".into(), cause }.during("cannot begin"))?;
    let ended = runtime.block_on(dispatch(args));
    runtime.shutdown_background();
    ended
}

async fn dispatch(args: Args) -> Result<Code, Failure> {
    match &args.command {
        Command::Init(init) => init::run(init).await,
        Command::Status(status) => status::run(status, args.color).await,
        Command::Import(import) => import::run(import).await,
        Command::Is(is) => is::run(is).await,
        Command::Wait(wait) => wait::run(wait).await,
        Command::Events(events) => events::run(events).await,
        Command::Check(check) => check::run(check).await,
        Command::Profile(profile) => profile::run(profile).await,
        Command::Unlock(unlock) => unlock::run(unlock).await,
        Command::Lock(lock) => lock::run(lock).await,
        Command::Toggle(toggle) => toggle::run(toggle).await,
        Command::Passphrase(passphrase) => passphrase::run(passphrase).await,
        Command::Secret(secret) => secret::run(secret).await,
        Command::Run(run) => run::run(run).await,
        Command::Completions(completions) => completions::run(completions),
        Command::Doctor(doctor) => doctor::run(doctor, args.color).await,
    }
}
