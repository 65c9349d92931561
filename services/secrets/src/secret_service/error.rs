//! What the Secret Service API answers in place of a result.

use dbus_interfaces::Error as VaultError;
use zbus::fdo;

/// The specification's errors, and the bus's own for the rest. Clients match names.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop.Secret.Error")]
pub enum Error {
    /// Anything that zbus or the bus itself says.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// The item or the collection is locked.
    IsLocked(String),
    /// There is no such session, or it is another client's.
    NoSession(String),
    /// There is no such item, collection or prompt.
    NoSuchObject(String),
}

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        use VaultError as V;
        match error {
            V::Locked(sentence) | V::NotActive(sentence) => Self::IsLocked(sentence),
            V::NoSuchProfile(sentence) | V::NotFound(sentence) => Self::NoSuchObject(sentence),
            V::TooLarge(sentence) => limits(sentence),
            V::ZBus(cause) => Self::ZBus(cause),
            V::Storage(sentence) => fdo::Error::IOError(sentence).into(),
            V::InvalidName(sentence) | V::InvalidPassphrase(sentence) => invalid(sentence),
            V::AlreadyExists(sentence)
            | V::WrongPassphrase(sentence)
            | V::TooManyAttempts(sentence)
            | V::CorruptVault(sentence)
            | V::ChangedOnDisk(sentence)
            | V::Unavailable(sentence)
            | V::Unresponsive(sentence) => fdo::Error::Failed(sentence).into(),
        }
    }
}

impl From<fdo::Error> for Error {
    fn from(error: fdo::Error) -> Self {
        Self::ZBus(error.into())
    }
}

/// More than is allowed.
pub fn limits(sentence: impl Into<String>) -> Error {
    fdo::Error::LimitsExceeded(sentence.into()).into()
}

/// Something that cannot be meant.
pub fn invalid(sentence: impl Into<String>) -> Error {
    fdo::Error::InvalidArgs(sentence.into()).into()
}

/// Something that is not done here.
pub fn unsupported(sentence: impl Into<String>) -> Error {
    fdo::Error::NotSupported(sentence.into()).into()
}

/// There is no object at a path.
pub fn no_object(path: &str) -> Error {
    Error::NoSuchObject(format!("there is no object {path}; it was deleted, or never there: search again"))
}

/// A session that a client cannot use.
pub fn no_session() -> Error {
    Error::NoSession("there is no such session of this client; open one with OpenSession".into())
}
