//! `daemon-secrets`, the vaults: wiring only.

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use daemon_runtime::{
    Failure, Process, Program,
    admission::{Admitted, Permits},
    bus,
    configuration::Follower,
    life::Life,
    memory::{self, WIPING_ALLOCATOR, WipingAllocator},
    outbox::Outbox,
    run,
    sandbox::{self, Rules},
};
use daemon_secrets::{
    actor::Actor,
    attempts::ConnectionId,
    credentials::Credentials,
    dbus::{secrets::Secrets, vault::Vault},
    handle::{self, Handle, Which},
    journal,
    listening::Listening,
    runtime_folder::RuntimeFolder,
    secret_service::{desk::Own, provider::Provider},
    state::{Snapshot, State, Trouble},
    units::Units,
};
use dbus_interfaces::{places, secrets, vault};
use private_socket::{Listener, Peer};
use tokio::sync::watch;
use vault_store::Store;
use zbus::{Connection, ObjectPath, names::OwnedUniqueName};

#[global_allocator]
static ALLOCATOR: WipingAllocator = WIPING_ALLOCATOR;

/// How long the end waits for a worker.
const END_DEADLINE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let program = Program { name: "daemon-secrets", rules };
    run(&program, daemon)
}

/// It writes vaults and its runtime folder, and nothing else. Besides the session bus it meets logind, on the system's.
fn rules() -> Result<Rules, Failure> {
    let mut rules = Rules::for_folders([places::data_folder()?, places::runtime_folder()?])?;
    rules.sockets.extend(sandbox::socket_of(&places::system_bus()));
    Ok(rules)
}

async fn daemon(process: Process, configuration: Follower) -> Result<(), Failure> {
    let folder = places::runtime_folder()?;
    let _taken = RuntimeFolder::take(&folder)?;
    let units = Units::begin(&folder, &process.id)?;
    let store = Store::open(&places::vaults_folder()?)?;
    let state = found(&store, process.started_usec)?;
    let (handle, inbox) = handle::channel(state.snapshot());
    let permits = Permits::default();

    // It listens before it takes its name: whoever sees the name finds the socket.
    let listener = Listener::bind(&places::private_socket()?)?;
    let for_units = credentials(&handle)?;
    let (counted, sessions) = watch::channel(0);
    let (connection, name) = connect(&process, &handle, &sessions, &permits).await?;
    let outbox = Outbox::new(connection.clone());
    let actor = Actor::new(state, Arc::new(store), inbox, outbox.clone(), name.clone())?;
    tokio::spawn(actor.with_units(units).with_answers(listener.answers()).run());
    let for_units = tokio::spawn(for_units.run());
    let private = listener.serve(
        ObjectPath::from_static_str_unchecked(vault::PATH),
        private_interface(handle.clone(), permits),
        memory::trim,
    );
    handle.configure(&configuration.current().config);
    let listening = Listening::start(connection.clone(), handle.clone(), &configuration.current().config);
    let (asked, configured, ticked) = (handle.clone(), handle.clone(), listening.clone());
    let provider =
        Provider { vaults: handle.clone(), own: connection.clone(), says: Own { says: (outbox, name), counted } };
    let offered = provider.start(configuration.current().config.clone());
    #[cfg(debug_assertions)]
    {
        let handle = handle.clone();
        daemon_runtime::process::on_wedge_signal(move || handle.wedge())?;
    }
    let life = Life {
        process,
        connection,
        name: secrets::NAME,
        state_answers: Box::new(move || {
            let asked = asked.clone();
            Box::pin(async move { asked.prove().await })
        }),
        on_tick: Box::new(move |_| ticked.tick()),
        configuration,
        on_configuration: Box::new(move |configuration| {
            configured.configure(&configuration.config);
            listening.configure(&configuration.config);
            offered.send_replace(configuration.config.clone());
        }),
        state: handle.snapshots(),
        status: Snapshot::line,
    };
    let end = tokio::select! {
        end = life.run() => end,
        failed = private => failed.map(|never| match never {}).map_err(Failure::from),
    };
    lock_before_the_end(&handle, &for_units).await;
    end
}

/// What there is at the start: every vault locked, and what is wrong with those that are damaged.
fn found(store: &Store, now_usec: u64) -> Result<State, Failure> {
    let found = store.list()?.into_iter().map(|(profile, flaw)| {
        let trouble = flaw.map(|flaw| Trouble::Corrupt(flaw.to_string()));
        trouble.iter().for_each(|trouble| journal::trouble(&profile, trouble));
        (profile, trouble)
    });
    Ok(State::new(found, now_usec))
}

/// The connection to the session bus, with what is served there, and its unique name.
async fn connect(
    process: &Process,
    handle: &Handle,
    sessions: &watch::Receiver<u32>,
    permits: &Permits,
) -> Result<(Connection, OwnedUniqueName), bus::BusError> {
    let connection = bus::connect(process, |builder| {
        let served = Secrets::admitted(handle.clone(), sessions.clone(), permits.clone());
        builder.serve_at(secrets::PATH, served)
    })
    .await?;
    let name = connection.unique_name().cloned().ok_or(bus::BusError::Lost)?;
    Ok((connection, name))
}

/// The sockets for units. Like the private one they are there before the name is.
fn credentials(vaults: &Handle) -> Result<Credentials, Failure> {
    Credentials::open(places::credentials_folder()?, vaults.clone())
        .map_err(|cause| Failure::new(format!("cannot make the folder of the sockets for units: {cause}")))
}

/// Every connection's object: whose calls they are is told by the connection, and by the process behind it.
fn private_interface(handle: Handle, permits: Permits) -> impl Fn(Peer) -> Admitted<Vault> + Send + Sync + 'static {
    let connections = AtomicU64::new(0);
    move |peer| {
        let connection = ConnectionId(connections.fetch_add(1, Ordering::Relaxed));
        Vault::admitted(handle.clone(), permits.clone(), connection, peer.pid)
    }
}

/// Keys do not wait for the kernel to clear the process's pages, and a write in progress is brought to its end.
/// The sockets for units go first.
async fn lock_before_the_end(handle: &Handle, for_units: &tokio::task::JoinHandle<()>) {
    for_units.abort();
    let locked = tokio::time::timeout(END_DEADLINE, handle.lock(Which::AllAtTheEnd)).await;
    if locked.is_err() {
        tracing::warn!("a worker did not end in time; what it was writing is as it was or as it will be, whole");
    }
}
