//! `org.opensesame.Vault`, on the private socket: passphrases and secrets. Checks their form and hands them to the
//! owner of the vaults; keeps none.

use daemon_runtime::{
    admission::{Admitted, Permits},
    clock,
};
use dbus_interfaces::{
    Error, ProfileName, SecretName,
    vault::{ListedItem, MAX_VALUE, NewItem, check_passphrase},
};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use vault_store::{Change, OpenVault};
use zbus::{Type, interface};

use crate::{
    attempts::ConnectionId,
    handle::{Handle, Read, Reads, Wanted},
    items,
    reader::Reader,
    work::Wish,
};

/// The methods that wait for a key or a disk.
const WAITS: &[&str] =
    &["Create", "Unlock", "ChangePassphrase", "Delete", "SetSecret", "DeleteSecret", "StoreItem", "DeleteItem"];

/// One connection's object.
pub struct Vault {
    vaults: Handle,
    connection: ConnectionId,
    // Looked up while the peer makes its first call.
    peer: Reader,
}

impl Vault {
    /// The object for the process `peer`, with its calls admitted.
    pub fn admitted(vaults: Handle, permits: Permits, connection: ConnectionId, peer: u32) -> Admitted<Self> {
        let vault = Self { vaults, connection, peer: Reader::process(peer) };
        Admitted::on_private_socket(vault, permits, WAITS, peer)
    }
}

fn profile_name(text: &str) -> Result<ProfileName, Error> {
    Ok(text.parse::<ProfileName>()?)
}

fn secret_name(text: &str) -> Result<SecretName, Error> {
    Ok(text.parse::<SecretName>()?)
}

fn checked(passphrase: &[u8]) -> Result<SecretString, Error> {
    check_passphrase(passphrase).map(SecretString::from)
}

/// A secret's value on its way out. As bytes, not as a list of numbers, which is what serde makes of a vector.
#[derive(Type)]
#[zbus(signature = "ay")]
struct Value(Box<[u8]>);

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

#[interface(name = "org.opensesame.Vault", introspection_docs = false)]
impl Vault {
    async fn create(&self, profile: &str, passphrase: &[u8]) -> Result<(), Error> {
        let (profile, passphrase) = (profile_name(profile)?, checked(passphrase)?);
        self.vaults.attempt(self.connection, profile, Wish::Create(passphrase)).await
    }

    async fn unlock(&self, profile: &str, passphrase: &[u8]) -> Result<(), Error> {
        let (profile, passphrase) = (profile_name(profile)?, checked(passphrase)?);
        self.vaults.attempt(self.connection, profile, Wish::Unlock(passphrase)).await
    }

    async fn change_passphrase(&self, profile: &str, old: &[u8], new: &[u8]) -> Result<(), Error> {
        let (profile, old, new) = (profile_name(profile)?, checked(old)?, checked(new)?);
        self.vaults.attempt(self.connection, profile, Wish::ChangePassphrase { old, new }).await
    }

    async fn delete(&self, profile: &str, passphrase: &[u8]) -> Result<(), Error> {
        let (profile, passphrase) = (profile_name(profile)?, checked(passphrase)?);
        self.vaults.attempt(self.connection, profile, Wish::Delete(passphrase)).await
    }

    #[zbus(out_args("names"))]
    async fn list_secrets(&self, profile: &str) -> Result<Vec<String>, Error> {
        self.vaults.list(profile_name(profile)?).await
    }

    #[zbus(out_args("value"))]
    async fn get_secret(&self, profile: &str, name: &str) -> Result<Value, Error> {
        let (profile, name) = (profile_name(profile)?, secret_name(name)?);
        self.vaults.get(Wanted { profile, name, reader: self.peer.clone() }).await.map(Value)
    }

    async fn set_secret(&self, profile: &str, name: &str, value: &[u8]) -> Result<(), Error> {
        let (profile, name) = (profile_name(profile)?, secret_name(name)?);
        if value.len() > MAX_VALUE {
            let sentence =
                format!("a secret's value is at most 1 MiB, and this one has {} bytes; store less", value.len());
            return Err(Error::TooLarge(sentence));
        }
        let value = Box::<[u8]>::from(value).into();
        self.vaults.edit(profile, Change::Set { name, value, now_usec: clock::now_usec() }).await
    }

    #[zbus(out_args("items"))]
    async fn list_items(&self, profile: &str) -> Result<Vec<ListedItem>, Error> {
        let look = |vault: &OpenVault| Ok(vault.content().items().map(|item| items::listed(vault, item)).collect());
        self.vaults.look(profile_name(profile)?, Reads::Nothing, look).await
    }

    #[zbus(out_args("item", "value"))]
    async fn get_item(&self, profile: &str, id: &str) -> Result<(ListedItem, Value), Error> {
        let (profile, id) = (profile_name(profile)?, items::id(id)?);
        let looked = self.vaults.look(profile.clone(), Reads::Secret, move |vault| {
            let found = vault.content().item(&id).ok_or_else(|| items::not_found(vault.profile()))?;
            Ok((items::listed(vault, found), found.item.value.expose_secret().into()))
        });
        let (item, value) = looked.await?;
        let name = if item.name.is_empty() { item.id.clone() } else { item.name.clone() };
        self.vaults.was_read(Read { profile, name, reader: self.peer.clone() });
        Ok((item, Value(value)))
    }

    #[zbus(out_args("id"))]
    async fn store_item(&self, profile: &str, item: NewItem, value: &[u8]) -> Result<String, Error> {
        let (id, change) = items::added(item, value, clock::now_usec())?;
        self.vaults.edit(profile_name(profile)?, change).await.map(|()| id.to_string())
    }

    async fn delete_item(&self, profile: &str, id: &str) -> Result<(), Error> {
        self.vaults.edit(profile_name(profile)?, Change::Remove { id: items::id(id)? }).await
    }

    async fn delete_secret(&self, profile: &str, name: &str) -> Result<(), Error> {
        let (profile, name) = (profile_name(profile)?, secret_name(name)?);
        self.vaults.edit(profile, Change::Delete { name }).await
    }
}
