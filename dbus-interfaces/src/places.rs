//! Where things lie (contract, section 1): configuration, state, vaults, runtime folder, session bus.
//! Looks at the environment; touches no file but the default profile's, and asks who owns the runtime folder.

use std::{
    env,
    ffi::OsString,
    io::{self, Read},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
};

use crate::ProfileName;

/// The folder of this project below each XDG folder.
const FOLDER: &str = "open-sesame";

/// Why a place cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Neither the XDG variable nor HOME is set to an absolute path.
    #[error("neither {0} nor HOME is set to an absolute path; set one of them")]
    NoHome(&'static str),
    /// There is no runtime folder that is this user's own.
    #[error(
        "XDG_RUNTIME_DIR is not set to an absolute path and {folder:?} is not this user's ({cause}); log in through a \
         session or set XDG_RUNTIME_DIR"
    )]
    NoRuntimeFolder {
        /// The folder that was tried.
        folder: PathBuf,
        /// What the system said, or whose it is.
        cause: io::Error,
    },
    /// The file that names the default profile does not.
    #[error("{file:?} does not name the default profile ({cause}); name it anew: sesame profile default NAME")]
    NoDefaultProfile {
        /// The file.
        file: PathBuf,
        /// What the system said, or what is wrong with it.
        cause: io::Error,
    },
}

/// More than a name and a newline, so that what is longer is seen to be none.
const MAX_DEFAULT_PROFILE: u64 = 128;

/// `$XDG_CONFIG_HOME/open-sesame/config.toml`.
pub fn config_file() -> Result<PathBuf, PlaceError> {
    Ok(home("XDG_CONFIG_HOME", ".config")?.join("config.toml"))
}

/// `$XDG_STATE_HOME/open-sesame`, the folder of [`default_profile_file`].
pub fn state_folder() -> Result<PathBuf, PlaceError> {
    home("XDG_STATE_HOME", ".local/state")
}

/// `$XDG_STATE_HOME/open-sesame/default-profile`.
pub fn default_profile_file() -> Result<PathBuf, PlaceError> {
    Ok(state_folder()?.join("default-profile"))
}

/// `$XDG_DATA_HOME/open-sesame`, the folder of [`vaults_folder`].
pub fn data_folder() -> Result<PathBuf, PlaceError> {
    home("XDG_DATA_HOME", ".local/share")
}

/// `$XDG_DATA_HOME/open-sesame/vaults`.
pub fn vaults_folder() -> Result<PathBuf, PlaceError> {
    Ok(data_folder()?.join("vaults"))
}

/// `$XDG_RUNTIME_DIR/open-sesame`; `/run/user/UID/open-sesame` where the variable is unset and `/run/user/UID` is ours.
pub fn runtime_folder() -> Result<PathBuf, PlaceError> {
    Ok(runtime_home()?.join(FOLDER))
}

/// `$XDG_RUNTIME_DIR/open-sesame/secrets.socket`.
pub fn private_socket() -> Result<PathBuf, PlaceError> {
    Ok(runtime_folder()?.join("secrets.socket"))
}

/// `$XDG_RUNTIME_DIR/open-sesame/credentials`, a socket a profile: where systemd takes secrets for units.
pub fn credentials_folder() -> Result<PathBuf, PlaceError> {
    Ok(runtime_folder()?.join("credentials"))
}

/// The address of the session bus: `$DBUS_SESSION_BUS_ADDRESS`, else `$XDG_RUNTIME_DIR/bus`, else `/run/user/UID/bus`.
pub fn session_bus() -> String {
    if let Some(address) = env::var("DBUS_SESSION_BUS_ADDRESS").ok().filter(|address| !address.is_empty()) {
        return address;
    }
    let folder = absolute("XDG_RUNTIME_DIR").unwrap_or_else(run_user);
    format!("unix:path={}", escape(&folder.join("bus")))
}

/// The address of the system bus: `$DBUS_SYSTEM_BUS_ADDRESS`, else the D-Bus specification's.
pub fn system_bus() -> String {
    let address = env::var("DBUS_SYSTEM_BUS_ADDRESS").ok().filter(|address| !address.is_empty());
    address.unwrap_or_else(|| "unix:path=/var/run/dbus/system_bus_socket".into())
}

/// The profile that `file` names as the default one: `personal` where it is missing (contract, section 1).
///
/// # Errors
/// It cannot be read, or names none. Whoever took another one then might store a secret in the wrong vault.
pub fn read_default_profile(file: &Path) -> Result<ProfileName, PlaceError> {
    let none = |cause: io::Error| PlaceError::NoDefaultProfile { file: file.into(), cause };
    // NONBLOCK: opening a named pipe would wait for a writer.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let opened = match std::fs::File::options().read(true).custom_flags(flags).open(file) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(ProfileName::personal()),
        opened => opened.map_err(none)?,
    };
    let mut text = String::new();
    let is_file = opened.metadata().map_err(none)?.is_file();
    opened.take(MAX_DEFAULT_PROFILE).read_to_string(&mut text).map_err(none)?;
    let name = text.trim_end_matches('\n').parse().ok().filter(|_| is_file);
    name.ok_or_else(|| none(io::Error::other("it is not one line with a profile's name")))
}

fn home(variable: &'static str, below_home: &str) -> Result<PathBuf, PlaceError> {
    absolute(variable)
        .or_else(|| absolute("HOME").map(|home| home.join(below_home)))
        .map(|base| base.join(FOLDER))
        .ok_or(PlaceError::NoHome(variable))
}

/// `$XDG_RUNTIME_DIR`; `/run/user/UID` where the variable is unset and that is ours.
pub fn runtime_home() -> Result<PathBuf, PlaceError> {
    if let Some(folder) = absolute("XDG_RUNTIME_DIR") {
        return Ok(folder);
    }
    let folder = run_user();
    match std::fs::metadata(&folder) {
        Ok(found) if found.uid() == rustix::process::getuid().as_raw() => Ok(folder),
        Ok(found) => {
            let cause = io::Error::other(format!("it belongs to user {}", found.uid()));
            Err(PlaceError::NoRuntimeFolder { folder, cause })
        }
        Err(cause) => Err(PlaceError::NoRuntimeFolder { folder, cause }),
    }
}

fn run_user() -> PathBuf {
    PathBuf::from(format!("/run/user/{}", rustix::process::getuid().as_raw()))
}

/// A variable's absolute path. The XDG specification says to ignore relative ones.
fn absolute(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).map(|value: OsString| PathBuf::from(value)).filter(|path| path.is_absolute())
}

/// Escapes a path for a D-Bus address (D-Bus specification, "Server Addresses").
fn escape(path: &Path) -> String {
    let mut escaped = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-_/.\\*".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02x}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_for_addresses() {
        assert_eq!(escape(Path::new("/run/user/1000/bus")), "/run/user/1000/bus");
        assert_eq!(escape(Path::new("/a b,c;d")), "/a%20b%2cc%3bd");
    }

    #[test]
    fn a_missing_or_invalid_default_profile_is_personal() {
        let missing = read_default_profile(Path::new("/nonexistent/default-profile"));
        assert_eq!(missing.unwrap(), ProfileName::personal());
        for damaged in ["/dev/null", "/dev/zero", "/proc/self/cmdline", "/"] {
            assert!(read_default_profile(Path::new(damaged)).is_err(), "{damaged}");
        }
    }
}
