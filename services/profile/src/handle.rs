//! The way to the actor: what may be asked of the state, and how an answer comes back. Decides nothing.

use std::sync::Arc;

use daemon_runtime::configuration::Configuration;
use dbus_interfaces::{Error, ProfileName, profile::Report};
use tokio::sync::{mpsc, oneshot, watch};

use crate::calls::Waiter;

/// What the interface wants of the state.
pub enum Command {
    /// The present report, for somebody who watches.
    Look(oneshot::Sender<Arc<Report>>),
    /// Tells when everything delivered before is taken in, and announced.
    Settle(oneshot::Sender<()>),
    /// Tells that this is obeyed, whatever the bus does: a proof of life.
    Prove(oneshot::Sender<()>),
    /// `Activate` or `Deactivate`, which only daemon-secrets can do.
    Forward(&'static str, ProfileName, Waiter<()>),
    /// Another default profile.
    SetDefault(ProfileName, Waiter<()>),
    /// The disk has it, or not.
    DefaultWritten(ProfileName, Result<(), Error>),
    /// Ask daemon-secrets now.
    Reconcile(Waiter<bool>),
    /// The configuration was read: what is wrong with it, and whether the desktop is to be notified.
    #[expect(missing_docs, reason = "said above")]
    Configured { problem: Option<String>, notify: bool },
    /// A turn of the watchdog's timer.
    Tick(u64),
    /// Never obey anything again: for tests of the watchdog.
    #[cfg(debug_assertions)]
    Wedge,
}

/// The way to the actor, for interfaces. Clones lead to the same one.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    snapshots: watch::Receiver<Arc<Report>>,
}

/// The actor's ends of a [`Handle`].
pub struct Inbox {
    pub(crate) commands: mpsc::Receiver<Command>,
    // For the actor's own workers.
    pub(crate) sender: mpsc::WeakSender<Command>,
    pub(crate) snapshots: watch::Sender<Arc<Report>>,
}

/// Makes both ends, `report` being the first snapshot.
pub fn channel(report: Arc<Report>) -> (Handle, Inbox) {
    let (commands, receiver) = mpsc::channel(64);
    let (snapshots, seen) = watch::channel(report);
    let inbox = Inbox { commands: receiver, sender: commands.downgrade(), snapshots };
    (Handle { commands, snapshots: seen }, inbox)
}

impl Handle {
    /// The snapshots as they are published.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Report>> {
        self.snapshots.clone()
    }

    /// The present report. Looking has a silent daemon-secrets probed.
    pub async fn look(&self) -> Result<Arc<Report>, Error> {
        self.ask(Command::Look).await
    }

    /// Returns when everything that the bus delivered before is taken in.
    pub async fn settle(&self) {
        // Where it fails the daemon ends, and the snapshot is its last.
        let _ = self.ask(Command::Settle).await;
    }

    /// Returns when the actor obeys. False where it never will.
    pub async fn prove(&self) -> bool {
        self.ask(Command::Prove).await.is_ok()
    }

    /// Has daemon-secrets do what `member` says.
    pub async fn forward(&self, member: &'static str, profile: ProfileName) -> Result<(), Error> {
        self.ask(|waiter| Command::Forward(member, profile, waiter)).await?
    }

    /// Makes `profile` the default one.
    pub async fn set_default(&self, profile: ProfileName) -> Result<(), Error> {
        self.ask(|waiter| Command::SetDefault(profile, waiter)).await?
    }

    /// Asks daemon-secrets now.
    pub async fn reconcile(&self) -> Result<bool, Error> {
        self.ask(Command::Reconcile).await?
    }

    /// Tells what is configured, and what is wrong with the configuration.
    pub fn configured(&self, configuration: &Configuration) {
        let commands = self.commands.clone();
        let command =
            Command::Configured { problem: configuration.problem.clone(), notify: configuration.config.notify };
        // Fails only while the daemon ends.
        tokio::spawn(async move { commands.send(command).await });
    }

    /// Has the actor never obey anything again.
    #[cfg(debug_assertions)]
    pub fn wedge(&self) {
        let _ = self.commands.try_send(Command::Wedge);
    }

    /// Tells of a turn of the watchdog's timer. An actor that is too busy to take it loses nothing but this one.
    pub fn ticked(&self, tick: u64) {
        let _ = self.commands.try_send(Command::Tick(tick));
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Error> {
        let (waiter, answer) = oneshot::channel();
        let ending = || Error::Unavailable("daemon-profile is ending; retry when it is back".into());
        self.commands.send(command(waiter)).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())
    }
}
