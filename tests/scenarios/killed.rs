//! daemon-secrets killed at random instants while it writes: what it had acknowledged is there, what it was doing is
//! done or not, and it starts again (contract, section 3).

use std::{collections::BTreeMap, fs, os::fd::OwnedFd, path::Path, time::Duration};

use dbus_interfaces::{Error, vault::VaultProxy};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify::{self, CreateFlags, WatchFlags},
    process::{Pid, Signal, kill_process},
};
use session_tests::{
    random::{Random, number_in},
    scenarios,
    session::Session,
    suite::Suite,
};

/// How often it is killed; `make test-kills` sets it.
const KILLS: &str = "SESAME_TEST_KILLS";
const FEW_KILLS: u64 = 12;

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&[]);
        a_daemon_killed_at_a_random_instant_loses_nothing,
    );
}

/// A change of one vault.
#[derive(Clone, Debug)]
enum Change {
    Create(String),
    Delete,
    Rekey(String),
    Set(String, Vec<u8>),
    Remove(String),
}

/// A vault as it must be.
#[derive(Clone, Debug, PartialEq)]
struct Expected {
    passphrase: String,
    secrets: BTreeMap<String, Vec<u8>>,
}

/// One vault, changed by one caller after the other.
struct Lane {
    profile: &'static str,
    random: Random,
    /// What it acknowledged. `None`: there is no vault.
    acknowledged: Option<Expected>,
    /// What it was told to do and has not answered.
    pending: Option<Change>,
    outdated: Option<String>,
    changes: usize,
}

impl Lane {
    fn new(profile: &'static str, random: Random) -> Self {
        Self { profile, random, acknowledged: None, pending: None, outdated: None, changes: 0 }
    }

    fn choose(&mut self) -> Change {
        let word = format!("passphrase {}", self.random.number());
        if self.acknowledged.is_none() {
            return Change::Create(word);
        }
        let name = format!("s{}", self.random.below(8));
        match self.random.below(20) {
            0..12 => {
                let end = if self.random.below(6) == 0 { 200_000 } else { 2000 };
                Change::Set(name, self.random.bytes(end))
            }
            12..16 => Change::Remove(name),
            16..19 => Change::Rekey(word),
            _ => Change::Delete,
        }
    }

    fn after(&self, change: &Change) -> Option<Expected> {
        let mut vault = self.acknowledged.clone();
        match (change, &mut vault) {
            (Change::Create(word), _) => vault = Some(Expected { passphrase: word.clone(), secrets: BTreeMap::new() }),
            (Change::Delete, _) => vault = None,
            (_, None) => {}
            (Change::Rekey(word), Some(vault)) => vault.passphrase.clone_from(word),
            (Change::Set(name, value), Some(vault)) => drop(vault.secrets.insert(name.clone(), value.clone())),
            (Change::Remove(name), Some(vault)) => drop(vault.secrets.remove(name)),
        }
        vault
    }

    /// Changes the vault until the daemon is gone.
    async fn change_until_killed(&mut self, vault: &VaultProxy<'_>) {
        loop {
            let change = self.choose();
            self.pending = Some(change.clone());
            match self.call(vault, &change).await {
                Ok(()) => self.answered(&change),
                Err(Error::NotFound(_)) if matches!(change, Change::Remove(_)) => self.answered(&change),
                Err(Error::ZBus(_)) => return,
                Err(error) => panic!("{} of {}: {error}", told(&change), self.profile),
            }
        }
    }

    async fn call(&self, vault: &VaultProxy<'_>, change: &Change) -> Result<(), Error> {
        let profile = self.profile;
        let passphrase = self.acknowledged.as_ref().map_or("", |vault| &vault.passphrase).as_bytes();
        match change {
            Change::Create(word) => {
                vault.create(profile, word.as_bytes()).await?;
                vault.unlock(profile, word.as_bytes()).await
            }
            Change::Delete => vault.delete(profile, passphrase).await,
            Change::Rekey(word) => vault.change_passphrase(profile, passphrase, word.as_bytes()).await,
            Change::Set(name, value) => vault.set_secret(profile, name, value).await,
            Change::Remove(name) => vault.delete_secret(profile, name).await,
        }
    }

    fn answered(&mut self, change: &Change) {
        self.changes += 1;
        if let (Change::Rekey(_), Some(before)) = (change, &self.acknowledged) {
            self.outdated = Some(before.passphrase.clone());
        }
        self.acknowledged = self.after(change);
        self.pending = None;
    }

    /// Looks at what a new daemon finds, and leaves the vault open.
    async fn check(&mut self, session: &Session, vault: &VaultProxy<'_>) {
        let there = session.home.vaults().join(self.profile).exists();
        let mut possible = vec![self.acknowledged.clone()];
        possible.extend(self.pending.as_ref().map(|change| self.after(change)));
        let found = if there { Some(self.open(vault, &possible).await) } else { None };
        let pending = self.pending.take();
        assert!(
            possible.contains(&found),
            "{} after {}: {} is none of {:?}",
            self.profile,
            pending.as_ref().map_or("nothing", told),
            shown(&found),
            possible.iter().map(shown).collect::<Vec<_>>()
        );
        self.acknowledged = found;
        if there {
            assert_eq!(names(&session.home.vaults().join(self.profile)), ["identity.age", "items.age"]);
        }
        // It takes the second that a wrong passphrase costs.
        if there
            && self.random.below(3) == 0
            && let Some(old) = self.outdated.take()
        {
            vault_is_closed_to(session, self.profile, &old).await;
            vault.unlock(self.profile, self.acknowledged.as_ref().unwrap().passphrase.as_bytes()).await.unwrap();
        }
    }

