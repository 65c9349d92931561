//! `org.freedesktop.Secret.Service`: sessions, searching, locking.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use dbus_interfaces::ProfileName;
use zbus::{OwnedObjectPath, OwnedVariant, Variant, interface, message::Header, object_server::SignalEmitter};

use session_cipher::{Cipher, DH, PLAIN};

use super::{
    caller,
    desk::{Desk, default_profile},
    error::{Error, invalid, limits, no_object, unsupported},
    item,
    paths::{self, Collection, Object},
    prompts::Wish,
    wire::{Secret, Words, attributes},
};
use crate::handle::Which;

/// The service's object.
pub struct Service(pub Arc<Desk>);

impl Service {
    fn opened(&self, owner: &str, cipher: Cipher) -> Result<OwnedObjectPath, Error> {
        let opened = self.0.open().sessions.open(owner, cipher);
        let (number, first) = opened.ok_or_else(|| {
            limits("too many sessions are open (250 of one client, 1,000 of all); close some and retry")
        })?;
        self.0.count_sessions();
        if first {
            self.0.follow(owner.into());
        }
        Ok(paths::session(number))
    }

    /// The profiles of `objects`, and for each its objects. What there is not is passed over.
    fn by_collection(&self, objects: Vec<OwnedObjectPath>) -> Vec<(Collection, OwnedObjectPath)> {
        let known = |path: OwnedObjectPath| match self.0.object(path.as_str()).ok()? {
            Object::Collection(collection) | Object::Item(collection, _) => Some((collection, path)),
            Object::Service | Object::Alias(_) | Object::Session(_) | Object::Prompt(_) => None,
        };
        objects.into_iter().filter_map(known).collect()
    }
}

/// A name for a new profile, made of what people call the collection.
fn profile_named(label: &str) -> Result<ProfileName, Error> {
    let fits = |symbol: char| if symbol.is_ascii_alphanumeric() || symbol == '_' { symbol } else { '-' };
    let name: String = label.trim().chars().map(fits).take(64).collect();
    name.parse().map_err(|_| invalid("a collection's label begins with a letter or digit; choose another"))
}

#[interface(name = "org.freedesktop.Secret.Service", introspection_docs = false)]
impl Service {
    #[zbus(out_args("output", "result"))]
    async fn open_session(
        &self,
        algorithm: &str,
        input: Variant<'_>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(OwnedVariant, OwnedObjectPath), Error> {
        let owner = caller::connection(&header);
        let (cipher, output) = match algorithm {
            PLAIN if !self.0.configured().plain_sessions => {
                return Err(unsupported(format!("sessions without encryption are refused here; use {DH}")));
            }
            PLAIN => (Cipher::Plain, Variant::from("")),
            DH => {
                let theirs: Vec<u8> = input.try_into().map_err(|_| invalid("a public key is an array of bytes"))?;
                let agreed = Cipher::agree(&theirs).map_err(item::no_randomness)?;
                let (cipher, ours) = agreed.map_err(|_| invalid("that is no public key of the group ietf1024"))?;
                (cipher, Variant::from(ours))
            }
            _ => return Err(unsupported(format!("no such algorithm here; use {DH}"))),
        };
        let output = OwnedVariant::try_from(output).map_err(Error::ZBus)?;
        Ok((output, self.opened(&owner, cipher)?))
    }

