//! What logind tells of (`org.freedesktop.login1`, on the system bus): that the machine is about to sleep, that a
//! screen is locked, whether somebody is at the desktop. Connected only while the configuration wants any of it.
//!
//! Sleep is delayed by an inhibitor, which is held all the time that some vault is to be locked on sleep, also while
//! every vault is locked: taken at an unlock only, it would leave a moment in which the machine can fall asleep with
//! the key in memory. It is let go when the keys are gone, after 5 s at most, and taken anew after the sleep.

mod calls;
mod heard;

use std::{collections::BTreeSet, os::fd::OwnedFd, sync::Arc, time::Duration};

use daemon_config::LockOn;
use dbus_interfaces::places;
use futures_util::StreamExt;
use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::timeout,
};
use zbus::{Connection, MessageStream, connection::Builder, names::OwnedUniqueName};

use self::heard::Heard;
use crate::{autolock::Event, handle::Handle, journal};

/// logind and the bus answer from memory.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long sleep waits for the keys: a worker in the middle of something takes one scrypt.
const KEYS_DEADLINE: Duration = Duration::from_secs(5);

/// Listens to logind, as far as the configuration wants it.
pub struct Logind {
    /// The kinds of events that matter.
    pub wanted: watch::Receiver<BTreeSet<LockOn>>,
    /// When to look again for what was missing: at the daemon's ticks, which wake it anyway.
    pub ticks: Arc<Notify>,
    /// Whom to tell.
    pub vaults: Handle,
}

/// Why listening ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("the connection to the system bus is lost")]
    Lost,
    #[error("the system bus cannot be reached: {0}")]
    Unreachable(#[from] zbus::Error),
    #[error("the system bus does not answer")]
    Silent,
}

impl Logind {
    /// Listens for ever.
    pub async fn follow(mut self) {
        let mut journal = journal::Logind::default();
        loop {
            if self.wanted.wait_for(|wanted| !wanted.is_empty()).await.is_err() {
                return;
            }
            if let Err(ended) = self.listen(&mut journal).await {
                journal.missing(&ended);
            }
            // What was learned from it ends with it.
            self.vaults.tell(Event::Awake);
            self.vaults.tell(Event::Away(false));
            tokio::select! {
                () = self.ticks.notified() => {}
                _ = self.wanted.changed() => {}
            }
        }
    }

    /// Listens until nothing is wanted any more, or the bus is lost.
    async fn listen(&mut self, journal: &mut journal::Logind) -> Result<(), Ended> {
        let builder = Builder::address(places::system_bus().as_str()).method_timeout(DEADLINE);
        let connection = timeout(DEADLINE, builder.build()).await.map_err(|_| Ended::Silent)??;
        let mut stream = MessageStream::from(&connection);
        for rule in heard::SUBSCRIPTIONS {
            calls::subscribe(&connection, rule).await?;
        }
        let (answers, mut answered) = mpsc::unbounded_channel();
        let owner = calls::owner(&connection).await?;
        let mut listener = Listener {
            connection,
            vaults: self.vaults.clone(),
            wanted: BTreeSet::new(),
            owner: None,
            answers,
            journal,
            sleeps: false,
            inhibitor: None,
        };
        listener.want(&self.wanted.borrow_and_update());
        listener.owner_changed(owner);
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    Some(Ok(message)) => listener.take_in(heard::decode(&message, listener.owner.as_ref())),
                    Some(Err(_)) => {}
                    None => return Err(Ended::Lost),
                },
                Some(answer) = answered.recv() => listener.answered(answer),
                changed = self.wanted.changed() => {
                    if changed.is_err() || self.wanted.borrow().is_empty() {
                        return Ok(());
                    }
                    listener.want(&self.wanted.borrow_and_update());
                }
                () = self.ticks.notified() => listener.ask_for_inhibitor(),
            }
        }
    }
}

/// An answer to one of the calls.
enum Answer {
    Inhibitor(zbus::Result<OwnedFd>),
    Sleeps(bool),
    Away(bool),
}

/// What is known while the connection lasts. Its calls are tasks of their own: nothing here waits, since an unread
/// stream would keep the answers away.
struct Listener<'j> {
    connection: Connection,
    vaults: Handle,
    wanted: BTreeSet<LockOn>,
    owner: Option<OwnedUniqueName>,
    answers: mpsc::UnboundedSender<Answer>,
    journal: &'j mut journal::Logind,
    sleeps: bool,
    inhibitor: Option<OwnedFd>,
}

