//! Decides who loses a connection when there are too many. Pure.

use std::{cmp::Reverse, collections::HashMap};

/// The most connections at once.
pub const MAX_CONNECTIONS: usize = 64;

/// What counts of a connection when one has to go.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// The process at its other end.
    pub pid: u32,
    /// It has not finished its handshake.
    pub half_open: bool,
}

/// The index of the connection that makes room for one more, or `None` while there is room. `candidates` are in
/// order of arrival, without the newcomer: that one always gets in, or idle connections would keep honest callers
/// out. The process with the most loses one; its half-open ones go first, then the oldest.
pub fn victim(candidates: &[Candidate]) -> Option<usize> {
    if candidates.len() < MAX_CONNECTIONS {
        return None;
    }
    let mut held = HashMap::<u32, usize>::new();
    for candidate in candidates {
        *held.entry(candidate.pid).or_default() += 1;
    }
    let rank = |(index, candidate): &(usize, &Candidate)| {
        (held.get(&candidate.pid).copied(), candidate.half_open, Reverse(*index))
    };
    candidates.iter().enumerate().max_by_key(rank).map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(pid: u32, half_open: bool) -> Candidate {
        Candidate { pid, half_open }
    }

    fn full(first: &[Candidate], filler: impl Fn(u32) -> Candidate) -> Vec<Candidate> {
        let missing = u32::try_from(MAX_CONNECTIONS - first.len()).unwrap();
        first.iter().copied().chain((0..missing).map(filler)).collect()
    }

    #[test]
    fn nobody_goes_while_there_is_room() {
        assert_eq!(victim(&[]), None);
        assert_eq!(victim(&vec![of(1, true); MAX_CONNECTIONS - 1]), None);
    }

    #[test]
    fn the_greedy_process_loses_its_oldest() {
        assert_eq!(victim(&full(&[of(1, true), of(2, false)], |_| of(7, false))), Some(2));
    }

    #[test]
    fn its_half_open_ones_go_first() {
        let mut candidates = full(&[of(1, true)], |_| of(7, false));
        candidates[40].half_open = true;
        candidates[50].half_open = true;
        assert_eq!(victim(&candidates), Some(40));
    }

    #[test]
    fn among_equals_the_oldest_half_open_one_goes_and_then_the_oldest() {
        let mut candidates = full(&[], |n| of(n, false));
        assert_eq!(victim(&candidates), Some(0));
        candidates[9].half_open = true;
        assert_eq!(victim(&candidates), Some(9));
    }

    proptest! {
        #[test]
        fn who_holds_fewer_than_another_is_never_touched(
            pids in proptest::collection::vec((0u32..8, any::<bool>()), MAX_CONNECTIONS..100),
        ) {
            let candidates: Vec<_> = pids.iter().map(|&(pid, half_open)| of(pid, half_open)).collect();
            let held = |pid| candidates.iter().filter(|candidate| candidate.pid == pid).count();
            let gone = victim(&candidates).unwrap();
            prop_assert!(candidates.iter().all(|candidate| held(candidate.pid) <= held(candidates[gone].pid)));
        }
    }
}
