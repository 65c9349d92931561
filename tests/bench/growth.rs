//! How figures grow: with vaults, with secrets, with subscribers, with callers.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use session_tests::{PASSPHRASE, bus::Kind, client::Client, home::Home, session::Session, stock_age};
use tokio::time::Instant;

use crate::{
    Amount,
    least::Before,
    micros,
    plot::Curve,
    table::Spread,
    warm::{self, Writes},
};

/// Every curve, with a line for each bus where the bus matters.
pub async fn curves(amount: Amount) -> Vec<Curve> {
    let [mut vaults, mut secrets, mut subscribers, mut callers] = [
        ("growth-vaults", "µs: one Status, one Lock", "vaults"),
        ("growth-secrets", "µs: one SetSecret", "secrets in the vault"),
        ("growth-subscribers", "µs: one Lock, until it is answered", "subscribers of the hub's signals"),
        ("growth-callers", "calls a second", "callers at once"),
    ]
    .map(|(name, figure, over)| Curve { name, figure, over, lines: Vec::new() });
    for kind in Kind::ALL {
        vaults.lines.extend(over_vaults(kind, amount).await);
        subscribers.lines.push((format!("Lock, {}", kind.name()), over_subscribers(kind, amount).await));
        callers.lines.extend(over_callers(kind, amount).await);
    }
    secrets.lines = over_secrets(amount).await;
    vec![vaults, secrets, subscribers, callers]
}

async fn fresh(kind: Kind) -> (Session, session_tests::session::Daemons) {
    let session = Session::start(kind, Arc::new(Home::new())).await;
    let daemons = session.daemons().await;
    (session, daemons)
}

/// The median of a few locks of `personal`.
async fn lock(session: &Session, client: &Client, few: usize) -> f64 {
    let (secrets, vault) = (client.secrets().await, session.vault().await);
    let mut times = Vec::new();
    for _ in 0..few {
        vault.unlock("personal", PASSPHRASE.as_bytes()).await.unwrap();
        let started = std::time::Instant::now();
        secrets.lock("personal").await.unwrap();
        times.push(micros(started));
    }
    Spread::of(times).p50
}

async fn over_vaults(kind: Kind, amount: Amount) -> Vec<(String, Vec<(f64, f64)>)> {
    let (session, _daemons) = fresh(kind).await;
    let client = session.client().await;
    session.create(&["personal"]).await;
    let (mut status, mut locks) = (Vec::new(), Vec::new());
    for count in [1, 2, 4, 8, 16, 32, 64_u32] {
        for at in count / 2..count {
            if at > 0 {
                session.create(&[&format!("other-{at}")]).await;
            }
        }
        let times = warm::statuses(&client, amount.calls / 5).await;
        status.push((f64::from(count), Spread::of(times).p50));
        locks.push((f64::from(count), lock(&session, &client, amount.few).await));
    }
    vec![(format!("Status, {}", kind.name()), status), (format!("Lock, {}", kind.name()), locks)]
}

async fn over_secrets(amount: Amount) -> Vec<(String, Vec<(f64, f64)>)> {
    let (session, _daemons) = fresh(Kind::DbusDaemon).await;
    session.create(&["personal"]).await;
    let key = stock_age::key(&session, "personal", PASSPHRASE).await;
    let [mut ours, mut least, mut file] = [const { Vec::new() }; 3];
    for count in [1, 10, 100, 1000, 10_000_u32] {
        filled(&session, &key, count).await;
        let writes = Writes::of(&session, ("s0", Before::Sealed), amount.few).await;
        for (line, spread) in [(&mut ours, writes.ours), (&mut least, writes.least), (&mut file, writes.file)] {
            line.push((f64::from(count), spread.p50));
        }
    }
    let least_name = "age alone, in a process that answers";
    vec![("SetSecret".into(), ours), (least_name.into(), least), ("fsync and rename".into(), file)]
}

/// Puts `count` secrets into `personal`, and unlocks it.
pub async fn filled(session: &Session, key: &stock_age::Key, count: u32) {
    session.client().await.secrets().await.lock("personal").await.unwrap();
    let items = (0..count).map(|n| {
        format!(
            r#"{{"name":"s{n}","value":"0123456789","label":"s{n}","attributes":{{"n":"{n}","server":"example.org"}}}}"#
        )
    });
    let items: Vec<String> = items.collect();
    let json = format!(r#"{{"format":1,"profile":"personal","items":[{}]}}"#, items.join(","));
    stock_age::fill(session, "personal", key, &json).await;
    session.unlock(&["personal"]).await;
}

async fn over_subscribers(kind: Kind, amount: Amount) -> Vec<(f64, f64)> {
    let (session, _daemons) = fresh(kind).await;
    let client = session.client().await;
    session.create(&["personal"]).await;
    let (mut subscribers, mut points) = (Vec::new(), Vec::new());
    for count in [1, 10, 100, 300, 1000] {
        while subscribers.len() < count {
            let subscriber = session.client().await;
            let rule = "type='signal',sender='org.opensesame.Profile'";
            let driver = "org.freedesktop.DBus";
            let added = subscriber.connection.call_method(
                Some(driver),
                "/org/freedesktop/DBus",
                Some(driver),
                "AddMatch",
                &rule,
            );
            if let Err(cause) = added.await {
                eprintln!("skipped: more than {} subscribers: {cause}", subscribers.len());
                return points;
            }
            subscribers.push(subscriber);
        }
        points.push((count as f64, lock(&session, &client, amount.few).await));
    }
    points
}

async fn over_callers(kind: Kind, amount: Amount) -> Vec<(String, Vec<(f64, f64)>)> {
    let (session, _daemons) = fresh(kind).await;
    let mut clients = Vec::new();
    let (mut status, mut ping) = (Vec::new(), Vec::new());
    for count in [1, 2, 5, 10, 20, 50, 100, 200] {
        while clients.len() < count {
            clients.push(session.client().await);
        }
        let time = Duration::from_millis(100 * amount.rest.min(10));
        status.push((count as f64, rate(&clients, time, Called::Status).await));
        ping.push((count as f64, rate(&clients, time, Called::Ping).await));
    }
    vec![(format!("Status, {}", kind.name()), status), (format!("Ping of {}", kind.name()), ping)]
}

#[derive(Clone, Copy)]
enum Called {
    Status,
    Ping,
}

/// Calls a second, of all clients at once, each after its last answer.
async fn rate(clients: &[Client], time: Duration, called: Called) -> f64 {
    let end = Instant::now() + time;
    let counts = clients.iter().map(|client| async move {
        let mut count = 0_u32;
        while Instant::now() < end {
            let (name, path, interface, member) = match called {
                Called::Status => {
                    ("org.opensesame.Profile", "/org/opensesame/Profile", "org.opensesame.Profile", "Status")
                }
                Called::Ping => ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Peer", "Ping"),
            };
            client.connection.call_method(Some(name), path, Some(interface), member, &()).await.unwrap();
            count += 1;
        }
        count
    });
    let all: u32 = join_all(counts).await.into_iter().sum();
    f64::from(all) / time.as_secs_f64()
}
