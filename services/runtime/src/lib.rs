//! What every daemon does: its process (memory, logging, identity), the bus (connection, name, ordered sending,
//! admission of calls, `org.opensesame.Daemon`) and its life (signals, end). Knows nothing of profiles or vaults.

pub mod admission;
pub mod alarm;
pub mod bus;
pub mod clock;
pub mod configuration;
pub mod daemon;
pub mod heartbeat;
pub mod identity;
pub mod life;
pub mod logging;
pub mod notify;
pub mod outbox;
pub mod process;
pub mod sandbox;
pub mod watchdog;
pub mod workers;

pub use process::{Failure, Process, Program, run};
pub use process_memory as memory;
