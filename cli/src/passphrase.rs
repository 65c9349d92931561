//! Where passphrases come from: a descriptor, a file, or the user. Never an argument or the environment.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use dbus_interfaces::vault::{MAX_PASSPHRASE, check_passphrase};
use secrecy::{ExposeSecret, SecretSlice};

use crate::{askpass, error::Error, input, terminal};

/// Where one passphrase comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Source {
    /// Asked for on the terminal, or by askpass where there is none.
    #[default]
    User,
    /// All that a descriptor of this process holds.
    Descriptor(u32),
    /// All that a file holds.
    File(PathBuf),
}

impl Source {
    /// Gets the passphrase of something that exists.
    ///
    /// # Errors
    /// Where it cannot be read or has not the form of a passphrase.
    pub async fn existing(&self, prompt: &str) -> Result<SecretSlice<u8>, Error> {
        let passphrase = match self.read()? {
            Some(passphrase) => passphrase,
            None => ask(prompt).await?,
        };
        checked(passphrase)
    }

    /// Gets a new passphrase: from the user twice, since nobody sees what was typed.
    ///
    /// # Errors
    /// As [`Source::existing`], and where the two differ.
    pub async fn new_one(&self, prompt: &str) -> Result<SecretSlice<u8>, Error> {
        if let Some(passphrase) = self.read()? {
            return checked(passphrase);
        }
        let passphrase = checked(ask(prompt).await?)?;
        let again = ask(&format!("{} again: ", prompt.trim_end_matches([':', ' ']))).await?;
        if passphrase.expose_secret() == again.expose_secret() {
            Ok(passphrase)
        } else {
            Err(Error::Other("the two passphrases differ; nothing was changed".into()))
        }
    }

    /// Does what the passphrase was wanted for. Where the user was asked, a signal ends it as it does the question; else it
    /// ends the program.
    ///
    /// # Errors
    /// [`Error::Interrupted`], and those of `call`.
    pub async fn then<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match self {
            Self::User => terminal::unless_interrupted(call).await,
            Self::Descriptor(_) | Self::File(_) => call.await,
        }
    }

    /// What a script gave, or nothing where the user is to be asked.
    fn read(&self) -> Result<Option<SecretSlice<u8>>, Error> {
        let (name, read) = match self {
            Self::User => return Ok(None),
            Self::Descriptor(0) => ("descriptor 0".into(), input::standard().and_then(limited)),
            Self::Descriptor(number) => (format!("descriptor {number}"), input::descriptor(*number).and_then(limited)),
            Self::File(path) => (path.display().to_string(), open(path)),
        };
        read.map(Some).map_err(|cause| Error::File { name, cause })
    }
}

/// Asks the user.
async fn ask(question: &str) -> Result<SecretSlice<u8>, Error> {
    match terminal::ask(question).await {
        Err(Error::NoTerminal) => askpass::ask(question).await,
        asked => asked,
    }
}

fn open(path: &Path) -> io::Result<SecretSlice<u8>> {
    limited(File::open(path)?)
}

/// Reads enough to see that there is too much, and drops one trailing newline.
fn limited(input: impl Read) -> io::Result<SecretSlice<u8>> {
    let enough = MAX_PASSPHRASE + 2;
    let mut read = Vec::with_capacity(enough);
    input.take(enough as u64).read_to_end(&mut read)?;
    read.pop_if(|last| *last == b'\n');
    Ok(read.into())
}

fn checked(passphrase: SecretSlice<u8>) -> Result<SecretSlice<u8>, Error> {
    match check_passphrase(passphrase.expose_secret()) {
        Ok(_) => Ok(passphrase),
        Err(refusal) => Err(Error::Refused(refusal)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<u8>, Error> {
        checked(limited(bytes).unwrap()).map(|passphrase| passphrase.expose_secret().to_vec())
    }

    #[test]
    fn one_trailing_newline_is_not_part_of_it() {
        assert_eq!(read(b"correct horse\n").unwrap(), b"correct horse");
        assert_eq!(read(b"correct horse").unwrap(), b"correct horse");
        assert!(read(b"correct horse\n\n").is_err());
        assert!(read(b"\n").is_err());
    }

    #[test]
    fn the_longest_passphrase_fits_and_a_longer_one_is_seen() {
        let longest = [b'x'; MAX_PASSPHRASE];
        assert_eq!(read(&longest).unwrap(), longest);
        assert_eq!(read(&[&longest[..], b"\n"].concat()).unwrap(), longest);
        assert!(read(&[&longest[..], b"x\n"].concat()).is_err());
    }
}
