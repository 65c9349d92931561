//! The pure rules against the model: the daemons' own state machines with a queue for a bus between them, thousands of
//! histories a second. A history that fails is shortened before it is shown.

mod asked;
mod lives;

use std::collections::{BTreeMap, VecDeque};

use daemon_profile::{
    hub::{Change, Event as Input, Hub},
    peers::{Introduction, PeerChange},
};
use daemon_secrets::state::{Snapshot, State};
use dbus_interfaces::{ProfileName, profile::Report, secrets::VaultState};
use libtest_mimic::Failed;
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{RngAlgorithm, TestError, TestRng, TestRunner},
};
use session_tests::random::SEED;

use crate::{
    ensure,
    history::{self, Daemon, Event, PROFILES},
    model::{Life, Model},
    table::Outcome,
    world::{difference, wrong},
};

/// The variable that sets how many steps are played.
const STEPS: &str = "SESAME_MODEL_STEPS";
/// Enough to find what is easily found, in a second or two.
const FEW: u32 = 100_000;
/// The longest history.
const LENGTH: usize = 120;

/// Plays random histories on the rules.
///
/// # Errors
/// The shortest history found that breaks one.
pub fn agree() -> Result<(), Failed> {
    let steps = std::env::var(STEPS).ok().map_or(FEW, |steps| steps.parse().expect("a number of steps"));
    let seed: u64 = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(crate::soak::clock_seed);
    let cases = steps / (u32::try_from(LENGTH).unwrap_or(u32::MAX) / 2);
    let config =
        ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let histories = (any::<bool>(), vec(history::any_event(), 0..LENGTH));
    let played = runner.run(&histories, |(supervised, events)| {
        Rules::play(supervised, &events).map_err(|violation| TestCaseError::fail(violation.to_string()))
    });
    match played {
        Ok(()) => Ok(()),
        Err(TestError::Fail(why, (supervised, events))) => {
            let events: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
            let how = format!("repeat it: SEED={seed} {STEPS}={steps} make campaign");
            Err(format!("{why}\n{how}\nunder systemd: {supervised}; the history:\n  {}", events.join("\n  ")).into())
        }
        Err(TestError::Abort(why)) => Err(why.to_string().into()),
    }
}

/// Both daemons' rules, and what is under way between them.
struct Rules {
    model: Model,
    hub: Option<Hub>,
    secrets: Option<State>,
    queue: VecDeque<Input>,
    now: u64,
    run: u32,
    hubs: u32,
    // What a subscriber of the hub has folded.
    seen: Option<Report>,
    told: (usize, usize),
}

impl Rules {
    fn play(supervised: bool, events: &[Event]) -> Outcome {
        let mut rules = Self {
            model: Model::new(supervised),
            hub: None,
            secrets: None,
            queue: VecDeque::new(),
            now: 1_000_000_000,
            run: 0,
            hubs: 0,
            seen: None,
            told: (0, 0),
        };
        rules.start(Daemon::Profile)?;
        rules.start(Daemon::Secrets)?;
        for event in events {
            rules.now += 1;
            rules.act(event)?;
            rules.check()?;
        }
        Ok(())
    }

    fn stated(&self) -> BTreeMap<ProfileName, VaultState> {
        self.secrets.as_ref().map_or_else(BTreeMap::new, |state| named(&state.snapshot()))
    }

    /// What is under way arrives, unless the hub does nothing.
    fn deliver(&mut self) -> Outcome {
        if self.model.hub == Life::Frozen {
            return Ok(());
        }
        while let Some(input) = self.queue.pop_front() {
            let Some(hub) = &mut self.hub else { continue };
            for change in hub.apply(input, self.now) {
                self.fold(&change)?;
            }
        }
        Ok(())
    }

