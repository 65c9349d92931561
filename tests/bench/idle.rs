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
        let kib = field(&format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero()), "Pss:");
        let threads = field(&format!("/proc/{}/status", pid.as_raw_nonzero()), "Threads:");
        for (what, value, target) in [("PSS, MiB", kib / 1024.0, target), ("threads", threads, 1.0)] {
            let figure = format!("{name}, {what}, {when}, {place}");
            let target = Some(target).filter(|target| target.is_finite());
            rows.push(Row { figure, ours: Spread::exactly(value), theirs: None, target });
        }
    }
}

/// Both daemons of a session, and the most that each may take.
pub fn weighed(daemons: &Daemons, targets: [f64; 2]) -> [Weighed; 2] {
    let [profile, secrets] = targets;
    [("daemon-profile", daemons.profile.pid(), profile), ("daemon-secrets", daemons.secrets.pid(), secrets)]
}

/// What both daemons share with nobody, in MiB.
pub fn private(daemons: &Daemons) -> f64 {
    let kib = [&daemons.profile, &daemons.secrets].map(|daemon| {
        let path = format!("/proc/{}/smaps_rollup", daemon.pid().as_raw_nonzero());
        field(&path, "Private_Clean:") + field(&path, "Private_Dirty:")
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
    let switches = |pid: Pid| field(&format!("/proc/{}/status", pid.as_raw_nonzero()), "voluntary_ctxt_switches:");
    let before = daemons.map(|(_, pid)| switches(pid));
    tokio::time::sleep(Duration::from_secs(amount.rest)).await;
    for ((name, pid), before) in daemons.into_iter().zip(before) {
        let figure = format!("{name}, wake-ups in {} s, {place}", amount.rest);
        let target = (amount.rest == 60).then_some(20.0);
        rows.push(Row { figure, ours: Spread::exactly(switches(pid) - before), theirs: None, target });
    }
}

/// The number behind `name` in a file of /proc.
fn field(path: &str, name: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
