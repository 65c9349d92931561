//! Calls on connections that stand: beside a Ping to the bus daemon, and while something else goes on.

use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Instant,
};

use dbus_interfaces::vault::VaultProxy;
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

/// Of `Status`, and of `GetSecret`.
fn targets(kind: Kind) -> (f64, f64) {
    if kind == Kind::DbusDaemon { (1.8, 0.5) } else { (2.4, 0.9) }
}

/// `place` is the bus, and what runs the daemons.
pub async fn calls(
    (kind, place): (Kind, &str),
    client: &Client,
    vault: &VaultProxy<'_>,
    amount: Amount,
    rows: &mut Vec<Row>,
) {
    let hub = client.hub().await;
    vault.set_secret("personal", "token", b"0123456789").await.unwrap();
    let driver = "org.freedesktop.DBus";
    let (path, peer) = ("/org/freedesktop/DBus", Some("org.freedesktop.DBus.Peer"));
    let (mut status, mut secret, mut ping) = (Vec::new(), Vec::new(), Vec::new());
    let (mut echo, mut echoes) = (Echo::start(), Vec::new());
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
    for _ in 0..amount.calls {
        let started = Instant::now();
        echo.round();
        echoes.push(micros(started));
    }
    let (ping, secret) = (Spread::of(ping), Spread::of(secret));
    let targets = targets(kind);
    for (what, values, target) in [("Status", Spread::of(status), targets.0), ("GetSecret", secret, targets.1)] {
        let figure = format!("warm `{what}` over a Ping to the bus daemon, µs, {place}");
        rows.push(Row { figure, ours: values, theirs: Some(ping), target: Some(target) });
    }
    let figure = format!("warm `GetSecret` over a bare echo of its bytes, µs, {place}");
    rows.push(Row { figure, ours: secret, theirs: Some(Spread::of(echoes)), target: None });
}

/// The least that a call over a socket can take on this machine: a thread gives back as much as `GetSecret` does.
struct Echo(UnixStream);

impl Echo {
    const CALL: usize = 170;
    const ANSWER: usize = 46;

    fn start() -> Self {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        std::thread::spawn(move || {
            while theirs.read_exact(&mut [0; Self::CALL]).is_ok() && theirs.write_all(&[0; Self::ANSWER]).is_ok() {}
        });
        Self(ours)
    }

    fn round(&mut self) {
        self.0.write_all(&[0; Self::CALL]).unwrap();
        self.0.read_exact(&mut [0; Self::ANSWER]).unwrap();
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
