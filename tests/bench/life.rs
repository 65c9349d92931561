//! How soon a daemon is ready, and how soon its death is told.

use std::{
    num::NonZero,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use session_tests::{
    program,
    session::{Daemons, Session},
    within_deadline,
};
use zbus::{MatchRule, MessageStream, message::Type};

use crate::{
    Amount, micros,
    table::{Row, Spread},
};

/// From exec to READY=1.
pub async fn starts(session: &Session, amount: Amount, rows: &mut Vec<Row>) {
    for (name, bus_name, target) in
        [("daemon-profile", "org.opensesame.Profile", 4.0), ("daemon-secrets", "org.opensesame.Secrets", 5.0)]
    {
        let mut times = Vec::new();
        for _ in 0..amount.few {
            times.push(start(session, name) / 1000.0);
            session.client().await.wait_until_gone(bus_name).await;
        }
        let figure = format!("{name}, exec to READY=1, ms, {}", session.kind.name());
        rows.push(Row { figure, ours: Spread::of(times), theirs: None, target: Some(target) });
    }
}

fn start(session: &Session, name: &str) -> f64 {
    let path = session.home.path().join("notify");
    let _ = std::fs::remove_file(&path);
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut command = Command::new(program(name));
    command.env_clear().envs(session.home.environment()).env("NOTIFY_SOCKET", &path);
    command.env("DBUS_SESSION_BUS_ADDRESS", session.bus.address());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut bytes = [0; 4096];
    loop {
        let read = socket.recv(&mut bytes).unwrap();
        if String::from_utf8_lossy(&bytes[..read]).lines().any(|line| line == "READY=1") {
            break;
        }
    }
    let took = micros(started);
    child.kill().unwrap();
    child.wait().unwrap();
    took
}

/// From the bus's word that daemon-secrets is gone to the hub's, both at one subscriber.
pub async fn losses(session: &Session, daemons: &mut Daemons, amount: Amount, rows: &mut Vec<Row>) {
    let client = session.client().await;
    let rule = |interface: &'static str, member: &'static str| {
        let rule = MatchRule::builder().msg_type(Type::Signal).interface(interface).member(member);
        rule.build().unwrap()
    };
    let owners = rule("org.freedesktop.DBus", "NameOwnerChanged");
    let changes = rule("org.opensesame.Profile", "DaemonChanged");
    let mut owners = MessageStream::for_match_rule(owners, &client.connection, NonZero::new(64)).await.unwrap();
    let mut changes = MessageStream::for_match_rule(changes, &client.connection, NonZero::new(64)).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..amount.few {
        daemons.secrets.kill9().await;
        within_deadline("the bus to tell", async {
            loop {
                let message = owners.next().await.unwrap().unwrap();
                let (name, _, new): (String, String, String) = message.body().deserialize().unwrap();
                if name == "org.opensesame.Secrets" && new.is_empty() {
                    break;
                }
            }
        })
        .await;
        let started = Instant::now();
        within_deadline("the hub to tell", async {
            loop {
                let message = changes.next().await.unwrap().unwrap();
                let (name, state, _, _): (String, String, String, String) = message.body().deserialize().unwrap();
                if name == "daemon-secrets" && state == "lost" {
                    break;
                }
            }
        })
        .await;
        times.push(micros(started) / 1000.0);
        daemons.secrets = session.secrets().await;
        session.wait_until_healthy().await;
    }
    let figure = format!("death at the bus to `DaemonChanged`, ms, {}", session.kind.name());
    rows.push(Row { figure, ours: Spread::of(times), theirs: None, target: Some(0.5) });
}
