//! The wall clock, as it stands in every timestamp on the bus, and the time since boot, by which deadlines count.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Now, in microseconds of CLOCK_REALTIME.
pub fn now_usec() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let micros = u64::try_from(now.tv_nsec / 1000).unwrap_or(0);
    seconds * 1_000_000 + micros
}

/// The time since boot, suspends included (CLOCK_BOOTTIME).
pub fn since_boot() -> Duration {
    // It begins with zero and never steps.
    clock_gettime(ClockId::Boottime).try_into().unwrap_or_default()
}
