//! Prompts that clients hold: what each is to bring about once its client has it shown. Pure.

use std::collections::BTreeMap;

use dbus_interfaces::ProfileName;
use tokio::sync::oneshot;
use zbus::OwnedObjectPath;

/// More are never held.
const MAX_PROMPTS: usize = 100;

/// What a prompt is to bring about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// These vaults open, and with them these objects.
    Unlock {
        /// The profiles.
        profiles: Vec<ProfileName>,
        /// What the client asked for.
        objects: Vec<OwnedObjectPath>,
    },
    /// A new vault.
    Create(ProfileName),
    /// A vault gone.
    Delete(ProfileName),
}

/// The prompts.
#[derive(Default)]
pub struct Prompts {
    held: BTreeMap<u64, Prompt>,
    // Numbers are never used again.
    last: u64,
}

struct Prompt {
    owner: Box<str>,
    wish: Wish,
    // `None` until it is shown; dropped when the prompt is: whoever shows it stops.
    dropped: Option<oneshot::Sender<()>>,
}

impl Prompts {
    /// A prompt for the connection `owner`: its number, and whether it is the owner's first. Nothing where there are
    /// too many.
    pub fn add(&mut self, owner: &str, wish: Wish) -> Option<(u64, bool)> {
        if self.held.len() >= MAX_PROMPTS {
            return None;
        }
        let first = !self.held.values().any(|prompt| *prompt.owner == *owner);
        self.last += 1;
        self.held.insert(self.last, Prompt { owner: owner.into(), wish, dropped: None });
        Some((self.last, first))
    }

    /// Whether `owner` holds this prompt.
    pub fn holds(&self, number: u64, owner: &str) -> bool {
        self.held.get(&number).is_some_and(|prompt| *prompt.owner == *owner)
    }

    /// What to show now, and what tells that it is to be shown no longer. Nothing where it is shown already.
    pub fn show(&mut self, number: u64, owner: &str) -> Option<(Wish, oneshot::Receiver<()>)> {
        let prompt = self.held.get_mut(&number).filter(|prompt| *prompt.owner == *owner && prompt.dropped.is_none())?;
        let (dropped, gone) = oneshot::channel();
        prompt.dropped = Some(dropped);
        Some((prompt.wish.clone(), gone))
    }

    /// The prompt is over: what it was to bring about. Nothing where it was over before.
    pub fn remove(&mut self, number: u64) -> Option<Wish> {
        self.held.remove(&number).map(|prompt| prompt.wish)
    }

    /// Drops all that `owner` has left.
    pub fn end_of(&mut self, owner: &str) {
        self.held.retain(|_, prompt| *prompt.owner != *owner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish() -> Wish {
        Wish::Create(ProfileName::personal())
    }

    #[test]
    fn a_prompt_is_shown_once_and_to_its_owner() {
        let mut prompts = Prompts::default();
        let (number, _) = prompts.add(":1.1", wish()).unwrap();
        assert!(prompts.show(number, ":1.2").is_none());
        let (shown, mut gone) = prompts.show(number, ":1.1").unwrap();
        assert_eq!(shown, wish());
        assert!(prompts.show(number, ":1.1").is_none());
        assert_eq!(gone.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        prompts.end_of(":1.1");
        assert_eq!(gone.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        assert_eq!(prompts.remove(number), None);
    }

    #[test]
    fn a_hundred_and_no_more() {
        let mut prompts = Prompts::default();
        assert!((0..MAX_PROMPTS).all(|_| prompts.add(":1.1", wish()).is_some()));
        assert!(prompts.add(":1.2", wish()).is_none());
        prompts.end_of(":1.1");
        assert!(prompts.add(":1.2", wish()).is_some());
    }
}
