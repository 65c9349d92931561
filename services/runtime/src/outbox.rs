//! Everything that a daemon's state says to the bus leaves through here, in order, from one task that is never
//! cancelled: a cancelled send could leave half a message on the wire, and the connection with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::mpsc;
use zbus::{Connection, Message};

use crate::bus;

/// Signals that may wait while the bus takes none. Beyond it they are dropped: subscribers see the gap in
/// `Generation` and ask.
const MAX_WAITING: usize = 4096;

/// How long an answer over the private socket waits for the bus.
const ROUND_TRIP_DEADLINE: Duration = Duration::from_secs(1);

type Then = Box<dyn FnOnce() + Send>;
type Make = Box<dyn FnOnce() -> zbus::Result<Message> + Send>;

enum Item {
    Message(Message),
    Make(Make),
    Then(Then),
    AfterRoundTrip(Then),
}

/// The sending end. Clones share one order.
#[derive(Clone)]
pub struct Outbox {
    items: mpsc::UnboundedSender<Item>,
    // Counts what was put in and not yet dealt with; an atomic only because zbus wants `Send`.
    waiting: Arc<AtomicUsize>,
}

impl Outbox {
    /// Starts the sending task for `connection`. It ends with the last clone, or with the connection.
    pub fn new(connection: Connection) -> Self {
        let (items, queue) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        tokio::spawn(deliver(connection, queue, Arc::clone(&waiting)));
        Self { items, waiting }
    }

    /// Sends `message` after everything before it.
    pub fn send(&self, message: Message) {
        self.say(Item::Message(message));
    }

    /// Sends what `make` makes when its turn comes, which is after whoever was answered before this call goes on.
    pub fn send_made(&self, make: impl FnOnce() -> zbus::Result<Message> + Send + 'static) {
        self.say(Item::Make(Box::new(make)));
    }

    fn say(&self, item: Item) {
        if self.waiting.load(Ordering::Relaxed) < MAX_WAITING {
            self.put(item);
        } else {
            tracing::warn!("the session bus takes no messages; a signal was dropped");
        }
    }

    /// Does `then` when everything before it has been handed to the bus: at once where nothing waits.
    pub fn then(&self, then: impl FnOnce() + Send + 'static) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            then();
        } else {
            self.put(Item::Then(Box::new(then)));
        }
    }

    /// Does `then` when the bus has routed everything before it, or after 1 s. For answers that travel beside the
    /// bus and would overtake it.
    pub fn after_round_trip(&self, then: impl FnOnce() + Send + 'static) {
        self.put(Item::AfterRoundTrip(Box::new(then)));
    }

    fn put(&self, item: Item) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        // Fails only when the connection is lost, and the daemon with it.
        let _ = self.items.send(item);
    }
}

async fn deliver(connection: Connection, mut queue: mpsc::UnboundedReceiver<Item>, waiting: Arc<AtomicUsize>) {
    while let Some(item) = queue.recv().await {
        let message = match item {
            Item::Message(message) => Some(message),
            Item::Make(make) => make().inspect_err(|cause| tracing::error!(%cause, "a signal could not be made")).ok(),
            Item::Then(then) => {
                then();
                None
            }
            Item::AfterRoundTrip(then) => {
                let connection = connection.clone();
                tokio::spawn(async move {
                    bus::round_trip(&connection, ROUND_TRIP_DEADLINE).await;
                    then();
                });
                None
            }
        };
        if let Some(message) = message
            && connection.send(&message).await.is_err()
        {
            return;
        }
        waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
