//! `org.freedesktop.Secret.Item`: one item, and its secret in a session.

use std::{io, sync::Arc};

use daemon_runtime::clock;
use secrecy::{ExposeSecret, SecretSlice};
use vault_store::{Alteration, Attributes, Change, ItemId};
use zbus::{OwnedObjectPath, interface, message::Header};

use super::{
    caller,
    desk::Desk,
    error::{Error, invalid},
    paths::{self, Collection},
    wire::{Secret, Words, attributes, words},
};
use crate::handle::Reads;

/// In microseconds: the API tells seconds.
pub const SECOND: u64 = 1_000_000;

/// One item.
pub struct Item {
    /// The shared part.
    pub desk: Arc<Desk>,
    /// Where it is.
    pub collection: Collection,
    /// Which one.
    pub id: ItemId,
}

/// What is said of an item.
#[derive(Default)]
struct Said {
    label: String,
    attributes: Attributes,
    created: u64,
    modified: u64,
}

/// The secret of an item, wrapped for a session of the caller.
///
/// # Errors
/// `NoSession`, `IsLocked`, `NoSuchObject`.
pub async fn secret(
    desk: &Arc<Desk>,
    collection: &Collection,
    id: ItemId,
    session: &OwnedObjectPath,
    header: &Header<'_>,
) -> Result<Secret, Error> {
    let owner = caller::connection(header);
    let cipher = desk.cipher(session.as_str(), &owner)?;
    let read = desk.look_at(collection, id, Reads::Secret, move |found, _| {
        let wrapped = cipher.wrap(found.item.value.expose_secret());
        let name = found.secret.map_or_else(|| found.id.to_string(), ToString::to_string);
        wrapped.map(|wrapped| (wrapped, found.item.content_type.to_string(), name))
    });
    let (wrapped, content_type, name) = read.await?.map_err(no_randomness)?;
    desk.tell_read(collection, name, &owner);
    Ok(Secret { session: session.clone(), parameters: wrapped.parameters, value: wrapped.value, content_type })
}

/// What the caller wrapped.
///
/// # Errors
/// `NoSession`; `InvalidArgs` where it is not wrapped as its session has it.
pub fn unwrapped(desk: &Desk, secret: &Secret, header: &Header<'_>) -> Result<SecretSlice<u8>, Error> {
    let cipher = desk.cipher(secret.session.as_str(), &caller::connection(header))?;
    let value = cipher.unwrap(&secret.parameters, &secret.value);
    value.ok_or_else(|| invalid("the secret is not encrypted as its session has it"))
}

/// The system has no randomness.
pub fn no_randomness(cause: io::Error) -> Error {
    Error::IoError(format!("the system has no random numbers: {cause}; retry later"))
}

impl Item {
    /// Nothing, where the item is locked.
    async fn said(&self) -> Result<Said, Error> {
        let said = self.desk.look_at(&self.collection, self.id, Reads::Nothing, |found, profile| Said {
            label: found.item.label.to_string(),
            attributes: found.attributes(profile).into_owned(),
            created: found.item.created / SECOND,
            modified: found.item.modified / SECOND,
        });
        match said.await {
            Err(Error::IsLocked(_)) => Ok(Said::default()),
            said => said,
        }
    }

    async fn alter(&self, alteration: Alteration) -> Result<(), Error> {
        let change = Change::Alter { id: self.id, alteration, now_usec: clock::now_usec() };
        self.desk.edit(&self.collection, change).await
    }
}

#[interface(name = "org.freedesktop.Secret.Item", introspection_docs = false)]
impl Item {
    #[zbus(out_args("Prompt"))]
    async fn delete(&self) -> Result<OwnedObjectPath, Error> {
        self.desk.edit(&self.collection, Change::Remove { id: self.id }).await?;
        Ok(paths::nothing())
    }

    // One struct, as libsecret and others insist: without the tuple, its fields would be the answer's arguments.
    #[zbus(out_args("secret"))]
    async fn get_secret(
        &self,
        session: OwnedObjectPath,
        #[zbus(header)] header: Header<'_>,
    ) -> Result<(Secret,), Error> {
        Ok((secret(&self.desk, &self.collection, self.id, &session, &header).await?,))
    }

    async fn set_secret(&self, secret: Secret, #[zbus(header)] header: Header<'_>) -> Result<(), Error> {
        let value = unwrapped(&self.desk, &secret, &header)?;
        let value = Some((value, secret.content_type.into()));
        self.alter(Alteration { value, ..Alteration::default() }).await
    }

    #[zbus(property)]
    async fn locked(&self) -> Result<bool, Error> {
        self.desk.locked(&self.collection)
    }

    // Told with what else changed: the setter that zbus writes looks in its object server, where nothing is.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn attributes(&self) -> Result<Words, Error> {
        Ok(words(&self.said().await?.attributes))
    }

    #[zbus(property)]
    async fn set_attributes(&self, words: Words) -> Result<(), Error> {
        self.alter(Alteration { attributes: Some(attributes(words)), ..Alteration::default() }).await
    }

    // Told with what else changed: the setter that zbus writes looks in its object server, where nothing is.
    #[zbus(property(emits_changed_signal = "false"))]
    async fn label(&self) -> Result<String, Error> {
        Ok(self.said().await?.label)
    }

    #[zbus(property)]
    async fn set_label(&self, label: String) -> Result<(), Error> {
        self.alter(Alteration { label: Some(label.into()), ..Alteration::default() }).await
    }

    #[zbus(property)]
    async fn created(&self) -> Result<u64, Error> {
        Ok(self.said().await?.created)
    }

    #[zbus(property)]
    async fn modified(&self) -> Result<u64, Error> {
        Ok(self.said().await?.modified)
    }
}
