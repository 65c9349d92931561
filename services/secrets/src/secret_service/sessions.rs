//! The clients' sessions: each is used and closed by the connection that opened it, and ends with it. Pure.

use std::{collections::BTreeMap, sync::Arc};

use session_cipher::Cipher;

/// More are never open.
const MAX_SESSIONS: usize = 1000;
/// Nor more of one client, so that none keeps all the others out.
const MAX_OF_ONE: usize = 250;

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
    /// too many, of all or of this one.
    pub fn open(&mut self, owner: &str, cipher: Cipher) -> Option<(u64, bool)> {
        let of_owner = self.open.values().filter(|session| *session.owner == *owner).count();
        if self.open.len() >= MAX_SESSIONS || of_owner >= MAX_OF_ONE {
            return None;
        }
        self.last += 1;
        self.open.insert(self.last, Session { owner: owner.into(), cipher: Arc::new(cipher) });
        Some((self.last, of_owner == 0))
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
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
    pub fn len(&self) -> usize {
        self.open.len()
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
        for owner in [":1.1", ":1.2", ":1.3", ":1.4"] {
            assert!((0..MAX_OF_ONE).all(|_| sessions.open(owner, Cipher::Plain).is_some()));
            assert!(sessions.open(owner, Cipher::Plain).is_none(), "the others are to have some too");
        }
        assert!(sessions.open(":1.5", Cipher::Plain).is_none());
        sessions.end_of(":1.1");
        assert!(sessions.len() == 750 && sessions.open(":1.5", Cipher::Plain).is_some());
    }
}
