//! How late this very program runs: on a busy machine an answer seems late that was there in time. What the harness
//! itself lost while it waited is not held against the daemons.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

const TURN: Duration = Duration::from_millis(5);
const KEPT: usize = 20_000;

static DELAYS: Mutex<VecDeque<(Instant, Duration)>> = Mutex::new(VecDeque::new());

/// Starts to measure, for as long as the program runs.
pub fn measure() {
    thread::spawn(|| {
        loop {
            let begin = Instant::now();
            thread::sleep(TURN);
            let late = begin.elapsed().saturating_sub(TURN);
            if late > Duration::from_millis(1) {
                let mut delays = DELAYS.lock().unwrap_or_else(PoisonError::into_inner);
                delays.push_back((Instant::now(), late));
                if delays.len() > KEPT {
                    delays.pop_front();
                }
            }
        }
    });
}

/// How much this program was late since `begin`, all in all.
pub fn since(begin: Instant) -> Duration {
    let delays = DELAYS.lock().unwrap_or_else(PoisonError::into_inner);
    delays.iter().rev().take_while(|(at, _)| *at >= begin).map(|(_, late)| *late).sum()
}
