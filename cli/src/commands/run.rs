//! `sesame run`: becomes a program that has a profile's secrets in its environment. Only the private socket.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::{ffi::OsStringExt, process::CommandExt},
    },
    process::Command,
};

use dbus_interfaces::{ProfileName, SecretName};
use rustix::fs::{MemfdFlags, SealFlags, SeekFrom, fcntl_add_seals, memfd_create, seek};

use crate::{
    args::Run,
    daemons,
    deadline::{CALL, Deadline},
    error::{Error, Failure},
    exit::Code,
    mapping::{self, Mapping},
    private::Private,
};

pub(super) async fn run(args: &Run) -> Result<Code, Failure> {
    let [program, arguments @ ..] = args.command.as_slice() else {
        return Err(Error::Usage("a command is missing".into()).during("cannot run"));
    };
    let what = format!("cannot run {}", program.display());
    let Err(error) = become_command(args, program, arguments).await;
    let keeps_its_code = matches!(error, Error::Usage(_) | Error::NotRunning(_) | Error::Exec { .. });
    let mut failure = error.during(what);
    if !keeps_its_code {
        failure.code = Code::RunFailed;
    }
    Err(failure)
}

/// Comes back only where it failed.
async fn become_command(
    args: &Run,
    program: &OsStr,
    arguments: &[OsString],
) -> Result<std::convert::Infallible, Error> {
    let profile = daemons::chosen(args.which.profile.as_ref())?;
    let mut command = Command::new(program);
    command.args(arguments);
    // Inherited by the program: these stay open until it has taken this process's place.
    let _files = supply(&mut command, args, &profile).await?;
    Err(exec_error(&command.exec()))
}

async fn supply(command: &mut Command, args: &Run, profile: &ProfileName) -> Result<Vec<OwnedFd>, Error> {
    let deadline = Deadline::after(args.timeout.timeout.unwrap_or(CALL));
    mapping::check_distinct(args.env.iter().chain(&args.file))?;
    let private = Private::connect(deadline).await?;
    let value = async |name: &SecretName| -> Result<Vec<u8>, Error> {
        private.call("GetSecret", &(profile.as_str(), name.as_str()), deadline).await
    };
    for (variable, name) in environment(args, &private, profile, deadline).await? {
        let value = value(&name).await?;
        if value.contains(&0) {
            let why =
                format!("the secret {name} holds a zero byte, which no variable can; use --file {variable}={name}");
            return Err(Error::Other(why));
        }
        command.env(variable, OsString::from_vec(value));
    }
    let mut files = Vec::new();
    for (variable, name) in &args.file {
        let file = sealed(&value(name).await?)
            .map_err(|cause| Error::File { name: "the memory file".into(), cause: cause.into() })?;
        command.env(variable, format!("/dev/fd/{}", file.as_raw_fd()));
        files.push(file);
    }
    Ok(files)
}

/// What goes into variables: what was mapped by hand, else every secret that goes into no file.
async fn environment(
    args: &Run,
    private: &Private,
    profile: &ProfileName,
    deadline: Deadline,
) -> Result<Vec<Mapping>, Error> {
    if !args.env.is_empty() {
        return Ok(args.env.clone());
    }
    let names: Vec<String> = private.call("ListSecrets", &profile.as_str(), deadline).await?;
    // The daemon lists no invalid name; one that it did could not be asked for.
    let names = names.into_iter().filter_map(|name| name.parse().ok()).collect();
    let mapped = mapping::of_all(names, &args.file, |variable| env::var_os(variable).is_some())?;
    mapping::check_distinct(mapped.iter().chain(&args.file))?;
    Ok(mapped)
}

/// A memory file that nobody can change any more, read from its beginning.
fn sealed(value: &[u8]) -> rustix::io::Result<OwnedFd> {
    let file = memfd_create("sesame", MemfdFlags::ALLOW_SEALING)?;
    let mut rest = value;
    while !rest.is_empty() {
        rest = &rest[rustix::io::write(&file, rest)?..];
    }
    seek(&file, SeekFrom::Start(0))?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file)
}

fn exec_error(cause: &io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::NotFound => Error::Exec { code: Code::CommandMissing, why: "there is no such program".into() },
        io::ErrorKind::ArgumentListTooLong => {
            Error::Other("the environment is too large; give large secrets as files: --file VAR=NAME".into())
        }
        _ => Error::Exec { code: Code::NotExecutable, why: format!("it is not executable ({cause})") },
    }
}
