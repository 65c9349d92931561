//! What users ask for.

use std::time::Duration;

use dbus_interfaces::Error;

use crate::{
    ensure,
    history::Event,
    model::{Life, Refusal},
    steps::{passphrase, value},
    table::{Outcome, Violation},
    world::World,
};

impl World {
    /// A wish of a user.
    pub(super) async fn asked(&mut self, event: &Event) -> Outcome<bool> {
        match *event {
            Event::Reconcile => return self.reconcile().await,
            Event::SetDefault(profile) => return self.set_default(profile).await,
            Event::Activate(profile) => return self.set_active(profile, true).await,
            Event::Deactivate(profile) => return self.set_active(profile, false).await,
            _ => {}
        }
        if self.model.secrets != Life::Running {
            return Ok(false);
        }
        match *event {
            Event::Create(profile) => self.create(profile).await?,
            Event::Unlock(profile) => self.unlock(profile).await?,
            Event::UnlockWrong(profile) => self.unlock_wrong(profile).await?,
            Event::OldIdentity(profile) => return self.old_identity(profile).await,
            Event::Lock(profile) => {
                let answer = self.secrets().await.lock(profile).await;
                Self::same("Lock", &answer, &self.model.lock(profile))?;
            }
            Event::LockAll => {
                let answer = self.secrets().await.lock_all().await;
                let expected = self.model.lock_all();
                ensure!(answer.as_ref().is_ok_and(|locked| *locked == expected), "LockAll: {answer:?}, {expected:?}");
            }
            Event::LockDuringUnlock(profile, ms) => return self.lock_during_unlock(profile, ms).await,
            Event::ChangePassphrase(profile) => self.change_passphrase(profile).await?,
            Event::Set(profile, name, number) => {
                let answer = self.vault().await?.set_secret(profile, name, &value(profile, name, number)).await;
                Self::same("SetSecret", &answer, &self.model.set(profile, name, number))?;
            }
            Event::Get(profile, name) => self.get(profile, name).await?,
            Event::DeleteSecret(profile, name) => {
                let answer = self.vault().await?.delete_secret(profile, name).await;
                Self::same("DeleteSecret", &answer, &self.model.delete_secret(profile, name))?;
            }
            Event::Delete(profile) => {
                let number = self.model.vaults.get(profile).map_or(0, |vault| vault.passphrase);
                let answer = self.vault().await?.delete(profile, passphrase(number).as_bytes()).await;
                Self::same("Delete", &answer, &self.model.delete(profile, number))?;
            }
            _ => return Ok(false),
        }
        self.model.announced();
        Ok(true)
    }

    /// A new vault.
    pub(super) async fn create(&mut self, profile: &'static str) -> Outcome {
        let number = self.model.new_passphrase();
        let answer = self.vault().await?.create(profile, passphrase(number).as_bytes()).await;
        Self::same("Create", &answer, &self.model.create(profile, number))
    }

    /// With the right passphrase. What is in the vault then is what was written.
    pub(super) async fn unlock(&mut self, profile: &'static str) -> Outcome {
        let number = self.model.vaults.get(profile).map_or(0, |vault| vault.passphrase);
        let answer = self.vault().await?.unlock(profile, passphrase(number).as_bytes()).await;
        Self::same("Unlock", &answer, &self.model.unlock(profile, number))?;
        if answer.is_ok() { self.verify(profile).await } else { Ok(()) }
    }

    /// Every secret of an active vault, one by one.
    pub(super) async fn verify(&mut self, profile: &'static str) -> Outcome {
        let vault = self.vault().await?;
        let items = self.model.vaults[profile].items.clone();
        let names = vault.list_secrets(profile).await;
        let expected: Vec<&str> = items.keys().copied().collect();
        if !names.as_ref().is_ok_and(|names| *names == expected) {
            return Err(Violation::Lost(format!("{profile} holds {names:?} instead of {expected:?}")));
        }
        for (name, number) in items {
            let told = vault.get_secret(profile, name).await;
            if !told.as_ref().is_ok_and(|told| *told == value(profile, name, number)) {
                let told = told.map(|bytes| String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned());
                return Err(Violation::Lost(format!("{name} of {profile} is {told:?}, number {number} was stored")));
            }
        }
        Ok(())
    }

    async fn unlock_wrong(&mut self, profile: &'static str) -> Outcome {
        let former = self.model.vaults.get(profile).and_then(|vault| vault.former);
        let number = former.unwrap_or(u32::MAX);
        let answer = self.vault().await?.unlock(profile, passphrase(number).as_bytes()).await;
        Self::same("Unlock with a wrong passphrase", &answer, &self.model.unlock(profile, number))
    }

    async fn change_passphrase(&mut self, profile: &'static str) -> Outcome {
        let new = self.model.new_passphrase();
        let old = self.model.vaults.get(profile).map_or(0, |vault| vault.passphrase);
        let vault = self.vault().await?;
        let answer = vault.change_passphrase(profile, passphrase(old).as_bytes(), passphrase(new).as_bytes()).await;
        Self::same("ChangePassphrase", &answer, &self.model.change_passphrase(profile, old, new))
    }

