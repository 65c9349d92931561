//! The calls of clients that have one under way which takes its time: they are answered in their order, one after another,
//! as clients expect of one connection. Pure.

use std::collections::{BTreeMap, VecDeque};

/// The bytes that may wait of one client: 10,000 deletions, say.
const MAX_OF_ONE: usize = 4 << 20;
/// And of all.
const MAX: usize = 16 << 20;

/// What waits, by client.
pub struct Turns<C> {
    waiting: BTreeMap<Box<str>, VecDeque<(C, usize)>>,
}

impl<C> Default for Turns<C> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new() }
    }
}

/// What becomes of a call.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn<C> {
    /// Its client has no other under way.
    Now(C),
    /// It waits for those before it.
    Later,
    /// More than may wait.
    TooMany(C),
}

impl<C> Turns<C> {
    /// `call` of `client`, of so many bytes, has come.
    pub fn come(&mut self, client: &str, call: C, bytes: usize) -> Turn<C> {
        let sum = |queue: &VecDeque<(C, usize)>| queue.iter().map(|(_, bytes)| bytes).sum::<usize>();
        let all: usize = self.waiting.values().map(sum).sum();
        let Some(queue) = self.waiting.get_mut(client) else { return Turn::Now(call) };
        if sum(queue) + bytes > MAX_OF_ONE || all + bytes > MAX {
            return Turn::TooMany(call);
        }
        queue.push_back((call, bytes));
        Turn::Later
    }

    /// A call of `client` that takes its time begins.
    pub fn begin(&mut self, client: &str) {
        self.waiting.entry(client.into()).or_default();
    }

    /// It is over: the next one of `client`. Where there is none, none is under way any more.
    pub fn next(&mut self, client: &str) -> Option<C> {
        let next = self.waiting.get_mut(client)?.pop_front();
        if next.is_none() {
            self.waiting.remove(client);
        }
        next.map(|(call, _)| call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_behind_a_call_under_way_comes_in_its_turn() {
        let mut turns = Turns::default();
        assert_eq!(turns.come("a", 1, 10), Turn::Now(1));
        turns.begin("a");
        assert_eq!([turns.come("a", 2, 10), turns.come("a", 3, 10)], [Turn::Later, Turn::Later]);
        assert_eq!(turns.come("b", 4, 10), Turn::Now(4), "another one's calls wait for nobody");
        assert_eq!([turns.next("a"), turns.next("a"), turns.next("a")], [Some(2), Some(3), None]);
        assert_eq!(turns.come("a", 5, 10), Turn::Now(5));
    }

    #[test]
    fn neither_one_client_nor_all_can_have_more_wait_than_there_is_room_for() {
        let mut turns = Turns::default();
        for client in 0..4 {
            let client = client.to_string();
            turns.begin(&client);
            assert_eq!(turns.come(&client, 1, MAX_OF_ONE), Turn::Later);
            assert_eq!(turns.come(&client, 2, 1), Turn::TooMany(2));
        }
        turns.begin("e");
        assert_eq!(turns.come("e", 1, 1), Turn::TooMany(1));
        turns.next("0");
        assert_eq!(turns.come("e", 1, 1), Turn::Later);
    }
}
