//! What happens to the bus, and what strangers do on it.

use std::{collections::BTreeMap, time::Duration};

use dbus_interfaces::{daemon, profile, secrets};
use rustix::process::Signal;
use session_tests::client::Client;
use zbus::{Variant, fdo::RequestNameFlags};

use crate::{
    ensure,
    history::{Daemon, Forgery, Lost},
    lossy::Lossy,
    model::{Life, Model},
    observer::{Observer, bus_name},
    steps::{passphrase, value},
    table::Outcome,
    world::World,
};

/// A clock goes no further than this from the truth.
const FURTHEST: i64 = 86_400 * 400;

impl World {
    /// The bus does nothing for a while; what needs no bus goes on.
    pub(super) async fn freeze_bus(&mut self, profile: &'static str, ms: u64) -> Outcome<bool> {
        if self.host.private().is_none() {
            return Ok(false);
        }
        let vault = match self.model.secrets {
            Life::Running => Some(self.vault().await?),
            _ => None,
        };
        let number = self.random.below(1_000_000) as u32;
        let serves = self.model.serves(profile);
        let right = self.model.vaults.get(profile).map_or(0, |vault| vault.passphrase);
        let private = self.host.private().expect("checked just now");
        private.signal_bus(Signal::STOP);
        let asked = async {
            let vault = vault?;
            Some(match serves {
                true => vault.set_secret(profile, "token", &value(profile, "token", number)).await,
                false => vault.unlock(profile, passphrase(right).as_bytes()).await,
            })
        };
        let thaw = async {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            private.signal_bus(Signal::CONT);
        };
        let (answer, ()) = tokio::join!(asked, thaw);
        if let Some(answer) = answer {
            let expected = match serves {
                true => self.model.set(profile, "token", number),
                false => self.model.unlock(profile, right),
            };
            Self::same("a call while the bus is stopped", &answer, &expected)?;
            self.model.announced();
        }
        self.settle("a stop of the bus").await?;
        Ok(true)
    }

    pub(super) async fn restart_bus(&mut self) -> Outcome<bool> {
        let Some(private) = self.host.private() else { return Ok(false) };
        let restarted = private.restart_bus().await;
        ensure!(restarted.is_ok(), "{}", restarted.err().unwrap_or_default());
        self.model.hub_end();
        if self.model.secrets != Life::Absent {
            self.model.secrets_end(false);
        }
        self.table.signals += self.observer.signals;
        self.observer = Observer::start(&self.host.address()).await;
        Ok(true)
    }

    /// A third connection says that everything is otherwise.
    pub(super) async fn forge(&mut self, forgery: Forgery, to_hub: bool) -> Outcome<bool> {
        let stranger = Client::connect(&self.host.address()).await;
        let hub = self.observer.hub.owner.clone().filter(|_| to_hub);
        send(&stranger, hub.as_deref(), forgery, &self.model).await;
        // Routed when the bus answers.
        stranger.owner(profile::NAME).await;
        Ok(true)
    }

    /// A stranger takes a name: while it is a daemon's it cannot, and before, the daemon does not start.
    pub(super) async fn stranger(&mut self, daemon: Daemon) -> Outcome<bool> {
        if self.host.private().is_none() {
            return Ok(false);
        }
        let stranger = Client::connect(&self.host.address()).await;
        let flags = RequestNameFlags::DO_NOT_QUEUE | RequestNameFlags::REPLACE_EXISTING;
        let taken = stranger.connection.request_name_with_flags(bus_name(daemon), flags).await;
        if self.life(daemon) != Life::Absent {
            ensure!(taken.is_err(), "a stranger took the name of {daemon:?}: {taken:?}");
            return Ok(true);
        }
        ensure!(taken.is_ok(), "a free name is not to be had: {taken:?}");
        self.until_owned(daemon, true).await?;
        if daemon == Daemon::Secrets {
            self.model.secrets = Life::Stranger;
            self.model.answers(false);
            self.settle("a stranger").await?;
            for forgery in [Forgery::Properties, Forgery::Vault] {
                send(&stranger, None, forgery, &self.model).await;
            }
            stranger.owner(profile::NAME).await;
            self.check().await?;
        }
        let private = self.host.private().expect("checked just now");
        let (code, said) = private.try_start(daemon).await;
        let errors = said.lines().filter(|line| line.contains("ERROR")).count();
        ensure!(code == Some(1) && errors == 1, "{daemon:?} found its name taken, ended with {code:?} and said {said}");
        let released = stranger.connection.release_name(bus_name(daemon)).await;
        ensure!(released.is_ok(), "{released:?}");
        self.until_owned(daemon, false).await?;
        if daemon == Daemon::Secrets {
            self.model.owner_left(false);
            self.model.secrets = Life::Absent;
        }
        Ok(true)
    }

    /// What is said of a change is lost on its way to the hub: old until the next reconciliation, and not after it.
    pub(super) async fn drop_signal(&mut self, profile: &'static str) -> Outcome<bool> {
        if self.host.private().is_none() || self.model.hub != Life::Running || self.model.secrets != Life::Running {
            return Ok(false);
        }
        self.lossy().drop_messages(vec![b"PropertiesChanged", b"/org/opensesame/Secrets"]);
        self.change_something(profile).await?;
        let dropped = self.lossy().relent();
        let reconciled = self.hub().await.reconcile().await;
        ensure!(reconciled.is_ok(), "Reconcile after {dropped} lost signals: {reconciled:?}");
        self.model.announced();
        Ok(dropped > 0)
    }

