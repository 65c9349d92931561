//! `org.opensesame.Vault`, on the private socket: passphrases and secrets. Checks their form and hands them to the
//! owner of the vaults; keeps none.

use daemon_runtime::{
    admission::{Admitted, Permits},
    clock,
};
use dbus_interfaces::{
    Error, ProfileName, SecretName,
    vault::{MAX_VALUE, check_passphrase},
};
use secrecy::SecretString;
use serde::{Serialize, Serializer};
use vault_store::Change;
use zbus::{Type, interface};

use crate::{attempts::ConnectionId, handle::Handle, work::Wish};

/// The methods that wait for a key or a disk.
const WAITS: &[&str] = &["Create", "Unlock", "ChangePassphrase", "Delete", "SetSecret", "DeleteSecret"];

/// One connection's object.
pub struct Vault {
    vaults: Handle,
    connection: ConnectionId,
}

impl Vault {
    /// The object for the process `peer`, with its calls admitted.
    pub fn admitted(vaults: Handle, permits: Permits, connection: ConnectionId, peer: u32) -> Admitted<Self> {
        Admitted::on_private_socket(Self { vaults, connection }, permits, WAITS, peer)
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
        self.vaults.get(profile_name(profile)?, secret_name(name)?).await.map(Value)
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

    async fn delete_secret(&self, profile: &str, name: &str) -> Result<(), Error> {
        let (profile, name) = (profile_name(profile)?, secret_name(name)?);
        self.vaults.edit(profile, Change::Delete { name }).await
    }
}
