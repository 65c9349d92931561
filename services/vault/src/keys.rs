//! All cryptography: the files of a vault, encrypted and decrypted by the age crate. Knows no disk and no content.

use std::{
    io::{self, Read, Write},
    iter,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use age::{DecryptError, Decryptor, Encryptor, Identity, Recipient, scrypt, stream::StreamWriter, x25519};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

use crate::{
    error::Flaw,
    work_factor::{self, WorkFactor},
};

/// The longest age header that is read. The parser's time grows with the square of the header's lines.
const MAX_HEADER: usize = 16 * 1024;
/// What ends an age header.
const HEADER_END: &[u8] = b"\n--- ";

/// What a vault's items are encrypted to. Clones share it, so that moving or rereading a vault leaves no copies
/// behind. Its recipient is as secret as itself (who has it can forge) and never leaves this file.
#[derive(Clone)]
pub(crate) struct Key(Arc<Pair>);

struct Pair {
    identity: x25519::Identity,
    recipient: x25519::Recipient,
    /// `std` mutex: held to put something in, or to take it.
    begun: Mutex<Option<(Instant, Begun)>>,
}

/// A file of which the header is written: what follows is encrypted.
type Begun = StreamWriter<Vec<u8>>;

/// How long what was prepared may be used: a machine that is brought back twice as it once was must not encrypt two files with
/// one key.
const PREPARED_FOR: Duration = Duration::from_secs(10);

impl From<x25519::Identity> for Key {
    fn from(identity: x25519::Identity) -> Self {
        let recipient = identity.to_public();
        Self(Arc::new(Pair { identity, recipient, begun: Mutex::default() }))
    }
}

/// Why identity.age stays closed.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// The passphrase is wrong, or the file damaged in a way that looks like it.
    WrongPassphrase,
    /// The file is not what was written.
    Flawed(Flaw),
}

impl Key {
    /// A new one, from the system's randomness.
    pub(crate) fn generate() -> Self {
        x25519::Identity::generate().into()
    }

