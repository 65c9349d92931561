//! Plays the history of one seed, and tells what came of it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use session_tests::{bus::Kind, home::Home};

use crate::{
    history::{self, Daemon, Event, PROFILES},
    host::{Host, Private},
    table::{Outcome, Table, Violation},
    world::World,
};

/// The events of one session.
pub const LENGTH: usize = 400;
/// How many of the last ones a failure shows.
const SHOWN: usize = 25;

/// What came of a session.
pub struct Played {
    pub table: Table,
    /// What was wrong, with all that a reader needs.
    pub failure: Option<String>,
}

/// Plays the history of `seed` on a private bus, until its end or `end`.
pub fn play(kind: Kind, seed: u64, end: Instant) -> Played {
    let home = Arc::new(Home::new());
    let kept = Arc::clone(&home);
    let how = format!("SEED={seed} BUS={} make campaign", kind.name());
    let mut played = run(seed, &how, end, async move || {
        let host = Host::Private(Box::new(Private::new(kind, home).await));
        World::new(host, false, seed).await
    });
    if let Some(failure) = &mut played.failure {
        failure.push_str(&kept.logs());
    }
    played
}

/// Plays in a world that `enter` makes.
pub fn run(seed: u64, how: &str, end: Instant, enter: impl AsyncFnOnce() -> World) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut shown: Vec<String> = Vec::new();
    let mut table = Table::default();
    let played = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let mut world = enter().await;
            let outcome = all(&mut world, seed, end, &mut shown).await;
            table = world.table.clone();
            table.signals += world.observer.signals;
            outcome
        })
    }));
    table.sessions = 1;
    let violation = match played {
        Ok(Ok(())) => None,
        Ok(Err(violation)) => Some(violation),
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
            Some(Violation::Wrong(words.unwrap_or_else(|| "it panicked".into())))
        }
    };
    match &violation {
        Some(Violation::Wrong(_)) => table.wrong += 1,
        Some(Violation::Lost(_)) => table.lost += 1,
        None => {}
    }
    let failure = violation.map(|violation| {
        let from = shown.len().saturating_sub(SHOWN);
        format!("{violation}\nrepeat it: {how}\nthe last of {} steps:\n  {}\n", shown.len(), shown[from..].join("\n  "))
    });
    Played { table, failure }
}

async fn all(world: &mut World, seed: u64, end: Instant, shown: &mut Vec<String>) -> Outcome {
    let mut events = vec![Event::Start(Daemon::Profile), Event::Start(Daemon::Secrets)];
    events.extend(PROFILES.map(Event::Create));
    events.extend(history::of_seed(seed, LENGTH));
    for event in events {
        if Instant::now() >= end {
            break;
        }
        shown.push(format!("{event:?}"));
        if !world.play(&event).await? {
            shown.pop();
        }
    }
    Ok(())
}