    /// Somebody kept identity.age and the passphrase from before a change: they open nothing written later.
    async fn old_identity(&mut self, profile: &'static str) -> Outcome<bool> {
        if !self.model.vaults.contains_key(profile) {
            return Ok(false);
        }
        let file = self.host.vault(profile).join("identity.age");
        let kept = std::fs::read(&file);
        ensure!(kept.is_ok(), "{} cannot be read: {kept:?}", file.display());
        self.change_passphrase(profile).await?;
        let secrets = self.secrets().await;
        Self::same("Lock", &secrets.lock(profile).await, &self.model.lock(profile))?;
        let (present, kept) = (std::fs::read(&file).unwrap_or_default(), kept.unwrap_or_default());
        let put = |bytes: &[u8]| std::fs::write(&file, bytes).is_ok();
        ensure!(put(&kept), "{} cannot be written", file.display());
        let former = self.model.vaults[profile].former.unwrap_or_default();
        let answer = self.vault().await?.unlock(profile, passphrase(former).as_bytes()).await;
        ensure!(answer.is_err(), "an old passphrase opens what was written after it was changed, of {profile}");
        ensure!(put(&present), "{} cannot be written", file.display());
        // What is wrong with a vault is told until it is opened.
        self.unlock(profile).await?;
        self.model.announced();
        Ok(true)
    }

    async fn get(&mut self, profile: &'static str, name: &'static str) -> Outcome {
        let answer = self.vault().await?.get_secret(profile, name).await;
        let expected = self.model.get(profile, name);
        Self::same("GetSecret", &answer, &expected)?;
        if let (Ok(told), Ok(number)) = (&answer, expected)
            && *told != value(profile, name, number)
        {
            return Err(Violation::Lost(format!("{name} of {profile} is not number {number}")));
        }
        Ok(())
    }

    async fn lock_during_unlock(&mut self, profile: &'static str, ms: u64) -> Outcome<bool> {
        if !self.model.vaults.get(profile).is_some_and(|vault| vault.locked) {
            return Ok(false);
        }
        let number = self.model.vaults[profile].passphrase;
        let (vault, secrets) = (self.vault().await?, self.secrets().await);
        let word = passphrase(number);
        let unlock = vault.unlock(profile, word.as_bytes());
        let lock = async {
            // Answered after the unlock, sent before it on the same connection, was taken in. Its own answer is no matter.
            let _ = vault.list_secrets(profile).await;
            tokio::time::sleep(Duration::from_millis(ms)).await;
            // LockAll says which it locked: that tells whether the unlock was done by then.
            secrets.lock_all().await
        };
        let (unlocked, locked) = tokio::join!(unlock, lock);
        ensure!(locked.is_ok(), "LockAll: {locked:?}");
        let locked = locked.unwrap_or_default();
        let others = self.model.lock_all();
        for other in &others {
            ensure!(locked.iter().any(|profile| profile == other), "LockAll says {locked:?}, {other} was unlocked");
        }
        match unlocked {
            // Overruled.
            Err(Error::Locked(_)) => {}
            Ok(()) if locked.iter().any(|locked| locked == profile) => {
                // Unlocked, and then locked by the user.
                Self::same("Unlock", &Ok::<(), Error>(()), &self.model.unlock(profile, number))?;
                self.model.announced();
                Self::same("Lock", &Ok::<(), Error>(()), &self.model.lock(profile))?;
            }
            other => ensure!(false, "an unlock of {profile}, then LockAll, which locked {locked:?}: {other:?}"),
        }
        self.model.announced();
        Ok(true)
    }

    async fn set_active(&mut self, profile: &'static str, active: bool) -> Outcome<bool> {
        let running = self.model.secrets == Life::Running;
        let answer = match (self.model.hub, running) {
            (Life::Running, _) => {
                let hub = self.hub().await;
                let asked = async {
                    if active { hub.activate_profile(profile).await } else { hub.deactivate_profile(profile).await }
                };
                self.bounded("a forwarded call", asked).await?
            }
            (_, true) if active => self.secrets().await.activate(profile).await,
            (_, true) => self.secrets().await.deactivate(profile).await,
            _ => return Ok(false),
        };
        let what = if active { "Activate" } else { "Deactivate" };
        if running {
            let expected = self.model.set_active(profile, active);
            self.model.announced();
            Self::same(what, &answer, &expected)?;
        } else if self.model.secrets == Life::Frozen && self.model.has_report() {
            self.model.asked_in_vain(profile, active);
            ensure!(matches!(answer, Err(Error::Unresponsive(_))), "{what} of a hung daemon-secrets: {answer:?}");
        } else {
            Self::same(what, &answer, &Err::<(), _>(Refusal::Unavailable))?;
        }
        Ok(true)
    }

    async fn set_default(&mut self, profile: &'static str) -> Outcome<bool> {
        if self.model.hub != Life::Running {
            return Ok(false);
        }
        let answer = self.hub().await.set_default_profile(profile).await;
        Self::same("SetDefaultProfile", &answer, &self.model.set_default(profile))?;
        Ok(true)
    }

    async fn reconcile(&mut self) -> Outcome<bool> {
        if self.model.hub != Life::Running {
            return Ok(false);
        }
        let hub = self.hub().await;
        let answer = self.bounded("Reconcile", async { hub.reconcile().await }).await?;
        match self.model.secrets {
            Life::Running => {
                ensure!(matches!(answer, Ok(false)), "Reconcile, where nothing has drifted: {answer:?}");
            }
            Life::Absent => Self::same("Reconcile", &answer, &Err::<(), _>(Refusal::Unavailable))?,
            _ => ensure!(matches!(answer, Err(Error::Unresponsive(_))), "Reconcile of a hang: {answer:?}"),
        }
        Ok(true)
    }
}
