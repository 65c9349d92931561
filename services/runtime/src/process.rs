//! A daemon's process from its first line to its exit status.

use std::{fmt, future::Future, io, process::ExitCode, time::Duration};

use tokio::signal::unix::{SignalKind, signal};

use crate::{clock, identity::DaemonId, logging, memory};

/// What a daemon knows of itself.
#[derive(Clone, Debug)]
pub struct Process {
    /// `daemon-profile` or `daemon-secrets`.
    pub name: &'static str,
    /// The identity of this run.
    pub id: DaemonId,
    /// When this run began (CLOCK_REALTIME, microseconds).
    pub started_usec: u64,
}

/// Why a daemon ends with a status other than 0: one sentence.
#[derive(Debug)]
pub struct Failure(String);

impl Failure {
    /// What failed, why, and what to do.
    pub fn new(sentence: impl fmt::Display) -> Self {
        Self(sentence.to_string())
    }
}

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

/// Runs a daemon: hardens the process, then drives `daemon` on one thread until it ends. Workers for what blocks
/// (keys, disk) are threads that end 100 ms after their last job.
pub fn run<F>(name: &'static str, daemon: impl FnOnce(Process) -> F) -> ExitCode
where
    F: Future<Output = Result<(), Failure>>,
{
    let started_usec = clock::now_usec();
    logging::init();
    let end = || -> Result<(), Failure> {
        memory::harden().map_err(|cause| Failure::new(format!("cannot close the process to core dumps: {cause}")))?;
        let id = DaemonId::of_this_process()?;
        let process = Process { name, id, started_usec };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_keep_alive(Duration::from_millis(100))
            .max_blocking_threads(8)
            .build()?;
        let end = runtime.block_on(daemon(process));
        // A worker in the middle of a write is waited for by whoever started it; nothing else may delay the end.
        runtime.shutdown_background();
        end
    };
    match end() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(sentence)) => {
            tracing::error!("{name}: {sentence}");
            ExitCode::FAILURE
        }
    }
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
    Ok(())
}
