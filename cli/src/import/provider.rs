//! The Secret Service that runs now, read over its own API in an encrypted session. Starts nothing, asks nobody, and
//! changes nothing there.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    time::Duration,
};

use dbus_interfaces::vault::NewItem;
use secrecy::SecretSlice;
use serde::Deserialize;
use session_cipher::{Cipher, DH, Offer};
use zbus::{OwnedObjectPath, OwnedVariant, Type, Variant};

use super::plan::{Foreign, NO_SCHEMA, SCHEMA};
use crate::{
    bus::{Bus, DRIVER, SECRETS, Service},
    deadline::Deadline,
    error::Error,
    keyrings::property,
};

const NAME: &str = "org.freedesktop.secrets";
const SERVICE: &str = "/org/freedesktop/secrets";
const WHO: &str = "the Secret Service";
/// Whose the items are: which application stored one, the API does not tell.
const ORIGIN: &str = "import";

/// The provider, and the session that secrets travel in.
pub struct Provider<'a> {
    bus: &'a Bus,
    /// By its unique name: another that takes the well-known one is never asked.
    connection: String,
    cipher: Cipher,
    session: OwnedObjectPath,
    /// For one answer.
    limit: Duration,
}

/// What a provider keeps.
#[derive(Default)]
pub struct Kept {
    /// The items of the collections that are unlocked.
    pub items: Vec<Foreign>,
    /// The labels of those that are locked.
    pub locked: Vec<String>,
}

#[derive(Deserialize, Type)]
struct Secret {
    _session: OwnedObjectPath,
    parameters: Vec<u8>,
    value: Vec<u8>,
    content_type: String,
}

impl<'a> Provider<'a> {
    /// Opens a session with the owner of `org.freedesktop.secrets`.
    ///
    /// # Errors
    /// Nobody owns the name, daemon-secrets does, or no session can be agreed upon.
    pub async fn connect(bus: &'a Bus, limit: Duration) -> Result<Self, Error> {
        let deadline = || Deadline::after(limit);
        if !bus.call(DRIVER, "NameHasOwner", &NAME, deadline()).await? {
            return Err(Error::NotRunning(WHO));
        }
        let connection: String = bus.call(DRIVER, "GetNameOwner", &NAME, deadline()).await?;
        // daemon-secrets speaks there on a connection of its own: it is known by its process.
        let process = async |name: &str| bus.call::<u32>(DRIVER, "GetConnectionUnixProcessID", &name, deadline()).await;
        let ours = process(SECRETS.name).await;
        if ours.is_ok() && ours.ok() == process(&connection).await.ok() {
            let why = "daemon-secrets itself is the Secret Service of this session, and has all that it has";
            return Err(Error::Other(why.into()));
        }
        let offer = Offer::new().map_err(|cause| Error::File { name: "the system's randomness".into(), cause })?;
        let service =
            Service { who: WHO, name: &connection, path: SERVICE, interface: "org.freedesktop.Secret.Service" };
        let body = (DH, Variant::from(offer.public_key()));
        let (theirs, session): (OwnedVariant, OwnedObjectPath) =
            bus.call(service, "OpenSession", &body, deadline()).await?;
        let theirs: Vec<u8> = theirs.try_into().map_err(|_| Error::Other("its public key is none".into()))?;
        let cipher = offer.accepted(&theirs).map_err(|_| Error::Other("its public key is none".into()))?;
        Ok(Self { bus, connection, cipher, session, limit })
    }

    /// The program, as people know it.
    pub async fn program(&self) -> String {
        let pid = self.bus.call::<u32>(DRIVER, "GetConnectionUnixProcessID", &self.connection, self.deadline()).await;
        let name = pid.ok().and_then(|pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok());
        name.map_or_else(|| WHO.into(), |name| name.trim_end().into())
    }

    /// Everything that is unlocked, and what is not. The collection that is in memory only belongs to no vault.
    ///
    /// # Errors
    /// The provider is gone, silent, or none.
    pub async fn kept(&self) -> Result<Kept, Error> {
        let service = self.at(SERVICE, "org.freedesktop.Secret.Service");
        let collections: Vec<OwnedObjectPath> = property(self.bus, service, "Collections", self.deadline()).await?;
        // The alias is no part of every provider.
        let session = self.bus.call::<OwnedObjectPath>(service, "ReadAlias", &"session", self.deadline()).await.ok();
        let mut kept = Kept::default();
        for path in collections.iter().filter(|path| Some(*path) != session.as_ref()) {
            let collection = self.at(path.as_str(), "org.freedesktop.Secret.Collection");
            let label: String = property(self.bus, collection, "Label", self.deadline()).await?;
            if property(self.bus, collection, "Locked", self.deadline()).await? {
                kept.locked.push(label);
                continue;
            }
            let items: Vec<OwnedObjectPath> = property(self.bus, collection, "Items", self.deadline()).await?;
            for item in items {
                kept.items.push(self.item(&label, item.as_str()).await?);
            }
        }
        Ok(kept)
    }

    async fn item(&self, collection: &str, path: &str) -> Result<Foreign, Error> {
        let mut item = NewItem {
            origin: ORIGIN.into(),
            label: path.into(),
            attributes: BTreeMap::new(),
            content_type: String::new(),
            created_usec: 0,
            modified_usec: 0,
        };
        let value = told(self.read(path, &mut item).await)?;
        Ok(Foreign { collection: collection.into(), item, value })
    }

    async fn read(&self, path: &str, item: &mut NewItem) -> Result<SecretSlice<u8>, Error> {
        let object = self.at(path, "org.freedesktop.Secret.Item");
        item.label = property(self.bus, object, "Label", self.deadline()).await?;
        let mut attributes: HashMap<String, String> = property(self.bus, object, "Attributes", self.deadline()).await?;
        // gnome-keyring's word for none, which it adds: by what the application gave alone will it replace the item.
        attributes.retain(|name, value| name != SCHEMA || value != NO_SCHEMA);
        item.attributes = attributes.into_iter().collect();
        let seconds: u64 = property(self.bus, object, "Created", self.deadline()).await?;
        item.created_usec = seconds.saturating_mul(1_000_000);
        let seconds: u64 = property(self.bus, object, "Modified", self.deadline()).await?;
        item.modified_usec = seconds.saturating_mul(1_000_000);
        if property(self.bus, object, "Locked", self.deadline()).await? {
            return Err(Error::Other("it is locked".into()));
        }
        let secret: Secret = self.bus.call(object, "GetSecret", &self.session, self.deadline()).await?;
        item.content_type = secret.content_type;
        let value = self.cipher.unwrap(&secret.parameters, &secret.value);
        value.ok_or_else(|| Error::Other("its secret could not be decrypted".into()))
    }

    fn at<'b>(&'b self, path: &'b str, interface: &'b str) -> Service<'b> {
        Service { who: WHO, name: &self.connection, path, interface }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.limit)
    }
}

/// Why one item cannot be read, where it is not the provider that fails.
fn told<T>(read: Result<T, Error>) -> Result<Result<T, String>, Error> {
    match read {
        Ok(value) => Ok(Ok(value)),
        Err(error @ (Error::Call { .. } | Error::Other(_) | Error::Refused(_))) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}
