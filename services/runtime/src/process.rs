//! A daemon's process from its first line to its exit status.

use std::{
    fmt,
    future::Future,
    io,
    process::{self, ExitCode},
    time::Duration,
};

use dbus_interfaces::{events, places};
use process_memory as memory;
use rustix::{
    fs::Mode,
    process::{Signal, umask},
};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    clock,
    configuration::Follower,
    identity::DaemonId,
    logging,
    notify::{self, Notifier},
    sandbox::{self, Rules, Sandbox},
};

/// How long a process outlives the bus.
const LINGERS: Duration = Duration::from_millis(500);

/// What a daemon knows of itself.
#[derive(Clone, Debug)]
pub struct Process {
    /// `daemon-profile` or `daemon-secrets`.
    pub name: &'static str,
    /// The identity of this run.
    pub id: DaemonId,
    /// When this run began (CLOCK_REALTIME, microseconds).
    pub started_usec: u64,
    /// The way to the service manager.
    pub notifier: Notifier,
    /// The watchdog's time, where one is set.
    pub watchdog: Option<Duration>,
    /// What the kernel enforces.
    pub sandbox: Sandbox,
}

/// A daemon, as far as its process is concerned.
pub struct Program {
    /// `daemon-profile` or `daemon-secrets`.
    pub name: &'static str,
    /// What it may write; makes the folders that are missing.
    pub rules: fn() -> Result<Rules, Failure>,
}

/// Why a daemon ends with a status other than 0: one sentence.
#[derive(Debug)]
pub struct Failure {
    sentence: String,
    lingers: bool,
}

impl Failure {
    /// What failed, why, and what to do.
    pub fn new(sentence: impl fmt::Display) -> Self {
        Self { sentence: sentence.to_string(), lingers: false }
    }

    /// The bus is lost. A `systemd --user` that hears of a unit's end before it has dropped its own connection has that bus
    /// started by way of itself, and answers nobody for 90 s (systemd 252): the process ends after it.
    pub(crate) fn lost_bus(why: impl fmt::Display) -> Self {
        Self { lingers: true, ..Self::new(why) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

/// Runs a daemon: hardens and confines the process, then drives `daemon` on one thread until it ends. Workers for
/// what blocks (keys, disk) are threads that end 100 ms after their last job.
pub fn run<F>(program: &Program, daemon: impl FnOnce(Process, Follower) -> F) -> ExitCode
where
    F: Future<Output = Result<(), Failure>>,
{
    // What is made is its user's alone, whatever whoever starts it allows or forbids.
    umask(Mode::RWXG | Mode::RWXO);
    // Every line bears the id.
    let id = DaemonId::of_this_process();
    logging::init(program.name, id.as_ref().map_or("", DaemonId::as_str));
    let prepared = id.map_err(Failure::from).and_then(|id| prepare(program, id));
    match prepared.and_then(|(process, configuration)| drive(process, configuration, daemon)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { sentence, lingers }) => {
            tracing::error!(message_id = events::ENDED_WITH_FAILURE, "{}: {sentence}", program.name);
            if lingers {
                // Nothing tells when it has; what this process held is gone already.
                std::thread::sleep(LINGERS);
            }
            ExitCode::FAILURE
        }
    }
}

fn prepare(program: &Program, id: DaemonId) -> Result<(Process, Follower), Failure> {
    let started_usec = clock::now_usec();
    memory::harden().map_err(|cause| Failure::new(format!("cannot close the process to core dumps: {cause}")))?;
    let notifier = Notifier::from_environment()
        .map_err(|cause| Failure::new(format!("cannot reach the service manager at NOTIFY_SOCKET: {cause}")))?;
    let configuration = Follower::new(places::config_file()?);
    let sandbox = sandbox::enforce(&(program.rules)()?)?;
    let required = configuration.current().config.sandbox == daemon_config::Sandbox::Required;
    if required && sandbox != Sandbox::Full {
        return Err(Failure::new(format!(
            "the configuration says sandbox = \"required\", and what this system enforces is: {sandbox}; \
             use a kernel with Landlock from Linux 6.12, or say sandbox = \"best-effort\""
        )));
    }
    if sandbox != Sandbox::Full {
        let message_id = events::SANDBOX_NOT_FULL;
        tracing::warn!(message_id, %sandbox, "the sandbox is not whole; what this system enforces is: {sandbox}");
    }
    let watchdog = notify::watchdog_time(process::id());
    Ok((Process { name: program.name, id, started_usec, notifier, watchdog, sandbox }, configuration))
}

fn drive<F>(
    process: Process,
    configuration: Follower,
    daemon: impl FnOnce(Process, Follower) -> F,
) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // A daemon has a handful of descriptors; room for the usual 1024 events would take 12 KiB.
        .max_io_events_per_tick(32)
        .build()?;
    // Caught, a write beyond what `ulimit -f` allows fails, and does not end the process (setrlimit(2), RLIMIT_FSIZE).
    let entered = runtime.enter();
    let _beyond = signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?;
    drop(entered);
    let end = runtime.block_on(daemon(process, configuration));
    // A worker in the middle of a write is waited for by whoever started it; nothing else may delay the end.
    runtime.shutdown_background();
    end
}

/// Ends when the process is asked to (SIGTERM, SIGINT).
///
/// # Errors
/// The signals cannot be watched.
pub async fn asked_to_stop() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!(message_id = events::STOPPING, "asked to end; stopping");
    Ok(())
}

/// Does `wedge` at SIGUSR2. Only in debug builds: a test can then see that a daemon is not fed whose state's owner is
/// stuck while everything around it lives.
///
/// # Errors
/// The signal cannot be watched.
#[cfg(debug_assertions)]
pub fn on_wedge_signal(wedge: impl Fn() + Send + 'static) -> io::Result<()> {
    let mut asked = signal(SignalKind::user_defined2())?;
    tokio::spawn(async move {
        while asked.recv().await.is_some() {
            wedge();
        }
    });
    Ok(())
}
