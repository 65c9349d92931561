//! When a tick is due, and what a proof of life means (contract, section 4). Pure: the proof itself is taken
//! elsewhere.

use std::time::Duration;

/// The tick interval where no watchdog is set.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(15);

/// The times that follow from the watchdog's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Between two ticks: half of the watchdog's time.
    pub interval: Duration,
    /// For each part of a proof: a tenth of it.
    pub deadline: Duration,
    /// Before a failed proof is tried again: a fifteenth of it.
    pub retry: Duration,
}

impl Schedule {
    /// For the watchdog's time, or where none is set.
    pub fn new(watchdog: Option<Duration>) -> Self {
        let time = watchdog.unwrap_or(2 * DEFAULT_INTERVAL);
        Self { interval: time / 2, deadline: time / 10, retry: time / 15 }
    }

    /// When the tick after the one that was due at `due` is due. After a suspend one tick, not a burst.
    pub fn next(self, due: Duration, now: Duration) -> Duration {
        let missed = now.saturating_sub(due).as_nanos() / self.interval.as_nanos().max(1);
        due + self.interval * u32::try_from(missed + 1).unwrap_or(u32::MAX)
    }
}

/// What was seen of one's own life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The owner of the state answered an internal message.
    pub state_answers: bool,
    /// A property read at the own name came back over the bus.
    pub bus_answers: bool,
    /// Where it did not: a fresh connection's Hello was answered, and whether a second read then came back.
    pub fresh_connection: Option<FreshConnection>,
}

/// What a fresh connection to the bus showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreshConnection {
    /// No answer to its Hello: the bus is stuck, for everybody.
    NoHello,
    /// Hello was answered, and then the own read too: the bus had just come back.
    ReadAnswers,
    /// Hello was answered, and the own read still not: this daemon is stuck.
    ReadSilent,
}

/// What follows from a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It lives: the watchdog is fed.
    Alive,
    /// The bus is stuck, not this daemon: it is fed, and says so. A restart would lose the unlocked vaults and mend
    /// nothing.
    BusStuck,
    /// This daemon is stuck: it is not fed, and the service manager restarts it.
    Stuck,
}

impl Proof {
    /// What follows. No answer from the state's owner is never excused.
    pub fn verdict(self) -> Verdict {
        match (self.state_answers, self.bus_answers, self.fresh_connection) {
            (false, ..) => Verdict::Stuck,
            (true, true, _) | (true, false, Some(FreshConnection::ReadAnswers)) => Verdict::Alive,
            (true, false, Some(FreshConnection::NoHello)) => Verdict::BusStuck,
            (true, false, Some(FreshConnection::ReadSilent) | None) => Verdict::Stuck,
        }
    }
}

/// Whether a tick is worth a line in the journal: the first three, and then every twentieth.
pub fn is_logged(tick: u64) -> bool {
    (1..=3).contains(&tick) || (tick > 0 && tick.is_multiple_of(20))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schedule_follows_from_the_watchdogs_time() {
        let schedule = Schedule::new(Some(Duration::from_secs(30)));
        assert_eq!(schedule.interval, Duration::from_secs(15));
        assert_eq!(schedule.deadline, Duration::from_secs(3));
        assert_eq!(schedule.retry, Duration::from_secs(2));
        assert_eq!(Schedule::new(None), schedule);
    }

    #[test]
    fn ticks_keep_their_time_and_those_that_were_slept_through_are_one() {
        let seconds = Duration::from_secs;
        let schedule = Schedule::new(Some(seconds(30)));
        assert_eq!(schedule.next(seconds(100), seconds(100)), seconds(115));
        assert_eq!(schedule.next(seconds(100), seconds(104)), seconds(115), "a slow proof delays none");
        assert_eq!(schedule.next(seconds(100), seconds(166)), seconds(175));
    }

    /// One missed tick must not be fatal: a failed proof, the fresh connection, the second read and a retry that
    /// succeeds all fit between a tick and the watchdog's end.
    #[test]
    fn a_failed_proof_can_be_mended_in_time() {
        let time = Duration::from_secs(30);
        let Schedule { interval, deadline, retry } = Schedule::new(Some(time));
        assert!(interval + 3 * deadline + retry + deadline < time + Duration::from_secs(1));
    }

    #[test]
    fn only_a_stuck_bus_excuses() {
        let proof = |state_answers, bus_answers, fresh_connection| {
            Proof { state_answers, bus_answers, fresh_connection }.verdict()
        };
        use FreshConnection::{NoHello, ReadAnswers, ReadSilent};
        assert_eq!(proof(true, true, None), Verdict::Alive);
        assert_eq!(proof(true, false, Some(NoHello)), Verdict::BusStuck);
        assert_eq!(proof(true, false, Some(ReadAnswers)), Verdict::Alive);
        assert_eq!(proof(true, false, Some(ReadSilent)), Verdict::Stuck);
        for fresh in [None, Some(NoHello), Some(ReadAnswers), Some(ReadSilent)] {
            assert_eq!(proof(false, true, fresh), Verdict::Stuck);
            assert_eq!(proof(false, false, fresh), Verdict::Stuck);
        }
    }

    #[test]
    fn few_ticks_are_logged() {
        let logged: Vec<u64> = (0..=60).filter(|tick| is_logged(*tick)).collect();
        assert_eq!(logged, [1, 2, 3, 20, 40, 60]);
    }
}
