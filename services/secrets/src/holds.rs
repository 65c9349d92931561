//! Who still holds a vault's keys: workers in the middle of something. A lock is done when nobody does. Pure.

use std::collections::BTreeMap;

use dbus_interfaces::ProfileName;

/// Holds by profile, and what waits for them to end.
pub struct Holds<W> {
    held: BTreeMap<ProfileName, usize>,
    waiting: Vec<(Vec<ProfileName>, W)>,
}

impl<W> Default for Holds<W> {
    fn default() -> Self {
        Self { held: BTreeMap::new(), waiting: Vec::new() }
    }
}

impl<W> Holds<W> {
    /// A worker has keys of `profile` from now on.
    pub fn take(&mut self, profile: &ProfileName) {
        *self.held.entry(profile.clone()).or_default() += 1;
    }

    /// A worker has let go. What need not wait any longer.
    pub fn release(&mut self, profile: &ProfileName) -> Vec<W> {
        if let Some(count) = self.held.get_mut(profile) {
            *count -= 1;
            if *count == 0 {
                self.held.remove(profile);
            }
        }
        let held = &self.held;
        let mut over = Vec::new();
        for (mut profiles, waiter) in std::mem::take(&mut self.waiting) {
            profiles.retain(|profile| held.contains_key(profile));
            if profiles.is_empty() {
                over.push(waiter);
            } else {
                self.waiting.push((profiles, waiter));
            }
        }
        over
    }

    /// Lets `waiter` wait until nobody holds any of `profiles`; gives it back where nobody does.
    pub fn wait(&mut self, profiles: &[ProfileName], waiter: W) -> Option<W> {
        let held: Vec<_> = profiles.iter().filter(|profile| self.held.contains_key(*profile)).cloned().collect();
        if held.is_empty() {
            return Some(waiter);
        }
        self.waiting.push((held, waiter));
        None
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    #[test]
    fn a_lock_waits_for_every_hold_of_its_profiles() {
        let (personal, work): (ProfileName, ProfileName) = ("personal".parse().unwrap(), "work".parse().unwrap());
        let mut holds = Holds::default();
        assert_eq!(holds.wait(from_ref(&personal), 1), Some(1));
        holds.take(&personal);
        holds.take(&personal);
        holds.take(&work);
        assert_eq!(holds.wait(from_ref(&personal), 2), None);
        assert_eq!(holds.wait(&[personal.clone(), work.clone()], 3), None);
        assert!(holds.release(&personal).is_empty());
        assert_eq!(holds.release(&personal), [2]);
        assert_eq!(holds.release(&work), [3]);
    }

    #[test]
    fn a_hold_that_is_taken_anew_does_not_keep_an_older_lock_waiting() {
        let personal: ProfileName = "personal".parse().unwrap();
        let mut holds = Holds::default();
        holds.take(&personal);
        assert_eq!(holds.wait(from_ref(&personal), 1), None);
        assert_eq!(holds.release(&personal), [1]);
        holds.take(&personal);
        assert_eq!(holds.wait(from_ref(&personal), 2), None);
    }
}
