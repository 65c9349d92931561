//! Calls on connections that stand: beside a Ping to the bus daemon, and while something else goes on.

use std::{fs, time::Instant};

use dbus_interfaces::vault::VaultProxy;
use rustix::process::Signal;
use session_tests::{
    PASSPHRASE,
    bus::Kind,
    client::Client,
    session::{Daemons, Session},
};

use crate::{
    Amount,
    least::{Before, Least, replace},
    micros,
    table::{Row, Spread, percentile},
};

/// Of `Status`, and of `GetSecret`.
fn targets(kind: Kind) -> (f64, f64) {
    if kind == Kind::DbusDaemon { (1.8, 0.5) } else { (2.4, 0.9) }
}

/// `place` is the bus, and what runs the daemons.
pub async fn calls(
    (kind, place): (Kind, &str),
    bus: &str,
    client: &Client,
    vault: &VaultProxy<'_>,
    amount: Amount,
    rows: &mut Vec<Row>,
) {
    let hub = client.hub().await;
    vault.set_secret("personal", "token", b"0123456789").await.unwrap();
    let driver = "org.freedesktop.DBus";
    let (path, peer) = ("/org/freedesktop/DBus", Some("org.freedesktop.DBus.Peer"));
    let (_of_status, least_hub) = Least::of_status(bus, client).await;
    let (_of_get, least_vault) = Least::of_get_secret().await;
    let mut times = [const { Vec::new() }; 5];
    for _ in 0..amount.calls {
        let [ping, status, secret, least_status, least_secret] = &mut times;
        timed(ping, client.connection.call_method(Some(driver), path, peer, "Ping", &())).await;
        timed(status, hub.status()).await;
        timed(secret, vault.get_secret("personal", "token")).await;
        timed(least_status, least_hub.status()).await;
        timed(least_secret, least_vault.get_secret("personal", "token")).await;
    }
    let [ping, status, secret, least_status, least_secret] = times.map(Spread::of);
    let targets = targets(kind);
    for (what, ours, least, target) in
        [("Status", status, least_status, targets.0), ("GetSecret", secret, least_secret, targets.1)]
    {
        let figure = format!("warm `{what}` over a Ping to the bus daemon, µs, {place}");
        rows.push(Row { figure, ours, theirs: Some(ping), target: Some(target) });
        let figure = format!("the least that answers `{what}` over a Ping to the bus daemon, µs, {place}");
        rows.push(Row { figure, ours: least, theirs: Some(ping), target: Some(target) });
    }
}

async fn timed<T, E: std::fmt::Debug>(times: &mut Vec<f64>, call: impl Future<Output = Result<T, E>>) {
    let started = Instant::now();
    call.await.unwrap();
    times.push(micros(started));
}

/// One `SetSecret` in a vault of ten, beside a file of its size that is written and synced in its place.
pub async fn writes(session: &Session, amount: Amount, rows: &mut Vec<Row>) {
    let vault = session.vault().await;
    for at in 0..9 {
        vault.set_secret("personal", &format!("other-{at}"), b"0123456789").await.unwrap();
    }
    let writes = Writes::of(session, ("token", Before::Written), amount.pairs).await;
    let (place, target) = (session.kind.name(), Some(1.2));
    let figure = format!("`SetSecret` in 10 over fsync and rename, µs, {place}");
    rows.push(Row { figure, ours: writes.ours, theirs: Some(writes.file), target });
    let figure = format!("the least that answers `SetSecret` in 10 over fsync and rename, µs, {place}");
    rows.push(Row { figure, ours: writes.least, theirs: Some(writes.file), target });
}

/// What it takes to write a vault's file.
pub struct Writes {
    /// By `SetSecret`.
    pub ours: Spread,
    /// By a process that does nothing else.
    pub least: Spread,
    /// Without another process.
    pub file: Spread,
}

impl Writes {
    /// In `personal`, which has a secret of this name already.
    pub async fn of(session: &Session, (name, before): (&str, Before), amount: usize) -> Self {
        let (vault, vaults) = (session.vault().await, session.home.vaults());
        let items = vaults.join("personal").join("items.age");
        // What is held against it is a file of the size that is written, which what was filled by hand has not.
        vault.set_secret("personal", name, b"0123456789").await.unwrap();
        let bytes = fs::read(&items).unwrap();
        let (_least, least_vault) = Least::of_set_secret(before, &vaults, &items).await;
        let (mut ours, mut least, mut file) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..amount {
            timed(&mut ours, vault.set_secret("personal", name, b"0123456789")).await;
            timed(&mut file, async { replace(&vaults, &bytes) }).await;
            timed(&mut least, least_vault.set_secret("personal", name, b"0123456789")).await;
        }
        fs::remove_file(vaults.join("bench")).unwrap();
        Self { ours: Spread::of(ours), least: Spread::of(least), file: Spread::of(file) }
    }
}

/// In turns, and idle between any two of the others: the machine is slower after a process has come or gone, whatever is done
/// then.
const TURNS: usize = 10;

/// `Status` while daemon-secrets computes a key, while it is stopped, and while it is dead.
pub async fn status_beside(session: &Session, daemons: &mut Daemons, amount: Amount, rows: &mut Vec<Row>) {
    let client = session.client().await;
    let (mut idle, mut during, mut stopped, mut dead) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let calls = amount.calls / TURNS;
        idle.append(&mut statuses(&client, calls).await);
        during.append(&mut statuses_beside_unlocks(session, &client, calls).await);
        daemons.secrets.signal(Signal::STOP);
        stopped.append(&mut statuses(&client, calls).await);
        daemons.secrets.signal(Signal::CONT);
        session.wait_until_healthy().await;
        idle.append(&mut statuses(&client, calls).await);
        daemons.secrets.kill9().await;
        client.wait_until_gone("org.opensesame.Secrets").await;
        dead.append(&mut statuses(&client, calls).await);
        daemons.secrets = session.secrets().await;
        session.wait_until_healthy().await;
        idle.append(&mut statuses(&client, calls).await);
        session.unlock(&["personal"]).await;
    }
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

/// At least so many calls, all while a key is computed.
async fn statuses_beside_unlocks(session: &Session, client: &Client, calls: usize) -> Vec<f64> {
    let (vault, secrets) = (session.vault().await, client.secrets().await);
    let mut during = Vec::new();
    while during.len() < calls {
        secrets.lock("personal").await.unwrap();
        let unlock = vault.unlock("personal", PASSPHRASE.as_bytes());
        let mut unlock = std::pin::pin!(unlock);
        loop {
            let asked = statuses(client, 1);
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
    during
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
