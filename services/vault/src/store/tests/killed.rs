//! A process that writes a vault on the real disk and is killed at a random instant, again and again. Whatever it had
//! acknowledged is there, what it was doing is done or not, and nothing else has changed.
//!
//! The process is this test program itself, which runs only [`writer`]. Both sides make the same choices from the
//! seed and the number of a step, so that a step's number is all that is told of it.
//! More of them, by hand: `make test-kills KILLS=5000`.

use std::{
    collections::BTreeMap,
    env,
    io::Read,
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::*;

const SEED: &str = "SESAME_TEST_SEED";
const KILLS: &str = "SESAME_TEST_KILLS";
const FEW_KILLS: usize = 100;
/// Tells the test program that it is the writer: the folder, the first step, and the steps that chose passphrases.
const WRITER: &str = "SESAME_TEST_WRITER";

/// What a step does to the vault `work`.
enum Step {
    Set(SecretName, Vec<u8>),
    Remove(SecretName),
    ChangePassphrase,
    /// Deletes the vault where there is one, else makes one.
    DeleteOrCreate,
    Reopen,
}

fn choices(seed: u64, number: u64) -> fastrand::Rng {
    fastrand::Rng::with_seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number)
}

fn step(seed: u64, number: u64) -> Step {
    let mut random = choices(seed, number);
    let name = secret(&format!("s{}", random.u8(..12)));
    match random.u8(..20) {
        0..11 => {
            let size = if random.u8(..8) == 0 { random.usize(..300_000) } else { random.usize(..3000) };
            let mut value = vec![0; size];
            random.fill(&mut value);
            Step::Set(name, value)
        }
        11..14 => Step::Remove(name),
        14..17 => Step::ChangePassphrase,
        17..19 => Step::DeleteOrCreate,
        _ => Step::Reopen,
    }
}

/// The passphrase that this step chooses.
fn passphrase(number: u64) -> SecretString {
    format!("passphrase of step {number}").into()
}

/// What the vault `work` may be like. `None`: there is none.
type Model = Option<Expected>;

#[derive(Clone, Debug, PartialEq)]
struct Expected {
    /// The step that chose it.
    passphrase: u64,
    secrets: BTreeMap<SecretName, Vec<u8>>,
}

fn after(model: &Model, seed: u64, number: u64) -> Model {
    let mut model = model.clone();
    match (step(seed, number), &mut model) {
        (Step::DeleteOrCreate, None) => model = Some(Expected { passphrase: number, secrets: BTreeMap::new() }),
        (Step::DeleteOrCreate, Some(_)) => model = None,
        (Step::Set(name, value), Some(vault)) => drop(vault.secrets.insert(name, value)),
        (Step::Remove(name), Some(vault)) => drop(vault.secrets.remove(&name)),
        (Step::ChangePassphrase, Some(vault)) => vault.passphrase = number,
        (Step::Reopen, _) | (_, None) => {}
    }
    model
}

/// Does nothing unless it is started by the test below, which kills it.
#[test]
fn writer() {
    let Ok(order) = env::var(WRITER) else { return };
    let mut order = order.split('|');
    let folder = PathBuf::from(order.next().unwrap());
    let mut numbers = order.map(|number| number.parse().unwrap());
    let (seed, first): (u64, u64) = (numbers.next().unwrap(), numbers.next().unwrap());
    let passphrases: Vec<u64> = numbers.collect();
    let store = Store::open(&folder).unwrap();
    let work = profile("work");
    let mut known = passphrases.iter().rev().copied();
    let mut open = None;
    if store.list().unwrap().contains_key(&work) {
        open = known.find_map(|chosen| Some((store.unlock(&work, &passphrase(chosen)).ok()?, chosen)));
        assert!(open.is_some(), "a vault that opens with no passphrase that it may have");
    }
    for number in first.. {
        // The test program begins a line of its own, which it does not end.
        say(&format!("\ntry {number}\n"));
        open = take(&store, &folder, open, seed, number);
        say(&format!("did {number}\n"));
    }
}

/// Written at once, and whole: the other side may read it after this one's end.
fn say(line: &str) {
    let written = rustix::io::write(rustix::stdio::stdout(), line.as_bytes());
    assert_eq!(written, Ok(line.len()), "nobody listens");
}

type Open = Option<(Box<OpenVault>, u64)>;

