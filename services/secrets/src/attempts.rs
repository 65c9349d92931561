//! Whose passphrase is tried next: one at a time, callers in turn (contract, section 2). Pure.

use std::collections::VecDeque;

/// Attempts that may wait, of all connections.
const MAX_WAITING: usize = 16;

/// One connection of the private socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionId(pub u64);

/// The attempts that wait, and whether one is under way.
#[derive(Debug)]
pub struct Attempts<T> {
    waiting: VecDeque<(ConnectionId, T)>,
    trying: bool,
}

/// The attempt was refused: as many wait as may.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany<T>(pub T);

impl<T> Default for Attempts<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), trying: false }
    }
}

impl<T> Attempts<T> {
    /// Lines `attempt` up. Attempts that nobody waits for any more, as `is_over` tells, make room first.
    ///
    /// # Errors
    /// One of this connection waits already, or 16 of all.
    pub fn add(&mut self, from: ConnectionId, attempt: T, is_over: impl Fn(&T) -> bool) -> Result<(), TooMany<T>> {
        self.waiting.retain(|(_, attempt)| !is_over(attempt));
        // One that can start at once does not wait.
        let waits = self.trying || !self.waiting.is_empty();
        let of_one = self.waiting.iter().any(|(connection, _)| *connection == from);
        if waits && (of_one || self.waiting.len() >= MAX_WAITING) {
            return Err(TooMany(attempt));
        }
        self.waiting.push_back((from, attempt));
        Ok(())
    }

    /// The next attempt that `may_start`, if none is under way. It is under way from now on.
    pub fn start(&mut self, may_start: impl Fn(&T) -> bool) -> Option<T> {
        if self.trying {
            return None;
        }
        let next = self.waiting.iter().position(|(_, attempt)| may_start(attempt))?;
        self.trying = true;
        self.waiting.remove(next).map(|(_, attempt)| attempt)
    }

    /// The attempt that was under way has ended.
    pub fn ended(&mut self) {
        self.trying = false;
    }

    /// Takes out the waiting attempts that are `unwanted` now.
    pub fn withdraw(&mut self, unwanted: impl Fn(&T) -> bool) -> Vec<T> {
        let (out, kept) = std::mem::take(&mut self.waiting).into_iter().partition(|(_, attempt)| unwanted(attempt));
        self.waiting = kept;
        let out: VecDeque<(ConnectionId, T)> = out;
        out.into_iter().map(|(_, attempt)| attempt).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(attempts: &mut Attempts<u64>, connection: u64, attempt: u64) -> bool {
        attempts.add(ConnectionId(connection), attempt, |_| false).is_ok()
    }

    #[test]
    fn one_is_tried_at_a_time_in_turn() {
        let mut attempts = Attempts::default();
        assert!(add(&mut attempts, 1, 10) && add(&mut attempts, 2, 20));
        assert_eq!(attempts.start(|_| true), Some(10));
        assert_eq!(attempts.start(|_| true), None);
        assert!(add(&mut attempts, 1, 11));
        attempts.ended();
        assert_eq!(attempts.start(|_| true), Some(20));
        attempts.ended();
        assert_eq!(attempts.start(|_| true), Some(11));
    }

    #[test]
    fn a_connection_waits_with_one_and_all_with_sixteen() {
        let mut attempts = Attempts::default();
        assert!(add(&mut attempts, 0, 0));
        assert_eq!(attempts.start(|_| true), Some(0));
        for connection in 1..=16 {
            assert!(add(&mut attempts, connection, 0));
            assert!(!add(&mut attempts, connection, 1), "a second one of this connection");
        }
        assert!(!add(&mut attempts, 17, 0));
        assert!(attempts.add(ConnectionId(17), 0, |_| true).is_ok(), "those that nobody waits for make room");
    }

    #[test]
    fn one_that_cannot_start_does_not_hold_up_the_others() {
        let mut attempts = Attempts::default();
        assert!(add(&mut attempts, 1, 10) && add(&mut attempts, 2, 20));
        assert_eq!(attempts.start(|attempt| *attempt != 10), Some(20));
        attempts.ended();
        assert_eq!(attempts.withdraw(|attempt| *attempt == 10), [10]);
        assert_eq!(attempts.start(|_| true), None);
    }
}
