//! The campaigns: a short one for each bus, and a long one on both at once, under systemd too where that can be had.

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;
use session_tests::{bus::Kind, manager::Installed, needs::Need, random::SEED};

use crate::{
    player::{self, Played},
    supervised,
    table::Table,
};

/// The seed of the environment, else one of the clock.
fn seed() -> (u64, bool) {
    match std::env::var(SEED).ok().filter(|seed| !seed.is_empty()) {
        Some(seed) => (seed.parse().expect("a seed is a number"), true),
        None => (clock_seed(), false),
    }
}

/// Another one each second.
pub fn clock_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// Plays sessions on one bus for this long; with a given seed its session alone, to its end.
///
/// # Errors
/// What was wrong.
pub fn short(kind: Kind, time: Duration) -> Result<(), Failed> {
    let (first, given) = seed();
    if given && std::env::var("BUS").is_ok_and(|bus| !bus.is_empty() && bus != kind.name()) {
        return Ok(());
    }
    let end = Instant::now() + if given { Duration::from_secs(3_600) } else { time };
    let mut table = Table::default();
    for seed in first.. {
        eprintln!("{}: SEED={seed}", kind.name());
        let Played { table: more, failure } = player::play(kind, seed, end);
        table.add(&more);
        if let Some(failure) = failure {
            return Err(failure.into());
        }
        if given || Instant::now() >= end {
            break;
        }
    }
    eprintln!("{}\n{}", kind.name(), table.lines());
    Ok(())
}

/// The long campaign: on both buses at once (`on_buses`), and under systemd on each where that can be had.
pub fn run(minutes: &str, on_buses: bool) -> ExitCode {
    let Ok(minutes) = minutes.parse::<f64>() else {
        eprintln!("how many minutes? make soak MINUTES=30");
        return ExitCode::from(2);
    };
    let (first, _) = seed();
    let end = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    println!("seed {first}, {minutes} minutes");
    let installed = Installed::new();
    let tables = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for kind in Kind::ALL {
            let (tables, installed) = (&tables, &installed);
            let needs = Need::of(kind).iter().find_map(|need| need.missing());
            let supervised = [Need::Root, Need::Mounts, Need::Manager(kind)];
            let supervised_needs = supervised.iter().find_map(|need| need.missing());
            let start = |name: String, missing: Option<String>, play: Box<dyn Fn(u64) -> Played + Send>| {
                if let Some(reason) = missing {
                    return println!("not on {name}: {reason}");
                }
                scope.spawn(move || {
                    let table = sessions(first, end, play);
                    tables.lock().unwrap_or_else(PoisonError::into_inner).insert(name, table);
                });
            };
            if on_buses {
                start(kind.name().to_owned(), needs, Box::new(move |seed| player::play(kind, seed, end)));
            }
            let name = format!("{} under systemd", kind.name());
            match installed {
                Ok(installed) => {
                    start(name, supervised_needs, Box::new(move |seed| supervised::play(kind, seed, end, installed)));
                }
                Err(reason) => println!("not on {name}: {reason}"),
            }
        }
    });
    let tables = tables.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut wrong = tables.is_empty();
    for (name, table) in tables {
        println!("\n{name}\n{}", table.lines());
        wrong |= table.wrong + table.lost > 0;
    }
    if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn sessions(first: u64, end: Instant, play: impl Fn(u64) -> Played) -> Table {
    let mut table = Table::default();
    for seed in first.. {
        if Instant::now() >= end {
            break;
        }
        let Played { table: more, failure } = play(seed);
        table.add(&more);
        if let Some(failure) = failure {
            println!("{failure}");
        }
    }
    table
}