    /// Some change of a vault's state, straight at daemon-secrets.
    async fn change_something(&mut self, profile: &'static str) -> Outcome {
        let locked = self.model.vaults.get(profile).map(|vault| vault.locked);
        let serves = self.model.serves(profile);
        match locked {
            None => self.create(profile).await,
            Some(true) => self.unlock(profile).await,
            Some(false) if serves => {
                let answer = self.secrets().await.deactivate(profile).await;
                Self::same("Deactivate", &answer, &self.model.set_active(profile, false))
            }
            Some(false) => {
                let answer = self.secrets().await.lock(profile).await;
                Self::same("Lock", &answer, &self.model.lock(profile))
            }
        }
    }

    /// The hub does not hear that daemon-secrets is gone, or that another one has come, or neither.
    pub(super) async fn drop_owner(&mut self, lost: Lost) -> Outcome<bool> {
        if self.host.private().is_none() || self.model.hub != Life::Running || self.model.secrets != Life::Running {
            return Ok(false);
        }
        let change: [&'static [u8]; 2] = [b"NameOwnerChanged", b"org.opensesame.Secrets"];
        if lost != Lost::Coming {
            self.lossy().drop_messages(change.to_vec());
        }
        self.host.kill(Daemon::Secrets).await;
        self.until_owned(Daemon::Secrets, false).await?;
        self.model.secrets_end(false);
        // Somebody looks: it answers no more, and that is found.
        self.settle_untold("an unheard loss").await?;
        match lost {
            Lost::Going => drop(self.lossy().relent()),
            Lost::Coming => self.lossy().drop_messages(change.to_vec()),
            Lost::Both => {}
        }
        self.host.start(Daemon::Secrets).await;
        self.until_owned(Daemon::Secrets, true).await?;
        self.lossy().relent();
        self.model.secrets_start();
        if lost != Lost::Going {
            // As it would at the next tick but one.
            let found = self.hub().await.reconcile().await;
            ensure!(found.is_ok(), "Reconcile does not find a daemon-secrets that came unheard: {found:?}");
        }
        self.settle("a lost change of owner").await?;
        Ok(true)
    }

    /// The way from the bus to the hub, of a private session.
    fn lossy(&mut self) -> &Lossy {
        self.host.private().expect("only private sessions lose signals").lossy()
    }

    /// Everything reaches the hub late; so do calls, and their answers are right.
    pub(super) async fn delay_signals(&mut self, profile: &'static str, ms: u64) -> Outcome<bool> {
        if self.host.private().is_none() || self.model.hub != Life::Running || self.model.secrets != Life::Running {
            return Ok(false);
        }
        self.lossy().delay(Duration::from_millis(ms / 10));
        self.change_something(profile).await?;
        self.model.announced();
        let status = self.hub().await.status().await;
        self.lossy().relent();
        let expected = self.model.expected();
        let right = status.as_ref().is_ok_and(|(locks, ..)| {
            locks.len() == expected.rows.len()
                && expected.rows.iter().all(|(profile, row)| locks.get(*profile) == Some(&row.locked))
        });
        ensure!(right, "with a slow bus Status says {status:?} instead of {:?}", expected.rows);
        Ok(true)
    }

    /// The wall clock of both daemons jumps.
    pub(super) fn clock_jump(&mut self, seconds: i64) -> Outcome<bool> {
        let Some(private) = self.host.private() else { return Ok(false) };
        self.clock = (self.clock + seconds).clamp(-FURTHEST, FURTHEST);
        private.set_clock(self.clock);
        Ok(true)
    }
}

/// Sends a forged signal.
async fn send(stranger: &Client, to: Option<&str>, forgery: Forgery, model: &Model) {
    let opposite: BTreeMap<&str, BTreeMap<&str, Variant<'_>>> = model
        .vaults
        .iter()
        .map(|(profile, vault)| {
            let words = [("locked", Variant::from(!vault.locked)), ("active", Variant::from(vault.locked))];
            let since = [("since-usec", Variant::from(1_u64)), ("reason", Variant::from("user"))];
            (*profile, words.into_iter().chain(since).collect())
        })
        .collect();
    match forgery {
        Forgery::Properties => {
            let changed = BTreeMap::from([("Vaults", Variant::from(opposite)), ("Generation", Variant::from(9_u64))]);
            let nothing: &[&str] = &[];
            let body = (secrets::INTERFACE, changed, nothing);
            stranger.forge(to, secrets::PATH, "org.freedesktop.DBus.Properties", "PropertiesChanged", &body).await;
        }
        Forgery::Vault => {
            let body = ("personal", false, true, "user");
            stranger.forge(to, secrets::PATH, secrets::INTERFACE, "VaultChanged", &body).await;
        }
        Forgery::Started => {
            let body = ("daemon-secrets", "00000000000000000000000000000000");
            stranger.forge(to, daemon::PATH, daemon::INTERFACE, "DaemonStarted", &body).await;
        }
        Forgery::Owner => {
            let body = (secrets::NAME, "", ":1.4711");
            let driver = "org.freedesktop.DBus";
            stranger.forge(to, "/org/freedesktop/DBus", driver, "NameOwnerChanged", &body).await;
        }
    }
}
