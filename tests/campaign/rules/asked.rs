//! What each event is to the rules.

use daemon_secrets::{
    attempts::{Attempts, ConnectionId},
    holds::Holds,
    state::{Change, Reason},
};
use dbus_interfaces::ProfileName;

use super::{Input, Rules, name, named};
use crate::{
    ensure,
    history::{Daemon, Event},
    model::Life,
    table::Outcome,
    world::World,
};

impl Rules {
    pub(super) fn act(&mut self, event: &Event) -> Outcome {
        match *event {
            Event::Kill(Daemon::Profile) | Event::Stop(Daemon::Profile) => self.hub_ends(),
            Event::Restart(Daemon::Profile) | Event::WatchdogRestart(Daemon::Profile) => {
                self.hub_ends();
                return self.start(Daemon::Profile);
            }
            Event::Kill(Daemon::Secrets) => self.kill("signal")?,
            Event::WatchdogRestart(Daemon::Secrets) => {
                self.kill("watchdog")?;
                return self.start(Daemon::Secrets);
            }
            Event::DropOwner(_) => {
                self.kill("exit-code")?;
                return self.start(Daemon::Secrets);
            }
            Event::KillDuring(profile, write, ms) => return self.kill_during(profile, write, ms % 2 == 0),
            Event::Stop(Daemon::Secrets) => self.stop()?,
            Event::Restart(Daemon::Secrets) => {
                self.stop()?;
                return self.start(Daemon::Secrets);
            }
            Event::Start(daemon) => return self.start(daemon),
            Event::Freeze(daemon) => self.freeze(daemon),
            Event::Thaw(daemon) => return self.thaw(daemon),
            Event::RestartBus => {
                self.hub_ends();
                self.kill("exit-code")?;
            }
            Event::Stranger(Daemon::Secrets) => return self.stranger(),
            Event::ClockJump(seconds) => self.now = self.now.saturating_add_signed(seconds),
            Event::SetDefault(profile)
                if self.model.hub == Life::Running && self.model.set_default(profile).is_ok() =>
            {
                self.queue.push_back(Input::DefaultChosen(name(profile)));
            }
            ref asked if self.model.secrets == Life::Running => return self.asked(asked),
            _ => {}
        }
        self.deliver()
    }

    /// What daemon-secrets is asked for.
    fn asked(&mut self, event: &Event) -> Outcome {
        let lost = matches!(event, Event::DropSignal(_));
        if let Some(change) = self.change(event)? {
            if lost {
                // Old until the next reconciliation, which is asked for at once.
                let stated = self.stated();
                self.queue.push_back(Input::Reconciled(stated, 4));
            } else {
                self.queue.push_back(Input::Announced(named(&change.snapshot)));
            }
            self.model.announced();
        }
        self.deliver()
    }

    fn change(&mut self, event: &Event) -> Outcome<Option<Change>> {
        let (state, now) = (self.secrets.as_mut().expect("it runs"), self.now);
        Ok(match *event {
            Event::Create(profile) => {
                let number = self.model.new_passphrase();
                let change = state.create(&name(profile), now);
                ensure!(change.is_some() == self.model.create(profile, number).is_ok(), "create {profile}: {change:?}");
                change
            }
            Event::Unlock(profile)
            | Event::FreezeBus(profile, _)
            | Event::DelaySignals(profile, _)
            | Event::DropSignal(profile) => self.unlock(profile)?,
            Event::Lock(profile) => {
                let known = state.must_exist(&name(profile));
                World::same("lock", &known, &self.model.lock(profile))?;
                state.lock([name(profile)], Reason::User, now)
            }
            Event::LockAll => {
                self.model.lock_all();
                let all: Vec<ProfileName> = state.profiles().cloned().collect();
                state.lock(all, Reason::User, now)
            }
            Event::LockDuringUnlock(profile, ms) => {
                lock_during_unlock(profile, ms % 2 == 0)?;
                None
            }
            Event::Activate(profile) => {
                let answer = state.activate(&name(profile), now);
                World::same("activate", &answer, &self.model.set_active(profile, true))?;
                answer.unwrap_or_default()
            }
            Event::Deactivate(profile) => {
                let answer = state.deactivate(&name(profile), now);
                World::same("deactivate", &answer, &self.model.set_active(profile, false))?;
                answer.unwrap_or_default()
            }
            Event::Delete(profile) => {
                let right = self.model.vaults.get(profile).map_or(0, |vault| vault.passphrase);
                let change = state.delete(&name(profile));
                ensure!(change.is_some() == self.model.delete(profile, right).is_ok(), "delete {profile}: {change:?}");
                change
            }
            Event::Set(profile, secret, value) => {
                World::same("serve", &state.must_serve(&name(profile)), &self.model.set(profile, secret, value))?;
                None
            }
            Event::Reconcile => {
                let stated = self.stated();
                self.queue.push_back(Input::Reconciled(stated, 2));
                None
            }
            _ => None,
        })
    }

    fn unlock(&mut self, profile: &'static str) -> Outcome<Option<Change>> {
        let state = self.secrets.as_mut().expect("it runs");
        let right = self.model.vaults.get(profile).map_or(0, |vault| vault.passphrase);
        let change = state.unlock(&name(profile), self.now);
        let expected = self.model.unlock(profile, right);
        ensure!(change.is_none() || expected.is_ok(), "unlock {profile}: {change:?}, {expected:?}");
        Ok(change)
    }
}

/// A lock is done when nobody holds the keys, and an unlock that it overrules comes to nothing.
fn lock_during_unlock(profile: &'static str, started: bool) -> Outcome {
    let profile = name(profile);
    let (mut attempts, mut holds) = (Attempts::default(), Holds::default());
    ensure!(attempts.add(ConnectionId(1), 1, |_| false).is_ok(), "an attempt is refused");
    let hold = started.then(|| holds.take(&profile));
    if started {
        ensure!(attempts.start(|_| true) == Some(1), "an attempt does not start");
    }
    let withdrawn = attempts.withdraw(|attempt| *attempt == 1);
    ensure!(withdrawn.is_empty() == started, "an attempt under way cannot be withdrawn: {withdrawn:?}");
    let at_once = holds.wait(std::slice::from_ref(&profile), 7);
    ensure!(at_once.is_some() != started, "a lock is done while a worker holds the key: {at_once:?}");
    if let Some(hold) = hold {
        attempts.ended();
        ensure!(holds.release(hold) == [7], "a lock is not done when the worker is");
    }
    Ok(())
}
