//! A timer by the time since boot, which goes on while the machine sleeps: what came due meanwhile goes off at the
//! end of the sleep. The runtime's own timers stand still for that long.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::{
    io::Errno,
    time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime},
};
use tokio::io::unix::AsyncFd;

/// The timer. Wakes nobody unless it is set.
#[derive(Debug)]
pub struct Alarm {
    timer: AsyncFd<OwnedFd>,
    set: Option<Duration>,
}

impl Alarm {
    /// A timer that is not set.
    ///
    /// # Errors
    /// The system has none to give.
    pub fn new() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        Ok(Self { timer: watched(timer)?, set: None })
    }

    /// Goes off at `time` since boot, in place of what was set before; never for `None`.
    pub fn set(&mut self, time: Option<Duration>) {
        if self.set == time {
            return;
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Zero would be never. Beyond what the system can count is never too.
        let value = time.map(|time| time.max(Duration::from_nanos(1)).try_into().unwrap_or(zero));
        let value = Itimerspec { it_interval: zero, it_value: value.unwrap_or(zero) };
        match timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &value) {
            Ok(_) => self.set = time,
            Err(cause) => tracing::error!(%cause, "a timer could not be set, and what waits for it waits for ever"),
        }
    }

    /// Returns when it goes off. It is not set any more then.
    pub async fn goes_off(&mut self) {
        loop {
            let Ok(mut ready) = self.timer.readable().await else { return std::future::pending().await };
            match ready.try_io(|timer| Ok(rustix::io::read(timer, &mut [0; 8])?)) {
                // Set anew between going off and being read.
                Ok(Err(cause)) if cause.raw_os_error() == Some(Errno::AGAIN.raw_os_error()) => {}
                Ok(_) => {
                    self.set = None;
                    return;
                }
                Err(_) => {}
            }
        }
    }
}

#[allow(unsafe_code, reason = "the runtime cannot know that a type keeps its descriptor open")]
fn watched(timer: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is one descriptor, its own, for as long as it lives.
    let watched = unsafe { AsyncFd::register(timer) };
    Ok(watched?)
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsFd, AsRawFd};

    use super::*;
    use crate::clock::since_boot;

    #[tokio::test]
    async fn it_goes_off_at_its_time_and_counts_the_time_asleep() {
        let mut alarm = Alarm::new().unwrap();
        // What makes it count that: nothing else can be tried without putting the machine to sleep.
        let info = format!("/proc/self/fdinfo/{}", alarm.timer.get_ref().as_fd().as_raw_fd());
        assert!(std::fs::read_to_string(info).unwrap().contains("clockid: 7"), "CLOCK_BOOTTIME");
        let due = since_boot() + Duration::from_millis(30);
        alarm.set(Some(due));
        alarm.goes_off().await;
        assert!(since_boot() >= due);
    }

    #[tokio::test]
    async fn what_is_over_goes_off_at_once_and_what_is_taken_back_never() {
        let mut alarm = Alarm::new().unwrap();
        alarm.set(Some(Duration::ZERO));
        alarm.goes_off().await;
        alarm.set(Some(since_boot() + Duration::from_millis(5)));
        alarm.set(None);
        let never = tokio::time::timeout(Duration::from_millis(50), alarm.goes_off()).await;
        assert!(never.is_err());
    }
}
