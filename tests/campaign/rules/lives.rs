//! How daemons come, hang and go, as the rules are told.

use std::collections::BTreeMap;

use daemon_profile::{hub::Hub, peers::DaemonName, units::UnitFacts};
use daemon_secrets::state::{Reason, State};
use dbus_interfaces::{ProfileName, secrets::VaultState};

use super::{Input, Rules, introduction, name, named};
use crate::{
    history::{Daemon, Write},
    model::Life,
    table::Outcome,
};

impl Rules {
    pub(super) fn start(&mut self, daemon: Daemon) -> Outcome {
        match daemon {
            Daemon::Profile if self.model.hub == Life::Absent => {
                self.hubs += 1;
                let run = introduction(&format!("hub{}", self.hubs));
                let mut hub = Hub::new(run, 7, name(self.model.default), self.now);
                self.seen = Some((*hub.report()).clone());
                (self.hub, self.told) = (Some(hub), (0, 0));
                self.model.hub_start();
                match self.model.secrets {
                    Life::Running => self.introduce(),
                    Life::Frozen => self.queue.push_back(Input::Unanswered),
                    _ => {}
                }
            }
            Daemon::Secrets if self.model.secrets == Life::Absent => {
                let found = self.model.vaults.keys().map(|profile| (name(profile), None));
                self.secrets = Some(State::new(found, self.now));
                self.run += 1;
                self.model.secrets_start();
                self.introduce();
            }
            _ => {}
        }
        self.deliver()
    }

    pub(super) fn introduce(&mut self) {
        // It is asked who it is, which a hub that does nothing does not.
        if self.model.hub == Life::Frozen {
            return;
        }
        self.queue.push_back(Input::Introduced(introduction(&self.run.to_string())));
        let stated = self.stated();
        self.queue.push_back(Input::Reconciled(stated, 0));
    }

    pub(super) fn hub_ends(&mut self) {
        (self.hub, self.seen) = (None, None);
        self.queue.clear();
        self.model.hub_end();
    }

    pub(super) fn kill(&mut self, result: &str) -> Outcome {
        if self.model.secrets == Life::Absent {
            return Ok(());
        }
        self.secrets = None;
        self.model.secrets_end(false);
        self.queue.push_back(Input::OwnerGone);
        if self.model.supervised {
            self.unit("activating", "auto-restart", result);
        }
        self.queue.push_back(Input::ReasonOverdue);
        self.deliver()
    }

    pub(super) fn stop(&mut self) -> Outcome {
        if self.model.secrets != Life::Running {
            return Ok(());
        }
        let mut state = self.secrets.take().expect("it runs");
        let all: Vec<ProfileName> = state.profiles().cloned().collect();
        if self.model.supervised {
            self.unit("deactivating", "stop-sigterm", "success");
        }
        if let Some(change) = state.lock(all, Reason::DaemonStopped, self.now) {
            self.queue.push_back(Input::Announced(named(&change.snapshot)));
        }
        self.model.secrets_end(true);
        self.queue.push_back(Input::OwnerGone);
        if self.model.supervised {
            self.unit("inactive", "dead", "success");
        }
        self.queue.push_back(Input::ReasonOverdue);
        self.deliver()
    }

    pub(super) fn unit(&mut self, active: &str, sub: &str, result: &str) {
        let facts = UnitFacts {
            load_state: "loaded".into(),
            active_state: active.into(),
            sub_state: sub.into(),
            invocation: self.run.to_string(),
            result: result.into(),
            exec_status: 9,
            restarts: 1,
        };
        self.queue.push_back(Input::UnitRead(DaemonName::Secrets, facts));
    }

    /// What the killed daemon was about was done or not.
    pub(super) fn kill_during(&mut self, profile: &'static str, write: Write, done: bool) -> Outcome {
        if self.model.secrets != Life::Running {
            return Ok(());
        }
        self.kill("signal")?;
        match write {
            Write::Create if done => {
                let number = self.model.new_passphrase();
                let _ = self.model.create(profile, number);
                if let Some(vault) = self.model.vaults.get_mut(profile) {
                    vault.reason = "never-unlocked";
                }
            }
            Write::Delete if done => drop(self.model.vaults.remove(profile)),
            _ => {}
        }
        self.start(Daemon::Secrets)
    }

    pub(super) fn freeze(&mut self, daemon: Daemon) {
        match daemon {
            Daemon::Profile if self.model.hub == Life::Running => self.model.hub = Life::Frozen,
            Daemon::Secrets if self.model.secrets == Life::Running => {
                self.model.secrets = Life::Frozen;
                self.model.answers(false);
                self.queue.push_back(Input::Unanswered);
            }
            _ => {}
        }
    }

    pub(super) fn thaw(&mut self, daemon: Daemon) -> Outcome {
        match daemon {
            Daemon::Profile if self.model.hub == Life::Frozen => {
                self.model.hub_thaw();
                match self.model.secrets {
                    Life::Running => self.introduce(),
                    Life::Frozen => self.queue.push_back(Input::Unanswered),
                    _ => {}
                }
            }
            Daemon::Secrets if self.model.secrets == Life::Frozen => {
                self.model.secrets_thaw();
                self.queue.push_back(Input::Heard);
                // Asked again who it is only where it never said.
                self.introduce();
            }
            _ => {}
        }
        self.deliver()
    }

    /// Somebody owns the name, states vaults, and never says who it is.
    pub(super) fn stranger(&mut self) -> Outcome {
        if self.model.secrets != Life::Absent {
            return Ok(());
        }
        self.model.secrets = Life::Stranger;
        self.model.answers(false);
        let opposite = self.model.vaults.iter().map(|(profile, vault)| {
            let (locked, active) = (!vault.locked, vault.locked);
            let reason = "user".into();
            let row = VaultState { locked, active, since_usec: 1, reason, error: None, error_code: None };
            (name(profile), row)
        });
        let opposite: BTreeMap<_, _> = opposite.collect();
        self.queue.extend([Input::Announced(opposite.clone()), Input::Unanswered, Input::Reconciled(opposite, 2)]);
        self.deliver()?;
        self.check()?;
        self.model.owner_left(false);
        self.model.secrets = Life::Absent;
        self.queue.extend([Input::OwnerGone, Input::ReasonOverdue]);
        self.deliver()
    }
}