    #[zbus(out_args("collection", "prompt"))]
    async fn create_collection(
        &self,
        properties: HashMap<String, OwnedVariant>,
        alias: &str,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(OwnedObjectPath, OwnedObjectPath), Error> {
        if let Some(there) = self.0.aliased(alias) {
            return Ok((paths::collection(&there), paths::nothing()));
        }
        let profile = match alias {
            "default" => default_profile(),
            "" => {
                let label = properties.get("org.freedesktop.Secret.Collection.Label");
                let label = label.and_then(|label| <&str>::try_from(label).ok()).unwrap_or_default();
                profile_named(label)?
            }
            _ => return Err(unsupported("the only alias that a collection can be made for is default")),
        };
        if self.0.locked(&Collection::Profile(profile.clone())).is_ok() {
            return Err(invalid(format!("there is a profile {profile} already; choose another label")));
        }
        Ok((paths::nothing(), caller::prompt(&self.0, &header, Wish::Create(profile))?))
    }

    #[zbus(out_args("unlocked", "locked"))]
    async fn search_items(
        &self,
        wanted: Words,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Vec<OwnedObjectPath>, Vec<OwnedObjectPath>), Error> {
        let found = self.0.find(self.0.collections(), &attributes(wanted)).await;
        let locked = found.locked.iter().map(|(collection, _)| collection.clone());
        self.0.tell_locked_item(locked, &caller::connection(&header));
        let paths = |found: Vec<(Collection, _)>| found.into_iter().map(|(of, id)| paths::item(&of, id)).collect();
        Ok((paths(found.unlocked), paths(found.locked)))
    }

    #[zbus(out_args("unlocked", "prompt"))]
    async fn unlock(
        &self,
        objects: Vec<OwnedObjectPath>,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Vec<OwnedObjectPath>, OwnedObjectPath), Error> {
        let (mut open, mut shut, mut profiles) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (collection, object) in self.by_collection(objects) {
            let Collection::Profile(profile) = &collection else {
                open.push(object);
                continue;
            };
            // Activating is no unlock, and needs no passphrase.
            if self.0.locked(&collection)? && self.0.vaults.set_active(profile.clone(), true).await.is_err() {
                shut.push(object);
                profiles.insert(profile.clone());
            } else {
                open.push(object);
            }
        }
        self.0.announcements.sent().await;
        if shut.is_empty() {
            return Ok((open, paths::nothing()));
        }
        let wish = Wish::Unlock { profiles: profiles.into_iter().collect(), objects: shut };
        Ok((open, caller::prompt(&self.0, &header, wish)?))
    }

    #[zbus(out_args("locked", "Prompt"))]
    async fn lock(&self, objects: Vec<OwnedObjectPath>) -> Result<(Vec<OwnedObjectPath>, OwnedObjectPath), Error> {
        let mut locked = Vec::new();
        for (collection, object) in self.by_collection(objects) {
            let Collection::Profile(profile) = collection else { continue };
            self.0.vaults.lock(Which::One(profile)).await?;
            locked.push(object);
        }
        self.0.announcements.sent().await;
        Ok((locked, paths::nothing()))
    }

    #[zbus(out_args("secrets"))]
    async fn get_secrets(
        &self,
        items: Vec<OwnedObjectPath>,
        session: OwnedObjectPath,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<HashMap<OwnedObjectPath, Secret>, Error> {
        let mut secrets = HashMap::new();
        for path in items {
            let secret = match self.0.object(path.as_str()) {
                Ok(Object::Item(collection, id)) => item::secret(&self.0, &collection, id, &session, &header).await,
                Ok(_) => Err(no_object(path.as_str())),
                Err(error) => Err(error),
            };
            match secret {
                Ok(secret) => drop(secrets.insert(path, secret)),
                // Left out: the specification has it of a locked one, and one may be deleted while others are asked for.
                Err(Error::IsLocked(_) | Error::NoSuchObject(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(secrets)
    }

    #[zbus(out_args("collection"))]
    async fn read_alias(&self, name: &str) -> Result<OwnedObjectPath, Error> {
        Ok(self.0.aliased(name).map_or_else(paths::nothing, |collection| paths::collection(&collection)))
    }

    async fn set_alias(&self, name: &str, collection: OwnedObjectPath) -> Result<(), Error> {
        let object = self.0.object(collection.as_str());
        match (name, object) {
            ("default", Ok(Object::Collection(Collection::Profile(profile)))) => {
                caller::set_default_profile(&self.0, &profile).await
            }
            ("default", Err(error)) if collection.as_str() != "/" => Err(error),
            _ => Err(unsupported("the only alias is default, which stands for a trust profile's collection")),
        }
    }

    #[zbus(property)]
    async fn collections(&self) -> Vec<OwnedObjectPath> {
        self.0.collections().iter().map(paths::collection).collect()
    }

    #[zbus(signal)]
    async fn collection_created(emitter: &SignalEmitter<'_>, collection: OwnedObjectPath) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn collection_deleted(emitter: &SignalEmitter<'_>, collection: OwnedObjectPath) -> zbus::Result<()>;

    #[zbus(signal)]
    async fn collection_changed(emitter: &SignalEmitter<'_>, collection: OwnedObjectPath) -> zbus::Result<()>;
}
