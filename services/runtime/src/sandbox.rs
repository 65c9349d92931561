//! The Landlock sandbox (contract, section 4, "Sandbox"). Applied before any thread starts, since it binds only the
//! thread that asks and those that it starts later.
//!
//! It limits mistakes and bugs: a hostile daemon could still ask the service manager over the bus.

use std::{
    env, fmt,
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use dbus_interfaces::places;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    PathFdError, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, Scope,
};

/// The newest kernel interface that was thought of here. Older kernels enforce what they know of it.
const NEWEST: ABI = ABI::V10;

/// What a daemon is allowed.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Folders that it writes. They must exist.
    pub writable: Vec<PathBuf>,
    /// Sockets that it connects to: the bus, the service manager's, the journal's.
    pub sockets: Vec<PathBuf>,
    /// Whether one of its sockets has an abstract name, which the scope on those would cut off.
    pub needs_abstract_sockets: bool,
}

/// What the kernel enforces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sandbox {
    /// Writes, TCP, abstract sockets and signals.
    Full,
    /// Writes at least.
    Partial,
    /// Nothing.
    #[default]
    None,
}

impl Sandbox {
    /// The word on the bus.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::None => "none",
        }
    }

    /// What a kernel with this interface enforces of our rules.
    fn of(abi: Option<ABI>, needs_abstract_sockets: bool) -> Self {
        match abi {
            None | Some(ABI::Unsupported) => Self::None,
            Some(abi) if abi >= ABI::V6 && !needs_abstract_sockets => Self::Full,
            Some(_) => Self::Partial,
        }
    }
}

impl fmt::Display for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why the sandbox is not on.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// A folder of the rules cannot be opened.
    #[error("cannot make the sandbox: {0}; check that folder")]
    Path(#[from] PathFdError),
    /// The kernel refused the rules.
    #[error("cannot make the sandbox: {0}")]
    Ruleset(#[from] RulesetError),
}

/// Restricts this thread, and those that it starts, to `rules`. What the kernel then enforces.
///
/// # Errors
/// A folder of the rules is missing, or the kernel refuses what it says it knows. A kernel without Landlock is no
/// error.
pub fn enforce(rules: &Rules) -> Result<Sandbox, SandboxError> {
    let scopes = if rules.needs_abstract_sockets { Scope::Signal.into() } else { Scope::from_all(NEWEST) };
    let writes = AccessFs::from_write(NEWEST);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(writes)?
        .handle_access(AccessNet::from_all(NEWEST))?
        .scope(scopes)?
        .create()?;
    for folder in &rules.writable {
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(folder)?, folder_accesses()))?;
    }
    // A socket that is not there now cannot be granted, nor would it be found.
    for socket in rules.sockets.iter().filter(|socket| socket.exists()) {
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(socket)?, AccessFs::ResolveUnix))?;
    }
    let status = ruleset.restrict_self()?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => Some(effective_abi),
        LandlockStatus::NotEnabled | LandlockStatus::NotImplemented => None,
    };
    Ok(Sandbox::of(abi, rules.needs_abstract_sockets))
}

/// Files, folders and sockets may be made, written, moved and removed; no devices.
fn folder_accesses() -> BitFlags<AccessFs> {
    AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::MakeSock
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
}

impl Rules {
    /// What every daemon needs besides its own `folders`, which are made where they are missing: the sockets of the
    /// bus, the service manager and the journal.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub fn for_folders(folders: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        let writable: Vec<PathBuf> = folders.into_iter().collect();
        writable.iter().try_for_each(|folder| make_folder(folder))?;
        let bus = places::session_bus();
        let manager = env::var_os("NOTIFY_SOCKET").map(PathBuf::from).filter(|socket| socket.is_absolute());
        let sockets = [socket_of(&bus), manager, Some("/run/systemd/journal/socket".into())];
        Ok(Self {
            writable,
            sockets: sockets.into_iter().flatten().collect(),
            needs_abstract_sockets: bus.contains("unix:abstract="),
        })
    }
}

/// The socket that a bus with this address has in the file system.
pub fn socket_of(address: &str) -> Option<PathBuf> {
    address.split([';', ',']).find_map(|part| part.strip_prefix("unix:path=")).map(PathBuf::from)
}

/// Makes the folders that a rule needs: a missing one cannot be granted.
///
/// # Errors
/// A folder cannot be made.
fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|cause| {
        let sentence = format!(
            "the folder {} could not be made: {cause}; let this user write where it is to be",
            folder.display()
        );
        io::Error::new(cause.kind(), sentence)
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        net::TcpListener,
        os::{
            linux::net::SocketAddrExt,
            unix::net::{SocketAddr, UnixListener, UnixStream},
        },
        thread,
    };

    use super::*;

    #[test]
    fn full_is_defined_by_what_is_enforced() {
        assert_eq!(Sandbox::of(None, false), Sandbox::None);
        assert_eq!(Sandbox::of(Some(ABI::V1), false), Sandbox::Partial);
        assert_eq!(Sandbox::of(Some(ABI::V5), false), Sandbox::Partial, "no scopes yet");
        assert_eq!(Sandbox::of(Some(ABI::V6), false), Sandbox::Full);
        assert_eq!(Sandbox::of(Some(ABI::V10), true), Sandbox::Partial, "abstract sockets stay open");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        let refused = Rules::for_folders([file.join("folder")]).unwrap_err().to_string();
        assert!(refused.contains(&format!("{} could not be made: Not a directory", file.join("folder").display())));
    }

    /// In a thread of its own: the sandbox stays for as long as the thread does.
    #[test]
    fn only_what_is_granted_is_written_and_reached() {
        let home = tempfile::tempdir().unwrap();
        let (inside, outside) = (home.path().join("inside"), home.path().join("outside"));
        make_folder(&inside).unwrap();
        make_folder(&outside).unwrap();
        let address = SocketAddr::from_abstract_name(outside.as_os_str().as_encoded_bytes()).unwrap();
        let _abstract_socket = UnixListener::bind_addr(&address).unwrap();
        let rules = Rules { writable: vec![inside.clone()], ..Rules::default() };
        let refused = thread::spawn(move || {
            let sandbox = enforce(&rules).unwrap();
            fs::write(inside.join("new"), "x").unwrap();
            fs::rename(inside.join("new"), inside.join("file")).unwrap();
            let write = fs::write(outside.join("file"), "x").is_err();
            let tcp = TcpListener::bind("127.0.0.1:0").is_err();
            let abstract_socket = UnixStream::connect_addr(&address).is_err();
            (sandbox, write, tcp, abstract_socket)
        });
        match refused.join().unwrap() {
            (Sandbox::None, write, tcp, abstract_socket) => {
                assert!(!write && !tcp && !abstract_socket, "nothing is claimed")
            }
            (Sandbox::Partial, write, ..) => assert!(write),
            (Sandbox::Full, write, tcp, abstract_socket) => assert!(write && tcp && abstract_socket),
        }
    }
}
