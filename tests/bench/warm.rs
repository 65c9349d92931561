//! Calls on connections that stand: beside a Ping to the bus daemon, and while something else goes on.

use std::{
    fs::{self, File},
    io::Write,
    time::Instant,
};

use rustix::process::Signal;
use session_tests::{
    PASSPHRASE,
    bus::Kind,
    client::Client,
    session::{Daemons, Session},
};

use crate::{
    Amount, micros,
    table::{Row, Spread, percentile},
};

pub async fn calls(session: &Session, amount: Amount, rows: &mut Vec<Row>) {
    let client = session.client().await;
    let (hub, vault) = (client.hub().await, session.vault().await);
    vault.set_secret("personal", "token", b"0123456789").await.unwrap();
    let driver = "org.freedesktop.DBus";
    let (path, peer) = ("/org/freedesktop/DBus", Some("org.freedesktop.DBus.Peer"));
    let (mut status, mut secret, mut ping) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..amount.calls {
        let started = Instant::now();
        client.connection.call_method(Some(driver), path, peer, "Ping", &()).await.unwrap();
        ping.push(micros(started));
        let started = Instant::now();
        hub.status().await.unwrap();
        status.push(micros(started));
        let started = Instant::now();
        vault.get_secret("personal", "token").await.unwrap();
        secret.push(micros(started));
    }
    let ping = Spread::of(ping);
    let targets = if session.kind == Kind::DbusDaemon { (1.8, 0.5) } else { (2.4, 0.9) };
    for (what, values, target) in [("Status", status, targets.0), ("GetSecret", secret, targets.1)] {
        let figure = format!("warm `{what}` over a Ping to the bus daemon, µs, {}", session.kind.name());
        rows.push(Row { figure, ours: Spread::of(values), theirs: Some(ping), target: Some(target) });
    }
}

/// One `SetSecret` in a vault of ten, beside a file of its size that is written and synced in its place.
pub async fn writes(session: &Session, amount: Amount, rows: &mut Vec<Row>) {
    let vault = session.vault().await;
    for at in 0..9 {
        vault.set_secret("personal", &format!("other-{at}"), b"0123456789").await.unwrap();
    }
    let (ours, theirs) = pairs_of_writes(session, "token", amount.pairs).await;
    let figure = format!("`SetSecret` in 10 over fsync and rename, µs, {}", session.kind.name());
    rows.push(Row { figure, ours: Spread::of(ours), theirs: Some(Spread::of(theirs)), target: Some(1.2) });
}

/// In `personal`, which has a secret of this name already.
pub async fn pairs_of_writes(session: &Session, name: &str, pairs: usize) -> (Vec<f64>, Vec<f64>) {
    let vault = session.vault().await;
    let folder = session.home.vaults().join("personal");
    let bytes = fs::read(folder.join("items.age")).unwrap();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (temporary, place) = (session.home.vaults().join("bench.new"), session.home.vaults().join("bench"));
    for _ in 0..pairs {
        let started = Instant::now();
        vault.set_secret("personal", name, b"0123456789").await.unwrap();
        ours.push(micros(started));
        let started = Instant::now();
        let mut file = File::create(&temporary).unwrap();
        file.write_all(&bytes).unwrap();
        file.sync_all().unwrap();
        fs::rename(&temporary, &place).unwrap();
        File::open(session.home.vaults()).unwrap().sync_all().unwrap();
        theirs.push(micros(started));
    }
    fs::remove_file(&place).unwrap();
    (ours, theirs)
}

/// `Status` while daemon-secrets computes a key, while it is stopped, and while it is dead.
pub async fn status_beside(session: &Session, daemons: &mut Daemons, amount: Amount, rows: &mut Vec<Row>) {
    let client = session.client().await;
    let idle = statuses(&client, amount.calls).await;
    let (vault, secrets) = (session.vault().await, client.secrets().await);
    let mut during = Vec::new();
    while during.len() < amount.calls {
        secrets.lock("personal").await.unwrap();
        let unlock = vault.unlock("personal", PASSPHRASE.as_bytes());
        let mut unlock = std::pin::pin!(unlock);
        loop {
            let asked = statuses(&client, 1);
            tokio::select! {
                biased;
                mut took = asked => during.append(&mut took),
                unlocked = &mut unlock => { unlocked.unwrap(); break }
            }
            if futures_util::poll!(&mut unlock).is_ready() {
                break;
            }
        }
    }
    daemons.secrets.signal(Signal::STOP);
    let stopped = statuses(&client, amount.calls).await;
    daemons.secrets.signal(Signal::CONT);
    session.wait_until_healthy().await;
    daemons.secrets.kill9().await;
    client.wait_until_gone("org.opensesame.Secrets").await;
    let dead = statuses(&client, amount.calls).await;
    daemons.secrets = session.secrets().await;
    session.wait_until_healthy().await;
    session.unlock(&["personal"]).await;
    let bus = session.kind.name();
    let p99 = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        Spread::exactly(percentile(&values, 99))
    };
    let figure = format!("`Status` p99 during an unlock over idle, µs, {bus}");
    rows.push(Row { figure, ours: p99(during), theirs: Some(p99(idle.clone())), target: Some(2.0) });
    let idle = Spread::of(idle);
    for (what, times) in [("stopped", stopped), ("dead", dead)] {
        let figure = format!("`Status` with daemon-secrets {what} over idle, µs, {bus}");
        rows.push(Row { figure, ours: Spread::of(times), theirs: Some(idle), target: Some(1.1) });
    }
}

/// How long each of so many calls of `Status` takes.
pub async fn statuses(client: &Client, calls: usize) -> Vec<f64> {
    let mut times = Vec::new();
    for _ in 0..calls {
        let started = Instant::now();
        client.status().await;
        times.push(micros(started));
    }
    times
}
