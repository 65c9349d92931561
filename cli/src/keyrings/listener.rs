//! Who listens at a socket. Asked before anything connects: where it is systemd, connecting would start the program
//! that the socket is for.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::{Owner, property};
use crate::{bus::Bus, deadline::Deadline};

const SYSTEMD: &str = "org.freedesktop.systemd1";
/// The kernel's mark of a socket that listens, in /proc/net/unix.
const LISTENS: u32 = 0x1_0000;

/// Who listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listener {
    /// Nobody, as far as can be seen.
    Nobody,
    /// A running program: connecting starts nothing.
    Program,
    /// systemd, or perhaps systemd: connecting may start a program.
    Systemd,
}

/// Looks at `socket`, without touching it.
pub(super) async fn of(socket: &Path, bus: Option<&Bus>, deadline: Deadline) -> Listener {
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let sockets = listening(&table, socket);
    if sockets.is_empty() {
        return Listener::Nobody;
    }
    if !held_by_a_manager(&sockets) {
        return Listener::Program;
    }
    // systemd keeps the socket of a running service, and does not listen itself until that ends.
    let runs = match bus {
        Some(bus) => its_service_runs(bus, socket, deadline).await.unwrap_or(false),
        None => false,
    };
    if runs { Listener::Program } else { Listener::Systemd }
}

/// The inodes of the sockets that listen at `path`.
fn listening<'a>(table: &'a str, path: &Path) -> Vec<&'a str> {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.into());
    let wanted = real(path);
    let here = |bound: &Path| {
        // What was bound by a relative path could be this one.
        bound.file_name() == wanted.file_name() && (bound.is_relative() || real(bound) == wanted)
    };
    let sockets = table.lines().filter_map(|line| {
        // Num RefCount Protocol Flags Type St Inode Path; the inode is right-aligned, and the path has blanks of its own.
        let mut words = line.split_ascii_whitespace();
        let flags = u32::from_str_radix(words.nth(3)?, 16).ok()?;
        let inode = words.nth(2)?;
        let (_, bound) = line.split_once(&format!(" {inode} "))?;
        (flags & LISTENS != 0 && here(Path::new(bound))).then_some(inode)
    });
    sockets.collect()
}

/// Whether a systemd of this user holds one of the sockets; where that cannot be seen, yes.
fn held_by_a_manager(sockets: &[&str]) -> bool {
    let user = rustix::process::getuid().as_raw();
    let sockets: Vec<PathBuf> = sockets.iter().map(|inode| format!("socket:[{inode}]").into()).collect();
    let managers = fs::read_dir("/proc").into_iter().flatten().flatten().filter(|entry| {
        entry.metadata().is_ok_and(|process| process.uid() == user)
            && fs::read_to_string(entry.path().join("comm")).is_ok_and(|name| name.trim_end() == "systemd")
    });
    managers.into_iter().any(|manager| match fs::read_dir(manager.path().join("fd")) {
        Ok(open) => open.flatten().any(|open| fs::read_link(open.path()).is_ok_and(|to| sockets.contains(&to))),
        Err(_) => true,
    })
}

/// Whether the service of a socket unit that listens at `socket` runs, by systemd's own word.
async fn its_service_runs(bus: &Bus, socket: &Path, deadline: Deadline) -> Option<bool> {
    type Unit =
        (String, String, String, String, String, String, zbus::OwnedObjectPath, u32, String, zbus::OwnedObjectPath);
    let systemd = Owner::of(bus, SYSTEMD, deadline).await?;
    let manager = systemd.object(SYSTEMD, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
    let running: Vec<Unit> =
        bus.call(manager, "ListUnitsByPatterns", &(&["running"][..], &["*.socket"][..]), deadline).await.ok()?;
    for unit in running {
        let unit = systemd.object(SYSTEMD, unit.6.as_str(), "org.freedesktop.systemd1.Socket");
        let listens: Vec<(String, String)> = property(bus, unit, "Listen", deadline).await.ok()?;
        if listens.iter().any(|(kind, path)| kind == "Stream" && Path::new(path) == socket) {
            return Some(true);
        }
    }
    Some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_found_by_its_path_and_only_where_it_listens() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("a socket"), folder.path().join("link"));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let _peer = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let _accepted = listener.accept().unwrap();
        let table = fs::read_to_string("/proc/net/unix").unwrap();
        let found = listening(&table, &path);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(listening(&table, &link), found);
        // The accepted one has the same path, and does not listen. (A closed one may: a child that another test is about
        // to start has it for a moment too.)
        let others: Vec<&str> = table.lines().filter(|line| !line.contains(" 00010000 ")).collect();
        assert!(others.iter().any(|line| line.ends_with(path.to_str().unwrap())), "{table}");
        assert!(listening(&others.join("\n"), &path).is_empty());
    }

    #[test]
    fn nothing_in_the_table_makes_it_fail() {
        for table in ["", "Num RefCount", "0: 0 0 xyz 0 0 7 /a", "0: 0 0 00010000 0 0", "0: 0 0 00010000 0 0 7"] {
            assert!(listening(table, Path::new("/a")).is_empty(), "{table}");
        }
        assert_eq!(listening("0: 2 0 00010000 0001 01 27414 a", Path::new("/nonexistent/a")), ["27414"]);
    }
}
