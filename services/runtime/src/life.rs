//! A daemon's life on the bus: it takes its name, says that it is ready, ticks, tells its status, and ends when it is
//! asked to or when the bus is lost.

use std::sync::Arc;

use dbus_interfaces::events;
use sd_notify::NotifyState;
use tokio::sync::{Notify, watch};
use zbus::Connection;

use crate::{
    Failure, Process,
    alarm::Alarm,
    bus::{self, BusError},
    configuration::{Configuration, Follower},
    heartbeat::{Heartbeat, StateAnswers},
    notify::Notifier,
    process::asked_to_stop,
};

/// What a daemon brings to its life. `S` is its state as it is published.
pub struct Life<S> {
    /// Itself.
    pub process: Process,
    /// Its connection, with its objects served and whatever answers their calls running.
    pub connection: Connection,
    /// The well-known name that it takes.
    pub name: &'static str,
    /// Asks the owner of the state, as a proof of life.
    pub state_answers: StateAnswers,
    /// Told of each tick with proof of life.
    pub on_tick: Box<dyn Fn(u64) + Send + Sync>,
    /// The configuration, as it was read at the start.
    pub configuration: Follower,
    /// Told of each change of the configuration.
    pub on_configuration: Box<dyn Fn(&Configuration) + Send + Sync>,
    /// Its state.
    pub state: watch::Receiver<Arc<S>>,
    /// The state in one line, for the service manager.
    pub status: fn(&S) -> String,
}

impl<S: Send + Sync + 'static> Life<S> {
    /// Lives.
    ///
    /// # Errors
    /// The name is taken, or the bus is lost.
    pub async fn run(self) -> Result<(), Failure> {
        let alarm = Alarm::new()?;
        bus::own_name(&self.connection, self.name).await?;
        bus::announce(&self.connection, &self.process).await?;
        let status = (self.status)(&self.state.borrow());
        self.process.notifier.tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
        let Process { id, sandbox, .. } = &self.process;
        tracing::info!(message_id = events::READY, "ready; daemon id {id}, sandbox {sandbox}");

        let (bus_stuck, stuck) = watch::channel(false);
        let look = Arc::new(Notify::new());
        let (ticked, on_tick) = (Arc::clone(&look), self.on_tick);
        let heartbeat = Heartbeat {
            process: self.process.clone(),
            connection: self.connection.clone(),
            name: self.name,
            state_answers: self.state_answers,
            on_tick: Box::new(move |tick| {
                ticked.notify_one();
                on_tick(tick);
                // What a storm of callers took is given back.
                process_memory::give_back();
            }),
            bus_stuck,
        };
        // Tasks of their own: none of them waits for another.
        let notifier = self.process.notifier;
        tokio::spawn(tell_status(notifier.clone(), self.state, stuck, self.status));
        tokio::spawn(heartbeat.run(alarm));
        tokio::spawn(self.configuration.follow(look, self.on_configuration));
        // What only the start needed.
        process_memory::give_back();
        tokio::select! {
            stopped = asked_to_stop() => {
                notifier.tell(&[NotifyState::Stopping]);
                Ok(stopped?)
            }
            // systemd, which has lost it too, hears nothing of this now: see `Failure::lost_bus`.
            () = self.connection.closed() => Err(Failure::lost_bus(BusError::Lost)),
        }
    }
}

/// Keeps the status line true, until the state's owner ends.
async fn tell_status<S>(
    notifier: Notifier,
    mut state: watch::Receiver<Arc<S>>,
    mut stuck: watch::Receiver<bool>,
    status: fn(&S) -> String,
) {
    if !notifier.is_connected() {
        return;
    }
    loop {
        tokio::select! {
            changed = state.changed() => if changed.is_err() { return },
            changed = stuck.changed() => if changed.is_err() { return },
        }
        let mut line = status(&state.borrow_and_update());
        if *stuck.borrow_and_update() {
            line = format!("the session bus does not answer; waiting for it; {line}");
        }
        notifier.tell(&[NotifyState::Status(&line)]);
    }
}
