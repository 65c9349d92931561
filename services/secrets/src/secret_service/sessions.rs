//! The clients' sessions: each is used and closed by the connection that opened it, and ends with it. Pure.

use std::{collections::BTreeMap, sync::Arc};

use session_cipher::Cipher;

/// More are never open.
const MAX_SESSIONS: usize = 1000;

/// The open sessions.
#[derive(Default)]
pub struct Sessions {
    open: BTreeMap<u64, Session>,
    // Numbers are never used again.
    last: u64,
}

struct Session {
    owner: Box<str>,
    cipher: Arc<Cipher>,
}

impl Sessions {
    /// Opens one for the connection `owner`: its number, and whether it is the owner's first. Nothing where there are
    /// too many.
    pub fn open(&mut self, owner: &str, cipher: Cipher) -> Option<(u64, bool)> {
        if self.open.len() >= MAX_SESSIONS {
            return None;
        }
        let first = !self.open.values().any(|session| *session.owner == *owner);
        self.last += 1;
        self.open.insert(self.last, Session { owner: owner.into(), cipher: Arc::new(cipher) });
        Some((self.last, first))
    }

    /// The cipher of a session of `owner`.
    pub fn cipher(&self, number: u64, owner: &str) -> Option<Arc<Cipher>> {
        self.open.get(&number).filter(|session| *session.owner == *owner).map(|session| Arc::clone(&session.cipher))
    }

    /// Closes a session of `owner`. False where it has none of this number.
    pub fn close(&mut self, number: u64, owner: &str) -> bool {
        self.cipher(number, owner).is_some() && self.open.remove(&number).is_some()
    }

    /// Closes all that `owner` has left.
    pub fn end_of(&mut self, owner: &str) {
        self.open.retain(|_, session| *session.owner != *owner);
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is open.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_its_owners_alone_and_ends_with_it() {
        let mut sessions = Sessions::default();
        let (first, new) = sessions.open(":1.1", Cipher::Plain).unwrap();
        let (second, known) = sessions.open(":1.1", Cipher::Plain).unwrap();
        assert!(first != second && new && !known);
        assert!(sessions.cipher(first, ":1.1").is_some());
        assert!(sessions.cipher(first, ":1.2").is_none());
        assert!(!sessions.close(first, ":1.2"));
        assert!(sessions.close(first, ":1.1") && !sessions.close(first, ":1.1"));
        let (other, _) = sessions.open(":1.2", Cipher::Plain).unwrap();
        sessions.end_of(":1.1");
        assert!(sessions.cipher(second, ":1.1").is_none() && sessions.cipher(other, ":1.2").is_some());
        let (third, _) = sessions.open(":1.1", Cipher::Plain).unwrap();
        assert!(third > other, "no number comes twice");
    }

    #[test]
    fn a_thousand_and_no_more() {
        let mut sessions = Sessions::default();
        assert!((0..MAX_SESSIONS).all(|_| sessions.open(":1.1", Cipher::Plain).is_some()));
        assert!(sessions.open(":1.2", Cipher::Plain).is_none());
        sessions.end_of(":1.1");
        assert!(sessions.is_empty() && sessions.open(":1.2", Cipher::Plain).is_some());
    }
}
