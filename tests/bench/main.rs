//! `make bench`: the release programs beside what a user would use instead, in interleaved pairs on private buses.
//! Prints one table, and writes it as JSON to the file that its first argument names, and the curves into the folder that
//! its second one names. Figures only: nothing fails by time.

// A step that fails ends the bench. It says its table on standard output.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod cold;
mod counts;
mod growth;
mod idle;
mod large;
mod least;
mod life;
mod managed;
mod plot;
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
    /// Until the daemons rest. They give back what was used at their next tick, 15 s later at most.
    settled: Duration,
}

impl Amount {
    fn of(quick: bool) -> Self {
        match quick {
            true => Self { pairs: 20, calls: 200, few: 3, rest: 5, settled: Duration::from_secs(2) },
            false => Self { pairs: 200, calls: 3000, few: 30, rest: 60, settled: Duration::from_secs(16) },
        }
    }
}

fn main() {
    if let Some(done) = managed::inside().or_else(least::answering) {
        return done;
    }
    let quick = std::env::var_os("QUICK").is_some_and(|value| value == "1");
    let amount = Amount::of(quick);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        runtime.block_on(measure(kind, amount, &mut rows));
    }
    Kind::ALL.into_iter().for_each(|kind| managed::measure(kind, quick, &mut rows));
    runtime.block_on(measure_once(amount, &mut rows));
    println!("| figure | ours, p50 (p10-p90) | theirs | ratio or figure | target | met |");
    println!("| --- | --- | --- | --- | --- | --- |");
    rows.iter().for_each(Row::print);
    let mut places = std::env::args_os().skip(1);
    let curves = runtime.block_on(growth::curves(amount));
    if let Some(path) = places.next() {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        let points =
            curves.iter().map(|curve| json!({ "figure": curve.figure, "over": curve.over, "lines": curve.lines }));
        let points: Vec<Value> = points.collect();
        let all = json!({ "machine": machine(), "quick": quick, "rows": rows, "curves": points });
        fs::write(path, serde_json::to_string_pretty(&all).unwrap()).unwrap();
    }
    if let Some(folder) = places.next() {
        for curve in curves {
            fs::write(std::path::Path::new(&folder).join(format!("{}.svg", curve.name)), curve.svg()).unwrap();
        }
    }
}

/// Where and of what it was measured.
fn machine() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let cpus = read("/proc/cpuinfo");
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let commit = std::process::Command::new("git").args(["rev-parse", "--short", "HEAD"]).output();
    json!({
        "kernel": read("/proc/sys/kernel/osrelease"),
        "processors": cpus.matches("processor\t").count(),
        "model": model.trim_start_matches([':', '\t', ' ']),
        "commit": commit.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default(),
    })
}

/// What no bus matters to, or much of it.
async fn measure_once(amount: Amount, rows: &mut Vec<Row>) {
    cold::applications(amount, rows).await;
    large::vault(amount, rows).await;
    large::unlock(amount, rows).await;
    large::sessions(amount, rows).await;
    let session = Session::start(Kind::DbusDaemon, Arc::new(Home::new())).await;
    counts::instructions(&session, rows).await;
}

async fn measure(kind: Kind, amount: Amount, rows: &mut Vec<Row>) {
    let session = Session::start(kind, Arc::new(Home::new())).await;
    life::starts(&session, amount, rows).await;
    let mut daemons = session.daemons().await;
    session.create(&["personal"]).await;
    idle::memory(kind.name(), "all locked", idle::weighed(&daemons, [1.9, 2.3]), amount, rows).await;
    session.unlock(&["personal"]).await;
    idle::memory(kind.name(), "one vault open", idle::weighed(&daemons, [1.9, 2.6]), amount, rows).await;
    let (client, vault) = (session.client().await, session.vault().await);
    warm::calls((kind, kind.name()), session.bus.address(), &client, &vault, amount, rows).await;
    drop((client, vault));
    warm::writes(&session, amount, rows).await;
    cold::programs(&session, amount, rows).await;
    warm::status_beside(&session, &mut daemons, amount, rows).await;
    life::losses(&session, &mut daemons, amount, rows).await;
    drop(daemons);
    idle::wakeups(&session, amount, rows).await;
}

fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}
