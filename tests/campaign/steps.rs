//! What each event is, done to the real daemons, and what the model makes of it.

use crate::{
    history::{Daemon, Event},
    model::{Life, Passphrase},
    table::Outcome,
    world::World,
};

mod bus;
mod lives;
mod users;

/// A passphrase, by its number.
pub fn passphrase(number: Passphrase) -> String {
    format!("passphrase number {number} of this campaign")
}

/// A secret's value. One in seven is large.
pub fn value(profile: &str, name: &str, number: u32) -> Vec<u8> {
    let text = format!("{profile}/{name} is {number}; ");
    let times = if number.is_multiple_of(7) { 4_000 } else { 1 };
    text.repeat(times).into_bytes()
}

impl World {
    /// Plays one event and compares everything afterwards. False where the event means nothing now.
    pub async fn play(&mut self, event: &Event) -> Outcome<bool> {
        let meant = self.act(event).await?;
        if meant {
            if event.is_fault() {
                *self.table.faults.entry(event.kind()).or_default() += 1;
            }
            self.check().await?;
        }
        Ok(meant)
    }

    async fn act(&mut self, event: &Event) -> Outcome<bool> {
        match *event {
            Event::Kill(daemon) => self.kill(daemon).await,
            Event::KillDuring(profile, write, ms) => self.kill_during(profile, write, ms).await,
            Event::Freeze(daemon) => self.freeze(daemon).await,
            Event::Thaw(daemon) => self.thaw(daemon).await,
            Event::Stop(daemon) => self.stop(daemon).await,
            Event::Start(daemon) => self.start(daemon).await,
            Event::Restart(daemon) => Ok(self.stop(daemon).await? && self.start(daemon).await?),
            Event::WatchdogRestart(daemon) => self.watchdog_restart(daemon).await,
            Event::FreezeBus(profile, ms) => self.freeze_bus(profile, ms).await,
            Event::RestartBus => self.restart_bus().await,
            Event::Forge(forgery, to_hub) => self.forge(forgery, to_hub).await,
            Event::Stranger(daemon) => self.stranger(daemon).await,
            Event::DropSignal(profile) => self.drop_signal(profile).await,
            Event::DropOwner(lost) => self.drop_owner(lost).await,
            Event::DelaySignals(profile, ms) => self.delay_signals(profile, ms).await,
            Event::ClockJump(seconds) => self.clock_jump(seconds),
            ref asked => self.asked(asked).await,
        }
    }

    /// How a daemon is.
    pub fn life(&self, daemon: Daemon) -> Life {
        match daemon {
            Daemon::Profile => self.model.hub,
            Daemon::Secrets => self.model.secrets,
        }
    }
}
