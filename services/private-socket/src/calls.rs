//! Counts the calls of one connection that are not answered yet, and lets its reader wait until there is room.

use std::{
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::header::Call;

/// The most calls of one connection that may be unanswered; beyond, it is not read.
pub const MAX_UNANSWERED: usize = 16;

/// The calls that were read and not answered. By serial and not by number, so that an answer is counted once, and
/// that of a silent call is counted but not sent.
#[derive(Debug, Default)]
pub struct Calls {
    /// `std` mutex, not tokio's: never held across an await, and at most sixteen entries to look at.
    unanswered: Mutex<Vec<(NonZeroU32, Wanted)>>,
    /// Woken at each answer; its one waiter is the connection's reader.
    answered: Notify,
}

/// Whether the caller wants the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// It waits for it.
    Yes,
    /// It said that it expects none.
    No,
}

impl Calls {
    /// A call was read.
    pub fn asked(&self, call: &Call) {
        let wanted = if call.silent { Wanted::No } else { Wanted::Yes };
        self.list().push((call.serial, wanted));
    }

    /// Whether an answer to `serial` is to be sent.
    pub fn wanted(&self, serial: NonZeroU32) -> Wanted {
        self.list().iter().find(|(asked, _)| *asked == serial).map_or(Wanted::Yes, |(_, wanted)| *wanted)
    }

    /// The answer to `serial` has left.
    pub fn answered(&self, serial: NonZeroU32) {
        let mut list = self.list();
        if let Some(index) = list.iter().position(|(asked, _)| *asked == serial) {
            list.remove(index);
            self.answered.notify_one();
        }
    }

    /// Returns once one more call may be read.
    pub async fn room(&self) {
        while self.list().len() >= MAX_UNANSWERED {
            self.answered.notified().await;
        }
    }

    fn list(&self) -> MutexGuard<'_, Vec<(NonZeroU32, Wanted)>> {
        self.unanswered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn serial(number: usize) -> NonZeroU32 {
        NonZeroU32::new(u32::try_from(number).unwrap()).unwrap()
    }

    fn call(number: usize, silent: bool) -> Call {
        Call { serial: serial(number), silent, rest: 0 }
    }

    #[test]
    fn the_sixteenth_call_leaves_no_room_until_one_is_answered() {
        let calls = Calls::default();
        for number in 1..=MAX_UNANSWERED {
            assert!(calls.room().now_or_never().is_some());
            calls.asked(&call(number, number % 2 == 0));
        }
        assert!(calls.room().now_or_never().is_none());
        calls.answered(serial(99));
        assert!(calls.room().now_or_never().is_none(), "an answer to no call makes no room");
        calls.answered(serial(4));
        assert!(calls.room().now_or_never().is_some());
    }

    #[test]
    fn a_waiting_reader_is_woken() {
        let calls = Calls::default();
        (1..=MAX_UNANSWERED).for_each(|number| calls.asked(&call(number, false)));
        let mut room = std::pin::pin!(calls.room());
        assert!(room.as_mut().now_or_never().is_none());
        calls.answered(serial(1));
        assert!(room.now_or_never().is_some());
    }

    #[test]
    fn silent_calls_are_counted_and_their_answers_unwanted() {
        let calls = Calls::default();
        calls.asked(&call(1, true));
        calls.asked(&call(2, false));
        assert_eq!((calls.wanted(serial(1)), calls.wanted(serial(2))), (Wanted::No, Wanted::Yes));
    }

    #[test]
    fn equal_serials_are_counted_each() {
        let calls = Calls::default();
        (0..MAX_UNANSWERED).for_each(|_| calls.asked(&call(5, false)));
        calls.answered(serial(5));
        calls.asked(&call(5, false));
        assert!(calls.room().now_or_never().is_none());
    }
}
