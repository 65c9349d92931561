//! `sesame-prompter`: has a person asked for a passphrase, for daemon-secrets, whose sandbox no dialogue would fit in.
//! Started by the bus, ends when there is nothing to ask. Wiring only.

mod prompter;
mod question;
mod vaults;

use std::{process::ExitCode, time::Duration};

use daemon_runtime::{
    Failure, bus,
    identity::DaemonId,
    logging,
    memory::{self, WIPING_ALLOCATOR, WipingAllocator},
    process::asked_to_stop,
};
use dbus_interfaces::{places, prompter as names};
use prompter::Prompter;
use tokio::{sync::watch, time::timeout};
use zbus::connection::Builder;

#[global_allocator]
static ALLOCATOR: WipingAllocator = WIPING_ALLOCATOR;

/// How long it stays when there is nothing to ask: a client may have more than one vault to unlock.
const IDLE: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let id = DaemonId::of_this_process();
    logging::init("sesame-prompter", id.as_ref().map_or("", DaemonId::as_str));
    let ended = memory::harden().map_err(Failure::from).and_then(|()| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(serve())
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("sesame-prompter: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> Result<(), Failure> {
    let (asked, mut watched) = watch::channel(prompter::Asked::default());
    let address = places::session_bus();
    let builder = Builder::address(address.as_str()).serve_at(names::PATH, Prompter::new(asked));
    let connection = builder.build().await?;
    bus::own_name(&connection, names::NAME).await?;
    let idle = async {
        loop {
            // Fails only when the connection, and the prompter in it, is gone.
            let Ok(now) = watched.wait_for(|asked| asked.questions == 0).await.map(|asked| *asked) else { return };
            let wait = if now.orphaned { Duration::ZERO } else { IDLE };
            if timeout(wait, watched.wait_for(|asked| asked.questions > 0)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = idle => {}
        // A question that is open is closed with the process.
        stopped = asked_to_stop() => stopped?,
        () = connection.closed() => {}
    }
    Ok(())
}