    async fn open(&self, vault: &VaultProxy<'_>, possible: &[Option<Expected>]) -> Expected {
        let mut opened = None;
        for Expected { passphrase, .. } in possible.iter().flatten() {
            match vault.unlock(self.profile, passphrase.as_bytes()).await {
                Ok(()) => {
                    opened = Some(passphrase.clone());
                    break;
                }
                Err(Error::WrongPassphrase(_)) => {}
                Err(error) => panic!("{}: {error}", self.profile),
            }
        }
        let passphrase = opened.expect("a passphrase that was acknowledged, or may be, opens it");
        let mut secrets = BTreeMap::new();
        for name in vault.list_secrets(self.profile).await.unwrap() {
            let value = vault.get_secret(self.profile, &name).await.unwrap();
            secrets.insert(name, value);
        }
        Expected { passphrase, secrets }
    }
}

async fn vault_is_closed_to(session: &Session, profile: &str, old: &str) {
    session.client().await.secrets().await.lock(profile).await.unwrap();
    let refused = session.vault().await.unlock(profile, old.as_bytes()).await;
    assert!(matches!(refused, Err(Error::WrongPassphrase(_))), "an old passphrase opens {profile}: {refused:?}");
}

fn told(change: &Change) -> &'static str {
    match change {
        Change::Create(_) => "Create",
        Change::Delete => "Delete",
        Change::Rekey(_) => "ChangePassphrase",
        Change::Set(..) => "SetSecret",
        Change::Remove(_) => "DeleteSecret",
    }
}

fn shown(vault: &Option<Expected>) -> String {
    let Some(vault) = vault else { return "no vault".into() };
    let sizes: Vec<String> = vault.secrets.iter().map(|(name, value)| format!("{name}: {}", value.len())).collect();
    format!("{} {{{}}}", vault.passphrase, sizes.join(", "))
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// When to kill: after a time, or shortly after the disk was touched for the n-th time, where a kill hurts most.
enum Instant {
    After(Duration),
    Event(usize, Duration),
}

impl Instant {
    fn choose(random: &mut Random) -> Self {
        let moment = Duration::from_micros(random.below(400) as u64);
        if random.below(3) == 0 {
            Self::After(Duration::from_millis(random.below(300) as u64))
        } else {
            Self::Event(1 + random.below(40), moment)
        }
    }

    /// Kills `pid` at this instant, on a thread of its own. True where the disk was touched before.
    fn kill(self, pid: Pid, folders: OwnedFd) -> bool {
        let (events, moment) = match self {
            Self::After(time) => (0, time),
            Self::Event(events, moment) => (events, moment),
        };
        let mut seen = 0;
        while seen < events && readable(&folders) {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(&folders, &mut buffer);
            loop {
                reader.next().unwrap();
                seen += 1;
                if reader.is_buffer_empty() {
                    break;
                }
            }
        }
        std::thread::sleep(moment);
        kill_process(pid, Signal::KILL).unwrap();
        seen > 0
    }
}

/// False where nothing comes for long: all that was to be done is done.
fn readable(folders: &OwnedFd) -> bool {
    let limit = Timespec { tv_sec: 5, tv_nsec: 0 };
    poll(&mut [PollFd::new(folders, PollFlags::IN)], Some(&limit)) == Ok(1)
}

fn watch(vaults: &Path) -> OwnedFd {
    let inotify = inotify::init(CreateFlags::CLOEXEC).unwrap();
    let touched = WatchFlags::CREATE | WatchFlags::MODIFY | WatchFlags::MOVE | WatchFlags::DELETE;
    let folders = fs::read_dir(vaults).unwrap().flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    for folder in folders.chain([vaults.to_owned()]) {
        inotify::add_watch(&inotify, &folder, touched).unwrap();
    }
    inotify
}

async fn a_daemon_killed_at_a_random_instant_loses_nothing(session: Session) {
    let mut random = Random::announced("kills");
    let kills = number_in(KILLS).unwrap_or(FEW_KILLS);
    let [mut first, mut second] = ["first", "second"].map(|profile| Lane::new(profile, Random::of(random.number())));
    let mut secrets = session.secrets().await;
    let (mut touched, mut inside, mut told_of) = (0, 0, BTreeMap::<&str, usize>::new());
    for _ in 0..kills {
        let (pid, folders) = (secrets.pid(), watch(&session.home.vaults()));
        let (vault, other) = (session.vault().await, session.vault().await);
        let instant = Instant::choose(&mut random);
        let killer = tokio::task::spawn_blocking(move || instant.kill(pid, folders));
        tokio::join!(first.change_until_killed(&vault), second.change_until_killed(&other));
        touched += usize::from(killer.await.unwrap());
        secrets.exited().await;
        for lane in [&first, &second] {
            if let Some(change) = &lane.pending {
                *told_of.entry(told(change)).or_default() += 1;
                inside += 1;
            }
        }

        secrets = session.secrets().await;
        let listed = session.client().await.secrets().await.state().await.unwrap().0;
        let mut there = names(&session.home.vaults());
        assert_eq!(there.remove(0), ".lock");
        assert_eq!(listed.keys().cloned().collect::<Vec<_>>(), there, "nothing is left over");
        assert!(listed.values().all(|vault| vault.error.is_none()), "{listed:?}");
        let (vault, other) = (session.vault().await, session.vault().await);
        tokio::join!(first.check(&session, &vault), second.check(&session, &other));
    }
    let changes = first.changes + second.changes;
    eprintln!(
        "{kills} kills, {touched} of them as the disk was touched; {changes} changes acknowledged, {inside} \
         interrupted: {told_of:?}"
    );
    assert!(inside > 0 && changes > 0, "it was to be killed at work");
}
