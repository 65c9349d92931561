//! What can go wrong with a vault. Each text is one sentence that is complete without the variant's name, names the
//! file where there is one, and says what to do (contract, section 2, rule 5). None repeats a value or a passphrase.

use std::{
    io,
    path::{Path, PathBuf},
};

use dbus_interfaces::{ProfileName, SecretName};

/// What was tried, of what could not be read.
pub(crate) const READ: &str = "read";

/// Why a call to the store failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No vault has this name.
    #[error("there is no profile {0}; sesame profile list shows them")]
    NoSuchProfile(ProfileName),
    /// A vault, or something else, has this name.
    #[error("there is a profile {0} already; choose another name")]
    AlreadyExists(ProfileName),
    /// The passphrase does not open identity.age. A damaged file cannot always be told from it.
    #[error("the passphrase does not open {0:?}, or that file is damaged; try again, or restore it from a backup")]
    WrongPassphrase(PathBuf),
    /// The vault holds no such secret.
    #[error("the vault of {profile} holds no secret {name}; sesame secret list -p {profile} shows those it holds")]
    NotFound {
        /// Whose vault.
        profile: ProfileName,
        /// What was asked for.
        name: SecretName,
    },
    /// The vault holds no item of this id.
    #[error("the vault of {0} holds no such item; it was deleted, or never there: search again")]
    NoSuchItem(ProfileName),
    /// More than a vault may hold. Nothing was written.
    #[error("{0}")]
    TooLarge(#[from] Limit),
    /// A file that holds more than a vault may hold. It was not read.
    #[error(
        "{0:?} is larger than a vault's file may be; take something out of it with age, or restore it from a backup"
    )]
    OversizedFile(PathBuf),
    /// A file is not what was written.
    #[error("the vault file {file:?} {flaw}")]
    Corrupt {
        /// Which one.
        file: PathBuf,
        /// What is wrong with it, and what to do.
        flaw: Flaw,
    },
    /// items.age is not the file that was last read or written. Nothing was written.
    #[error(
        "another program changed {0:?} since it was last read, so nothing was written; lock and unlock the vault to read it again, then retry"
    )]
    ChangedOnDisk(PathBuf),
    /// The same, and no vault can be read from it any more. Nothing was written.
    #[error(
        "another program changed {0:?}, and no vault can be read from it any more, so nothing was written, and what is unlocked is the only copy: do not lock the vault before you have put a good file back, or read the secrets out"
    )]
    OnlyCopy(PathBuf),
    /// The disk refused. Everything is as it was.
    #[error("{path:?} could not be {act}: {cause}; nothing was changed, retry once that is mended")]
    Storage {
        /// What was tried: a past participle.
        act: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Everything was written, but the disk did not confirm the new name of the file.
    #[error(
        "{path:?} may or may not be stored: its folder could not be synced: {cause}; look at what is there and retry"
    )]
    Uncertain {
        /// The file or folder that was replaced, made or removed.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A change of passphrase stopped on its way. Nothing is lost: unlocking finishes it.
    #[error(
        "the passphrase of {profile} may or may not be changed: {cause}; lock the vault and unlock it with the new passphrase, or else with the old one"
    )]
    PassphraseUncertain {
        /// Whose vault.
        profile: ProfileName,
        /// What stopped it.
        cause: Box<Error>,
    },
    /// Another process has the vaults.
    #[error("another process holds {0:?}; stop the other daemon-secrets first")]
    Held(PathBuf),
}

/// What a vault may hold (the end of section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// 64 vaults.
    #[error("there are 64 vaults, more cannot be; remove one first: sesame profile remove NAME")]
    Vaults,
    /// 10,000 items.
    #[error("a vault holds at most 10,000 items; delete one first, or use another profile")]
    Items,
    /// 16 MiB of JSON.
    #[error("a vault holds at most 16 MiB; delete something first, or use another profile")]
    Json,
    /// 1 KiB.
    #[error("a label is at most 1 KiB; choose a shorter one")]
    Label,
    /// 32 of 1 KiB each.
    #[error("an item has at most 32 attributes of 1 KiB each; use fewer or shorter ones")]
    Attributes,
    /// 255 bytes.
    #[error("a content type and the name of an item's application have at most 255 bytes; use shorter ones")]
    Word,
    /// Not a limit of size: `sesame secret` alone makes items that `sesame run` hands to programs.
    #[error("an item's application has a name, which is not sesame; give its real one")]
    Origin,
    /// 1 MiB.
    #[error("a secret is at most 1 MiB; keep what is larger in an encrypted file, and that file's key here")]
    Value,
}

