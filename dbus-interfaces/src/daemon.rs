//! `org.opensesame.Daemon`: what every daemon says of itself.

/// The interface.
pub const INTERFACE: &str = "org.opensesame.Daemon";
/// Its only object.
pub const PATH: &str = "/org/opensesame/Daemon";

/// The unit of `daemon-profile`.
pub const PROFILE_UNIT: &str = "open-sesame-profile.service";
/// The unit of `daemon-secrets`.
pub const SECRETS_UNIT: &str = "open-sesame-secrets.service";

/// What every daemon says of itself; documented in `org.opensesame.Daemon.xml`.
#[zbus::proxy(interface = "org.opensesame.Daemon", default_path = "/org/opensesame/Daemon")]
pub trait Daemon {
    /// `daemon-profile` or `daemon-secrets`.
    #[zbus(property(emits_changed_signal = "const"))]
    fn name(&self) -> zbus::Result<String>;

    /// The identity of this run: 32 hex digits.
    #[zbus(property(emits_changed_signal = "const"))]
    fn id(&self) -> zbus::Result<String>;

    /// The daemon's version.
    #[zbus(property(emits_changed_signal = "const"))]
    fn version(&self) -> zbus::Result<String>;

    /// When this run began (CLOCK_REALTIME, microseconds).
    #[zbus(property(emits_changed_signal = "const"))]
    fn started_usec(&self) -> zbus::Result<u64>;

    /// The watchdog's time in microseconds; 0 where none is set.
    #[zbus(property(emits_changed_signal = "const"))]
    fn watchdog_usec(&self) -> zbus::Result<u64>;

    /// `full`, `partial` or `none`.
    #[zbus(property(emits_changed_signal = "const"))]
    fn sandbox(&self) -> zbus::Result<String>;

    /// Emitted once, after the daemon owns its name and answers calls.
    #[zbus(signal)]
    fn daemon_started(&self, name: String, id: String) -> zbus::Result<()>;

    /// Emitted at each tick with proof of life.
    #[zbus(signal)]
    fn watchdog_tick(&self, name: String, tick: u64) -> zbus::Result<()>;
}