fn take(store: &Store, folder: &Path, open: Open, seed: u64, number: u64) -> Open {
    let work = profile("work");
    let done: Result<Open, Error> = match (step(seed, number), open) {
        (Step::DeleteOrCreate, None) => store
            .create(&work, &passphrase(number), WEAK)
            .and_then(|()| store.unlock(&work, &passphrase(number)))
            .map(|vault| Some((vault, number))),
        (Step::DeleteOrCreate, Some((_, chosen))) => store.delete(&work, &passphrase(chosen)).map(|()| None),
        (_, None) => Ok(None),
        (Step::Set(name, value), Some((mut vault, chosen))) => {
            let set = Change::Set { name, value: value.into(), now_usec: number };
            change(store, &mut vault, set).map(|()| Some((vault, chosen)))
        }
        (Step::Remove(name), Some((mut vault, chosen))) => match change(store, &mut vault, Change::Delete { name }) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(Some((vault, chosen))),
            Err(error) => Err(error),
        },
        (Step::ChangePassphrase, Some((mut vault, chosen))) => {
            // As a backup has it.
            fs::copy(folder.join("work").join(IDENTITY), folder.with_file_name(format!("identity.{chosen}"))).unwrap();
            store.change_passphrase(&work, &passphrase(chosen), &passphrase(number), WEAK).map(|rekeyed| {
                vault.rekey(rekeyed);
                Some((vault, number))
            })
        }
        (Step::Reopen, Some((_, chosen))) => {
            store.unlock(&work, &passphrase(chosen)).map(|vault| Some((vault, chosen)))
        }
    };
    done.unwrap_or_else(|error| panic!("step {number}: {error}"))
}

/// What is known from outside.
struct Watched {
    seed: u64,
    home: TempDir,
    /// What the vault may be like: more than one after a kill in the midst of a step.
    models: Vec<Model>,
    next: u64,
    /// The kills that came in the midst of a step.
    inside: usize,
    /// Passphrases whose change was acknowledged.
    outdated: Vec<u64>,
}

impl Watched {
    fn folder(&self) -> PathBuf {
        self.home.path().join("vaults")
    }

    /// Starts the writer, kills it after `delay`, and takes in what it has said.
    fn kill_after(&mut self, delay: Duration) {
        let mut child = self.start();
        std::thread::sleep(delay);
        child.kill().unwrap();
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let mut complaint = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
        child.wait().unwrap();
        assert!(!complaint.contains("panicked"), "{complaint}");
        let mut tried = false;
        for line in said.lines().filter(|line| line.starts_with("try ") || line.starts_with("did ")) {
            let number: u64 = line[4..].parse().unwrap();
            assert_eq!(number, self.next);
            tried = line.starts_with("try");
            if !tried {
                self.acknowledged(number);
            }
        }
        if tried {
            self.inside += 1;
            let possible: Vec<Model> = self.models.iter().map(|model| after(model, self.seed, self.next)).collect();
            self.models.extend(possible);
            self.models.dedup();
            self.next += 1;
        }
    }

