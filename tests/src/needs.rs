//! What a test needs of the machine. Where it is missing the test is ignored, with the reason; never passed.

use std::process::{Command, Stdio};

use crate::bus::Kind;

/// Something that not every machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The right to be another user.
    Root,
    /// The right to mount in a namespace of its own (root outside of most containers).
    Mounts,
    /// A program.
    Program(&'static str),
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
        };
        (!there).then_some(reason)
    }
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
