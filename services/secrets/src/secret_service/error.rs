//! What the Secret Service API answers in place of a result.

use dbus_interfaces::Error as VaultError;

/// The specification's errors, and the bus's own for the rest. Clients match names.
#[derive(Debug, zbus::DBusError)]
#[zbus(prefix = "org.freedesktop")]
pub enum Error {
    /// Anything that zbus itself says.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// The item or the collection is locked.
    #[zbus(name = "Secret.Error.IsLocked")]
    IsLocked(String),
    /// There is no such session, or it is another client's.
    #[zbus(name = "Secret.Error.NoSession")]
    NoSession(String),
    /// There is no such item, collection or prompt.
    #[zbus(name = "Secret.Error.NoSuchObject")]
    NoSuchObject(String),
    /// More than is allowed.
    #[zbus(name = "DBus.Error.LimitsExceeded")]
    LimitsExceeded(String),
    /// Something that cannot be meant.
    #[zbus(name = "DBus.Error.InvalidArgs")]
    InvalidArgs(String),
    /// Something that is not done here.
    #[zbus(name = "DBus.Error.NotSupported")]
    NotSupported(String),
    /// The disk, or the system's randomness.
    #[zbus(name = "DBus.Error.IOError")]
    IoError(String),
    /// Anything else.
    #[zbus(name = "DBus.Error.Failed")]
    Failed(String),
}

impl From<VaultError> for Error {
    fn from(error: VaultError) -> Self {
        use VaultError as V;
        match error {
            V::Locked(sentence) | V::NotActive(sentence) => Self::IsLocked(sentence),
            V::NoSuchProfile(sentence) | V::NotFound(sentence) => Self::NoSuchObject(sentence),
            V::TooLarge(sentence) => Self::LimitsExceeded(sentence),
            V::ZBus(cause) => Self::ZBus(cause),
            V::Storage(sentence) => Self::IoError(sentence),
            V::InvalidName(sentence) | V::InvalidPassphrase(sentence) => Self::InvalidArgs(sentence),
            V::AlreadyExists(sentence)
            | V::WrongPassphrase(sentence)
            | V::TooManyAttempts(sentence)
            | V::CorruptVault(sentence)
            | V::ChangedOnDisk(sentence)
            | V::Unavailable(sentence)
            | V::Unresponsive(sentence) => Self::Failed(sentence),
        }
    }
}

/// More than is allowed.
pub fn limits(sentence: impl Into<String>) -> Error {
    Error::LimitsExceeded(sentence.into())
}

/// Something that cannot be meant.
pub fn invalid(sentence: impl Into<String>) -> Error {
    Error::InvalidArgs(sentence.into())
}

/// Something that is not done here.
pub fn unsupported(sentence: impl Into<String>) -> Error {
    Error::NotSupported(sentence.into())
}

/// There is no object at a path.
pub fn no_object(path: &str) -> Error {
    Error::NoSuchObject(format!("there is no object {path}; it was deleted, or never there: search again"))
}

/// A session that a client cannot use.
pub fn no_session() -> Error {
    Error::NoSession("there is no such session of this client; open one with OpenSession".into())
}