/// What is wrong with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Not there, though the vault is.
    #[error("is missing; restore it from a backup")]
    Missing,
    /// A folder, a symbolic link or something else.
    #[error("is not a regular file; put the real one in its place")]
    NoFile,
    /// No age header, or one cut short.
    #[error("is not an age file; restore it from a backup")]
    NoAge,
    /// identity.age is encrypted to something else.
    #[error("is not encrypted to a passphrase; restore it from a backup")]
    NoPassphrase,
    /// scrypt's work factor is above 18.
    #[error("has a work factor above 18; encrypt it again with a smaller one, or restore it from a backup")]
    WorkFactor,
    /// The header or the content was altered or cut short.
    #[error("is damaged; restore it from a backup")]
    Damaged,
    /// What is inside identity.age is no list of X25519 identities.
    #[error("does not hold age X25519 identities, one a line; restore it from a backup")]
    NoIdentity,
    /// items.age is encrypted to another key.
    #[error("is not encrypted to the vault's identity, so it is damaged or another vault's; restore it from a backup")]
    OtherKey,
    /// What is inside items.age is no JSON of ours. The parser's own text would repeat values.
    #[error("does not hold a vault's JSON (line {line}, column {column}); restore it from a backup")]
    NoJson {
        /// Where the parser stopped: 1 is the first.
        line: usize,
        /// Where in the line.
        column: usize,
    },
    /// An item is not as items are.
    #[error("holds an item (number {number}) that {wrong}; restore it from a backup")]
    Item {
        /// Which one: 1 is the first.
        number: usize,
        /// What is wrong with it.
        wrong: &'static str,
    },
    /// Written by a later version.
    #[error("has format {0}, which this version does not know; install a later Open Sesame")]
    Format(u64),
    /// The content says that it is another profile's.
    #[error("belongs to another profile; put the right one in its place, or restore it from a backup")]
    OtherProfile,
}

impl Error {
    /// Whether the change may have been made all the same, so that the files have to be read again.
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::Uncertain { .. } | Self::PassphraseUncertain { .. })
    }

    /// Whether a file or folder could not be read: the disk may take what is written all the same.
    pub fn is_of_reading(&self) -> bool {
        matches!(self, Self::Storage { act: READ, .. })
    }

    pub(crate) fn corrupt(file: &Path, flaw: Flaw) -> Self {
        Self::Corrupt { file: file.into(), flaw }
    }

    /// Turns an I/O error into `Storage`: for `map_err`.
    pub(crate) fn storage(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |cause| Self::Storage { act, path: path.into(), cause }
    }
}

impl From<Error> for dbus_interfaces::Error {
    fn from(error: Error) -> Self {
        let sentence = error.to_string();
        match error {
            Error::NoSuchProfile(_) => Self::NoSuchProfile(sentence),
            Error::AlreadyExists(_) => Self::AlreadyExists(sentence),
            Error::WrongPassphrase(_) => Self::WrongPassphrase(sentence),
            Error::NotFound { .. } | Error::NoSuchItem(_) => Self::NotFound(sentence),
            Error::TooLarge(_) | Error::OversizedFile(_) => Self::TooLarge(sentence),
            Error::Corrupt { .. } => Self::CorruptVault(sentence),
            Error::ChangedOnDisk(_) | Error::OnlyCopy(_) => Self::ChangedOnDisk(sentence),
            Error::Storage { .. } | Error::Uncertain { .. } | Error::PassphraseUncertain { .. } | Error::Held(_) => {
                Self::Storage(sentence)
            }
        }
    }
}
