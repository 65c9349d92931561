//! Which vaults are locked without anybody's call, and when to look again: `lock_on` and `lock_after` of the
//! configuration. Pure: the time is handed in, as the time since boot with suspends included, so that a long sleep is
//! a long time.

use std::{collections::BTreeMap, time::Duration};

use daemon_config::{Config, LockOn, ProfileConfig};
use dbus_interfaces::ProfileName;

use crate::state::{Reason, VaultChange};

/// What the machine or the desktop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The machine is about to sleep.
    Sleep,
    /// It does not sleep, or no longer.
    Awake,
    /// The screen was locked.
    ScreenLocked,
    /// Nobody has touched the desktop for a while, or somebody is back.
    Away(bool),
}

/// What holds for one profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rule {
    sleep: bool,
    screen: bool,
    /// How long its vault may be unused.
    idle: Option<Duration>,
}

impl From<ProfileConfig> for Rule {
    fn from(ProfileConfig { lock_on, lock_after, .. }: ProfileConfig) -> Self {
        let on = |reason| lock_on.contains(&reason);
        Self { sleep: on(LockOn::Sleep), screen: on(LockOn::Screen), idle: on(LockOn::Idle).then_some(lock_after) }
    }
}

/// What holds for every profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    general: Rule,
    own: BTreeMap<ProfileName, Rule>,
}

impl From<&Config> for Rules {
    fn from(config: &Config) -> Self {
        let own = config.profiles.keys().map(|profile| (profile.clone(), config.for_profile(profile).into()));
        // What holds for a profile that has no table of its own.
        let general = Config { profiles: BTreeMap::new(), ..config.clone() }.for_profile(&ProfileName::personal());
        Self { general: general.into(), own: own.collect() }
    }
}

impl Rules {
    fn of(&self, profile: &ProfileName) -> Rule {
        self.own.get(profile).copied().unwrap_or(self.general)
    }
}

/// Follows what happens to the vaults and around them.
#[derive(Debug, Default)]
pub struct AutoLock {
    rules: Rules,
    /// The unlocked vaults, and when each was used last.
    used: BTreeMap<ProfileName, Duration>,
    sleeps: bool,
    away: bool,
}

impl AutoLock {
    /// Other rules hold from now on.
    pub fn configure(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// A vault was unlocked or locked, or went away.
    pub fn follow(&mut self, change: &VaultChange, now: Duration) {
        if change.locked {
            self.used.remove(&change.profile);
        } else {
            self.used.entry(change.profile.clone()).or_insert(now);
        }
    }

    /// Somebody asked to have the vault unlocked, which it is.
    pub fn wanted(&mut self, profile: &ProfileName, now: Duration) {
        if let Some(used) = self.used.get_mut(profile) {
            *used = now;
        }
    }

    /// A secret was read or changed. While nobody is at the desktop it is a program that does so by itself, and no
    /// use: it would keep the vault open for as long as the program runs.
    pub fn used(&mut self, profile: &ProfileName, now: Duration) {
        if !self.away {
            self.wanted(profile, now);
        }
    }

    /// Takes `event` in. Why vaults are to be locked now; [`concerns`](Self::concerns) tells which.
    pub fn take_in(&mut self, event: Event) -> Option<Reason> {
        match event {
            Event::Sleep => self.sleeps = true,
            Event::Awake => self.sleeps = false,
            Event::Away(away) => self.away = away,
            Event::ScreenLocked => return Some(Reason::Screen),
        }
        (event == Event::Sleep).then_some(Reason::Sleep)
    }

    /// Whether the vault of `profile` is to be locked for `reason`, an unlock of it in progress included.
    pub fn concerns(&self, reason: Reason, profile: &ProfileName) -> bool {
        let rule = self.rules.of(profile);
        match reason {
            Reason::Sleep => rule.sleep,
            Reason::Screen => rule.screen,
            _ => false,
        }
    }

    /// Whether no key of `profile` may come into memory now, since it would stay there while the machine sleeps.
    pub fn keeps_shut(&self, profile: &ProfileName) -> bool {
        self.sleeps && self.rules.of(profile).sleep
    }

    /// The vaults that were unused for as long as they may be.
    pub fn idle(&self, now: Duration) -> Vec<ProfileName> {
        self.ends().filter(|(_, end)| *end <= now).map(|(profile, _)| profile.clone()).collect()
    }

    /// When the first vault will be among the [`idle`](Self::idle), if it is not used.
    pub fn next(&self) -> Option<Duration> {
        self.ends().map(|(_, end)| end).min()
    }

    fn ends(&self) -> impl Iterator<Item = (&ProfileName, Duration)> {
        self.used
            .iter()
            .filter_map(|(profile, used)| Some((profile, used.saturating_add(self.rules.of(profile).idle?))))
    }
}

#[cfg(test)]
mod tests;
