//! Keeps a log line from becoming a flood. Pure: the time is handed in.

use std::time::{Duration, Instant};

/// The least time between two lines of one kind.
const PERIOD: Duration = Duration::from_secs(10);

/// Lets one line through in each period, and counts the rest.
#[derive(Debug, Default)]
pub struct Limiter {
    last: Option<Instant>,
    held_back: u64,
}

impl Limiter {
    /// How many lines were held back since the last one, where this one may be written; `None` where it may not.
    pub fn pass(&mut self, now: Instant) -> Option<u64> {
        if self.last.is_some_and(|last| now.duration_since(last) < PERIOD) {
            self.held_back = self.held_back.saturating_add(1);
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.held_back))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_a_period_and_is_counted() {
        let start = Instant::now();
        let mut limiter = Limiter::default();
        assert_eq!(limiter.pass(start), Some(0));
        for n in 0..1000 {
            assert_eq!(limiter.pass(start + Duration::from_millis(n)), None);
        }
        assert_eq!(limiter.pass(start + PERIOD), Some(1000));
        assert_eq!(limiter.pass(start + PERIOD * 2), Some(0));
    }
}
