//! How daemons come, hang and go.

use std::time::{Duration, Instant};

use dbus_interfaces::Error;
use rustix::process::Signal;
use session_tests::DEADLINE;

use crate::{
    ensure,
    history::{Daemon, Write},
    host::{Host, unit},
    model::Life,
    steps::{passphrase, value},
    table::{Outcome, Violation},
    world::{World, wrong},
};

/// A hub is stopped this long where a watchdog looks after it.
const NAP: Duration = Duration::from_millis(300);

impl World {
    /// Starts a daemon that is not there.
    pub(super) async fn start(&mut self, daemon: Daemon) -> Outcome<bool> {
        if self.life(daemon) != Life::Absent {
            return Ok(false);
        }
        self.host.start(daemon).await;
        self.started(daemon).await?;
        Ok(true)
    }

    /// A daemon was started, by whomever.
    async fn started(&mut self, daemon: Daemon) -> Outcome {
        self.until_owned(daemon, true).await?;
        match daemon {
            Daemon::Profile => self.model.hub_start(),
            Daemon::Secrets => self.model.secrets_start(),
        }
        self.settle("a start").await
    }

    fn ended(&mut self, daemon: Daemon, on_purpose: bool) {
        match daemon {
            Daemon::Profile => self.model.hub_end(),
            Daemon::Secrets => self.model.secrets_end(on_purpose),
        }
    }

    pub(super) async fn stop(&mut self, daemon: Daemon) -> Outcome<bool> {
        if self.life(daemon) != Life::Running {
            return Ok(false);
        }
        let code = self.host.stop(daemon).await;
        ensure!(code == Some(0), "{daemon:?} was asked to end and did with {code:?}");
        self.until_owned(daemon, false).await?;
        self.ended(daemon, true);
        if self.model.supervised {
            self.settle("a stop").await?;
        }
        Ok(true)
    }

    pub(super) async fn kill(&mut self, daemon: Daemon) -> Outcome<bool> {
        if self.life(daemon) == Life::Absent {
            return Ok(false);
        }
        self.kill_now(daemon).await?;
        if self.model.supervised {
            self.started(daemon).await?;
        }
        Ok(true)
    }

    /// Killed, and seen to be gone. From then on nothing is unlocked, whoever asks.
    async fn kill_now(&mut self, daemon: Daemon) -> Outcome {
        let before = self.observer.seen(daemon).owner.clone();
        self.host.kill(daemon).await;
        self.observer.until_owner(daemon, |owner| owner != before.as_deref()).await?;
        self.ended(daemon, false);
        if daemon == Daemon::Secrets && self.model.hub == Life::Running {
            let report = self.report().await?;
            ensure!(report.locked, "daemon-secrets is gone and something is unlocked: {report:?}");
        }
        Ok(())
    }

    pub(super) async fn freeze(&mut self, daemon: Daemon) -> Outcome<bool> {
        if self.life(daemon) != Life::Running {
            return Ok(false);
        }
        self.host.signal(daemon, Signal::STOP).await;
        match daemon {
            Daemon::Profile => self.model.hub = Life::Frozen,
            Daemon::Secrets => {
                self.model.secrets = Life::Frozen;
                if self.model.hub == Life::Running {
                    self.model.answers(false);
                    self.settle("a hang").await?;
                }
            }
        }
        if self.model.supervised {
            // Before the watchdog takes it for what it is.
            tokio::time::sleep(NAP).await;
            self.thaw(daemon).await?;
        }
        Ok(true)
    }

    pub(super) async fn thaw(&mut self, daemon: Daemon) -> Outcome<bool> {
        if self.life(daemon) != Life::Frozen {
            return Ok(false);
        }
        self.host.signal(daemon, Signal::CONT).await;
        match daemon {
            // What was delivered meanwhile is taken in before anything is answered; only silence and a new run take time.
            Daemon::Profile => self.model.hub_thaw(),
            Daemon::Secrets => self.model.secrets_thaw(),
        }
        self.settle("the end of a hang").await?;
        Ok(true)
    }

    /// Hung, and ended by systemd for it; once.
    pub(super) async fn watchdog_restart(&mut self, daemon: Daemon) -> Outcome<bool> {
        let Host::Supervised(session) = &self.host else { return Ok(false) };
        if self.life(daemon) != Life::Running {
            return Ok(false);
        }
        let restarts = session.property(unit(daemon), "NRestarts").await;
        let before = self.observer.seen(daemon).owner.clone();
        session.signal(unit(daemon), Signal::STOP).await;
        self.observer.until_owner(daemon, |owner| owner != before.as_deref()).await?;
        self.ended(daemon, false);
        self.started(daemon).await?;
        let Host::Supervised(session) = &self.host else { return Ok(false) };
        let after = session.property(unit(daemon), "NRestarts").await;
        let count = |text: &str| text.parse::<u32>().unwrap_or(0);
        ensure!(count(&after) == count(&restarts) + 1, "NRestarts of {daemon:?} went from {restarts} to {after}");
        if daemon == Daemon::Secrets && self.model.hub == Life::Running {
            let reason = self.report().await?.daemons["daemon-secrets"].reason.clone();
            ensure!(reason.as_deref() == Some("watchdog"), "the reason of a watchdog's restart is {reason:?}");
        }
        Ok(true)
    }