    fn start(&self) -> Child {
        let numbers: Vec<String> = [self.seed, self.next]
            .into_iter()
            .chain(self.models.iter().flatten().map(|vault| vault.passphrase))
            .map(|number| number.to_string())
            .collect();
        let order = format!("{}|{}", self.folder().display(), numbers.join("|"));
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "store::tests::killed::writer", "--nocapture", "--test-threads=1"]);
        command.env(WRITER, order).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn acknowledged(&mut self, number: u64) {
        let before: Vec<u64> = self.models.iter().flatten().map(|vault| vault.passphrase).collect();
        self.models = self.models.iter().map(|model| after(model, self.seed, number)).collect();
        self.models.dedup();
        if matches!(step(self.seed, number), Step::ChangePassphrase) {
            self.outdated.extend(before);
        }
        self.next = number + 1;
    }

    /// Opens the store as the next start of the daemon does.
    fn check(&mut self) {
        let store = Store::open(&self.folder()).unwrap();
        let sandbox = |folder: &Path| -> Vec<String> {
            let mut names: Vec<String> =
                fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let listed = store.list().unwrap();
        assert!(listed.values().all(Option::is_none), "{listed:?}");
        let exists = listed.contains_key(&profile("work"));
        let names = [LOCK, "other", "work"];
        assert_eq!(sandbox(&self.folder()), names[..if exists { 3 } else { 2 }], "nothing is left over");
        let found = exists.then(|| self.read(&store));
        let before = std::mem::take(&mut self.models);
        assert!(
            before.contains(&found),
            "step {}: found {}, which is none of {}",
            self.next,
            told(&found),
            before.iter().map(told).collect::<Vec<_>>().join(" or ")
        );
        self.models = vec![found];
        if exists {
            assert_eq!(sandbox(&self.folder().join("work")), [IDENTITY, ITEMS], "nothing is left over");
            self.old_passphrases_open_nothing(&store);
        }
        let other = store.unlock(&profile("other"), &"other".into()).unwrap();
        assert_eq!(value(&other, "who"), Some("other"));
    }

    /// What there is, by the one passphrase that opens it.
    fn read(&self, store: &Store) -> Expected {
        let mut chosen: Vec<u64> = self.models.iter().flatten().map(|vault| vault.passphrase).collect();
        chosen.sort_unstable();
        chosen.dedup();
        let opened = |chosen: &u64| Some((store.unlock(&profile("work"), &passphrase(*chosen)).ok()?, *chosen));
        let opened: Vec<_> = chosen.iter().filter_map(opened).collect();
        let [(vault, passphrase)] = opened.as_slice() else {
            panic!("{} of the passphrases {chosen:?} open it", opened.len())
        };
        let secrets = vault.names().map(|name| (name.clone(), vault.get(name).unwrap().to_vec())).collect();
        Expected { passphrase: *passphrase, secrets }
    }

    /// An old copy of identity.age and its passphrase open nothing of what is there now, however old.
    fn old_passphrases_open_nothing(&self, store: &Store) {
        let items = fs::read(self.folder().join("work").join(ITEMS)).unwrap();
        for chosen in self.outdated.iter().rev().take(3) {
            let refused = store.unlock(&profile("work"), &passphrase(*chosen));
            assert!(matches!(refused, Err(Error::WrongPassphrase(_))), "the passphrase of step {chosen}: {refused:?}");
            let Ok(copy) = fs::read(self.home.path().join(format!("identity.{chosen}"))) else { continue };
            let keys = keys::open_identity(&copy, &passphrase(*chosen)).ok().unwrap();
            assert_eq!(keys::open_items(&items, &keys).err(), Some(Flaw::OtherKey), "the key of step {chosen}");
        }
    }
}

/// Without the values.
fn told(model: &Model) -> String {
    let Some(vault) = model else { return "no vault".into() };
    let secrets = vault.secrets.iter().map(|(name, value)| format!("{name} of {} bytes", value.len()));
    format!("passphrase of {}, {}", vault.passphrase, secrets.collect::<Vec<_>>().join(", "))
}

fn number_in(variable: &str, otherwise: impl FnOnce() -> u64) -> u64 {
    env::var(variable).map_or_else(|_| otherwise(), |text| text.parse().expect("a number"))
}

#[test]
#[ignore = "a process that it starts shares the locks of other tests' stores for a moment: make test runs it apart"]
fn a_writer_killed_at_a_random_instant_loses_nothing() {
    let seed = number_in(SEED, || fastrand::u64(..));
    let kills = usize::try_from(number_in(KILLS, || FEW_KILLS as u64)).unwrap();
    println!("{SEED}={seed}");
    // On the real disk, whose fsync takes its time.
    let home = TempDir::new().unwrap();
    let store = Store::open(&home.path().join("vaults")).unwrap();
    store.create(&profile("other"), &"other".into(), WEAK).unwrap();
    let mut other = store.unlock(&profile("other"), &"other".into()).unwrap();
    change(&store, &mut other, set("who", "other")).unwrap();
    drop(store);
    let mut watched = Watched { seed, home, models: vec![None], next: 0, inside: 0, outdated: vec![] };
    let mut random = fastrand::Rng::with_seed(seed);
    let mut checks = 0;
    for kill in 0..kills {
        watched.kill_after(Duration::from_micros(random.u64(2_000..60_000)));
        // Not each time: recovering is interrupted too.
        if watched.models.len() > 3 || random.bool() || kill + 1 == kills {
            watched.check();
            checks += 1;
        }
    }
    println!(
        "{kills} kills, {} of them in the midst of a step, after {} steps: {checks} checks",
        watched.inside, watched.next
    );

    assert!(watched.next > 10 && watched.inside > 10, "the writer was to be killed at work");
}
