//! The search file of a vault, by which its items are found while it is locked: it follows a change at once, a burst of
//! changes once a second, and the last of them with the lock.

use std::{future::Future, sync::Arc, time::Duration};

use dbus_interfaces::ProfileName;
use tokio::{sync::oneshot, time::timeout};
use vault_store::OpenVault;

use super::{Actor, Done, editing::Writing};
use crate::work::{self, Stored};

/// How long after a search file the next one is written.
const REST: Duration = Duration::from_secs(1);
/// How long a lock waits for the search file when the keys are gone: who then searches finds what was stored, and a disk that
/// does not take it holds up nobody.
const MOMENT: Duration = Duration::from_millis(500);

impl Actor {
    /// The search file is behind what `profile`'s vault holds.
    pub(super) fn search(&mut self, profile: &ProfileName) {
        if self.searched.is(profile) && (self.open.contains_key(profile) || self.closing.contains_key(profile)) {
            self.unsearched.insert(profile.clone());
            self.search_unless_resting(profile);
        }
    }

    pub(super) fn rested(&mut self, profile: &ProfileName) {
        self.resting.remove(profile);
        self.search_unless_resting(profile);
    }

    fn search_unless_resting(&mut self, profile: &ProfileName) {
        let is_behind = self.unsearched.contains(profile) && self.open.contains_key(profile);
        let is_queued = self.writings.get(profile).is_some_and(|queue| queue.iter().any(Writing::is_search_to_come));
        if !is_behind || is_queued || !self.resting.insert(profile.clone()) {
            return;
        }
        let (done, rested) = (self.done.0.clone(), profile.clone());
        tokio::spawn(async move {
            tokio::time::sleep(REST).await;
            let _ = done.send(Done::Rested(rested));
        });
        self.write(profile, Writing::Search { with_worker: false });
    }

    /// Has workers make the search file, let go of the vault, and write it. `gone` is waited for with the vault.
    pub(super) fn write_search(
        &mut self,
        profile: &ProfileName,
        vault: Arc<OpenVault>,
        gone: impl Future<Output = ()> + Send + 'static,
    ) {
        let (store, tell) = (Arc::clone(&self.store), self.teller(profile));
        let making = work::make_search(&self.workers, Arc::clone(&store), vault);
        let workers = self.workers.clone();
        let (let_go, is_let_go) = oneshot::channel::<()>();
        let (written, is_written) = oneshot::channel::<()>();
        self.hold_until(profile, async {
            let _ = is_let_go.await;
            gone.await;
            let _ = timeout(MOMENT, is_written).await;
        });
        tokio::spawn(async move {
            let made = making.await;
            drop(let_go);
            if let Ok(Some(file)) = made {
                let _ = work::write_search(&workers, store, file).await;
            }
            drop(written);
            tell(Stored::Searched);
        });
    }

    /// Lets go of a vault that is locked, and has its search file written where that is behind. Not beside somebody else who
    /// has the vault's files: a passphrase attempt, which writes it by itself.
    pub(super) fn let_go(&mut self, profile: &ProfileName, vault: Arc<OpenVault>) {
        let is_behind = self.unsearched.remove(profile) && self.state.must_exist(profile).is_ok();
        if !is_behind || self.is_tried(profile) || self.writings.contains_key(profile) {
            return self.wipe(profile, vault);
        }
        self.writings.insert(profile.clone(), [Writing::Search { with_worker: true }].into());
        let answers = self.answers.clone();
        self.write_search(profile, vault, async move { answers.end().await });
    }

    /// The configuration may have changed, also while a worker wrote.
    pub(super) fn forget_unwanted_search(&self, profile: &ProfileName) {
        if !self.searched.is(profile)
            && let Err(cause) = self.store.forget_search(profile)
        {
            tracing::warn!(%profile, %cause, "{cause}");
        }
    }
}
