//! `daemon-profile`, the health hub: wiring only.

use std::process::{self, ExitCode};

use daemon_profile::{
    actor::Actor,
    dbus::profile::Profile,
    handle, health,
    hub::{Event, Hub},
    peers::Introduction,
};
use daemon_runtime::{
    Failure, Process, Program, bus,
    configuration::Follower,
    life::Life,
    memory::{WIPING_ALLOCATOR, WipingAllocator},
    run,
    sandbox::Rules,
};
use dbus_interfaces::{ProfileName, places, profile};

#[global_allocator]
static ALLOCATOR: WipingAllocator = WIPING_ALLOCATOR;

fn main() -> ExitCode {
    let program = Program { name: "daemon-profile", rules };
    run(&program, daemon)
}

/// It writes the default profile, and nothing else.
fn rules() -> Result<Rules, Failure> {
    Ok(Rules::for_folders([places::state_folder()?])?)
}

async fn daemon(process: Process, configuration: Follower) -> Result<(), Failure> {
    let default_file = places::default_profile_file()?;
    let own_run = Introduction {
        id: process.id.to_string(),
        started_usec: process.started_usec,
        sandbox: process.sandbox.to_string(),
    };
    let default = places::read_default_profile(&default_file).unwrap_or_else(|cause| {
        tracing::warn!(%cause, "{cause}; until then it is personal");
        ProfileName::personal()
    });
    let mut hub = Hub::new(own_run, process::id(), default, process.started_usec);
    hub.apply(Event::Configured(configuration.current().problem.clone()), process.started_usec);
    let (handle, inbox) = handle::channel(hub.report());
    let connection =
        bus::connect(&process, |builder| builder.serve_at(profile::PATH, Profile::admitted(handle.clone()))).await?;
    let name = connection.unique_name().cloned().ok_or(bus::BusError::Lost)?;
    let actor = Actor::new(&connection, name, hub, inbox, default_file)?;
    tokio::spawn(actor.run());
    handle.configured(configuration.current());
    let (asked, told, configured) = (handle.clone(), handle.clone(), handle.clone());
    #[cfg(debug_assertions)]
    {
        let handle = handle.clone();
        daemon_runtime::process::on_wedge_signal(move || handle.wedge())?;
    }
    let life = Life {
        process,
        connection,
        name: profile::NAME,
        state_answers: Box::new(move || {
            let asked = asked.clone();
            Box::pin(async move { asked.prove().await })
        }),
        on_tick: Box::new(move |tick| told.ticked(tick)),
        configuration,
        on_configuration: Box::new(move |configuration| configured.configured(configuration)),
        state: handle.snapshots(),
        status: health::line,
    };
    life.run().await
}
