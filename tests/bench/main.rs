//! `make bench`: the release programs beside what a user would use instead, in interleaved pairs on private buses.
//! Prints one table and writes it as JSON to the file that its argument names. Figures only: nothing fails by time.

// A step that fails ends the bench. It says its table on standard output.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod cold;
mod idle;
mod life;
mod table;
mod warm;

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use session_tests::{bus::Kind, home::Home, session::Session};
use table::Row;

/// How much is measured.
#[derive(Clone, Copy)]
struct Amount {
    /// Pairs of whole programs.
    pairs: usize,
    /// Pairs of calls.
    calls: usize,
    /// Of what takes its time: unlocks, kills, starts.
    few: usize,
    /// What stands still, in seconds.
    rest: u64,
}

fn main() {
    let quick = std::env::var_os("QUICK").is_some_and(|value| value == "1");
    let amount = if quick {
        Amount { pairs: 20, calls: 200, few: 3, rest: 5 }
    } else {
        Amount { pairs: 200, calls: 3000, few: 30, rest: 60 }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        runtime.block_on(measure(kind, amount, &mut rows));
    }
    println!("| figure | ours, p50 (p10-p90) | theirs | ratio or figure | target | met |");
    println!("| --- | --- | --- | --- | --- | --- |");
    rows.iter().for_each(Row::print);
    if let Some(path) = std::env::args_os().nth(1) {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        fs::write(path, serde_json::to_string_pretty(&json!({ "quick": quick, "rows": rows })).unwrap()).unwrap();
    }
}

async fn measure(kind: Kind, amount: Amount, rows: &mut Vec<Row>) {
    let session = Session::start(kind, Arc::new(Home::new())).await;
    life::starts(&session, amount, rows).await;
    let mut daemons = session.daemons().await;
    session.create(&["personal"]).await;
    idle::memory(&session, &daemons, "all locked", [1.9, 2.3], rows).await;
    session.unlock(&["personal"]).await;
    idle::memory(&session, &daemons, "one vault open", [1.9, 2.6], rows).await;
    warm::calls(&session, amount, rows).await;
    warm::writes(&session, amount, rows).await;
    cold::programs(&session, amount, rows).await;
    warm::status_beside(&session, &daemons, amount, rows).await;
    life::losses(&session, &mut daemons, amount, rows).await;
    drop(daemons);
    idle::wakeups(&session, amount, rows).await;
}

fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

/// Idle is after the last worker has ended and memory was given back, of which nobody tells.
const SETTLED: Duration = Duration::from_secs(2);
