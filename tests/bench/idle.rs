//! What the daemons take while nobody asks.

use std::{fs, time::Duration};

use rustix::process::Pid;
use session_tests::{
    process::Process,
    program,
    session::{Daemons, Session},
};

use crate::{
    Amount, SETTLED,
    table::{Row, Spread},
};

pub async fn memory(session: &Session, daemons: &Daemons, when: &str, targets: [f64; 2], rows: &mut Vec<Row>) {
    tokio::time::sleep(SETTLED).await;
    for ((name, pid), target) in each(&daemons.profile, &daemons.secrets).into_iter().zip(targets) {
        let kib = field(&format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero()), "Pss:");
        let threads = field(&format!("/proc/{}/status", pid.as_raw_nonzero()), "Threads:");
        for (what, value, target) in [("PSS, MiB", kib / 1024.0, target), ("threads", threads, 1.0)] {
            let figure = format!("{name}, {what}, {when}, {}", session.kind.name());
            let target = Some(target).filter(|target| target.is_finite());
            rows.push(Row { figure, ours: Spread::exactly(value), theirs: None, target });
        }
    }
}

/// What both daemons share with nobody, in MiB.
pub fn private(daemons: &Daemons) -> f64 {
    let kib = each(&daemons.profile, &daemons.secrets).map(|(_, pid)| {
        let path = format!("/proc/{}/smaps_rollup", pid.as_raw_nonzero());
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
    tokio::time::sleep(SETTLED).await;
    let switches = |pid: Pid| field(&format!("/proc/{}/status", pid.as_raw_nonzero()), "voluntary_ctxt_switches:");
    let each = each(&profile, &secrets);
    let before = each.map(|(_, pid)| switches(pid));
    tokio::time::sleep(Duration::from_secs(amount.rest)).await;
    for ((name, pid), before) in each.into_iter().zip(before) {
        let figure = format!("{name}, wake-ups in {} s, {}", amount.rest, session.kind.name());
        let target = (amount.rest == 60).then_some(20.0);
        rows.push(Row { figure, ours: Spread::exactly(switches(pid) - before), theirs: None, target });
    }
}

fn each(profile: &Process, secrets: &Process) -> [(&'static str, Pid); 2] {
    [("daemon-profile", profile.pid()), ("daemon-secrets", secrets.pid())]
}

/// The number behind `name` in a file of /proc.
fn field(path: &str, name: &str) -> f64 {
    let text = fs::read_to_string(path).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
