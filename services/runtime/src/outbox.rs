//! Everything that a daemon's state says to the bus leaves through here, in order, from one task that is never
//! cancelled: a cancelled send could leave half a message on the wire, and the connection with it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc},
    task::yield_now,
    time::timeout,
};
use zbus::{Connection, Message};

use crate::bus;

/// Signals that may wait while the bus takes none. Beyond it they are dropped: subscribers see the gap in
/// `Generation` and ask.
const MAX_WAITING: usize = 4096;

/// How long what nobody waits for waits for company. Long beside the next call of who was answered, which it would hold
/// up, and short beside what anybody sees.
const SOON: Duration = Duration::from_millis(20);

/// How long an answer over the private socket waits for the bus.
const ROUND_TRIP_DEADLINE: Duration = Duration::from_secs(1);

type Then = Box<dyn FnOnce() + Send>;
type Make = Box<dyn FnOnce() -> zbus::Result<Message> + Send>;

enum Item {
    Message(Message),
    Soon(Make),
    Then(Then),
    AfterRoundTrip(Then),
}

/// The sending end. Clones share one order.
#[derive(Clone)]
pub struct Outbox {
    items: mpsc::UnboundedSender<Item>,
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    /// What was put in and not yet dealt with; an atomic only because zbus wants `Send`.
    waiting: AtomicUsize,
    /// Something is behind what would be said soon. Left over, it makes the next of that early, and no more.
    hurry: Notify,
}

impl Outbox {
    /// Starts the sending task for `connection`. It ends with the last clone, or with the connection.
    pub fn new(connection: Connection) -> Self {
        let (items, receiver) = mpsc::unbounded_channel();
        let queue = Arc::new(Queue::default());
        tokio::spawn(deliver(connection, receiver, Arc::clone(&queue)));
        Self { items, queue }
    }

    /// Sends `message` after everything before it.
    pub fn send(&self, message: Message) {
        self.say(Item::Message(message));
    }

    /// Sends what `make` makes after everything before it, and before everything after it: 20 ms later, or when that
    /// comes. For what no caller waits for, and nobody is to pay for.
    pub fn send_soon(&self, make: impl FnOnce() -> zbus::Result<Message> + Send + 'static) {
        self.say(Item::Soon(Box::new(make)));
    }

    fn say(&self, item: Item) {
        if self.queue.waiting.load(Ordering::Relaxed) < MAX_WAITING {
            self.put(item);
        } else {
            tracing::warn!("the session bus takes no messages; a signal was dropped");
        }
    }

    /// Does `then` when everything before it has been handed to the bus: at once where nothing waits.
    pub fn then(&self, then: impl FnOnce() + Send + 'static) {
        if self.queue.waiting.load(Ordering::Relaxed) == 0 {
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
        self.queue.waiting.fetch_add(1, Ordering::Relaxed);
        if !matches!(item, Item::Soon(_)) {
            self.queue.hurry.notify_one();
        }
        // Fails only when the connection is lost, and the daemon with it.
        let _ = self.items.send(item);
    }
}

async fn deliver(connection: Connection, mut items: mpsc::UnboundedReceiver<Item>, queue: Arc<Queue>) {
    while let Some(first) = items.recv().await {
        if matches!(first, Item::Soon(_)) {
            // Whichever comes first.
            let _ = timeout(SOON, queue.hurry.notified()).await;
        }
        let mut next = Some(first);
        while let Some(item) = next {
            if deal(&connection, item).await.is_err() {
                return;
            }
            queue.waiting.fetch_sub(1, Ordering::Relaxed);
            next = items.try_recv().ok();
        }
    }
}

/// Fails only with the connection.
async fn deal(connection: &Connection, item: Item) -> zbus::Result<()> {
    match item {
        Item::Message(message) => connection.send(&message).await,
        Item::Soon(make) => {
            // There may be hundreds, and a call is not to wait for all of them.
            yield_now().await;
            match make() {
                Ok(message) => connection.send(&message).await,
                Err(cause) => {
                    tracing::error!(%cause, "a signal could not be made");
                    Ok(())
                }
            }
        }
        Item::Then(then) => {
            then();
            Ok(())
        }
        Item::AfterRoundTrip(then) => {
            let connection = connection.clone();
            tokio::spawn(async move {
                bus::round_trip(&connection, ROUND_TRIP_DEADLINE).await;
                then();
            });
            Ok(())
        }
    }
}
