//! gpg-agent, in its own protocol (Assuan): which version, and which keys' passphrases it has in memory.

use std::{
    env, fs,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
};

use dbus_interfaces::places;
use futures_util::future::join_all;

use super::{Keyring, Lock, listener, socket::Socket};
use crate::{bus::Bus, deadline::Deadline, error::Error};

const WHO: &str = "gpg-agent";
const SOCKET: &str = "S.gpg-agent";

pub(super) async fn find(bus: Option<&Bus>, deadline: Deadline) -> Vec<Keyring> {
    join_all(sockets().into_iter().map(|socket| look(socket, bus, deadline))).await
}

/// Every place where GnuPG has its agent's socket: its home, and the runtime folder, where homes of other places than
/// the usual one have a folder each.
fn sockets() -> Vec<PathBuf> {
    let home = env::var_os("GNUPGHOME").map(PathBuf::from);
    let home = home.or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".gnupg")));
    let runtime = places::runtime_home().map(|runtime| runtime.join("gnupg")).ok();
    let others = runtime.iter().flat_map(|runtime| fs::read_dir(runtime).into_iter().flatten().flatten());
    let others =
        others.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"d.")).map(|entry| entry.path());
    let folders = home.into_iter().chain(others).chain(runtime.clone());
    let mut found: Vec<PathBuf> = folders.map(|folder| folder.join(SOCKET)).filter(|path| is_socket(path)).collect();
    found.sort();
    found.dedup();
    found
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

async fn look(path: PathBuf, bus: Option<&Bus>, deadline: Deadline) -> Keyring {
    let mut keyring = Keyring::at(WHO, path.clone());
    if !keyring.may_be_asked(listener::of(&path, bus, deadline).await) {
        return keyring;
    }
    let mut asked = "GETINFO version";
    let answer = deadline.wait(WHO, ask(&path, &mut keyring, &mut asked)).await.flatten();
    keyring.answered(asked, answer)
}

async fn ask(path: &Path, keyring: &mut Keyring, asked: &mut &'static str) -> Result<Lock, Error> {
    let mut agent = Socket::connect(WHO, path).await?;
    keyring.process(agent.listener());
    answer(&mut agent).await?;
    let pid = command(&mut agent, "GETINFO pid").await?;
    keyring.process(pid.first().and_then(|line| line.strip_prefix("D ")?.parse().ok()));
    let version = command(&mut agent, "GETINFO version").await?;
    let version = version.first().and_then(|line| line.strip_prefix("D ")).unwrap_or_default();
    if !lists_without_cards(version) {
        keyring.why = Some(format!("to list its keys, gpg-agent {version} would start scdaemon"));
        return Ok(Lock::Unknown);
    }
    *asked = "GETINFO version and KEYINFO --list";
    let keys = command(&mut agent, "KEYINFO --list").await?;
    Ok(Lock::of(keys.iter().filter_map(|line| needs_passphrase(line)).map(Some)))
}

/// From 2.3 on, a list of the keys holds those on smartcards, and so starts the daemon for them.
fn lists_without_cards(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    matches!((numbers.next(), numbers.next()), (Some(major), Some(minor)) if (major, minor) < (2, 3))
}

/// `S KEYINFO KEYGRIP TYPE SERIAL ID CACHED PROTECTION ...` of a key on disk: whether its passphrase would be asked for.
fn needs_passphrase(line: &str) -> Option<bool> {
    let words: Vec<&str> = line.strip_prefix("S KEYINFO ")?.split(' ').collect();
    match words.as_slice() {
        [_, "D", _, _, cached, protection, ..] => Some(*protection == "P" && *cached != "1"),
        _ => None,
    }
}

async fn command(agent: &mut Socket, words: &str) -> Result<Vec<String>, Error> {
    agent.say(format!("{words}\n").as_bytes()).await?;
    answer(agent).await
}

/// All lines up to the one that closes the answer.
async fn answer(agent: &mut Socket) -> Result<Vec<String>, Error> {
    let mut lines = Vec::new();
    loop {
        let line = agent.line().await?;
        match line.split(' ').next() {
            Some("OK") => return Ok(lines),
            Some("ERR") => return Err(Error::Other(format!("{WHO} refused: {line}"))),
            _ => lines.push(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_open_while_its_passphrase_is_in_memory_or_it_has_none() {
        let line = |words: &str| needs_passphrase(&format!("S KEYINFO B8E1 {words} - - -"));
        assert_eq!(line("D - - - P"), Some(true));
        assert_eq!(line("D - - 1 P"), Some(false));
        assert_eq!(line("D - - - C"), Some(false));
        assert_eq!(line("T D2760001 OPENPGP.1 - -"), None);
        assert_eq!(needs_passphrase("S PROGRESS x"), None);
        assert_eq!(needs_passphrase("S KEYINFO"), None);
    }

    #[test]
    fn only_old_agents_list_their_keys_without_a_card_daemon() {
        for (version, old) in
            [("2.2.40", true), ("2.3.0", false), ("2.4.7", false), ("3.0", false), ("", false), ("2", false)]
        {
            assert_eq!(lists_without_cards(version), old, "{version}");
        }
    }
}
