//! Threads for what blocks: keys, disks. One that has had nothing to do for a moment ends. Where the system gives no thread,
//! whoever wanted one is told so: tokio's own would end the process, and with it every open vault.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use dbus_interfaces::Error;
use tokio::sync::oneshot;

/// How long a thread waits for the next job.
const KEPT: Duration = Duration::from_millis(100);
/// The most threads; further jobs wait for them.
const MAX: usize = 8;

/// What whoever asked is told where there is no thread.
pub fn no_thread(cause: &io::Error) -> Error {
    let sentence = "the system gives no thread to work in";
    Error::Storage(format!("{sentence}: {cause}; nothing was changed, end other programs and retry"))
}

type Job = Box<dyn FnOnce() + Send>;

/// The threads. Clones share them.
#[derive(Clone, Default)]
pub struct Workers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    // `std` mutex: never held across an await; the critical sections count threads and move a job.
    state: Mutex<State>,
    come: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

impl Workers {
    /// Has `job` done, beginning now whether the future is polled or not. What is dropped of it undone is wiped as it is
    /// freed.
    ///
    /// # Errors
    /// There is no thread, and the system gives none: the job is not done.
    pub fn run<T, J>(&self, job: J) -> impl Future<Output = io::Result<T>> + Send + use<T, J>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let begun = self.begin(Box::new(move || drop(done.send(job()))));
        async move {
            begun?;
            // A job never panics: that would end the daemon.
            result.await.map_err(io::Error::other)
        }
    }

    fn begin(&self, job: Job) -> io::Result<()> {
        let mut state = self.0.state();
        state.waiting.push_back(job);
        if state.idle >= state.waiting.len() || state.threads == MAX {
            self.0.come.notify_one();
            return Ok(());
        }
        let shared = Arc::clone(&self.0);
        match thread::Builder::new().name("worker".into()).spawn(move || shared.work()) {
            Ok(_) => state.threads += 1,
            // Another thread takes it when it is done.
            Err(_) if state.threads > 0 => {}
            Err(cause) => {
                let undone = state.waiting.pop_back();
                drop(state);
                drop(undone);
                return Err(cause);
            }
        }
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread: does what waits, until nothing has come for a moment.
    fn work(&self) {
        let mut state = self.state();
        loop {
            while let Some(job) = state.waiting.pop_front() {
                drop(state);
                job();
                state = self.state();
            }
            state.idle += 1;
            let nothing = |state: &mut State| state.waiting.is_empty();
            let waited = self.come.wait_timeout_while(state, KEPT, nothing).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
            state.idle -= 1;
            if state.waiting.is_empty() {
                state.threads -= 1;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Barrier, time::Instant};

    use super::*;

    fn threads(workers: &Workers) -> usize {
        workers.0.state().threads
    }

    #[tokio::test]
    async fn a_thread_that_has_nothing_to_do_ends() {
        let workers = Workers::default();
        for number in 0..10 {
            assert_eq!(workers.run(move || number).await.unwrap(), number);
        }
        let begun = Instant::now();
        while threads(&workers) > 0 {
            assert!(begun.elapsed() < KEPT * 100, "it stays");
            tokio::time::sleep(KEPT / 4).await;
        }
    }

    #[tokio::test]
    async fn what_comes_at_once_is_done_beside_each_other_by_so_many_at_most() {
        let workers = Workers::default();
        let together = Arc::new(Barrier::new(MAX));
        let jobs: Vec<_> = (0..MAX * 3)
            .map(|_| {
                let together = Arc::clone(&together);
                workers.run(move || together.wait().is_leader())
            })
            .collect();
        assert_eq!(threads(&workers), MAX);
        let mut leaders = 0;
        for job in jobs {
            leaders += usize::from(job.await.unwrap());
        }
        assert_eq!(leaders, 3);
    }
}