impl Listener<'_> {
    fn take_in(&mut self, heard: Heard) {
        match heard {
            Heard::OwnerChanged(owner) => self.owner_changed(owner),
            Heard::Sleep(sleeps) => self.sleep(sleeps),
            Heard::Locked(session) if self.wanted.contains(&LockOn::Screen) => self.lock_if_ours(session),
            Heard::UsersChanged => self.ask_who_is_there(),
            Heard::Forged { sender, member } => self.journal.forged(&sender, &member),
            Heard::Locked(_) | Heard::Other => {}
        }
    }

    fn owner_changed(&mut self, owner: Option<OwnedUniqueName>) {
        self.owner = owner;
        // What was learned from an owner ends with it. Its inhibitor stays: the kernel and a restarted logind know of
        // it still, and a new one takes its place.
        self.sleeps = false;
        self.vaults.tell(Event::Awake);
        self.vaults.tell(Event::Away(false));
        if self.owner.is_none() {
            return self.journal.missing(&"nobody owns org.freedesktop.login1 on the system bus");
        }
        self.journal.there();
        let sleeps = calls::sleeps(&self.connection);
        self.ask(async move { sleeps.await.ok().map(Answer::Sleeps) });
        self.renew_inhibitor();
        self.ask_who_is_there();
        self.ask_whether_locked();
    }

    fn want(&mut self, wanted: &BTreeSet<LockOn>) {
        self.wanted = wanted.clone();
        if !wanted.contains(&LockOn::Sleep) {
            self.inhibitor = None;
        }
        self.ask_for_inhibitor();
        self.ask_who_is_there();
    }

    fn sleep(&mut self, sleeps: bool) {
        self.sleeps = sleeps;
        if !sleeps {
            self.vaults.tell(Event::Awake);
            return self.renew_inhibitor();
        }
        tokio::spawn(let_sleep(self.inhibitor.take(), self.vaults.tell(Event::Sleep)));
    }

    fn ask_for_inhibitor(&self) {
        if self.inhibitor.is_none() {
            self.renew_inhibitor();
        }
    }

    fn renew_inhibitor(&self) {
        if self.owner.is_some() && !self.sleeps && self.wanted.contains(&LockOn::Sleep) {
            let inhibitor = calls::inhibitor(&self.connection);
            self.ask(async move { Some(Answer::Inhibitor(inhibitor.await)) });
        }
    }

    fn ask_who_is_there(&self) {
        if self.owner.is_some() && self.wanted.contains(&LockOn::Idle) {
            let away = calls::away(&self.connection);
            // Where logind knows no session of this user, nobody can be away from it.
            self.ask(async move { Some(Answer::Away(away.await.unwrap_or(false))) });
        }
    }

    /// A screen that was locked while nobody told: of an owner that is new nothing was heard yet.
    fn ask_whether_locked(&self) {
        if self.wanted.contains(&LockOn::Screen) {
            let (locked, vaults) = (calls::is_locked(&self.connection), self.vaults.clone());
            tokio::spawn(async move {
                // Where logind does not say, the next word of a lock is waited for, as of any screen.
                if locked.await.unwrap_or(false) {
                    vaults.tell(Event::ScreenLocked);
                }
            });
        }
    }

    fn lock_if_ours(&self, session: String) {
        let (ours, vaults) = (calls::is_ours(&self.connection, session), self.vaults.clone());
        tokio::spawn(async move {
            // In doubt it is.
            if ours.await.unwrap_or(true) {
                vaults.tell(Event::ScreenLocked);
            }
        });
    }

    fn ask(&self, call: impl Future<Output = Option<Answer>> + Send + 'static) {
        let answers = self.answers.clone();
        tokio::spawn(async move {
            if let Some(answer) = call.await {
                // Nobody listens any more where the connection is lost.
                let _ = answers.send(answer);
            }
        });
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            Answer::Sleeps(true) if !self.sleeps => self.sleep(true),
            Answer::Sleeps(_) => {}
            Answer::Away(away) => drop(self.vaults.tell(Event::Away(away))),
            Answer::Inhibitor(Err(cause)) => self.journal.no_inhibitor(&cause),
            Answer::Inhibitor(Ok(inhibitor)) => {
                self.journal.inhibitor();
                // It may be too late, or not wanted any more: letting go of it is then all that it needs.
                let is_wanted = !self.sleeps && self.wanted.contains(&LockOn::Sleep);
                self.inhibitor = is_wanted.then_some(inhibitor);
            }
        }
    }
}

/// Lets go of the inhibitor when the keys are gone, or have had their time: the machine may sleep then.
async fn let_sleep<I>(inhibitor: I, gone: oneshot::Receiver<()>) {
    if timeout(KEYS_DEADLINE, gone).await.is_err() {
        journal::sleep_is_not_delayed_longer();
    }
    drop(inhibitor);
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// Dropped, tells when.
    struct Inhibitor(Option<oneshot::Sender<Duration>>, Instant);

    impl Drop for Inhibitor {
        fn drop(&mut self) {
            self.0.take().map(|told| told.send(self.1.elapsed()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sleep_waits_for_the_keys_and_5_s_at_most() {
        for (keys_take, delayed) in [(Duration::from_secs(2), 2), (Duration::from_secs(60), 5)] {
            let ((told, closed), (gone, keys_gone)) = (oneshot::channel(), oneshot::channel());
            tokio::spawn(let_sleep(Inhibitor(Some(told), Instant::now()), keys_gone));
            tokio::spawn(async move {
                tokio::time::sleep(keys_take).await;
                let _ = gone.send(());
            });
            assert_eq!(closed.await.unwrap().as_secs(), delayed);
        }
    }
}
