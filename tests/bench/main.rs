//! `make bench`: the release programs beside what a user would use instead, in interleaved pairs on private buses.
//! Prints one table and writes it as JSON to the file that its argument names. Figures only: nothing fails by time.

// A step that fails ends the bench. It says its table on standard output.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::{
    fs,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Pid;
use serde_json::{Value, json};
use session_tests::{
    bus::Kind,
    home::Home,
    program,
    session::{Daemons, Session},
};

/// One line of the table. Times are in microseconds.
struct Row {
    figure: String,
    ours: Spread,
    theirs: Option<Spread>,
    target: f64,
}

/// What many runs of one thing took.
struct Spread {
    p10: f64,
    p50: f64,
    p90: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |percent: usize| values[(values.len() - 1) * percent / 100];
        Self { p10: at(10), p50: at(50), p90: at(90) }
    }

    fn text(&self) -> String {
        format!("{:.1} ({:.1}-{:.1})", self.p50, self.p10, self.p90)
    }

    fn json(&self) -> Value {
        json!({ "p10": self.p10, "p50": self.p50, "p90": self.p90 })
    }
}

impl Row {
    /// What is held against the target: the ratio where there is something else to compare with.
    fn value(&self) -> f64 {
        self.theirs.as_ref().map_or(self.ours.p50, |theirs| self.ours.p50 / theirs.p50)
    }

    fn print(&self) {
        let theirs = self.theirs.as_ref().map_or_else(|| "-".into(), Spread::text);
        let met = if self.value() <= self.target { "yes" } else { "no" };
        let (ours, value) = (self.ours.text(), self.value());
        println!("| {} | {ours} | {theirs} | {value:.2} | {} | {met} |", self.figure, self.target);
    }

    fn json(&self) -> Value {
        let theirs = self.theirs.as_ref().map(Spread::json);
        json!({ "figure": self.figure, "ours": self.ours.json(), "theirs": theirs, "value": self.value(),
            "target": self.target, "met": self.value() <= self.target })
    }
}

fn main() {
    let quick = std::env::var_os("QUICK").is_some_and(|value| value == "1");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut rows = Vec::new();
    for kind in Kind::ALL {
        runtime.block_on(measure(kind, if quick { 20 } else { 300 }, quick, &mut rows));
    }
    println!("| figure | ours, p50 (p10-p90) | theirs | ratio or figure | target | met |");
    println!("| --- | --- | --- | --- | --- | --- |");
    rows.iter().for_each(Row::print);
    if let Some(path) = std::env::args_os().nth(1) {
        let rows: Vec<Value> = rows.iter().map(Row::json).collect();
        fs::write(path, serde_json::to_string_pretty(&json!({ "quick": quick, "rows": rows })).unwrap()).unwrap();
    }
}

async fn measure(kind: Kind, pairs: usize, quick: bool, rows: &mut Vec<Row>) {
    let session = Session::start(kind, Arc::new(Home::new())).await;
    let daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    cold(&session, pairs, rows);
    warm(&session, pairs * 10, rows).await;
    idle(&session, &daemons, quick, rows).await;
}

/// Whole programs, from their start to their end.
fn cold(session: &Session, pairs: usize, rows: &mut Vec<Row>) {
    let sesame = program("sesame");
    let ours = [sesame.to_str().unwrap(), "status"];
    let name = "org.opensesame.Profile";
    let path = "/org/opensesame/Profile";
    let busctl = ["busctl", "--user", "call", name, path, name, "Status"];
    for (other, words, target) in [("busctl", &busctl[..], 0.30), ("/bin/true", &["/bin/true"], 3.2)] {
        let (mut mine, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..pairs {
            mine.push(run(session, &ours));
            theirs.push(run(session, words));
        }
        let figure = format!("cold `sesame status` over {other}, µs, {}", session.kind.name());
        rows.push(Row { figure, ours: Spread::of(mine), theirs: Some(Spread::of(theirs)), target });
    }
}

fn run(session: &Session, words: &[&str]) -> f64 {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env_clear().envs(session.home.environment());
    command.env("DBUS_SESSION_BUS_ADDRESS", session.bus.address());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let started = Instant::now();
    let status = command.status().unwrap();
    let took = started.elapsed();
    assert!(status.success(), "{words:?} ended with {status}");
    micros(took)
}

/// Round trips on a connection that stands, beside a Ping to the bus daemon itself.
async fn warm(session: &Session, pairs: usize, rows: &mut Vec<Row>) {
    let client = session.client().await;
    let (hub, vault) = (client.hub().await, session.vault().await);
    vault.set_secret("personal", "token", b"0123456789").await.unwrap();
    let driver = "org.freedesktop.DBus";
    let (path, peer) = ("/org/freedesktop/DBus", Some("org.freedesktop.DBus.Peer"));
    let (mut status, mut secret, mut ping) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..pairs {
        let started = Instant::now();
        client.connection.call_method(Some(driver), path, peer, "Ping", &()).await.unwrap();
        ping.push(micros(started.elapsed()));
        let started = Instant::now();
        hub.status().await.unwrap();
        status.push(micros(started.elapsed()));
        let started = Instant::now();
        vault.get_secret("personal", "token").await.unwrap();
        secret.push(micros(started.elapsed()));
    }
    let targets = if session.kind == Kind::DbusDaemon { (1.8, 0.5) } else { (2.4, 0.9) };
    for (what, values, target) in [("Status", status, targets.0), ("GetSecret", secret, targets.1)] {
        let figure = format!("warm `{what}` over a Ping to the bus daemon, µs, {}", session.kind.name());
        rows.push(Row { figure, ours: Spread::of(values), theirs: Some(Spread::of(ping.clone())), target });
    }
}

/// What the daemons take while nobody asks: no watchdog is set here, so the wake-ups are without ticks.
async fn idle(session: &Session, daemons: &Daemons, quick: bool, rows: &mut Vec<Row>) {
    let seconds = if quick { 5 } else { 60 };
    let each = [("daemon-profile", daemons.profile.pid(), 1.9), ("daemon-secrets", daemons.secrets.pid(), 2.6)];
    let settled = Duration::from_secs(2);
    tokio::time::sleep(settled).await;
    let before = each.map(|(_, pid, _)| status_of(pid, "voluntary_ctxt_switches:"));
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    for ((name, pid, pss), before) in each.into_iter().zip(before) {
        let switches = (status_of(pid, "voluntary_ctxt_switches:") - before) * 60.0 / seconds as f64;
        let kib = field(&format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero()), "Pss:");
        let threads = status_of(pid, "Threads:");
        let bus = session.kind.name();
        for (what, value, target) in [
            ("PSS, MiB, one vault open", kib / 1024.0, pss),
            ("threads", threads, 1.0),
            ("wake-ups a minute without a watchdog", switches, 20.0),
        ] {
            let figure = format!("{name}, {what}, {bus}");
            rows.push(Row { figure, ours: Spread::of(vec![value]), theirs: None, target });
        }
    }
}

fn status_of(pid: Pid, name: &str) -> f64 {
    field(&format!("/proc/{}/status", pid.as_raw_nonzero()), name)
}

/// The number behind `name` in a file of /proc.
fn field(path: &str, name: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
