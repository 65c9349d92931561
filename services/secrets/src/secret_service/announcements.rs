//! What the Secret Service says on the bus of changes, whoever made them. Called by the owner of the vaults before it
//! answers, so that a change is announced first.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use daemon_runtime::outbox::Outbox;
use dbus_interfaces::ProfileName;
use serde::Serialize;
use vault_store::{Content, Effect, Found, ItemId, OpenVault};
use zbus::{DynamicType, Message, OwnedObjectPath, Variant};

use super::{
    desk::{self, GivenOut},
    item::SECOND,
    paths::{self, Collection, SERVICE},
    wire::words,
};
use crate::state::{Reason, Snapshot, VaultChange};

/// The interfaces.
pub const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
/// Of a collection.
pub const COLLECTION_INTERFACE: &str = "org.freedesktop.Secret.Collection";
/// Of an item.
pub const ITEM_INTERFACE: &str = "org.freedesktop.Secret.Item";
/// Of a prompt.
pub const PROMPT_INTERFACE: &str = "org.freedesktop.Secret.Prompt";

/// Of a collection of more items, which are made and deleted is told, and not all that there are then.
const MAX_TOLD: usize = 500;

/// The properties of an item that is not locked.
fn said<'p>(found: &Found<'_>, profile: &ProfileName) -> [(&'p str, Variant<'p>); 4] {
    let attributes = words(&found.attributes(profile));
    [
        ("Label", found.item.label.to_string().into()),
        ("Attributes", attributes.into()),
        ("Created", (found.item.created / SECOND).into()),
        ("Modified", (found.item.modified / SECOND).into()),
    ]
}

/// The sending end.
pub struct Announcements {
    outbox: Outbox,
    // `std` mutex: never held across an await; the critical section is a look-up.
    given_out: Mutex<GivenOut>,
}

impl Announcements {
    /// On the connection of `outbox`.
    pub fn new(outbox: Outbox) -> Self {
        Self { outbox, given_out: Mutex::default() }
    }

    fn ids(&self) -> MutexGuard<'_, GivenOut> {
        self.given_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client knows of this item from now on.
    pub fn given_out(&self, collection: &Collection, id: ItemId) {
        let mut ids = self.ids();
        match ids.get_mut(collection) {
            Some(known) => drop(known.insert(id)),
            None => drop(ids.insert(collection.clone(), [id].into())),
        }
    }

    /// Ends when everything that was said has been handed to the bus.
    pub async fn sent(&self) {
        desk::sent(&self.outbox).await;
    }

    /// Vaults were locked, unlocked, made or deleted; `open` are those whose keys are here.
    pub fn vaults(&self, snapshot: &Snapshot, changes: &[VaultChange], open: &BTreeMap<ProfileName, Arc<OpenVault>>) {
        for change in changes {
            let collection = Collection::Profile(change.profile.clone());
            match change.reason {
                Reason::Created => self.collections(snapshot, "CollectionCreated", &collection),
                Reason::Deleted => self.collections(snapshot, "CollectionDeleted", &collection),
                _ => self.locked(&collection, open.get(&change.profile).filter(|_| change.active)),
            }
        }
    }

    fn collections(&self, snapshot: &Snapshot, member: &str, changed: &Collection) {
        let profiles = snapshot.vaults.keys().filter_map(|profile| profile.parse().ok()).map(Collection::Profile);
        let all: Vec<OwnedObjectPath> =
            profiles.chain([Collection::Memory]).map(|collection| paths::collection(&collection)).collect();
        self.properties(SERVICE, SERVICE_INTERFACE, [("Collections", Variant::from(all))]);
        self.signal(SERVICE, SERVICE_INTERFACE, member, &paths::collection(changed));
        if member == "CollectionDeleted" {
            self.ids().remove(changed);
        }
    }

    /// The items of `served` are told as they are, since a client may know them as they are while locked: without a name.
    fn locked(&self, collection: &Collection, served: Option<&Arc<OpenVault>>) {
        let (path, locked) = (paths::collection(collection), served.is_none());
        self.properties(path.as_str(), COLLECTION_INTERFACE, [("Locked", locked.into())]);
        self.signal(SERVICE, SERVICE_INTERFACE, "CollectionChanged", &path);
        let ids: Vec<ItemId> = self.ids().get(collection).into_iter().flatten().copied().collect();
        for id in ids {
            let found = served.and_then(|vault| vault.content().item(&id).map(|found| said(&found, vault.profile())));
            let properties = found.into_iter().flatten().chain([("Locked", locked.into())]);
            self.properties(paths::item(collection, id).as_str(), ITEM_INTERFACE, properties);
        }
    }

    /// An item was made, changed or deleted: what the collection holds now is `content`, and whose that is.
    pub fn item(&self, collection: &Collection, id: ItemId, effect: Effect, content: (&Content, &ProfileName)) {
        let member = match effect {
            Effect::Created => "ItemCreated",
            Effect::Changed => "ItemChanged",
            Effect::Deleted => "ItemDeleted",
        };
        let path = paths::collection(collection);
        self.signal(path.as_str(), COLLECTION_INTERFACE, member, &paths::item(collection, id));
        let (content, profile) = content;
        match (effect, content.other(&id)) {
            (Effect::Changed, Some(found)) => {
                self.properties(paths::item(collection, id).as_str(), ITEM_INTERFACE, said(&found, profile));
            }
            (Effect::Created | Effect::Deleted, _) if content.len() <= MAX_TOLD => {
                let all: Vec<_> = content.items().map(|found| paths::item(collection, found.id)).collect();
                self.properties(path.as_str(), COLLECTION_INTERFACE, [("Items", Variant::from(all))]);
            }
            // A secret of sesame's is found by an index of the vault, which no write is to wait for: ItemChanged is all.
            _ => {}
        }
        match (effect, self.ids().get_mut(collection)) {
            (Effect::Deleted, Some(ids)) => drop(ids.remove(&id)),
            (Effect::Created | Effect::Changed | Effect::Deleted, _) => {}
        }
    }

    /// A prompt is over: told to the client that it was made for.
    pub fn completed(&self, prompt: u64, owner: &str, dismissed: bool, result: Variant<'_>) {
        let signal = Message::signal(paths::prompt(prompt), PROMPT_INTERFACE, "Completed").destination(owner);
        match signal.build(&(dismissed, result)) {
            Ok(signal) => self.outbox.send(signal),
            Err(cause) => tracing::error!(%cause, "the end of a prompt could not be announced"),
        }
    }

    fn signal(&self, path: &str, interface: &str, member: &str, body: &(impl Serialize + DynamicType)) {
        match Message::signal(path, interface, member).build(body) {
            Ok(signal) => self.outbox.send(signal),
            Err(cause) => tracing::error!(%cause, "{member} could not be announced"),
        }
    }

    fn properties<'p>(&self, path: &str, interface: &str, changed: impl IntoIterator<Item = (&'p str, Variant<'p>)>) {
        let invalidated: &[&str] = &[];
        let body = (interface, changed.into_iter().collect::<HashMap<_, _>>(), invalidated);
        self.signal(path, "org.freedesktop.DBus.Properties", "PropertiesChanged", &body);
    }
}
