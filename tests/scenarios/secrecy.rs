//! Secrets stay secret (contract, section 4, "Memory"): what root finds in a core of the daemon and of `sesame`, and
//! what everybody finds in /proc and in the logs.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use dbus_interfaces::{Error, vault::VaultProxy};
use session_tests::{
    client::Client,
    memory::{Core, Needle},
    needs::Need,
    program,
    random::{Random, token},
    scenarios,
    session::Session,
    stock_age::{self, Key},
    suite::Suite,
};

const NEEDS: [Need; 5] =
    [Need::Root, Need::Program("gdb"), Need::Program("age"), Need::Program("age-keygen"), Need::Program("script")];

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_dbus_daemon(&NEEDS);
        a_locked_daemon_with_200_items_has_forgotten_all_3_times,
        a_locked_daemon_with_10000_items_has_forgotten_all_3_times,
        sesame_has_forgotten_what_it_was_given_when_it_ends,
        an_answer_that_nobody_takes_is_forgotten_with_the_lock,
    );
}

/// A vault with secrets that are found again, and all that must not be.
pub struct Marked {
    profile: &'static str,
    pub passphrase: String,
    /// In every value that is text, at both ends.
    text: String,
    /// In every value that is not.
    binary: Vec<u8>,
    items: usize,
    passphrases: Vec<Needle>,
    keys: Vec<Needle>,
    pub values: Vec<Needle>,
}

