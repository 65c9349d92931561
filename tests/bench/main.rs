//! `make bench`: the release programs beside what a user would use instead, in interleaved pairs on private buses.
//! Prints one table, with what an earlier run recorded, and writes it as JSON, and the curves into a folder. Nothing fails by
//! time; with `--instructions` a hot path fails that takes more of them than is recorded.

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
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use session_tests::{bus::Kind, home::Home, session::Session};
use table::{Record, Row};
use tokio::runtime::Runtime;

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

fn main() -> ExitCode {
    if managed::inside().or_else(least::answering).is_some() {
        return ExitCode::SUCCESS;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let words: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    match &words[..] {
        [only, record] if only.as_os_str() == "--instructions" => runtime.block_on(slid(&Record::read(record))),
        [record, json, folder] => {
            measure_all(&runtime, &Record::read(record), json, folder);
            ExitCode::SUCCESS
        }
        _ => panic!("usage: bench RECORD JSON FOLDER, or bench --instructions RECORD"),
    }
}

/// Instructions alone, which are the same on every run: whether one of the hot paths takes a tenth more than is recorded.
async fn slid(record: &Record) -> ExitCode {
    let session = Session::start(Kind::DbusDaemon, Arc::new(Home::new())).await;
    let mut rows = Vec::new();
    counts::instructions(&session, &mut rows).await;
    table::print(&rows, record);
    let slid: Vec<&Row> = rows.iter().filter(|row| row.growth(record).is_none_or(|growth| growth > 0.1)).collect();
    for row in &slid {
        eprintln!("{}: a tenth more than recorded, or not recorded; `make bench` records", row.figure);
    }
    if rows.is_empty() || !slid.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn measure_all(runtime: &Runtime, record: &Record, json: &Path, folder: &Path) {
    let quick = std::env::var_os("QUICK").is_some_and(|value| value == "1");
    let amount = Amount::of(quick);
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        runtime.block_on(measure(kind, amount, &mut rows));
    }
    Kind::ALL.into_iter().for_each(|kind| managed::measure(kind, quick, &mut rows));
    runtime.block_on(measure_once(amount, &mut rows));
    table::print(&rows, record);
    let curves = runtime.block_on(growth::curves(amount));
    let rows: Vec<Value> = rows.iter().map(Row::json).collect();
    let points = curves.iter().map(|curve| json!({ "figure": curve.figure, "over": curve.over, "lines": curve.lines }));
    let points: Vec<Value> = points.collect();
    let all = json!({ "machine": machine(), "quick": quick, "rows": rows, "curves": points });
    fs::write(json, serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
    for curve in curves {
        fs::write(folder.join(format!("{}.svg", curve.name)), curve.svg()).unwrap();
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
