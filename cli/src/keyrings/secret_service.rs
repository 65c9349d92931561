//! Whoever owns `org.freedesktop.secrets`: gnome-keyring, oo7-daemon, KeePassXC, KWallet, ... Reading a collection's
//! properties unlocks nothing and asks nobody.

use dbus_interfaces::secrets;
use futures_util::future::join_all;
use zbus::OwnedObjectPath;

use super::{Collection, Keyring, Lock, Owner, property};
use crate::{bus::Bus, deadline::Deadline, error::Error};

const NAME: &str = "org.freedesktop.secrets";
const PATH: &str = "/org/freedesktop/secrets";
const SERVICE: &str = "org.freedesktop.Secret.Service";
const COLLECTION: &str = "org.freedesktop.Secret.Collection";
/// Nobody keeps as many. Beyond, the others are left out, and the whole is unknown.
const MOST: usize = 100;

pub(super) async fn find(bus: &Bus, deadline: Deadline) -> Option<Keyring> {
    let (owner, ours) = tokio::join!(Owner::of(bus, NAME, deadline), Owner::of(bus, secrets::NAME, deadline));
    let owner = owner?;
    // Our own daemon is told of as it is, elsewhere.
    if ours.is_some_and(|ours| ours == owner || (ours.pid.is_some() && ours.pid == owner.pid)) {
        return None;
    }
    let mut keyring = Keyring::owning(NAME, owner.pid);
    let answer = collections(bus, &owner, &mut keyring, deadline).await;
    Some(keyring.answered("Service.Collections, Collection.Label and Collection.Locked over the session bus", answer))
}

async fn collections(bus: &Bus, owner: &Owner, keyring: &mut Keyring, deadline: Deadline) -> Result<Lock, Error> {
    let service = owner.object(NAME, PATH, SERVICE);
    let mut paths: Vec<OwnedObjectPath> = property(bus, service, "Collections", deadline).await?;
    if paths.len() > MOST {
        keyring.why = Some(format!("it has {} collections, of which only {MOST} are shown", paths.len()));
        paths.truncate(MOST);
    }
    let read = join_all(paths.iter().map(async |path| {
        let collection = owner.object(NAME, path.as_str(), COLLECTION);
        let label = property::<String>(bus, collection, "Label", deadline);
        let locked = property::<bool>(bus, collection, "Locked", deadline);
        tokio::join!(label, locked)
    }));
    let mut kept = Vec::new();
    for (path, (label, locked)) in paths.iter().zip(read.await) {
        let id = path.as_str().rsplit('/').next().unwrap_or_default();
        let label = label.ok().filter(|label| !label.is_empty()).unwrap_or_else(|| id.into());
        let locked = locked.map_err(|why| keyring.why = Some(why.to_string())).ok();
        keyring.collections.push(Collection { label, locked });
        // What is in memory only is never locked, and says nothing of the store.
        kept.extend((id != "session").then_some(locked));
    }
    keyring.collections.sort_by(|one, other| one.label.cmp(&other.label));
    Ok(if keyring.why.is_some() { Lock::Unknown } else { Lock::of(kept) })
}
