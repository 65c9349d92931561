//! The configuration as a daemon follows it: read at the start, at SIGHUP, and at a tick where the file changed.

use std::{path::PathBuf, sync::Arc};

use daemon_config::{Config, ConfigFile};
use dbus_interfaces::events;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

/// The configuration in force, and what is wrong with the file that is there now.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The last good configuration; the defaults where there was none.
    pub config: Config,
    /// What is wrong with the file: one sentence.
    pub problem: Option<String>,
}

/// The file, and what was read of it last.
pub struct Follower {
    file: ConfigFile,
    current: Configuration,
}

impl Follower {
    /// Reads the file at `path`.
    pub fn new(path: PathBuf) -> Self {
        let mut follower = Self { file: ConfigFile::new(path), current: Configuration::default() };
        follower.read();
        follower
    }

    /// What is in force.
    pub fn current(&self) -> &Configuration {
        &self.current
    }

    /// Hands every change to `apply`, for ever. Looks at `look` and at SIGHUP.
    pub async fn follow(mut self, look: Arc<Notify>, apply: impl Fn(&Configuration)) {
        // Without the signal, which the system has never refused, the ticks remain.
        let mut hangup = signal(SignalKind::hangup()).ok();
        loop {
            tokio::select! {
                () = look.notified() => {}
                () = next(&mut hangup) => {}
            }
            if self.read() {
                apply(&self.current);
            }
        }
    }

    /// Reads the file if it is another one. True where it was.
    fn read(&mut self) -> bool {
        let loaded = self.file.load();
        if !loaded.changed {
            return false;
        }
        match loaded.error {
            Some(error) => tracing::error!(message_id = events::BAD_CONFIG, "{error}"),
            None => {
                for warning in loaded.warnings {
                    tracing::warn!(message_id = events::UNKNOWN_CONFIG_KEY, "{warning}");
                }
            }
        }
        self.current = Configuration { config: loaded.config.clone(), problem: loaded.error.map(Into::into) };
        true
    }
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}