    /// Killed in the middle of a change: afterwards it is made or not made, whole; made, if it was answered.
    pub(super) async fn kill_during(&mut self, profile: &'static str, write: Write, ms: u64) -> Outcome<bool> {
        let known = self.model.vaults.get(profile).cloned();
        let possible = match write {
            Write::Set | Write::DeleteSecret => self.model.serves(profile),
            Write::Create => known.is_none(),
            Write::ChangePassphrase | Write::Delete => known.is_some(),
        };
        if self.model.secrets != Life::Running || !possible {
            return Ok(false);
        }
        let (old, new) = (known.as_ref().map_or(0, |vault| vault.passphrase), self.model.new_passphrase());
        let (name, number) = ("key", self.random.below(1_000_000) as u32);
        let vault = self.vault().await?;
        let asked = tokio::spawn(async move {
            let (old, new) = (passphrase(old), passphrase(new));
            match write {
                Write::Set => vault.set_secret(profile, name, &value(profile, name, number)).await,
                Write::DeleteSecret => vault.delete_secret(profile, name).await,
                Write::Create => vault.create(profile, new.as_bytes()).await,
                Write::ChangePassphrase => vault.change_passphrase(profile, old.as_bytes(), new.as_bytes()).await,
                Write::Delete => vault.delete(profile, old.as_bytes()).await,
            }
        });
        // A derived key takes a hundred times as long as a write.
        let slow = !matches!(write, Write::Set | Write::DeleteSecret);
        tokio::time::sleep(Duration::from_micros(ms * if slow { 8_000 } else { 250 })).await;
        self.kill_now(Daemon::Secrets).await?;
        let done = match tokio::time::timeout(DEADLINE, asked).await {
            Ok(Ok(answer)) => answer,
            _ => return wrong(format!("a call of a killed daemon-secrets never ended: {write:?}")),
        };
        if !self.model.supervised {
            self.host.start(Daemon::Secrets).await;
        }
        self.until_owned(Daemon::Secrets, true).await?;
        self.resolve(profile, write, (old, new), done.is_ok()).await?;
        self.started(Daemon::Secrets).await?;
        if self.model.vaults.contains_key(profile) {
            self.open_either(profile, write, (name, number), (old, new, &done)).await?;
            self.model.announced();
        }
        Ok(true)
    }

    /// Whether there is a vault is seen at once.
    async fn resolve(&mut self, profile: &'static str, write: Write, (_, new): (u32, u32), done: bool) -> Outcome {
        let state = self.secrets().await.state().await;
        ensure!(state.is_ok(), "State after a kill: {state:?}");
        let (state, _) = state.expect("checked just now");
        let exists = state.contains_key(profile);
        match write {
            Write::Create if exists => {
                let _ = self.model.create(profile, new);
                if let Some(vault) = self.model.vaults.get_mut(profile) {
                    vault.reason = "never-unlocked";
                }
            }
            Write::Create => ensure!(!done, "the vault of {profile} was created and is not there after a kill"),
            Write::Delete if !exists => drop(self.model.vaults.remove(profile)),
            Write::Delete => ensure!(!done, "the vault of {profile} was deleted and is there after a kill"),
            _ => ensure!(exists, "the vault of {profile} is gone after a kill during {write:?}"),
        }
        Ok(())
    }

    async fn open_either(
        &mut self,
        profile: &'static str,
        write: Write,
        (name, number): (&'static str, u32),
        (old, new, done): (u32, u32, &Result<(), Error>),
    ) -> Outcome {
        if matches!(write, Write::ChangePassphrase) {
            let begin = Instant::now();
            let answer = self.vault().await?.unlock(profile, passphrase(new).as_bytes()).await;
            match answer {
                Ok(()) => {
                    let _ = self.model.change_passphrase(profile, old, new);
                }
                Err(error) => {
                    ensure!(done.is_err(), "the passphrase of {profile} was changed and does not open it: {error}");
                    ensure!(begin.elapsed() >= Duration::from_secs(1), "a wrong passphrase is answered too soon");
                }
            }
        }
        let vault = self.vault().await?;
        let right = self.model.vaults[profile].passphrase;
        let answer = vault.unlock(profile, passphrase(right).as_bytes()).await;
        if answer.is_err() {
            return Err(Violation::Lost(format!("after a kill during {write:?} {profile} does not open: {answer:?}")));
        }
        let _ = self.model.unlock(profile, right);
        if matches!(write, Write::Set | Write::DeleteSecret) {
            let there = vault.get_secret(profile, name).await;
            let changed = match write {
                Write::Set => there.as_ref().is_ok_and(|there| *there == value(profile, name, number)),
                _ => matches!(there, Err(Error::NotFound(_))),
            };
            if changed || done.is_ok() {
                let _ = match write {
                    Write::Set => self.model.set(profile, name, number),
                    _ => self.model.delete_secret(profile, name),
                };
            }
        }
        self.verify(profile).await
    }
}
