//! Who still holds a vault's keys: workers in the middle of something. A lock is done when nobody does. Pure.

use std::collections::{BTreeMap, BTreeSet};

use dbus_interfaces::ProfileName;

/// One worker's hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hold(u64);

/// Who holds what, and what waits for them to let go.
pub struct Holds<W> {
    last: u64,
    held: BTreeMap<Hold, ProfileName>,
    waiting: Vec<(BTreeSet<Hold>, W)>,
}

impl<W> Default for Holds<W> {
    fn default() -> Self {
        Self { last: 0, held: BTreeMap::new(), waiting: Vec::new() }
    }
}

impl<W> Holds<W> {
    /// A worker has keys of `profile` from now on.
    #[must_use = "it is to be released"]
    pub fn take(&mut self, profile: &ProfileName) -> Hold {
        self.last += 1;
        self.held.insert(Hold(self.last), profile.clone());
        Hold(self.last)
    }

    /// A worker has let go. What need not wait any longer.
    pub fn release(&mut self, hold: Hold) -> Vec<W> {
        self.held.remove(&hold);
        let is_over = |(holds, _): &mut (BTreeSet<Hold>, W)| holds.remove(&hold) && holds.is_empty();
        self.waiting.extract_if(.., is_over).map(|(_, waiter)| waiter).collect()
    }

    /// Lets `waiter` wait until nobody of those who hold any of `profiles` now does; gives it back where nobody does.
    pub fn wait(&mut self, profiles: &[ProfileName], waiter: W) -> Option<W> {
        let held = self.held.iter().filter(|(_, profile)| profiles.contains(profile));
        let held: BTreeSet<_> = held.map(|(hold, _)| *hold).collect();
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
        let [first, second, other] = [&personal, &personal, &work].map(|profile| holds.take(profile));
        assert_eq!(holds.wait(from_ref(&personal), 2), None);
        assert_eq!(holds.wait(&[personal.clone(), work.clone()], 3), None);
        assert!(holds.release(first).is_empty());
        assert_eq!(holds.release(second), [2]);
        assert_eq!(holds.release(other), [3]);
        assert_eq!(holds.wait(&[personal, work], 4), Some(4), "nobody holds any more");
    }

    #[test]
    fn a_hold_that_is_taken_anew_does_not_keep_an_older_lock_waiting() {
        let personal: ProfileName = "personal".parse().unwrap();
        let mut holds = Holds::default();
        let before = holds.take(&personal);
        assert_eq!(holds.wait(from_ref(&personal), 1), None);
        let after = holds.take(&personal);
        assert_eq!(holds.release(before), [1]);
        assert_eq!(holds.wait(from_ref(&personal), 2), None);
        assert_eq!(holds.release(after), [2]);
    }
}
