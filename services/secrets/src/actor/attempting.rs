//! What takes a passphrase: creating, unlocking, changing the passphrase, deleting. One is with a worker at a time.

use std::{sync::Arc, time::Duration};

use daemon_runtime::clock;
use dbus_interfaces::{Error, ProfileName};
use tokio::time::Instant;

use super::{Actor, Done, answer};
use crate::{
    attempts::{ConnectionId, TooMany},
    handle::{Attempt, Waiter},
    holds::Hold,
    state,
    work::{self, Attempted, Granted, Settings, Wish},
};

/// A wrong passphrase is answered no sooner than this after the call.
const WRONG_PASSPHRASE_DELAY: Duration = Duration::from_secs(1);

/// The attempt under way.
pub(super) struct Trying {
    pub(super) profile: ProfileName,
    hold: Hold,
    // Whether it may have written the search file.
    searched: bool,
    waiter: Waiter<()>,
    since: Instant,
    // Locked meanwhile: what it unlocks is not to be had.
    pub(super) overruled: bool,
}

impl Actor {
    pub(super) fn attempt(&mut self, from: ConnectionId, attempt: Attempt) {
        let Some(attempt) = self.needs_no_key(attempt) else { return };
        match self.attempts.add(from, attempt, |attempt| attempt.waiter.is_closed()) {
            Ok(()) => self.start_attempt(),
            Err(TooMany(attempt)) => {
                let sentence = "too many passphrases wait to be tried; retry when the others have been answered";
                answer(attempt.waiter, Err(Error::TooManyAttempts(sentence.into())));
            }
        }
    }

    /// Answers what can be answered without a key; gives back the rest.
    fn needs_no_key(&mut self, attempt: Attempt) -> Option<Attempt> {
        let profile = &attempt.profile;
        let known = self.state.is_unlocked(profile);
        if let Err(error) = self.must_be_awake(profile) {
            answer(attempt.waiter, Err(error));
            return None;
        }
        match (&attempt.wish, known) {
            (Wish::Create(_), Ok(_)) => {
                let sentence = format!("there is a profile {profile} already; choose another name");
                answer(attempt.waiter, Err(Error::AlreadyExists(sentence)));
                None
            }
            (Wish::Create(_), Err(_)) => Some(attempt),
            (_, Err(error)) => {
                answer(attempt.waiter, Err(error));
                None
            }
            (Wish::Unlock(_), Ok(true)) => {
                self.autolock.wanted(profile, clock::since_boot());
                let change = self.state.unlock(profile, clock::now_usec());
                self.announce_beside_bus(change, attempt.waiter);
                None
            }
            (_, Ok(_)) => Some(attempt),
        }
    }

    pub(super) fn start_attempt(&mut self) {
        // One worker at a time writes a vault's files.
        while let Some(attempt) = self.attempts.start(|attempt| !self.writings.contains_key(&attempt.profile)) {
            // The wait may have changed what it takes, or its caller may have gone.
            let wanted = (!attempt.waiter.is_closed()).then_some(attempt);
            if let Some(attempt) = wanted.and_then(|attempt| self.needs_no_key(attempt)) {
                return self.try_now(attempt);
            }
            self.attempts.ended();
        }
    }

    /// Whether a passphrase attempt has the files of the vault.
    pub(super) fn is_tried(&self, profile: &ProfileName) -> bool {
        self.trying.as_ref().is_some_and(|trying| trying.profile == *profile)
    }

    fn try_now(&mut self, Attempt { profile, wish, waiter, since }: Attempt) {
        let hold = self.holds.take(&profile);
        let searched = self.searched.is(&profile);
        let settings = Settings { work_factor: self.work_factor, searched };
        let work = work::grant(&self.workers, Arc::clone(&self.store), settings, profile.clone(), wish);
        self.trying = Some(Trying { profile, hold, searched, waiter, since, overruled: false });
        let done = self.done.0.clone();
        tokio::spawn(async move {
            let attempted = work.await.unwrap_or_else(|cause| Attempted::not_begun(&cause));
            let _ = done.send(Done::Attempt(attempted));
        });
    }

    pub(super) fn attempted(&mut self, Attempted { outcome, exists, untouched }: Attempted) {
        self.attempts.ended();
        let Some(Trying { profile, hold, searched, waiter, since, overruled }) = self.trying.take() else { return };
        match outcome {
            Ok(granted) => self.granted(&profile, granted, overruled, waiter),
            Err(error @ Error::WrongPassphrase(_)) => {
                tokio::spawn(async move {
                    tokio::time::sleep_until(since + WRONG_PASSPHRASE_DELAY).await;
                    answer(waiter, Err(error));
                });
            }
            Err(error) => {
                self.note_existence(&profile, exists);
                if !untouched {
                    self.note_trouble(&profile, &error);
                }
                answer(waiter, Err(error));
            }
        }
        if searched {
            self.forget_unwanted_search(&profile);
        }
        self.released(hold);
        self.start_writing(&profile);
    }

    fn granted(&mut self, profile: &ProfileName, granted: Granted, overruled: bool, waiter: Waiter<()>) {
        match granted {
            Granted::Unlocked(vault) if overruled => {
                self.wipe(profile, vault);
                answer(waiter, Err(state::locked(profile)));
            }
            Granted::Unlocked(vault) => {
                self.open.insert(profile.clone(), Arc::from(vault));
                let change = self.state.unlock(profile, clock::now_usec());
                self.announce_beside_bus(change, waiter);
            }
            Granted::Rekeyed(rekeyed) => {
                self.with_open(profile, |vault| vault.rekey(rekeyed));
                answer(waiter, Ok(()));
            }
            Granted::Created => {
                let change = self.state.create(profile, clock::now_usec());
                self.announce_beside_bus(change, waiter);
            }
            Granted::Deleted => {
                let change = self.state.delete(profile);
                self.close(profile);
                self.announce_beside_bus(change, waiter);
            }
        }
    }

    /// A failed attempt may have made or found a vault, or found that one is gone.
    fn note_existence(&mut self, profile: &ProfileName, exists: Option<bool>) {
        let change = match exists {
            Some(true) => self.state.create(profile, clock::now_usec()),
            Some(false) => self.state.delete(profile),
            None => None,
        };
        self.announce(change);
        if exists == Some(false) {
            self.close(profile);
        }
    }
}
