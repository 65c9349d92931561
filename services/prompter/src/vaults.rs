//! What an answer is for, over the private socket: the only way that a passphrase takes.

use std::time::Duration;

use dbus_interfaces::{Error, places, secrets, vault::VaultProxy};
use secrecy::{ExposeSecret, SecretSlice};
use tokio::net::UnixStream;
use zbus::{connection::Builder, proxy::CacheProperties};

use crate::question::{Question, What};

/// As long as a key may take to derive.
const DEADLINE: Duration = Duration::from_secs(30);

/// Does what `question` is for.
///
/// # Errors
/// Why not, in one sentence for the person who is asked.
pub async fn carry_out(question: &Question, passphrase: &SecretSlice<u8>) -> Result<(), String> {
    let vault = connect().await.map_err(|cause| format!("daemon-secrets cannot be reached: {cause}"))?;
    let (profile, passphrase) = (question.profile.as_str(), passphrase.expose_secret());
    let done = match question.what {
        What::Unlock => vault.unlock(profile, passphrase).await,
        What::Delete => vault.delete(profile, passphrase).await,
        What::Create => match vault.create(profile, passphrase).await {
            // Made, and that was the wish: where it stays locked, its next use asks.
            Ok(()) => vault.unlock(profile, passphrase).await.or(Ok(())),
            Err(error) => Err(error),
        },
    };
    done.map_err(|error| match error {
        // Its own text names files, and is longer than a dialogue is wide.
        Error::WrongPassphrase(_) => "That is not the passphrase of this vault.".into(),
        Error::ZBus(cause) => format!("daemon-secrets does not answer: {cause}"),
        error => sentence(&error),
    })
}

/// An error's own text, without its name.
fn sentence(error: &Error) -> String {
    zbus::DBusError::description(error).map_or_else(|| error.to_string(), str::to_owned)
}

async fn connect() -> Result<VaultProxy<'static>, Box<dyn std::error::Error>> {
    let stream = UnixStream::connect(places::private_socket()?).await?.into_std()?;
    let connection = Builder::unix_stream(stream).p2p().method_timeout(DEADLINE).build().await?;
    let proxy = VaultProxy::builder(&connection).destination(secrets::NAME);
    Ok(proxy.cache_properties(CacheProperties::No).build().await?)
}
