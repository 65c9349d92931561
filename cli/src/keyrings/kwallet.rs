//! KDE's wallets, over the interface of their own. Both questions are answered from a list in kwalletd's memory.

use futures_util::future::join_all;

use super::{Collection, Keyring, Lock, Owner};
use crate::{bus::Bus, deadline::Deadline, error::Error};

/// One generation of kwalletd: its name, and its object.
#[derive(Debug)]
pub(super) struct Generation(&'static str, &'static str);

pub(super) const KWALLETD6: Generation = Generation("org.kde.kwalletd6", "/modules/kwalletd6");
pub(super) const KWALLETD5: Generation = Generation("org.kde.kwalletd5", "/modules/kwalletd5");

pub(super) async fn find(bus: &Bus, &Generation(name, path): &Generation, deadline: Deadline) -> Option<Keyring> {
    let owner = Owner::of(bus, name, deadline).await?;
    let mut keyring = Keyring::owning(name, owner.pid);
    let wallets = async {
        let object = owner.object(name, path, "org.kde.KWallet");
        let names: Vec<String> = bus.call(object, "wallets", &(), deadline).await?;
        let open = join_all(names.iter().map(|wallet| bus.call::<bool>(object, "isOpen", wallet, deadline)));
        let open = open.await.into_iter().map(|open| open.ok().map(|open| !open));
        Ok::<_, Error>(names.iter().cloned().zip(open).map(|(label, locked)| Collection { label, locked }).collect())
    };
    let answer = wallets.await.map(|found: Vec<Collection>| {
        keyring.collections = found;
        Lock::of(keyring.collections.iter().map(|wallet| wallet.locked))
    });
    Some(keyring.answered("wallets and isOpen over the session bus", answer))
}