    /// A subscriber takes in one signal.
    fn fold(&mut self, change: &Change) -> Outcome {
        let Some(seen) = &mut self.seen else { return Ok(()) };
        match change {
            Change::Properties(new) => {
                ensure!(new.generation == seen.generation + 1, "a gap in Generation: {new:?}");
                seen.generation = new.generation;
                new.lock_state.clone_into_some(&mut seen.lock_state);
                new.default_profile.clone_into_some(&mut seen.default_profile);
                new.active_profiles.clone_into_some(&mut seen.active_profiles);
                new.locked.clone_into_some(&mut seen.locked);
                new.health.clone_into_some(&mut seen.health);
                new.problems.clone_into_some(&mut seen.problems);
            }
            Change::Vault { profile, locked, active, .. } => {
                let is_locked = seen.lock_state.get(profile).copied().unwrap_or(true);
                let is_active = seen.active_profiles.contains(profile);
                ensure!((*locked, *active) == (is_locked, is_active), "{change:?} contradicts the properties {seen:?}");
            }
            Change::Peer(PeerChange::Changed { name, state, .. }) => {
                if let Some(row) = seen.daemons.get_mut(name.as_str()) {
                    row.state = state.as_str().into();
                }
            }
            Change::Peer(PeerChange::Lost { .. }) => self.told.0 += 1,
            Change::Peer(PeerChange::Restarted { .. }) => self.told.1 += 1,
            Change::Reconciled { .. } => {}
        }
        Ok(())
    }

    fn check(&mut self) -> Outcome {
        if let (Some(state), Life::Running) = (&self.secrets, self.model.secrets) {
            let snapshot = state.snapshot();
            let told = |row: &VaultState| (row.locked, row.active, row.reason.clone());
            let told: BTreeMap<&str, _> =
                snapshot.vaults.iter().map(|(profile, row)| (profile.as_str(), told(row))).collect();
            let truth = self.model.truth();
            let truth: BTreeMap<&str, _> = truth
                .iter()
                .map(|(profile, row)| (*profile, (row.locked, row.active, row.reason.to_owned())))
                .collect();
            ensure!(told == truth, "daemon-secrets says {told:?} instead of {truth:?}");
            for profile in PROFILES {
                let served = state.must_serve(&name(profile));
                ensure!(served.is_ok() == self.model.serves(profile), "{profile} is served: {served:?}");
            }
        }
        let (Some(hub), Life::Running) = (&mut self.hub, self.model.hub) else { return Ok(()) };
        let (report, expected) = (hub.report(), self.model.expected());
        let differs = difference(&report, &expected);
        ensure!(differs.is_empty(), "the hub is wrong in {}", differs.join(", "));
        ensure!(self.told == expected.told, "DaemonLost, DaemonRestarted: {:?}, not {:?}", self.told, expected.told);
        match &self.seen {
            Some(seen) if same_to_subscribers(seen, &report) => Ok(()),
            seen => wrong(format!("the signals told of {seen:?}, and the hub says {report:?}")),
        }
    }
}

/// Takes over what a signal carries.
trait CloneIntoSome<T> {
    fn clone_into_some(&self, target: &mut T);
}

impl<T: Clone> CloneIntoSome<T> for Option<T> {
    fn clone_into_some(&self, target: &mut T) {
        if let Some(new) = self {
            *target = new.clone();
        }
    }
}

/// Everything that signals tell of.
fn same_to_subscribers(seen: &Report, report: &Report) -> bool {
    let told = |report: &Report| {
        let daemon = report.daemons["daemon-secrets"].state.clone();
        let vaults = (report.lock_state.clone(), report.active_profiles.clone(), report.locked);
        let health = (report.health.clone(), report.problems.clone());
        (vaults, report.default_profile.clone(), health, report.generation, daemon)
    };
    told(seen) == told(report)
}

fn name(profile: &str) -> ProfileName {
    profile.parse().expect("the profiles of a history are names")
}

fn named(snapshot: &Snapshot) -> BTreeMap<ProfileName, VaultState> {
    snapshot.vaults.iter().map(|(profile, row)| (name(profile), row.clone())).collect()
}

fn introduction(id: &str) -> Introduction {
    Introduction { id: id.into(), started_usec: 1, sandbox: "full".into() }
}
