//! What changes a vault's content: one change of a vault is with a worker at a time, and memory follows the disk.

use std::sync::Arc;

use daemon_runtime::clock;
use dbus_interfaces::ProfileName;
use vault_store::{Change as Edit, OpenVault};

use super::{Actor, Done, answer};
use crate::{
    handle::Waiter,
    secret_service::paths::Collection,
    state::Reason,
    work::{self, Stored},
};

/// A change of content, and who waits for it.
pub(super) struct PendingEdit {
    // `None` while a worker has it.
    pub(super) edit: Option<Edit>,
    pub(super) waiter: Waiter<()>,
}

impl Actor {
    pub(super) fn edit(&mut self, profile: ProfileName, edit: Edit, waiter: Waiter<()>) {
        if let Err(error) = self.served(&profile) {
            return answer(waiter, Err(error));
        }
        self.used(&profile);
        let queue = self.edits.entry(profile.clone()).or_default();
        queue.push_back(PendingEdit { edit: Some(edit), waiter });
        if queue.len() == 1 {
            self.start_edit(&profile);
        }
    }

    /// Hands the first change of a vault to a worker, unless a passphrase attempt has the vault's files.
    pub(super) fn start_edit(&mut self, profile: &ProfileName) {
        if self.trying.as_ref().is_some_and(|trying| trying.profile == *profile) {
            return;
        }
        let Some(vault) = self.open.get(profile).cloned() else { return };
        let Some(edit) = self.edits.get_mut(profile).and_then(|queue| queue.front_mut()?.edit.take()) else { return };
        self.holds.take(profile);
        let work = work::store(Arc::clone(&self.store), vault, edit);
        let (done, profile) = (self.done.0.clone(), profile.clone());
        tokio::spawn(async move {
            if let Ok(stored) = work.await {
                let _ = done.send(Done::Edit(profile, stored));
            }
        });
    }

    pub(super) fn edited(&mut self, profile: &ProfileName, stored: Stored) {
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
                Ok(())
            }
            Stored::Uncertain(there, error) => {
                if let Some(vault) = self.open.get_mut(profile) {
                    *vault = Arc::from(there);
                }
                Err(error)
            }
            Stored::Refused(error) => Err(error),
        };
        if let Err(error) = &outcome {
            self.note_trouble(profile, error);
        }
        if let Some(queue) = self.edits.get_mut(profile) {
            let done = queue.pop_front();
            if queue.is_empty() {
                self.edits.remove(profile);
            }
            if let Some(PendingEdit { waiter, .. }) = done {
                answer(waiter, outcome);
            }
        }
        self.released(profile);
        self.start_edit(profile);
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
