//! Random histories against a reference model: first of the pure rules, then of the real daemons on both buses and
//! under a real `systemd --user`. A short campaign in `make test`, a long one by `make soak MINUTES=n`.

// A harness fails with the words that a reader of the failure needs.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod history;
mod host;
mod lag;
mod lossy;
mod model;
mod observer;
mod player;
mod rules;
mod soak;
mod steps;
mod supervised;
mod table;
mod world;

use std::{process::ExitCode, time::Duration};

use libtest_mimic::{Arguments, Completion, Trial};
use session_tests::{bus::Kind, needs::Need, program};

/// How long the campaign of `make test` plays on each bus.
const SHORT: Duration = Duration::from_secs(45);

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    lag::measure();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "--inside", seed, bus, seconds] => return supervised::inside(seed, bus, seconds),
        [_, "--soak", minutes] => return soak::run(minutes, true),
        [_, "--supervised", minutes] => return soak::run(minutes, false),
        _ => {}
    }
    let arguments = Arguments::from_args();
    for name in ["sesame", "daemon-profile", "daemon-secrets"] {
        if !program(name).is_file() && !arguments.list {
            eprintln!("{} is missing; run: cargo build --workspace", program(name).display());
            return ExitCode::FAILURE;
        }
    }
    let mut trials = vec![Trial::test("the_pure_rules_agree_with_the_model", rules::agree)];
    for kind in Kind::ALL {
        let trial = Trial::ignorable_test("the_daemons_agree_with_the_model", move || {
            let missing = Need::of(kind).iter().find_map(|need| need.missing());
            match missing {
                Some(reason) => Ok(Completion::ignored_with(reason)),
                None => soak::short(kind, SHORT).map(|()| Completion::Completed),
            }
        });
        trials.push(trial.with_kind(kind.name()));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
