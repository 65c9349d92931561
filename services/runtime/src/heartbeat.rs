//! The watchdog's timer: at each tick a proof of life is taken, and the service manager is told only what it proves
//! (contract, section 4). The rules are in `watchdog`.

use std::{future::Future, pin::Pin, time::Duration};

use dbus_interfaces::{daemon, events, places};
use sd_notify::NotifyState;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use unix_socket::bus::dial;
use zbus::{Connection, OwnedVariant};

use crate::{
    Process,
    alarm::Alarm,
    clock,
    watchdog::{self, FreshConnection, Proof, Schedule, Verdict},
};

/// An internal message to the owner of the state: whether it was answered.
pub type StateAnswers = Box<dyn Fn() -> Pin<Box<dyn Future<Output = bool> + Send>> + Send + Sync>;

/// What a daemon's ticks need.
pub struct Heartbeat {
    /// Whose ticks they are.
    pub process: Process,
    /// Its connection to the bus.
    pub connection: Connection,
    /// Its well-known name.
    pub name: &'static str,
    /// Asks the owner of the state.
    pub state_answers: StateAnswers,
    /// Told of each tick with proof of life.
    pub on_tick: Box<dyn Fn(u64) + Send + Sync>,
    /// Told whether the bus is stuck.
    pub bus_stuck: watch::Sender<bool>,
}

impl Heartbeat {
    /// Ticks for ever. `alarm` is the kernel's timer: the runtime's own would wake the process three times for each
    /// turn of 15 s, since its wheel looks again as a far deadline comes nearer.
    pub async fn run(self, mut alarm: Alarm) {
        let schedule = Schedule::new(self.process.watchdog);
        let mut due = clock::since_boot();
        for tick in 1.. {
            due = schedule.next(due, clock::since_boot());
            alarm.set(Some(due));
            alarm.goes_off().await;
            self.turn(tick, schedule).await;
        }
    }

    async fn turn(&self, tick: u64, schedule: Schedule) {
        let mut verdict = self.prove(schedule.deadline).await;
        if verdict == Verdict::Stuck {
            sleep(schedule.retry).await;
            verdict = self.prove(schedule.deadline).await;
        }
        self.bus_stuck.send_if_modified(|stuck| {
            let was = std::mem::replace(stuck, verdict == Verdict::BusStuck);
            was != *stuck
        });
        match verdict {
            Verdict::Alive => {
                self.process.notifier.tell(&[NotifyState::Watchdog]);
                self.announce(tick).await;
                (self.on_tick)(tick);
                if watchdog::is_logged(tick) {
                    tracing::info!(tick, "alive at tick {tick}");
                }
            }
            Verdict::BusStuck => {
                self.process.notifier.tell(&[NotifyState::Watchdog]);
                let message_id = events::BUS_SILENT;
                tracing::warn!(message_id, tick, "the session bus does not answer; waiting for it, nothing is locked");
            }
            Verdict::Stuck => {
                let message_id = events::NO_PROOF_OF_LIFE;
                tracing::error!(message_id, tick, "no proof of life at tick {tick}; the watchdog is not fed");
            }
        }
    }

    async fn announce(&self, tick: u64) {
        let body = (self.process.name, tick);
        let signal = self.connection.emit_signal(None::<&str>, daemon::PATH, daemon::INTERFACE, "WatchdogTick", &body);
        // Fails only with the connection, and the daemon with it.
        let _ = signal.await;
    }

    async fn prove(&self, deadline: Duration) -> Verdict {
        let (state, read) = tokio::join!(timeout(deadline, (self.state_answers)()), self.read_own_id(deadline));
        let fresh_connection = match read {
            true => None,
            false => Some(self.try_fresh_connection(deadline).await),
        };
        Proof { state_answers: state == Ok(true), bus_answers: read, fresh_connection }.verdict()
    }

    /// Reads this daemon's id at its own name, over the bus: whether it comes back in time, and is its own.
    async fn read_own_id(&self, deadline: Duration) -> bool {
        let properties = Some("org.freedesktop.DBus.Properties");
        let body = (daemon::INTERFACE, "Id");
        let read = self.connection.call_method(Some(self.name), daemon::PATH, properties, "Get", &body);
        let Ok(Ok(reply)) = timeout(deadline, read).await else { return false };
        let id = reply.body().deserialize::<OwnedVariant>().ok().and_then(|id| String::try_from(id).ok());
        id.as_deref() == Some(self.process.id.as_str())
    }

    async fn try_fresh_connection(&self, deadline: Duration) -> FreshConnection {
        let address = places::session_bus();
        match timeout(deadline, async { dial(&address).await?.build().await }).await {
            // The bus may have come back while its Hello was waited for.
            Ok(Ok(_)) if self.read_own_id(deadline).await => FreshConnection::ReadAnswers,
            Ok(Ok(_)) => FreshConnection::ReadSilent,
            Ok(Err(_)) | Err(_) => FreshConnection::NoHello,
        }
    }
}
