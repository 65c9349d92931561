//! Locking without anybody's call, as `autolock` decides.

use daemon_config::Config;
use daemon_runtime::clock;
use dbus_interfaces::{Error, ProfileName};

use super::Actor;
use crate::{
    autolock::Rules,
    handle::Told,
    state::{Reason, VaultChange},
};

impl Actor {
    pub(super) fn configure_locking(&mut self, config: &Config) {
        self.autolock.configure(Rules::from(config));
        self.lock_idle();
    }

    /// Locks what an event of the machine or the desktop concerns.
    pub(super) fn told(&mut self, (event, gone): Told) {
        let concerned: Vec<ProfileName> = match self.autolock.take_in(event) {
            Some(reason) => {
                let profiles = self.state.profiles().filter(|profile| self.autolock.concerns(reason, profile));
                let profiles: Vec<_> = profiles.cloned().collect();
                self.shut(&profiles, reason);
                profiles
            }
            None => vec![],
        };
        // Who waits wants the keys gone, and does not wait for the bus to have heard of it.
        if let Some(gone) = self.holds.wait(&concerned, super::Shut::Gone(gone)) {
            self.is_shut(gone);
        }
        self.lock_idle();
    }

    /// Locks the vaults that were unused for too long, and sets the alarm for the next ones.
    pub(super) fn lock_idle(&mut self) {
        let idle = self.autolock.idle(clock::since_boot());
        if !idle.is_empty() {
            self.shut(&idle, Reason::Idle);
        }
        self.alarm.set(self.autolock.next());
    }

    pub(super) fn follow_use(&mut self, vaults: &[VaultChange]) {
        let now = clock::since_boot();
        vaults.iter().for_each(|change| self.autolock.follow(change, now));
        self.alarm.set(self.autolock.next());
    }

    /// A secret was read or changed. The alarm stays: when it goes off too early, it is set anew.
    pub(super) fn used(&mut self, profile: &ProfileName) {
        self.autolock.used(profile, clock::since_boot());
    }

    /// # Errors
    /// `Locked`, where a key of `profile` would be in memory while the machine sleeps.
    pub(super) fn must_be_awake(&self, profile: &ProfileName) -> Result<(), Error> {
        if self.autolock.keeps_shut(profile) {
            return Err(Error::Locked(format!(
                "the machine goes to sleep, and the vault of {profile} is kept locked until it is awake again; retry then"
            )));
        }
        Ok(())
    }
}