    /// Encrypts what `write` writes.
    ///
    /// # Errors
    /// Those of `write`; age has none of its own here.
    pub(crate) fn seal(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Vec<u8>> {
        // Not in the match, which would hold the mutex.
        let begun = self.begun().take();
        match begun {
            Some((since, begun)) if since.elapsed() < PREPARED_FOR => finish(begun, write),
            _ => seal(&self.0.recipient, write),
        }
    }

    /// Begins the file that is sealed next: the key agreement takes longer than the rest of a small one.
    pub(crate) fn prepare(&self) {
        // Where it fails it fails again for who seals, and is told then.
        let begun = begin(&self.0.recipient).ok();
        *self.begun() = begun.map(|begun| (Instant::now(), begun));
    }

    fn begun(&self) -> MutexGuard<'_, Option<(Instant, Begun)>> {
        self.0.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn seal(recipient: &dyn Recipient, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Vec<u8>> {
    finish(begin(recipient)?, write)
}

fn begin(recipient: &dyn Recipient) -> io::Result<Begun> {
    Encryptor::with_recipients(iter::once(recipient)).map_err(io::Error::other)?.wrap_output(Vec::new())
}

fn finish(mut begun: Begun, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Vec<u8>> {
    write(&mut begun)?;
    begun.finish()
}

/// identity.age: the keys, current first, encrypted to the passphrase.
///
/// # Errors
/// None that age documents.
pub(crate) fn seal_identity(keys: &[&Key], passphrase: &SecretString, factor: WorkFactor) -> io::Result<Vec<u8>> {
    // `new` times the machine to choose a work factor (about a millisecond); the choice is never used.
    let mut recipient = scrypt::Recipient::new(passphrase.clone());
    recipient.set_work_factor(factor.log_n());
    seal(&recipient, |file| {
        keys.iter().try_for_each(|key| {
            file.write_all(key.0.identity.to_string().expose_secret().as_bytes())?;
            file.write_all(b"\n")
        })
    })
}

/// The keys in identity.age, current first: at least one.
///
/// # Errors
/// Why it stays closed.
pub(crate) fn open_identity(file: &[u8], passphrase: &SecretString) -> Result<Vec<Key>, Refusal> {
    let decryptor = decryptor(file).map_err(Refusal::Flawed)?;
    if !decryptor.is_scrypt() {
        return Err(Refusal::Flawed(Flaw::NoPassphrase));
    }
    // `new` times the machine to choose a limit; where the clock steps, that would refuse good files.
    let mut identity = scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(work_factor::MAX);
    let opened = decryptor.decrypt(iter::once(&identity as &dyn Identity)).map_err(|refused| match refused {
        DecryptError::DecryptionFailed => Refusal::WrongPassphrase,
        // Zero is "excessive" to age as well.
        DecryptError::ExcessiveWork { required, .. } if required > 0 => Refusal::Flawed(Flaw::WorkFactor),
        _ => Refusal::Flawed(Flaw::Damaged),
    })?;
    let lines = read_all(opened, file.len()).map_err(Refusal::Flawed)?;
    identities(&lines).ok_or(Refusal::Flawed(Flaw::NoIdentity))
}

/// Decrypts items.age with whichever of the keys opens it.
///
/// # Errors
/// What is wrong with the file.
pub(crate) fn open_items(file: &[u8], keys: &[Key]) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let identities = keys.iter().map(|key| &key.0.identity as &dyn Identity);
    let opened = decryptor(file)?.decrypt(identities).map_err(|refused| match refused {
        DecryptError::NoMatchingKeys => Flaw::OtherKey,
        _ => Flaw::Damaged,
    })?;
    read_all(opened, file.len())
}

fn decryptor(file: &[u8]) -> Result<Decryptor<&[u8]>, Flaw> {
    let beginning = &file[..file.len().min(MAX_HEADER)];
    if !beginning.windows(HEADER_END.len()).any(|window| window == HEADER_END) {
        return Err(Flaw::NoAge);
    }
    Decryptor::new_buffered(file).map_err(|_| Flaw::NoAge)
}

/// The content is shorter than its file: the buffer never grows, so no copies stay behind.
fn read_all(mut opened: impl Read, file_size: usize) -> Result<Zeroizing<Vec<u8>>, Flaw> {
    let mut content = Zeroizing::new(Vec::with_capacity(file_size));
    opened.read_to_end(&mut content).map_err(|_| Flaw::Damaged)?;
    Ok(content)
}

/// The identities in what `age-keygen` or [`seal_identity`] wrote: comments and empty lines are skipped.
fn identities(lines: &[u8]) -> Option<Vec<Key>> {
    let lines = std::str::from_utf8(lines).ok()?.lines().map(str::trim_end);
    let keys: Option<Vec<Key>> = lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| Some(line.parse::<x25519::Identity>().ok()?.into()))
        .collect();
    keys.filter(|keys| !keys.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_passphrase_opens_the_keys_and_only_they_the_items() {
        let (old, new) = (Key::generate(), Key::generate());
        let file = seal_identity(&[&new, &old], &"correct".into(), WorkFactor::weak()).unwrap();
        assert_eq!(open_identity(&file, &"wrong".into()).err(), Some(Refusal::WrongPassphrase));
        let keys = open_identity(&file, &"correct".into()).ok().unwrap();
        assert_eq!(keys.len(), 2);

        let items = old.seal(|file| file.write_all(b"content")).unwrap();
        assert_eq!(**open_items(&items, &keys).unwrap(), b"content"[..]);
        assert_eq!(open_items(&items, &keys[..1]).err(), Some(Flaw::OtherKey), "the current one comes first");
    }

    #[test]
    fn what_was_prepared_is_used_once() {
        let key = Key::generate();
        let sealed = |text: &[u8]| key.seal(|file| file.write_all(text)).unwrap();
        key.prepare();
        let files = [sealed(b"prepared"), sealed(b"not prepared")];
        let headers = files.each_ref().map(|file| file[..100].to_vec());
        assert_ne!(headers[0], headers[1], "each has a key of its own");
        let opened = files.map(|file| open_items(&file, std::slice::from_ref(&key)).unwrap().to_vec());
        assert_eq!(opened, [&b"prepared"[..], b"not prepared"]);
        key.prepare();
        assert!(key.seal(|_| Err(io::ErrorKind::FileTooLarge.into())).is_err());
        assert_eq!(*open_items(&sealed(b"after a failure"), std::slice::from_ref(&key)).unwrap(), b"after a failure");
    }

    #[test]
    fn what_age_keygen_writes_is_read() {
        let key = Key::generate().0.identity.to_string();
        let lines = format!("# created: 2026-11-24T02:00:00Z\r\n# public key: age1...\n\n{}\r\n", key.expose_secret());
        assert_eq!(identities(lines.as_bytes()).map(|keys| keys.len()), Some(1));
        for none in [&b""[..], b"# nothing\n", b"AGE-SECRET-KEY-1\n", b"\xff\n"] {
            assert!(identities(none).is_none());
        }
    }

    #[test]
    fn a_header_without_end_is_not_parsed() {
        let mut file = b"age-encryption.org/v1\n".to_vec();
        file.extend(b"-> x\n\n".repeat(1 << 20));
        assert_eq!(open_items(&file, &[Key::generate()]).err(), Some(Flaw::NoAge));
    }
}
