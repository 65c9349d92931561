//! The order in which the actor takes things in: what the bus delivered before a call counts in its answer.

use std::os::unix::net::UnixStream;

use daemon_runtime::bus::{DRIVER, DRIVER_PATH};
use dbus_interfaces::secrets::VaultState;
use zbus::{Guid, connection::Builder};

use super::*;
use crate::{handle, peers::Introduction};

const HUB: &str = ":1.1";
const SECRETS: &str = ":1.2";

/// Two ends of one connection: the hub's, and the bus's.
async fn connections() -> (Connection, Connection) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let bus = Builder::unix_stream(theirs).server(Guid::generate()).p2p().build();
    let (ours, theirs) = tokio::join!(Builder::unix_stream(ours).p2p().build(), bus);
    (ours.unwrap(), theirs.unwrap())
}

/// A hub that knows of an unlocked vault.
fn hub() -> Hub {
    let run = |id: &str| Introduction { id: id.into(), started_usec: 1, sandbox: "none".into() };
    let vault =
        VaultState { locked: false, active: true, since_usec: 1, reason: "user".into(), error: None, error_code: None };
    let mut hub = Hub::new(run("hub"), 1, ProfileName::personal(), 1);
    hub.apply(Event::Introduced(run("a")), 2);
    hub.apply(Event::Reconciled([(ProfileName::personal(), vault)].into(), 0), 3);
    hub
}

/// Not once in a while but every time: the actor finds a signal and a call waiting, and may begin with either.
#[tokio::test]
async fn what_was_delivered_before_a_call_counts_in_its_answer() {
    for _ in 0..32 {
        let (ours, theirs) = connections().await;
        let mut hub = hub();
        let (handle, inbox) = handle::channel(hub.report());
        let name = OwnedUniqueName::try_from(HUB).unwrap();
        let mut actor = Actor::new(&ours, name, hub, inbox, PathBuf::new()).unwrap();
        actor.owners.secrets = Some(SECRETS.try_into().unwrap());
        actor.owner_known = true;

        let mut witness = MessageStream::from(&ours);
        let death = Message::signal(DRIVER_PATH, DRIVER, "NameOwnerChanged").sender(DRIVER);
        theirs.send(&death.build(&(secrets::NAME, SECRETS, "")).unwrap()).await.unwrap();
        witness.next().await.unwrap().unwrap();
        let call = tokio::spawn(async move { handle.look().await });
        tokio::task::yield_now().await;

        tokio::spawn(actor.run());
        assert!(call.await.unwrap().unwrap().locked, "unlocked after the death of its daemon was delivered");
    }
}

/// The bus drops signals to a slow reader: the hub finds by itself who is there.
#[tokio::test]
async fn an_end_that_nobody_told_of_is_found_by_asking() {
    let (ours, theirs) = connections().await;
    let mut hub = hub();
    let (handle, inbox) = handle::channel(hub.report());
    let name = OwnedUniqueName::try_from(HUB).unwrap();
    let mut bus = MessageStream::from(&theirs);
    let mut actor = Actor::new(&ours, name, hub, inbox, PathBuf::new()).unwrap();
    actor.owners.secrets = Some(SECRETS.try_into().unwrap());
    actor.owner_known = true;
    // A bus on which nobody is.
    tokio::spawn(async move {
        while let Some(Ok(call)) = bus.next().await {
            if call.message_type() == zbus::message::Type::MethodCall {
                let nobody = Message::error(&call.header(), "org.freedesktop.DBus.Error.NameHasNoOwner");
                theirs.send(&nobody.sender(DRIVER).build(&"nobody").unwrap()).await.unwrap();
            }
        }
    });
    tokio::spawn(actor.run());
    assert!(handle.reconcile().await.is_err());
    let report = handle.look().await.unwrap();
    assert!(report.locked && report.vaults["personal"].known == "assumed", "{report:?}");
    assert_eq!(report.daemons["daemon-secrets"].state, "lost");
}
