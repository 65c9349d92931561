//! `daemon-profile`, the health hub: wiring only.

use std::process::{self, ExitCode};

use daemon_profile::{
    actor::{self, Actor},
    dbus::profile::Profile,
    hub::Hub,
    peers::Introduction,
};
use daemon_runtime::{
    Failure, Process, bus,
    memory::{WIPING_ALLOCATOR, WipingAllocator},
    process::asked_to_stop,
    run,
};
use dbus_interfaces::{places, profile};

#[global_allocator]
static ALLOCATOR: WipingAllocator = WIPING_ALLOCATOR;

fn main() -> ExitCode {
    run("daemon-profile", daemon)
}

async fn daemon(process: Process) -> Result<(), Failure> {
    let default_file = places::default_profile_file()?;
    let own_run =
        Introduction { id: process.id.to_string(), started_usec: process.started_usec, sandbox: "none".into() };
    let default = places::read_default_profile(&default_file);
    let mut hub = Hub::new(own_run, process::id(), default, process.started_usec);
    let (handle, inbox) = actor::channel(hub.report());
    let connection = bus::connect(&process, profile::PATH, Profile::admitted(handle)).await?;
    let actor = Actor::new(&connection, hub, inbox, default_file)?;
    let actor = tokio::spawn(actor.run());
    bus::own_name(&connection, profile::NAME).await?;
    bus::announce(&connection, &process).await?;
    tracing::info!(id = %process.id, "ready");
    tokio::select! {
        stopped = asked_to_stop() => Ok(stopped?),
        () = connection.closed() => Err(bus::BusError::Lost.into()),
        _ = actor => Err(bus::BusError::Lost.into()),
    }
}
