//! The time of day, as the daemons tell it.

use std::time::{SystemTime, UNIX_EPOCH};

/// CLOCK_REALTIME in microseconds.
pub fn now_usec() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
