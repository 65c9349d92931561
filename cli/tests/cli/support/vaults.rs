//! A daemon-secrets with vaults in memory: on the bus, at the private socket, or both.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use dbus_interfaces::{
    Error,
    secrets::{self, VaultState},
    vault,
};
use tokio::{net::UnixListener, task::JoinHandle};
use zbus::Connection;

use super::Session;

/// One vault.
#[derive(Clone, Default)]
pub struct Vault {
    pub passphrase: String,
    pub locked: bool,
    pub active: bool,
    pub secrets: BTreeMap<String, Vec<u8>>,
}

/// All vaults, by profile.
#[derive(Clone, Default)]
pub struct Vaults(pub Arc<Mutex<BTreeMap<String, Vault>>>);

impl Vaults {
    /// Puts a vault there, with the passphrase `correct`.
    pub fn with(self, profile: &str, locked: bool, secrets: &[(&str, &[u8])]) -> Self {
        let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect();
        let vault = Vault { passphrase: "correct".into(), locked, active: !locked, secrets };
        self.0.lock().unwrap().insert(profile.into(), vault);
        self
    }

    /// One vault as it is now.
    pub fn get(&self, profile: &str) -> Option<Vault> {
        self.0.lock().unwrap().get(profile).cloned()
    }

    fn change<T>(&self, profile: &str, change: impl FnOnce(&mut Vault) -> Result<T, Error>) -> Result<T, Error> {
        let mut vaults = self.0.lock().unwrap();
        let none = || Error::NoSuchProfile("There is no such profile.".into());
        change(vaults.get_mut(profile).ok_or_else(none)?)
    }

    fn unlocked<T>(&self, profile: &str, read: impl FnOnce(&mut Vault) -> Result<T, Error>) -> Result<T, Error> {
        self.change(profile, |vault| {
            if vault.locked {
                return Err(Error::Locked("The vault is locked; unlock it: sesame unlock.".into()));
            }
            read(vault)
        })
    }

    /// Serves the vaults on the bus.
    pub async fn on_bus(&self, session: &Session) -> Connection {
        let connection = session.connect().await;
        connection.object_server().at(secrets::PATH, OnBus(self.clone())).await.unwrap();
        connection.request_name(secrets::NAME).await.unwrap();
        connection
    }

    /// Serves the vaults at the private socket.
    pub fn at_socket(&self, session: &Session) -> JoinHandle<()> {
        let listener = UnixListener::bind(session.private_socket()).unwrap();
        let vaults = self.clone();
        tokio::spawn(async move {
            let mut connections = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let builder = zbus::connection::Builder::unix_stream(stream.into_std().unwrap())
                    .server(zbus::Guid::generate())
                    .p2p()
                    .serve_at(vault::PATH, AtSocket(vaults.clone()));
                connections.extend(builder.build().await);
            }
        })
    }
}

fn opens(vault: &Vault, passphrase: &[u8]) -> Result<(), Error> {
    if vault.passphrase.as_bytes() == passphrase {
        return Ok(());
    }
    Err(Error::WrongPassphrase("The passphrase does not open this vault; try again.".into()))
}

struct OnBus(Vaults);

#[zbus::interface(name = "org.opensesame.Secrets")]
impl OnBus {
    fn state(&self) -> (secrets::Vaults, u64) {
        let state = |(name, vault): (&String, &Vault)| {
            let state = VaultState {
                locked: vault.locked,
                active: vault.active,
                since_usec: 1,
                reason: "user".into(),
                error: None,
                error_code: None,
            };
            (name.clone(), state)
        };
        (self.0.0.lock().unwrap().iter().map(state).collect(), 1)
    }

    fn lock(&self, profile: &str) -> Result<(), Error> {
        self.0.change(profile, |vault| {
            (vault.locked, vault.active) = (true, false);
            Ok(())
        })
    }

    fn lock_all(&self) -> Vec<String> {
        let mut vaults = self.0.0.lock().unwrap();
        vaults.values_mut().for_each(|vault| (vault.locked, vault.active) = (true, false));
        vaults.keys().cloned().collect()
    }

    fn activate(&self, profile: &str) -> Result<(), Error> {
        self.0.unlocked(profile, |vault| {
            vault.active = true;
            Ok(())
        })
    }
}

struct AtSocket(Vaults);

#[zbus::interface(name = "org.opensesame.Vault")]
impl AtSocket {
    fn create(&self, profile: String, passphrase: Vec<u8>) {
        let vault = Vault { passphrase: String::from_utf8(passphrase).unwrap(), locked: true, ..Vault::default() };
        self.0.0.lock().unwrap().insert(profile, vault);
    }

    fn unlock(&self, profile: &str, passphrase: Vec<u8>) -> Result<(), Error> {
        self.0.change(profile, |vault| {
            opens(vault, &passphrase)?;
            (vault.locked, vault.active) = (false, true);
            Ok(())
        })
    }

    fn change_passphrase(&self, profile: &str, old: Vec<u8>, new: Vec<u8>) -> Result<(), Error> {
        self.0.change(profile, |vault| {
            opens(vault, &old)?;
            vault.passphrase = String::from_utf8(new).unwrap();
            Ok(())
        })
    }

    fn delete(&self, profile: &str, passphrase: Vec<u8>) -> Result<(), Error> {
        self.0.change(profile, |vault| opens(vault, &passphrase))?;
        self.0.0.lock().unwrap().remove(profile);
        Ok(())
    }

    fn list_secrets(&self, profile: &str) -> Result<Vec<String>, Error> {
        self.0.unlocked(profile, |vault| Ok(vault.secrets.keys().cloned().collect()))
    }

    fn get_secret(&self, profile: &str, name: &str) -> Result<Vec<u8>, Error> {
        let none = || Error::NotFound("The vault holds no such secret; see sesame secret list.".into());
        self.0.unlocked(profile, |vault| vault.secrets.get(name).cloned().ok_or_else(none))
    }

    fn set_secret(&self, profile: &str, name: String, value: Vec<u8>) -> Result<(), Error> {
        self.0.unlocked(profile, |vault| {
            vault.secrets.insert(name, value);
            Ok(())
        })
    }

    fn delete_secret(&self, profile: &str, name: &str) -> Result<(), Error> {
        let none = || Error::NotFound("The vault holds no such secret; see sesame secret list.".into());
        self.0.unlocked(profile, |vault| vault.secrets.remove(name).map(|_| ()).ok_or_else(none))
    }
}
