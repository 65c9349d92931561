//! What the daemons take while nobody asks.

use std::{fs, time::Duration};

use rustix::process::Pid;
use session_tests::{
    program,
    session::{Daemons, Session},
};

use crate::{
    Amount,
    table::{Row, Spread},
};

/// A daemon, and the most memory that it may take, in MiB.
pub type Weighed = (&'static str, Pid, f64);

/// `place` is the bus, and what runs the daemons.
pub async fn memory(place: &str, when: &str, daemons: [Weighed; 2], amount: Amount, rows: &mut Vec<Row>) {
    tokio::time::sleep(amount.settled).await;
    for (name, pid, target) in daemons {
        let [rollup, status] = ["smaps_rollup", "status"].map(|file| fs::read_to_string(of(pid, file)).unwrap());
        weigh(&format!("{when}, {place}"), (name, target), &rollup, &status, rows);
    }
}

/// By what the files `smaps_rollup` and `status` in /proc say (proc(5)).
pub fn weigh(circumstance: &str, (name, target): (&str, f64), rollup: &str, status: &str, rows: &mut Vec<Row>) {
    let figures = [("PSS, MiB", field(rollup, "Pss:") / 1024.0, target), ("threads", field(status, "Threads:"), 1.0)];
    for (what, value, target) in figures {
        let figure = format!("{name}, {what}, {circumstance}");
        let target = Some(target).filter(|target| target.is_finite());
        rows.push(Row { figure, ours: Spread::exactly(value), theirs: None, target });
    }
}

/// A file that tells of a process.
pub fn of(pid: Pid, file: &str) -> String {
    format!("/proc/{}/{file}", pid.as_raw_nonzero())
}

/// Both daemons of a session, and the most that each may take.
pub fn weighed(daemons: &Daemons, targets: [f64; 2]) -> [Weighed; 2] {
    let [profile, secrets] = targets;
    [("daemon-profile", daemons.profile.pid(), profile), ("daemon-secrets", daemons.secrets.pid(), secrets)]
}

/// What both daemons share with nobody, in MiB.
pub fn private(daemons: &Daemons) -> f64 {
    let kib = [&daemons.profile, &daemons.secrets].map(|daemon| {
        let rollup = fs::read_to_string(of(daemon.pid(), "smaps_rollup")).unwrap();
        field(&rollup, "Private_Clean:") + field(&rollup, "Private_Dirty:")
    });
    kib.iter().sum::<f64>() / 1024.0
}

/// With a watchdog of 30 s, as the units have it.
pub async fn wakeups(session: &Session, amount: Amount, rows: &mut Vec<Row>) {
    let client = session.client().await;
    let names = ["org.opensesame.Profile", "org.opensesame.Secrets"];
    // Those before, without a watchdog, were killed.
    for name in names {
        client.wait_until_gone(name).await;
    }
    let start = |name| session.recipe(name, [program(name)]).with("WATCHDOG_USEC", "30000000").start();
    let (profile, secrets) = (start("daemon-profile"), start("daemon-secrets"));
    for name in names {
        client.wait_for_owner(name).await;
    }
    session.wait_until_healthy().await;
    let daemons = [("daemon-profile", profile.pid()), ("daemon-secrets", secrets.pid())];
    rest(session.kind.name(), daemons, amount, rows).await;
}

/// How often two daemons that have a watchdog of 30 s wake while nobody asks.
pub async fn rest(place: &str, daemons: [(&str, Pid); 2], amount: Amount, rows: &mut Vec<Row>) {
    // The last worker has ended then, of which nobody tells.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let switches = |pid: Pid| field(&fs::read_to_string(of(pid, "status")).unwrap(), "voluntary_ctxt_switches:");
    let before = daemons.map(|(_, pid)| switches(pid));
    tokio::time::sleep(Duration::from_secs(amount.rest)).await;
    for ((name, pid), before) in daemons.into_iter().zip(before) {
        let figure = format!("{name}, wake-ups in {} s, {place}", amount.rest);
        let target = (amount.rest == 60).then_some(20.0);
        rows.push(Row { figure, ours: Spread::exactly(switches(pid) - before), theirs: None, target });
    }
}

/// The number behind `name` in a file of /proc.
fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
