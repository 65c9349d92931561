//! Instructions, counted by valgrind: the same on a busy machine as on an idle one, so that a slide is seen.

use dbus_interfaces::vault::VaultProxy;
use rustix::process::Signal;
use session_tests::{PASSPHRASE, needs::Need, process::Process, program, session::Session, stock_age};

use crate::{
    growth,
    table::{Row, Spread},
};

const VALGRIND: [&str; 3] = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
/// Calls in the shorter run, and in the longer one: what a call costs is what the longer one takes more.
const CALLS: [usize; 2] = [100, 600];
/// Of what takes a thousand times as long.
const FEW_CALLS: [usize; 2] = [2, 12];

pub async fn instructions(session: &Session, rows: &mut Vec<Row>) {
    if let Some(reason) = Need::Program("valgrind").missing() {
        return eprintln!("skipped: {reason}");
    }
    let sesame = program("sesame");
    let sesame = sesame.to_str().unwrap();
    let daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    session.vault().await.set_secret("personal", "token", b"0123456789").await.unwrap();
    for words in [&["status"][..], &["secret", "get", "token"]] {
        let ended = session.run(&[&VALGRIND, &[sesame][..], words].concat()).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        row(rows, &format!("cold `sesame {}`", words.join(" ")), collected(&ended.stderr));
    }
    let session_tests::session::Daemons { mut profile, mut secrets } = daemons;
    ended(&mut profile).await;
    ended(&mut secrets).await;

    let status = async |calls| {
        let client = session.client().await;
        for _ in 0..calls {
            client.status().await;
        }
    };
    let hub = ("daemon-profile", "org.opensesame.Profile");
    row(rows, "a call of `Status`", per_call(session, hub, CALLS, status).await);
    let get = async |vault: &VaultProxy<'_>| drop(vault.get_secret("personal", "token").await.unwrap());
    row(rows, "a call of `GetSecret`", per_call_of_vaults(session, CALLS, get).await);

    let mut secrets = session.secrets().await;
    let key = stock_age::key(session, "personal", PASSPHRASE).await;
    growth::filled(session, &key, 10_000).await;
    ended(&mut secrets).await;
    let set = async |vault: &VaultProxy<'_>| vault.set_secret("personal", "s0", b"0123456789").await.unwrap();
    row(rows, "a call of `SetSecret` in 10,000", per_call_of_vaults(session, FEW_CALLS, set).await);
}

async fn per_call_of_vaults(session: &Session, calls: [usize; 2], call: impl AsyncFn(&VaultProxy<'_>)) -> f64 {
    let run = async |calls| {
        session.unlock(&["personal"]).await;
        let vault = session.vault().await;
        for _ in 0..calls {
            call(&vault).await;
        }
    };
    per_call(session, ("daemon-secrets", "org.opensesame.Secrets"), calls, run).await
}

/// What one call costs the daemon `name`: `run` makes as many as it is told.
async fn per_call(
    session: &Session,
    (name, bus_name): (&str, &str),
    calls: [usize; 2],
    run: impl AsyncFn(usize),
) -> f64 {
    let mut taken = Vec::new();
    for calls in calls {
        let mut daemon = counted(session, name, bus_name).await;
        run(calls).await;
        taken.push(ended(&mut daemon).await);
    }
    (taken[1] - taken[0]) / (calls[1] - calls[0]) as f64
}

fn row(rows: &mut Vec<Row>, what: &str, thousands: f64) {
    let figure = format!("{what}, thousand instructions");
    rows.push(Row { figure, ours: Spread::exactly(thousands), theirs: None, target: None });
}

async fn counted(session: &Session, name: &str, bus_name: &str) -> Process {
    let client = session.client().await;
    client.wait_until_gone(bus_name).await;
    let path = program(name);
    let process = session.recipe(name, [&VALGRIND[..], &[path.to_str().unwrap()]].concat()).start();
    client.wait_for_owner(bus_name).await;
    process
}

/// What it took, once it has ended; 0 where nobody counted.
async fn ended(process: &mut Process) -> f64 {
    process.signal(Signal::TERM);
    process.exited().await;
    if process.log().contains("Collected") { collected(&process.log()) } else { 0.0 }
}

/// Thousands of instructions, as valgrind says at its end.
fn collected(log: &str) -> f64 {
    let (_, rest) = log.rsplit_once("Collected : ").unwrap();
    rest.split_whitespace().next().unwrap().parse::<f64>().unwrap() / 1000.0
}
