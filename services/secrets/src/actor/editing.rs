//! What changes a vault's content: one change of a vault is with a worker at a time, and memory follows the disk.

use std::{collections::VecDeque, sync::Arc};

use daemon_runtime::{clock, workers::no_thread};
use dbus_interfaces::{Error, ProfileName};
use vault_store::{Change as Edit, OpenVault};

use super::{Actor, Done, answer};
use crate::{
    handle::Waiter,
    secret_service::paths::Collection,
    state::Reason,
    work::{self, Stored},
};

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

    pub(super) fn is_search_to_come(&self) -> bool {
        matches!(self, Self::Search { with_worker: false })
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

    pub(super) fn write(&mut self, profile: &ProfileName, writing: Writing) {
        let queue = self.writings.entry(profile.clone()).or_default();
        queue.push_back(writing);
        if queue.len() == 1 {
            self.start_writing(profile);
        }
    }

    /// Hands what is first to be written of a vault to a worker, unless a passphrase attempt has the vault's files.
    pub(super) fn start_writing(&mut self, profile: &ProfileName) {
        if self.is_tried(profile) {
            return;
        }
        let Some(vault) = self.open.get(profile).cloned() else { return };
        match self.writings.get_mut(profile).and_then(VecDeque::front_mut) {
            Some(Writing::Edit(edit, _)) => {
                let Some(edit) = edit.take() else { return };
                let work = work::store(&self.workers, Arc::clone(&self.store), vault, edit, self.teller(profile));
                let tell = self.teller(profile);
                self.hold_until(profile, async {
                    if let Err(cause) = work.await {
                        tell(Stored::Refused(no_thread(&cause)));
                    }
                });
            }
            Some(Writing::Search { with_worker: with_worker @ false }) => {
                *with_worker = true;
                self.unsearched.remove(profile);
                self.write_search(profile, vault, async {});
            }
            _ => {}
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
                if let (Some(announcements), Some((id, effect)), Some(vault)) =
                    (&self.announcements, effect, self.open.get(profile))
                {
                    let content = (vault.content(), profile);
                    announcements.item(&Collection::Profile(profile.clone()), id, effect, content);
                }
                let healed = self.state.set_trouble(profile, None);
                self.announce(healed);
                self.search(profile);
                Ok(())
            }
            Stored::Uncertain(there, error) => {
                if let Some(vault) = self.open.get_mut(profile).or(self.closing.get_mut(profile)) {
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
        if let Some(vault) = self.closing.remove(profile) {
            self.let_go(profile, vault);
        }
        self.start_writing(profile);
    }

    /// Changes an open vault in place. Nobody else has it: workers gave their share back before they reported.
    pub(super) fn with_open(&mut self, profile: &ProfileName, change: impl FnOnce(&mut OpenVault)) {
        match self.open.get_mut(profile).or(self.closing.get_mut(profile)).map(Arc::get_mut) {
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
