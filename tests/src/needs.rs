//! What a test needs of the machine. Where it is missing the test is ignored, with the reason; never passed.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{bus::Kind, manager};

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The right to be another user.
    Root,
    /// The right to mount in a namespace of its own (root outside of most containers).
    Mounts,
    /// A program.
    Program(&'static str),
    /// A file or folder of a package.
    File(&'static str),
    /// What a user's own service manager needs: systemd, control groups of version 2, and a bus that it can start.
    Manager(Kind),
    /// python-dbusmock.
    Dbusmock,
    /// A kernel that enforces all of the sandbox.
    FullSandbox,
}

impl Need {
    /// What a bus of this kind needs.
    pub fn of(kind: Kind) -> &'static [Self] {
        match kind {
            Kind::DbusDaemon => &[Self::Program("dbus-daemon")],
            Kind::DbusBroker => &[Self::Program("dbus-broker-launch"), Self::Mounts],
        }
    }

    /// Why this cannot be had here, if it cannot.
    pub fn missing(self) -> Option<String> {
        let (there, reason) = match self {
            Self::Root => (rustix::process::geteuid().is_root(), "needs root".into()),
            Self::Mounts => (can_mount(), "needs the right to mount (root)".into()),
            Self::Program(name) => (runs(name), format!("needs the program {name}")),
            Self::File(path) => (Path::new(path).exists(), format!("needs {path}")),
            Self::Manager(kind) => return manager_lacks(kind),
            Self::Dbusmock => {
                let there = Path::new("/usr/lib/python3/dist-packages/dbusmock").exists();
                (there, "needs Debian's python3-dbusmock".into())
            }
            Self::FullSandbox => (has_scopes(), "needs Linux 6.12 with Landlock".into()),
        };
        (!there).then_some(reason)
    }
}

fn manager_lacks(kind: Kind) -> Option<String> {
    let missing = ["/lib/systemd/systemd", "/lib/systemd/systemd-journald", "/usr/lib/systemd/user/dbus.socket"]
        .into_iter()
        .find(|path| !Path::new(path).exists());
    match missing {
        Some(path) => Some(format!("needs {path} (Debian: systemd, dbus-user-session)")),
        None if manager::bus_unit(kind).is_none() => Some(format!("needs a user unit of {}", kind.name())),
        None if manager::control_groups().is_none() => Some("needs control groups of version 2".into()),
        None => None,
    }
}

/// Abstract sockets and signals can be scoped from this release on.
fn has_scopes() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let mut numbers = release.split(|other: char| !other.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    // Where the list of modules cannot be read, the release has to do.
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_else(|_| "landlock".into());
    version >= (6, 12) && modules.contains("landlock")
}

fn runs(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
}

fn can_mount() -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/run"]);
    unshare.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    unshare.status().is_ok_and(|status| status.success())
}
