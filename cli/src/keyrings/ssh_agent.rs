//! The agent at `$SSH_AUTH_SOCK`. OpenSSH's own one lists its keys without asking anybody. Others may ask their user to
//! unlock first, so they hear only a question that none of them has an answer to, and that each must answer with "no".

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use super::{Keyring, Lock, listener, socket::Socket};
use crate::{bus::Bus, deadline::Deadline, error::Error};

const WHO: &str = "ssh-agent";
/// Where gnome-keyring (and gcr after it) and gpg-agent pretend to be an ssh-agent: a connection starts another
/// program there, a real ssh-agent or the daemon for smartcards.
const STARTERS: [&str; 4] = ["keyring/ssh", "keyring/.ssh", "gcr/ssh", "S.gpg-agent.ssh"];

// The messages of the protocol (draft-ietf-sshm-ssh-agent).
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const EXTENSION: u8 = 27;
const QUERY: &str = "query";

pub(super) async fn find(bus: Option<&Bus>, deadline: Deadline) -> Option<Keyring> {
    let path = PathBuf::from(env::var_os("SSH_AUTH_SOCK").filter(|path| !path.is_empty())?);
    let mut keyring = Keyring::at(WHO, path.clone());
    if !keyring.may_be_asked(listener::of(&path, bus, deadline).await) {
        return Some(keyring);
    }
    if STARTERS.iter().any(|known| path.ends_with(known)) {
        keyring.why = Some("not asked: the program there would start another one for it".into());
        return Some(keyring);
    }
    let mut asked = "a query of extensions";
    let answer = deadline.wait(WHO, ask(&path, &mut keyring, &mut asked)).await.flatten();
    Some(keyring.answered(asked, answer))
}

async fn ask(path: &Path, keyring: &mut Keyring, asked: &mut &'static str) -> Result<Lock, Error> {
    let mut agent = Socket::connect(WHO, path).await?;
    // An agent that went into the background has left another process behind as the one that listened.
    let known = env::var("SSH_AGENT_PID").ok().and_then(|pid| pid.parse().ok());
    let processes = [agent.listener(), known];
    let Some(ours) = processes.into_iter().flatten().find(|pid| is_openssh(*pid)) else {
        keyring.why = Some("not asked for its keys: it may be one that asks its user first".into());
        agent.say(&[&[0, 0, 0, 10, EXTENSION, 0, 0, 0, 5], QUERY.as_bytes()].concat()).await?;
        return answer(&mut agent).await.map(|_| Lock::Unknown);
    };
    keyring.process(Some(ours));
    *asked = "a list of its keys";
    agent.say(&[0, 0, 0, 1, REQUEST_IDENTITIES]).await?;
    match answer(&mut agent).await? {
        0 => {
            keyring.why = Some("it has no keys, or is locked, which it does not tell".into());
            Ok(Lock::Unknown)
        }
        _ => Ok(Lock::Unlocked),
    }
}

fn is_openssh(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_end() == "ssh-agent")
}

/// How many keys it lists; none where it says anything else.
async fn answer(agent: &mut Socket) -> Result<u32, Error> {
    let mut length = [0; 4];
    agent.exactly(&mut length).await?;
    let mut kind = [0];
    agent.exactly(&mut kind).await?;
    if kind != [IDENTITIES_ANSWER] || u32::from_be_bytes(length) < 5 {
        return Ok(0);
    }
    let mut keys = [0; 4];
    agent.exactly(&mut keys).await?;
    Ok(u32::from_be_bytes(keys))
}
