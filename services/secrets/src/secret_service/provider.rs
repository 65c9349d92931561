//! Whether the Secret Service is offered: follows the configuration, takes the name where nobody has it, waits for it
//! where somebody does, and lets it go.

use std::{io, sync::Arc, time::Duration};

use daemon_config::Config;
use daemon_runtime::bus;
use dbus_interfaces::{events, places};
use futures_util::StreamExt;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};
use unix_socket::bus::dial;
use zbus::{
    Connection, MatchRule, MessageStream,
    fdo::{RequestNameFlags, RequestNameReply},
    message::Type,
};

use super::{
    desk::{Configured, Desk, Own},
    dispatch::{calls, serve},
};
use crate::handle::Handle;

/// The name.
pub const NAME: &str = "org.freedesktop.secrets";

/// The bus driver answers from memory.
const DEADLINE: Duration = Duration::from_secs(5);
/// After the loss of the connection: with a session that ends this daemon is gone before.
const REST: Duration = Duration::from_secs(1);

/// What the provider offers the service with.
pub struct Provider {
    /// The way to the vaults.
    pub vaults: Handle,
    /// The daemon's own connection.
    pub own: Connection,
    /// What is said there.
    pub says: Own,
}

impl Provider {
    /// Follows what is sent, beginning with `config`.
    pub fn start(self, config: Config) -> watch::Sender<Config> {
        let (configured, config) = watch::channel(config);
        tokio::spawn(self.run(config));
        configured
    }

    async fn run(self, mut config: watch::Receiver<Config>) {
        loop {
            if !config.borrow_and_update().secret_service {
                if config.changed().await.is_err() {
                    return;
                }
                continue;
            }
            let offered = self.offer(config.clone()).await;
            self.vaults.announce_to(None);
            match offered {
                Ok(()) => {}
                // With the session, as a rule, and this daemon's own connection goes too: nothing to be said.
                Err(zbus::Error::InputOutput(_)) => sleep(REST).await,
                Err(cause) => {
                    tracing::error!(%cause, "the Secret Service cannot be offered: {cause}");
                    // Another try when the configuration is another one.
                    if config.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// Offers the service while the configuration wants it.
    async fn offer(&self, mut config: watch::Receiver<Config>) -> zbus::Result<()> {
        let address = places::session_bus();
        let connection = dial(&address).await?.build().await?;
        let messages = calls(&connection);
        let configured = configured(&config.borrow());
        let desk = Desk::new(self.vaults.clone(), connection.clone(), self.says.clone(), configured);
        let desk = Arc::new(desk);
        // Served and announced before the name is ours: whoever sees the name finds everything.
        self.vaults.announce_to(Some(Arc::clone(&desk.announcements)));
        let unwanted = async {
            while config.changed().await.is_ok() && config.borrow().secret_service {
                desk.configure(configured_of(&config));
            }
        };
        let ended = tokio::select! {
            () = serve(Arc::clone(&desk), self.own.clone(), messages) => Err(lost()),
            ended = own_when_free(&connection) => ended,
            () = unwanted => Ok(()),
        };
        // Tasks that wait hold the connection, and their clients' sessions: both end for all.
        let _ = connection.close().await;
        desk.close();
        ended
    }
}

fn lost() -> zbus::Error {
    io::Error::from(io::ErrorKind::UnexpectedEof).into()
}

fn configured_of(config: &watch::Receiver<Config>) -> Configured {
    configured(&config.borrow())
}

fn configured(config: &Config) -> Configured {
    let not_searched = config.profiles.keys().filter(|profile| !config.for_profile(profile).locked_search);
    Configured { plain_sessions: config.plain_sessions, not_searched: not_searched.cloned().collect() }
}

/// Takes the name, at once or when its owner lets it go. Returns only where it fails.
async fn own_when_free(connection: &Connection) -> zbus::Result<()> {
    let rule = MatchRule::builder()
        .msg_type(Type::Signal)
        .sender(bus::DRIVER)
        .interface(bus::DRIVER)
        .member("NameOwnerChanged")
        .arg(0, NAME)
        .build()?;
    // Subscribed first, then asked: no change falls between the two.
    let mut changes = MessageStream::for_match_rule(rule, connection, None).await?;
    let mut said = false;
    loop {
        match request(connection).await? {
            RequestNameReply::PrimaryOwner | RequestNameReply::AlreadyOwner => {
                tracing::info!(
                    message_id = events::SECRET_SERVICE_OFFERED,
                    "{NAME} is ours: applications keep their secrets here"
                );
                return std::future::pending().await;
            }
            RequestNameReply::Exists | RequestNameReply::InQueue => {}
        }
        if !std::mem::replace(&mut said, true) {
            let owner = owner(connection).await;
            tracing::warn!(
                message_id = events::SECRET_SERVICE_TAKEN,
                "{NAME} is owned by {owner}, so applications keep their secrets there; it is taken when it is free: \
                 stop that service, or say secret_service = false"
            );
        }
        if changes.next().await.is_none() {
            return Err(lost());
        }
    }
}

async fn request(connection: &Connection) -> zbus::Result<RequestNameReply> {
    let body = (NAME, RequestNameFlags::DO_NOT_QUEUE);
    let call = connection.call_method(Some(bus::DRIVER), bus::DRIVER_PATH, Some(bus::DRIVER), "RequestName", &body);
    let reply = timeout(DEADLINE, call).await.map_err(|_| zbus::Error::Failure("the bus does not answer".into()))?;
    reply?.body().deserialize()
}

/// The program that owns the name, as far as that can be told.
async fn owner(connection: &Connection) -> String {
    let (driver, path) = (bus::DRIVER, bus::DRIVER_PATH);
    let call = connection.call_method(Some(driver), path, Some(driver), "GetConnectionUnixProcessID", &NAME);
    let Ok(Ok(reply)) = timeout(DEADLINE, call).await else { return "another process".into() };
    let Ok(pid) = reply.body().deserialize::<u32>() else { return "another process".into() };
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{} (process {pid})", name.trim_end())
}
