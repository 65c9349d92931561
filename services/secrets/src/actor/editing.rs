//! What is written of an open vault: one change of it is with a worker at a time, and memory follows the disk. Its search
//! file, by which its items are found while it is locked, follows at once, again after a rest, and at last with the lock.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use daemon_runtime::clock;
use dbus_interfaces::{Error, ProfileName};
use vault_store::{Change as Edit, OpenVault};

use super::{Actor, Done, answer};
use crate::{
    handle::Waiter,
    secret_service::paths::Collection,
    state::Reason,
    work::{self, Stored},
};

/// How long after a search file the next one is written: of a burst of changes, the first and the last are followed.
const REST: Duration = Duration::from_secs(1);

/// What is to be written of a vault.
pub(super) enum Writing {
    /// A change of content, and who waits for it. The change is `None` while a worker has it.
    Edit(Option<Edit>, Waiter<()>),
    /// Its search file.
    Search { with_worker: bool },
}

impl Writing {
    pub(super) fn is_with_worker(&self) -> bool {
        matches!(self, Self::Edit(None, _) | Self::Search { with_worker: true })
    }

    /// It is not written.
    pub(super) fn refuse(self, error: Error) {
        if let Self::Edit(_, waiter) = self {
            answer(waiter, Err(error));
        }
    }
}

impl Actor {
    pub(super) fn edit(&mut self, profile: ProfileName, edit: Edit, waiter: Waiter<()>) {
        if let Err(error) = self.served(&profile) {
            return answer(waiter, Err(error));
        }
        self.used(&profile);
        self.write(&profile, Writing::Edit(Some(edit), waiter));
    }

    fn write(&mut self, profile: &ProfileName, writing: Writing) {
        let queue = self.writings.entry(profile.clone()).or_default();
        queue.push_back(writing);
        if queue.len() == 1 {
            self.start_writing(profile);
        }
    }

    /// Hands what is first to be written of a vault to a worker, unless a passphrase attempt has the vault's files.
    pub(super) fn start_writing(&mut self, profile: &ProfileName) {
        if self.trying.as_ref().is_some_and(|trying| trying.profile == *profile) {
            return;
        }
        let Some(vault) = self.open.get(profile).cloned() else { return };
        let (store, tell) = (Arc::clone(&self.store), self.teller(profile));
        let work = match self.writings.get_mut(profile).and_then(VecDeque::front_mut) {
            Some(Writing::Edit(edit, _)) => edit.take().map(|edit| work::store(store, vault, edit, tell)),
            Some(Writing::Search { with_worker: with_worker @ false }) => {
                *with_worker = true;
                self.unsearched.remove(profile);
                Some(work::write_search(store, vault, tell))
            }
            _ => None,
        };
        if let Some(work) = work {
            self.hold_until(profile, async { drop(work.await) });
        }
    }

    /// What a worker tells of what it wrote for `profile`.
    pub(super) fn teller(&self, profile: &ProfileName) -> impl FnOnce(Stored) + Send + 'static {
        let (done, profile) = (self.done.0.clone(), profile.clone());
        move |stored| drop(done.send(Done::Written(profile, stored)))
    }

    pub(super) fn written(&mut self, profile: &ProfileName, stored: Stored) {
        let outcome = match stored {
            Stored::Written(edit, written) => {
                let mut effect = None;
                self.with_open(profile, |vault| {
                    effect = vault.content().effect(&edit);
                    vault.apply(edit, *written);
                });
                if let (Some(announcements), Some((id, effect))) = (&self.announcements, effect) {
                    announcements.item(&Collection::Profile(profile.clone()), id, effect);
                }
                let healed = self.state.set_trouble(profile, None);
                self.announce(healed);
                self.search(profile);
                Ok(())
            }
            Stored::Uncertain(there, error) => {
                if let Some(vault) = self.open.get_mut(profile) {
                    *vault = Arc::from(there);
                }
                self.search(profile);
                Err(error)
            }
            Stored::Refused(error) => Err(error),
            Stored::Searched => {
                self.forget_unwanted_search(profile);
                Ok(())
            }
        };
        if let Err(error) = &outcome {
            self.note_trouble(profile, error);
        }
        if let Some(queue) = self.writings.get_mut(profile) {
            let done = queue.pop_front();
            if queue.is_empty() {
                self.writings.remove(profile);
            }
            if let Some(Writing::Edit(_, waiter)) = done {
                answer(waiter, outcome);
            }
        }
        self.start_writing(profile);
    }

    /// The search file is behind what `profile`'s open vault holds.
    fn search(&mut self, profile: &ProfileName) {
        if self.open.contains_key(profile) && self.searched.is(profile) {
            self.unsearched.insert(profile.clone());
            self.write_search(profile);
        }
    }

    /// Writes the search file of a vault, where it is still behind, unless that was done a moment ago, or is to be done.
    fn write_search(&mut self, profile: &ProfileName) {
        if self.unsearched.contains(profile) && self.resting.insert(profile.clone()) {
            let (done, rested) = (self.done.0.clone(), profile.clone());
            tokio::spawn(async move {
                tokio::time::sleep(REST).await;
                let _ = done.send(Done::Rested(rested));
            });
            self.write(profile, Writing::Search { with_worker: false });
        }
    }

    pub(super) fn rested(&mut self, profile: &ProfileName) {
        self.resting.remove(profile);
        self.write_search(profile);
    }

    /// Whether the search file of a vault is behind as its key is to go, and can be written: a worker in the middle of a
    /// change leaves it behind.
    pub(super) fn is_unsearched_at_last(&mut self, profile: &ProfileName) -> bool {
        self.unsearched.remove(profile)
            && self.state.must_exist(profile).is_ok()
            && !self.writings.contains_key(profile)
    }

    /// The configuration may have changed, also while a worker wrote.
    pub(super) fn forget_unwanted_search(&self, profile: &ProfileName) {
        if !self.searched.is(profile)
            && let Err(cause) = self.store.forget_search(profile)
        {
            tracing::warn!(%profile, %cause, "{cause}");
        }
    }

    /// Changes an open vault in place. Nobody else has it: workers gave their share back before they reported.
    pub(super) fn with_open(&mut self, profile: &ProfileName, change: impl FnOnce(&mut OpenVault)) {
        match self.open.get_mut(profile).map(Arc::get_mut) {
            Some(Some(vault)) => change(vault),
            // Locked meanwhile: the disk has it.
            None => {}
            Some(None) => {
                tracing::error!(%profile, "the open vault of {profile} could not be changed in memory; it is locked");
                let change = self.state.lock([profile.clone()], Reason::User, clock::now_usec());
                self.announce(change);
                self.close(profile);
            }
        }
    }
}
