//! The answers that their callers have not taken yet, so that none of them outlives what it was taken from.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};
use unix_socket::Socket;

/// How long callers that read their answers may take to go on with it, where these are to end.
const GRACE: Duration = Duration::from_millis(200);

/// The answers that do not fit into their sockets. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// `std` mutex, not tokio's: never held across an await, and an entry a connection at most.
    waiting: Arc<Mutex<Vec<Waiting>>>,
}

#[derive(Clone, Debug)]
struct Waiting {
    stream: Weak<Socket>,
    /// Closed when the answer has left, or never will.
    under_way: watch::Receiver<()>,
}

/// An answer is under way until this is dropped.
pub struct UnderWay(#[allow(dead_code, reason = "dropping it is what it is for")] watch::Sender<()>);

impl Answers {
    /// An answer waits from now on for the peer behind `stream`.
    pub fn begin(&self, stream: &Arc<Socket>) -> UnderWay {
        let (sender, under_way) = watch::channel(());
        let mut waiting = self.waiting();
        waiting.retain(Waiting::is_under_way);
        waiting.push(Waiting { stream: Arc::downgrade(stream), under_way });
        UnderWay(sender)
    }

    /// Returns when none of the answers that are under way now is left in memory. A connection whose peer leaves its
    /// answer unread is ended for it.
    pub async fn end(&self) {
        let waiting = self.waiting().clone();
        let taken = async {
            for answer in &waiting {
                answer.over().await;
            }
        };
        if timeout(GRACE, taken).await.is_ok() {
            return;
        }
        for stream in waiting.iter().filter(|answer| answer.is_under_way()).filter_map(|answer| answer.stream.upgrade())
        {
            stream.end();
        }
        for answer in &waiting {
            answer.over().await;
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn is_under_way(&self) -> bool {
        self.under_way.has_changed().is_ok()
    }

    async fn over(&self) {
        // Nothing is ever sent: it only closes.
        let _ = self.under_way.clone().changed().await;
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn only_who_leaves_an_answer_unread_is_ended() {
        let answers = Answers::default();
        let [(slow, its_peer), (quick, other_peer)] = [(); 2].map(|()| Socket::pair().unwrap());
        let (slow, quick) = (Arc::new(slow), Arc::new(quick));
        let (unread, read) = (answers.begin(&slow), answers.begin(&quick));
        let mut ending = std::pin::pin!(answers.end());
        assert!(ending.as_mut().now_or_never().is_none());
        drop(read);
        let ended = async {
            let end = its_peer.read(&mut [0]).await;
            drop(unread);
            end
        };
        let (end, ()) = tokio::join!(ended, ending);
        assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
        assert!(other_peer.read(&mut [0]).now_or_never().is_none(), "it goes on");
        assert!(answers.end().now_or_never().is_some(), "nothing is under way");
    }
}
