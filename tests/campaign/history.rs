//! Random histories: what users, strangers, the machine and bad luck do to a session, in any order. Every event makes
//! sense in every state, so that a history can be shortened anywhere.

use proptest::{
    prelude::*,
    sample::select,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

/// The trust profiles of a history.
pub const PROFILES: [&str; 3] = ["personal", "play", "work"];
/// The names of its secrets.
pub const SECRETS: [&str; 3] = ["db-url", "key", "token"];

/// One of the two daemons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// The hub.
    Profile,
    /// The vaults.
    Secrets,
}

/// A change of the vaults that a kill may cut off in the middle.
#[derive(Clone, Copy, Debug)]
pub enum Write {
    Set,
    DeleteSecret,
    Create,
    ChangePassphrase,
    Delete,
}

/// A signal that a third connection sends in daemon-secrets' name.
#[derive(Clone, Copy, Debug)]
pub enum Forgery {
    /// `PropertiesChanged`: everything is unlocked.
    Properties,
    /// `VaultChanged`.
    Vault,
    /// `DaemonStarted`, of another run.
    Started,
    /// `NameOwnerChanged`, as only the bus may send it.
    Owner,
}

/// Which change of the owner the hub does not hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Going,
    Coming,
    Both,
}

/// One event. The profile is always the first field.
#[derive(Clone, Debug)]
pub enum Event {
    Create(&'static str),
    Unlock(&'static str),
    /// With the passphrase that was right before the last change, else with one that never was.
    UnlockWrong(&'static str),
    /// The identity from before a change of passphrase, put back beside what was written later.
    OldIdentity(&'static str),
    Lock(&'static str),
    LockAll,
    /// This long (ms) after the unlock was asked for.
    LockDuringUnlock(&'static str, u64),
    Activate(&'static str),
    Deactivate(&'static str),
    SetDefault(&'static str),
    ChangePassphrase(&'static str),
    Set(&'static str, &'static str, u32),
    Get(&'static str, &'static str),
    DeleteSecret(&'static str, &'static str),
    Delete(&'static str),
    Reconcile,
    Kill(Daemon),
    /// Kills daemon-secrets this long (ms) after it was asked for a change.
    KillDuring(&'static str, Write, u64),
    Freeze(Daemon),
    Thaw(Daemon),
    Stop(Daemon),
    Start(Daemon),
    Restart(Daemon),
    /// Hung until the watchdog ends it; only under systemd.
    WatchdogRestart(Daemon),
    /// The bus is stopped for this long (ms), in the middle of a change.
    FreezeBus(&'static str, u64),
    RestartBus,
    /// To everybody, or to the hub alone.
    Forge(Forgery, bool),
    /// A stranger owns the name before the daemon does.
    Stranger(Daemon),
    /// What daemon-secrets says of the next change does not arrive at the hub.
    DropSignal(&'static str),
    /// That daemon-secrets is gone, that another one has come, or neither arrives at the hub.
    DropOwner(Lost),
    /// Everything arrives at the hub this late (ms).
    DelaySignals(&'static str, u64),
    /// The clock of both daemons, by this many seconds.
    ClockJump(i64),
}

impl Event {
    /// Its name alone, to be counted.
    pub fn kind(&self) -> String {
        let text = format!("{self:?}");
        let end = text.find(|other: char| !other.is_ascii_alphanumeric()).unwrap_or(text.len());
        text[..end].to_owned()
    }

    /// Whether it is a fault, not something that a user may do any day.
    pub fn is_fault(&self) -> bool {
        !matches!(
            self,
            Self::Create(_)
                | Self::Unlock(_)
                | Self::Lock(_)
                | Self::LockAll
                | Self::LockDuringUnlock(..)
                | Self::Activate(_)
                | Self::Deactivate(_)
                | Self::SetDefault(_)
                | Self::ChangePassphrase(_)
                | Self::Set(..)
                | Self::Get(..)
                | Self::DeleteSecret(..)
                | Self::Delete(_)
                | Self::Reconcile
                | Self::UnlockWrong(_)
        )
    }
}

/// Any event.
pub fn any_event() -> impl Strategy<Value = Event> {
    let profile = || select(&PROFILES[..]);
    let secret = || select(&SECRETS[..]);
    let daemon = || prop_oneof![1 => Just(Daemon::Profile), 3 => Just(Daemon::Secrets)];
    let write = select(
        &[Write::Set, Write::Set, Write::DeleteSecret, Write::Create, Write::ChangePassphrase, Write::Delete][..],
    );
    let forgery = select(&[Forgery::Properties, Forgery::Vault, Forgery::Started, Forgery::Owner][..]);
    let users = prop_oneof![
        6 => profile().prop_map(Event::Create),
        10 => profile().prop_map(Event::Unlock),
        1 => profile().prop_map(Event::UnlockWrong),
        1 => profile().prop_map(Event::OldIdentity),
        5 => profile().prop_map(Event::Lock),
        2 => Just(Event::LockAll),
        4 => (profile(), 0..150_u64).prop_map(|(profile, ms)| Event::LockDuringUnlock(profile, ms)),
        4 => profile().prop_map(Event::Activate),
        4 => profile().prop_map(Event::Deactivate),
        3 => profile().prop_map(Event::SetDefault),
        2 => profile().prop_map(Event::ChangePassphrase),
        10 => (profile(), secret(), any::<u32>()).prop_map(|(profile, name, value)| Event::Set(profile, name, value)),
        4 => (profile(), secret()).prop_map(|(profile, name)| Event::Get(profile, name)),
        2 => (profile(), secret()).prop_map(|(profile, name)| Event::DeleteSecret(profile, name)),
        1 => profile().prop_map(Event::Delete),
        1 => Just(Event::Reconcile),
    ];
    let lives = prop_oneof![
        3 => daemon().prop_map(Event::Kill),
        5 => (profile(), write, 0..40_u64).prop_map(|(profile, write, ms)| Event::KillDuring(profile, write, ms)),
        2 => daemon().prop_map(Event::Freeze),
        8 => daemon().prop_map(Event::Thaw),
        2 => daemon().prop_map(Event::Stop),
        20 => daemon().prop_map(Event::Start),
        2 => daemon().prop_map(Event::Restart),
        1 => daemon().prop_map(Event::WatchdogRestart),
    ];
    let bus = prop_oneof![
        4 => (profile(), 1..1_500_u64).prop_map(|(profile, ms)| Event::FreezeBus(profile, ms)),
        1 => Just(Event::RestartBus),
        6 => (forgery, any::<bool>()).prop_map(|(forgery, to_hub)| Event::Forge(forgery, to_hub)),
        2 => daemon().prop_map(Event::Stranger),
        4 => profile().prop_map(Event::DropSignal),
        2 => select(&[Lost::Going, Lost::Coming, Lost::Both][..]).prop_map(Event::DropOwner),
        3 => (profile(), 1..900_u64).prop_map(|(profile, ms)| Event::DelaySignals(profile, ms)),
        2 => prop_oneof![-100_000..100_000_i64, Just(-86_400 * 365)].prop_map(Event::ClockJump),
    ];
    prop_oneof![60 => users, 26 => lives, 14 => bus]
}

/// The history of a seed, as long as asked for.
///
/// # Panics
/// Never: no event is ever refused.
pub fn of_seed(seed: u64, length: usize) -> Vec<Event> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let event = any_event();
    let one = |_| event.new_tree(&mut runner).expect("an event").current();
    (0..length).map(one).collect()
}
