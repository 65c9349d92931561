//! KeePassXC. What it says of its databases over the bus goes by the Secret Service, where it has that; its own
//! interface can only open and lock them. So it is asked whether it is there, and no more.

use super::{Keyring, Lock, Owner};
use crate::{bus::Bus, deadline::Deadline};

const NAME: &str = "org.keepassxc.KeePassXC.MainWindow";

pub(super) async fn find(bus: &Bus, deadline: Deadline) -> Option<Keyring> {
    let owner = Owner::of(bus, NAME, deadline).await?;
    let peer = owner.object(NAME, "/keepassxc", "org.freedesktop.DBus.Peer");
    let answer = bus.call::<()>(peer, "Ping", &(), deadline).await.map(|()| Lock::Unknown);
    let mut keyring = Keyring::owning(NAME, owner.pid).answered("Ping over the session bus", answer);
    keyring.why.get_or_insert("it tells nobody whether its databases are locked".into());
    Some(keyring)
}
