//! The scenarios under a real `systemd --user`, each in a session of its own, one file a subject. This program plays
//! both parts: outside it makes the sessions and counts; inside (`--inside SCENARIO BUS`) it is the scenario.

// A failed step fails its test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bus_away;
mod crashed;
mod credentials;
mod doctor;
mod examples;
mod hung;
mod journal;
mod keyrings;
mod login;
mod reconciled;
mod sandboxed;
mod secret_service;
mod started;
mod unlocked_target;

use std::{future::Future, pin::Pin, process::ExitCode, sync::Arc};

use libtest_mimic::{Arguments, Completion, Trial};
use session_tests::{
    bus::Kind,
    manager::{self, Installed},
    needs::Need,
    program,
    user_session::UserSession,
};

/// As many as a small machine plays without a delay that a watchdog takes for a hang.
const SESSIONS_AT_ONCE: usize = 2;

/// One scenario, and where it plays.
struct Scenario {
    name: &'static str,
    buses: &'static [Kind],
    needs: &'static [Need],
    play: fn(UserSession) -> Pin<Box<dyn Future<Output = ()>>>,
}

/// Functions as scenarios that are called like them.
macro_rules! scenarios {
    ($buses:expr, $needs:expr; $($name:ident),+ $(,)?) => {
        vec![$($crate::Scenario {
            name: stringify!($name),
            buses: $buses,
            needs: $needs,
            play: |session| Box::pin($name(session)),
        }),+]
    };
}
use scenarios;

fn all() -> Vec<Scenario> {
    let subjects = [
        bus_away::scenarios(),
        crashed::scenarios(),
        credentials::scenarios(),
        doctor::scenarios(),
        examples::scenarios(),
        hung::scenarios(),
        journal::scenarios(),
        keyrings::scenarios(),
        login::scenarios(),
        reconciled::scenarios(),
        sandboxed::scenarios(),
        secret_service::scenarios(),
        started::scenarios(),
        unlocked_target::scenarios(),
    ];
    subjects.into_iter().flatten().collect()
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, inside, name, bus] = words.as_slice()
        && inside == "--inside"
    {
        return play(name, bus);
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(arguments.test_threads.unwrap_or(SESSIONS_AT_ONCE).min(SESSIONS_AT_ONCE));
    if arguments.list {
        return libtest_mimic::run(&arguments, trials(None)).exit_code();
    }
    if !program("sesame").is_file() {
        eprintln!("{} is missing; run: cargo build --workspace", program("sesame").display());
        return ExitCode::FAILURE;
    }
    match Installed::new() {
        Ok(installed) => libtest_mimic::run(&arguments, trials(Some(installed))).exit_code(),
        Err(sentence) => {
            eprintln!("cannot install the programs for the tests: {sentence}");
            ExitCode::FAILURE
        }
    }
}

/// Every scenario on each of its buses.
fn trials(installed: Option<Installed>) -> Vec<Trial> {
    let installed = Arc::new(installed);
    let pairs = all()
        .into_iter()
        .flat_map(|scenario| scenario.buses.iter().map(move |bus| (scenario.name, *bus, scenario.needs)));
    let trials = pairs.map(|(name, bus, needs)| {
        let installed = Arc::clone(&installed);
        let trial = Trial::ignorable_test(name, move || {
            let general = [Need::Root, Need::Mounts, Need::Manager(bus)];
            match general.iter().chain(needs).find_map(|need| need.missing()) {
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => {
                    let installed = installed.as_ref().as_ref().ok_or("nothing is installed")?;
                    manager::play(bus, name, installed).map(|()| Completion::Completed)
                }
            }
        });
        trial.with_kind(bus.name())
    });
    trials.collect()
}

/// The part that plays inside of the session. A failed step panics, and the status says so.
fn play(name: &str, bus: &str) -> ExitCode {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == bus);
    let scenario = all().into_iter().find(|scenario| scenario.name == name);
    let (Some(kind), Some(scenario)) = (kind, scenario) else {
        eprintln!("no scenario {name} on {bus}");
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on((scenario.play)(UserSession::enter(kind)));
    ExitCode::SUCCESS
}
