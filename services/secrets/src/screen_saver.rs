//! Screen lockers that logind does not hear of: `ActiveChanged` of `org.freedesktop.ScreenSaver`, on the session bus.
//! A saver that starts may not have locked yet; in doubt it has.

use std::collections::BTreeSet;

use daemon_config::LockOn;
use futures_util::{StreamExt, stream};
use tokio::sync::watch;
use zbus::{
    Connection, Proxy,
    proxy::{Builder, CacheProperties},
};

use crate::{autolock::Event, handle::Handle};

const NAME: &str = "org.freedesktop.ScreenSaver";
/// The specification's path, and an older one that is in use as well.
const PATHS: [&str; 2] = ["/org/freedesktop/ScreenSaver", "/ScreenSaver"];

/// Listens for as long as the configuration wants it, for ever. Asks nobody, and starts nobody.
///
/// # Errors
/// The session bus is lost, and the daemon with it.
pub async fn follow(
    connection: Connection,
    mut wanted: watch::Receiver<BTreeSet<LockOn>>,
    vaults: Handle,
) -> zbus::Result<()> {
    let wants_screen = |wanted: &BTreeSet<LockOn>| wanted.contains(&LockOn::Screen);
    while wanted.wait_for(wants_screen).await.is_ok() {
        let mut signals = stream::SelectAll::new();
        for path in PATHS {
            let proxy = Builder::<Proxy<'_>>::new(&connection).destination(NAME).path(path).interface(NAME);
            let proxy = proxy.cache_properties(CacheProperties::No).build().await?;
            // It believes only the owner of the name.
            signals.push(proxy.receive_signal("ActiveChanged").await?);
        }
        loop {
            tokio::select! {
                Some(signal) = signals.next() => {
                    if signal.body().deserialize() == Ok(true) {
                        vaults.tell(Event::ScreenLocked);
                    }
                }
                unwanted = wanted.wait_for(|wanted| !wants_screen(wanted)) => {
                    if unwanted.is_err() {
                        return Ok(());
                    }
                    break;
                }
            }
        }
    }
    Ok(())
}
