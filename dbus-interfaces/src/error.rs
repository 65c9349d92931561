//! The errors that the daemons answer with (contract, section 2, rule 5). Clients match names, not texts.

/// An answer other than the wished one. Each text is one sentence, complete without the name, that says what to do.
#[derive(Clone, Debug, PartialEq, zbus::DBusError)]
#[zbus(prefix = "org.opensesame.Error")]
pub enum Error {
    /// Anything that zbus or the bus itself says.
    #[zbus(error)]
    ZBus(zbus::Error),
    /// A name out of form.
    InvalidName(String),
    /// A passphrase out of form: not 1 to 1024 bytes of UTF-8 without control characters.
    InvalidPassphrase(String),
    /// No trust profile has this name.
    NoSuchProfile(String),
    /// A trust profile of this name exists.
    AlreadyExists(String),
    /// The vault is locked, or was locked while the call waited.
    Locked(String),
    /// The vault is unlocked but deactivated.
    NotActive(String),
    /// The passphrase does not open the vault.
    WrongPassphrase(String),
    /// Too many passphrases wait to be tried.
    TooManyAttempts(String),
    /// The vault holds no secret of this name.
    NotFound(String),
    /// A value, or the vault with it, is larger than allowed.
    TooLarge(String),
    /// A vault's file cannot be what was written. The text names the file.
    CorruptVault(String),
    /// Another program changed the vault's file since it was last read or written.
    ChangedOnDisk(String),
    /// The disk is full, or refuses. The text names the cause.
    Storage(String),
    /// The daemon behind this one is not there, or has not reported yet.
    Unavailable(String),
    /// The daemon behind this one does not answer.
    Unresponsive(String),
}
