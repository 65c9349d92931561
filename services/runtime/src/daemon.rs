//! `org.opensesame.Daemon`: what every daemon says of itself. All of it is known at start and never changes.

use zbus::{interface, object_server::SignalEmitter};

use crate::Process;

/// The interface's object.
pub struct Daemon(Process);

impl Daemon {
    /// Speaks for `process`.
    pub fn new(process: Process) -> Self {
        Self(process)
    }
}

#[interface(name = "org.opensesame.Daemon", introspection_docs = false)]
impl Daemon {
    #[zbus(property(emits_changed_signal = "const"))]
    fn name(&self) -> &str {
        self.0.name
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> &str {
        self.0.id.as_str()
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn started_usec(&self) -> u64 {
        self.0.started_usec
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn watchdog_usec(&self) -> u64 {
        self.0.watchdog.map_or(0, |time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
    }

    #[zbus(property(emits_changed_signal = "const"))]
    fn sandbox(&self) -> &str {
        self.0.sandbox.as_str()
    }

    #[zbus(signal)]
    async fn daemon_started(emitter: &SignalEmitter<'_>, name: &str, id: &str) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn watchdog_tick(emitter: &SignalEmitter<'_>, name: &str, tick: u64) -> zbus::Result<()>;
}