impl Marked {
    /// A locked vault with `items` secrets.
    pub async fn create(session: &Session, profile: &'static str, items: usize) -> Self {
        let (passphrase, text) = (token(), token());
        let binary = [&[0xff, 0xfe], token().as_bytes()].concat();
        session.vault().await.create(profile, passphrase.as_bytes()).await.unwrap();
        let values = vec![Needle::new(format!("a text of {profile}"), text.as_bytes()), Needle::new("bytes", &binary)];
        let mut marked = Self { profile, passphrase, text, binary, items, passphrases: vec![], keys: vec![], values };
        let key = marked.note(session).await;
        let items = (0..items).map(|n| format!(r#"{{"name":"s{n}","value":"{}"}}"#, marked.value(n)));
        let items: Vec<String> = items.collect();
        let json = format!(r#"{{"format":1,"profile":"{profile}","items":[{}]}}"#, items.join(","));
        stock_age::fill(session, profile, &key, &json).await;
        marked
    }

    pub fn value(&self, n: usize) -> String {
        format!("{}-{n}-{}", self.text, self.text)
    }

    /// Notes the present passphrase and key.
    async fn note(&mut self, session: &Session) -> Key {
        let key = stock_age::key(session, self.profile, &self.passphrase).await;
        let of = |what: &str| format!("{what} of {}", self.profile);
        self.passphrases.push(Needle::new(of("a passphrase"), self.passphrase.as_bytes()));
        for (what, bytes) in [
            // Without their beginning, which all have in common.
            ("an identity", &key.identity.as_bytes()["AGE-SECRET-KEY-1".len()..]),
            ("a recipient", &key.recipient.as_bytes()["age1".len()..]),
            // Its first and last byte are changed before it is used.
            ("a scalar", &key.scalar()[4..]),
            ("a point", &key.point()[4..]),
        ] {
            self.keys.push(Needle::new(of(what), bytes));
        }
        key
    }

    pub fn all(&self) -> impl Iterator<Item = &Needle> {
        self.passphrases.iter().chain(&self.keys).chain(&self.values)
    }

    async fn unlock(&self, vault: &VaultProxy<'_>) {
        vault.unlock(self.profile, self.passphrase.as_bytes()).await.unwrap();
    }

    /// Changes the passphrase, and the key with it.
    pub async fn rekey(&mut self, session: &Session, vault: &VaultProxy<'_>) {
        let new = token();
        vault.change_passphrase(self.profile, self.passphrase.as_bytes(), new.as_bytes()).await.unwrap();
        self.passphrase = new;
        self.note(session).await;
    }

    /// `reads` calls that read, one in `per_write` that writes, and some that fail.
    async fn use_it(&self, session: &Session, random: &mut Random, reads: usize, per_write: usize) {
        let (vault, profile) = (session.vault().await, self.profile);
        for turn in 0..reads {
            let n = random.below(self.items);
            let value = vault.get_secret(profile, &format!("s{n}")).await.unwrap();
            assert_eq!(value, self.value(n).as_bytes(), "s{n}");
            if turn % per_write == 0 {
                self.write(&vault, random, turn).await;
            }
            if turn % 500 == 0 {
                for name in vault.list_secrets(profile).await.unwrap().iter().filter(|name| !name.starts_with('s')) {
                    vault.get_secret(profile, name).await.unwrap();
                }
                self.fail(session, &vault).await;
            }
        }
    }

    async fn write(&self, vault: &VaultProxy<'_>, random: &mut Random, turn: usize) {
        let profile = self.profile;
        // Copied in other ways than small ones.
        let large = self.text.repeat([100, 2000, 21_800][random.below(3)]);
        match random.below(4) {
            0 => vault.set_secret(profile, &format!("l{}", turn % 3), large.as_bytes()).await.unwrap(),
            1 => vault.set_secret(profile, &format!("n{}", turn % 3), &self.binary.repeat(60)).await.unwrap(),
            2 => {
                let n = random.below(self.items);
                vault.set_secret(profile, &format!("s{n}"), self.value(n).as_bytes()).await.unwrap();
            }
            _ => {
                vault.set_secret(profile, "gone", self.binary.as_slice()).await.unwrap();
                vault.delete_secret(profile, "gone").await.unwrap();
            }
        }
    }

    /// Calls that carry what is secret and come to nothing.
    async fn fail(&self, session: &Session, vault: &VaultProxy<'_>) {
        let (profile, value) = (self.profile, self.value(0));
        let too_large = self.text.repeat((1 << 20) / self.text.len() + 1);
        let refused = vault.set_secret(profile, "large", too_large.as_bytes()).await;
        assert!(matches!(refused, Err(Error::TooLarge(_))), "{refused:?}");
        let refused = vault.set_secret(profile, "no name", value.as_bytes()).await;
        assert!(matches!(refused, Err(Error::InvalidName(_))), "{refused:?}");
        let refused = vault.set_secret("nobody", "a", value.as_bytes()).await;
        assert!(matches!(refused, Err(Error::NoSuchProfile(_))), "{refused:?}");
        let refused = vault.create(profile, self.passphrase.as_bytes()).await;
        assert!(matches!(refused, Err(Error::AlreadyExists(_))), "{refused:?}");
        let control = format!("{}\n", self.passphrase);
        let refused = vault.unlock(profile, control.as_bytes()).await;
        assert!(matches!(refused, Err(Error::InvalidPassphrase(_))), "{refused:?}");
        // A body that is no call's.
        let connection = vault.inner().connection().clone();
        let body = (self.passphrase.as_str(), value.as_str(), value.as_str());
        let path = dbus_interfaces::vault::PATH;
        let interface = Some(dbus_interfaces::vault::INTERFACE);
        connection.call_method(None::<&str>, path, interface, "SetSecret", &body).await.unwrap_err();
        // Callers that leave before they are answered: one after its message, one in the midst of it.
        let leaver = session.vault().await;
        let left = leaver.set_secret(profile, "s0", value.as_bytes());
        let _ = tokio::time::timeout(std::time::Duration::ZERO, left).await;
        let message = zbus::Message::method_call(path, "SetSecret").interface(dbus_interfaces::vault::INTERFACE);
        let message = message.build(&(profile, "s0", value.repeat(50).as_bytes())).unwrap();
        half_a_message(session, message.data());
    }
}

/// Authenticates, sends all of `message` but its end, and leaves.
fn half_a_message(session: &Session, message: &[u8]) {
    authenticated(session).write_all(&message[..message.len() - 8]).unwrap();
}

/// A connection to the private socket on which D-Bus messages may follow.
fn authenticated(session: &Session) -> UnixStream {
    let mut stream = UnixStream::connect(session.home.private_socket()).unwrap();
    stream.set_read_timeout(Some(session_tests::DEADLINE)).unwrap();
    stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n").unwrap();
    let mut answers: Vec<u8> = Vec::new();
    while answers.iter().filter(|byte| **byte == b'\n').count() < 2 {
        let mut some = [0; 64];
        let read = stream.read(&mut some).unwrap();
        assert!(read > 0, "turned away: {answers:?}");
        answers.extend(&some[..read]);
    }
    stream
}

async fn a_locked_daemon_with_200_items_has_forgotten_all_3_times(session: Session) {
    forgets(session, 200, 2000, 20).await;
}

async fn a_locked_daemon_with_10000_items_has_forgotten_all_3_times(session: Session) {
    forgets(session, 9_990, 1000, 100).await;
}

async fn forgets(session: Session, items: usize, reads: usize, per_write: usize) {
    let daemons = session.daemons().await;
    let mut random = Random::announced("secrecy");
    let mut used = Marked::create(&session, "personal", items).await;
    let other = Marked::create(&session, "other", 50).await;
    let watch = ProcWatch::start([&used.passphrase, &used.text, &other.passphrase, &other.text]);
    let client: Client = session.client().await;
    let secrets = client.secrets().await;
    // Open all the time, as a desktop's would be.
    let vault = session.vault().await;
    let mut left = Vec::new();
    for round in 0..3 {
        used.unlock(&vault).await;
        other.unlock(&vault).await;
        other.use_it(&session, &mut random, 50, 10).await;
        secrets.lock("other").await.unwrap();
        used.use_it(&session, &mut random, reads, per_write).await;
        used.rekey(&session, &vault).await;
        used.use_it(&session, &mut random, reads / 10, per_write).await;
        let wrong = token();
        let refused = vault.change_passphrase("personal", wrong.as_bytes(), token().as_bytes()).await;
        assert!(matches!(refused, Err(Error::WrongPassphrase(_))), "{refused:?}");

        let unlocked = Core::of(&session.home, daemons.secrets.pid()).await;
        assert!(!unlocked.holds(&used.values).is_empty(), "the control: an open vault is in memory");
        let scalar = used.keys.iter().rfind(|needle| needle.what.contains("scalar"));
        assert!(!unlocked.holds(scalar).is_empty(), "the control: and its key");
        let found = unlocked.holds(other.all().chain(&used.passphrases));
        left.extend(found.into_iter().map(|found| format!("round {round}, before the lock: {found}")));

        // What was copied last may be in a register.
        vault.set_secret("personal", "last", used.text.repeat(21_800).as_bytes()).await.unwrap();
        vault.get_secret("personal", "last").await.unwrap();
        secrets.lock("personal").await.unwrap();
        let locked = Core::of(&session.home, daemons.secrets.pid()).await;
        let wrong = Needle::new("a wrong passphrase", wrong.as_bytes());
        let found = locked.holds(used.all().chain(other.all()).chain([&wrong]));
        left.extend(found.into_iter().map(|found| format!("round {round}, after the lock: {found}")));
    }
    let hub = Core::of(&session.home, daemons.profile.pid()).await;
    left.extend(hub.holds(used.all().chain(other.all())).into_iter().map(|found| format!("in the hub: {found}")));
    assert!(left.is_empty(), "{left:#?}");
    watch.end();
    let logs = session.home.logs();
    assert!([&used.text, &used.passphrase, &other.text, &other.passphrase].iter().all(|text| !logs.contains(*text)));
}

/// More than a socket holds, asked for by callers that read no further than the first byte.
async fn an_answer_that_nobody_takes_is_forgotten_with_the_lock(session: Session) {
    let daemons = session.daemons().await;
    let used = Marked::create(&session, "personal", 20).await;
    let vault = session.vault().await;
    used.unlock(&vault).await;
    let big = used.text.repeat(21_800);
    vault.set_secret("personal", "big", big.as_bytes()).await.unwrap();
    let call = zbus::Message::method_call(dbus_interfaces::vault::PATH, "GetSecret");
    let call = call.interface(dbus_interfaces::vault::INTERFACE).build(&("personal", "big")).unwrap();
    let unread: Vec<UnixStream> = [1, 8]
        .into_iter()
        .map(|calls| {
            let mut stream = authenticated(&session);
            stream.write_all(&call.data().to_vec().repeat(calls)).unwrap();
            stream.read_exact(&mut [0]).unwrap();
            stream
        })
        .collect();
    let secrets = session.client().await.secrets().await;
    secrets.lock("personal").await.unwrap();
    let locked = Core::of(&session.home, daemons.secrets.pid()).await;
    let found = locked.holds(used.all());
    assert!(found.is_empty(), "{found:#?}");
    drop(unread);
    // Who reads is not troubled.
    used.unlock(&vault).await;
    assert_eq!(vault.get_secret("personal", "big").await.unwrap(), big.as_bytes());
}

async fn sesame_has_forgotten_what_it_was_given_when_it_ends(session: Session) {
    let _daemons = session.daemons().await;
    let used = Marked::create(&session, "personal", 20).await;
    let vault = session.vault().await;
    used.unlock(&vault).await;
    let big = used.text.repeat(20_000);
    vault.set_secret("personal", "big", big.as_bytes()).await.unwrap();
    let old = session.home.write("old", &used.passphrase);
    let new = session.home.write("new", token());
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let watch = ProcWatch::start([&used.passphrase, &used.text]);
    let sesame = program("sesame").to_str().unwrap().to_owned();
    let small = used.value(1);
    let mut left = Vec::new();
    for (words, stdin, prints) in [
        (&["secret", "get", "s1"][..], "", Some(&small)),
        (&["secret", "get", "big"], "", Some(&big)),
        (&["secret", "set", "s1"], small.as_str(), None),
        (&["secret", "set", "big", "--strip-newline"], &big, None),
        (&["secret", "set", "s 1"], &small, None),
        (&["lock"], "", None),
        (&["unlock", "--passphrase-file", old], "", None),
        (&["lock"], "", None),
        (&["unlock", "--passphrase-fd", "0"], &used.passphrase, None),
        (&["passphrase", "--passphrase-file", old, "--new-passphrase-file", new], "", None),
    ] {
        let words: Vec<&str> = [sesame.as_str()].iter().chain(words).copied().collect();
        let (core, ended) = Core::at_the_end_of(&session.home, session.bus.address(), &words, stdin.as_bytes()).await;
        assert!(prints.is_none_or(|value| ended.stdout.contains(value)), "{words:?}: {ended:?}");
        left.extend(core.holds(used.all()).into_iter().map(|found| format!("at the end of {words:?}: {found}")));
    }
    assert!(left.is_empty(), "{left:#?}");
    watch.end();
}

/// Reads the arguments and the environment of every process, again and again, until it ends.
struct ProcWatch {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl ProcWatch {
    fn start<const N: usize>(markers: [&String; N]) -> Self {
        let markers: Vec<String> = markers.into_iter().cloned().collect();
        let ends = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let (mut seen, mut found) = (0, Vec::new());
            while !ended.load(Ordering::Relaxed) {
                for process in fs::read_dir("/proc").unwrap().flatten() {
                    for file in ["cmdline", "environ"] {
                        // It may have ended, and what is no process has no such files.
                        let Ok(bytes) = fs::read(process.path().join(file)) else { continue };
                        seen += 1;
                        found.extend(held(&process.path(), &bytes, &markers));
                    }
                }
                // There is no event to await, and the others want the processor too.
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            (seen, found)
        });
        Self { ends, thread }
    }

    /// # Panics
    /// It has found something, or nothing to look at.
    fn end(self) {
        self.ends.store(true, Ordering::Relaxed);
        let (seen, found) = self.thread.join().unwrap();
        assert!(found.is_empty(), "{found:#?}");
        assert!(seen > 100, "it has looked: {seen}");
    }
}

fn held(process: &Path, bytes: &[u8], markers: &[String]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    markers.iter().any(|marker| text.contains(marker)).then(|| format!("{}: {text}", process.display()))
}
