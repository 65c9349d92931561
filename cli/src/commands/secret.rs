//! `sesame secret`: list, get, set, rm. Only the private socket, no bus, and nothing is started.

use std::io::Read;

use dbus_interfaces::{
    ProfileName, SecretName,
    vault::{ListedItem, MAX_VALUE},
};
use rustix::{
    stdio::{stdin, stdout},
    termios::isatty,
};
use secrecy::{ExposeSecret, SecretSlice};

use crate::{
    args::{NamedSecret, Secret, SecretList, SecretSet, Timeout},
    daemons,
    deadline::{CALL, Deadline},
    error::{During, Error, Failure},
    exit::Code,
    input, output, private,
    render::items,
    terminal,
};

pub(super) async fn run(args: &Secret) -> Result<Code, Failure> {
    let which = match args {
        Secret::List(SecretList { which, .. }) | Secret::Set(SecretSet { which, .. }) => which,
        Secret::Get(secret) | Secret::Rm(secret) => &secret.which,
    };
    let profile = daemons::chosen(which.profile.as_ref()).during("cannot tell the profile")?;
    let of = |verb, name: &SecretName| format!("cannot {verb} the secret {name} of {profile}");
    match args {
        Secret::List(args) => list(&profile, args).await.during(format!("cannot list the secrets of {profile}")),
        Secret::Get(args) => get(&profile, args).await.during(of("read", &args.name)),
        Secret::Set(args) => set(&profile, args).await.during(of("store", &args.name)),
        Secret::Rm(args) => rm(&profile, args).await.during(of("delete", &args.name)),
    }?;
    Ok(Code::Success)
}

fn deadline(timeout: Timeout) -> Deadline {
    Deadline::after(timeout.timeout.unwrap_or(CALL))
}

async fn list(profile: &ProfileName, args: &SecretList) -> Result<(), Error> {
    if args.all {
        let items: Vec<ListedItem> = private::call("ListItems", &profile.as_str(), deadline(args.timeout)).await?;
        return output::lines(items::lines(&items));
    }
    let names: Vec<String> = private::call("ListSecrets", &profile.as_str(), deadline(args.timeout)).await?;
    output::lines(names)
}

async fn get(profile: &ProfileName, args: &NamedSecret) -> Result<(), Error> {
    let asked = (profile.as_str(), args.name.as_str());
    let mut value: Vec<u8> = private::call("GetSecret", &asked, deadline(args.timeout)).await?;
    if isatty(stdout()) {
        value.push(b'\n');
    }
    output::write(SecretSlice::from(value).expose_secret())
}

/// Whether `set` asks on the terminal.
pub(super) fn asks_for_value() -> bool {
    isatty(stdin())
}

async fn set(profile: &ProfileName, args: &SecretSet) -> Result<(), Error> {
    let value = if asks_for_value() {
        // Before the user types in vain: is there a daemon, a profile, an open vault?
        private::call::<Vec<String>>("ListSecrets", &profile.as_str(), deadline(args.timeout)).await?;
        terminal::ask(&format!("Value of {}: ", args.name)).await?
    } else {
        let input = input::standard().map_err(|cause| Error::File { name: "standard input".into(), cause })?;
        piped(input, args.strip_newline)?
    };
    let body = (profile.as_str(), args.name.as_str(), value.expose_secret());
    private::call("SetSecret", &body, deadline(args.timeout).of_change()).await
}

async fn rm(profile: &ProfileName, args: &NamedSecret) -> Result<(), Error> {
    private::call("DeleteSecret", &(profile.as_str(), args.name.as_str()), deadline(args.timeout).of_change()).await
}

/// All of the input, or enough of it to see that it is too large.
fn piped(input: impl Read, strip_newline: bool) -> Result<SecretSlice<u8>, Error> {
    let mut value = Vec::new();
    let read = input.take(MAX_VALUE as u64 + 2).read_to_end(&mut value);
    read.map_err(|cause| Error::File { name: "standard input".into(), cause })?;
    if strip_newline {
        value.pop_if(|last| *last == b'\n');
    }
    if value.len() > MAX_VALUE {
        return Err(Error::Other("a secret is at most 1 MiB; store where it lies instead".into()));
    }
    Ok(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], strip: bool) -> Result<Vec<u8>, Error> {
        piped(bytes, strip).map(|value| value.expose_secret().to_vec())
    }

    #[test]
    fn input_is_taken_as_it_is_but_for_the_newline_asked_to_drop() {
        assert_eq!(read(b"a\n\n", false).unwrap(), b"a\n\n");
        assert_eq!(read(b"a\n\n", true).unwrap(), b"a\n");
        assert_eq!(read(b"", true).unwrap(), b"");
    }

    #[test]
    fn one_mebibyte_fits_and_one_byte_more_does_not() {
        let mut value = vec![0; MAX_VALUE];
        assert!(read(&value, false).is_ok());
        value.push(b'\n');
        assert!(read(&value, true).is_ok());
        assert!(read(&value, false).is_err());
        value.push(b'\n');
        assert!(read(&value, true).is_err());
    }
}
