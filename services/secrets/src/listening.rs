//! Who is listened to so that vaults lock by themselves: logind, and the desktop's screen saver. Nobody, where the
//! configuration wants nothing of it.

use std::{collections::BTreeSet, sync::Arc};

use daemon_config::{Config, LockOn};
use tokio::sync::{Notify, watch};
use zbus::Connection;

use crate::{handle::Handle, logind::Logind, screen_saver};

/// The listening tasks, as far as others have to do with them. Clones share them.
#[derive(Clone)]
pub struct Listening {
    wanted: watch::Sender<BTreeSet<LockOn>>,
    ticks: Arc<Notify>,
}

impl Listening {
    /// Starts to listen for `vaults`, on the session bus and, where it is wanted, on the system's.
    pub fn start(session_bus: Connection, vaults: Handle, config: &Config) -> Self {
        let (wanted, wants) = watch::channel(config.locks_on());
        let ticks = Arc::new(Notify::new());
        let logind = Logind { wanted: wants.clone(), ticks: Arc::clone(&ticks), vaults: vaults.clone() };
        tokio::spawn(logind.follow());
        tokio::spawn(async move {
            if let Err(cause) = screen_saver::follow(session_bus, wants, vaults).await {
                tracing::warn!("the screen saver is not listened to: {cause}");
            }
        });
        Self { wanted, ticks }
    }

    /// Listens to what `config` wants from now on.
    pub fn configure(&self, config: &Config) {
        let now = config.locks_on();
        self.wanted.send_if_modified(|wanted| std::mem::replace(wanted, now.clone()) != now);
    }

    /// Looks again for what was missing.
    pub fn tick(&self) {
        self.ticks.notify_one();
    }
}
