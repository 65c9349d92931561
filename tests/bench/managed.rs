//! The daemons as a user has them: installed, under a real `systemd --user` with its own bus. This program plays both
//! parts: outside it makes the session; inside (`--inside BUS AMOUNT SESAME`) it measures, and says its rows on standard output.

use std::{fs, process::Command, time::Duration};

use session_tests::{
    bus::Kind,
    manager::{self, Installed},
    needs::Need,
    program,
    session::vault_at,
    user_session::{PROFILE_UNIT, SECRETS_UNIT, TARGET, UserSession},
};

use crate::{
    Amount, cold, idle,
    table::{Row, Spread},
    warm,
};

/// A limit against hanging.
const LIMIT: Duration = Duration::from_secs(900);

/// From the outside.
pub fn measure(kind: Kind, quick: bool, rows: &mut Vec<Row>) {
    if let Some(reason) = [Need::Root, Need::Mounts, Need::Manager(kind)].into_iter().find_map(Need::missing) {
        return eprintln!("skipped, under systemd on {}: {reason}", kind.name());
    }
    let installed = Installed::new().unwrap();
    // The session's home lies in memory, in small pieces: what is started cold is the one on the disk.
    let sesame = program("sesame");
    let words = [kind.name(), if quick { "quick" } else { "whole" }, sesame.to_str().unwrap()];
    let said = manager::run(kind, &words, &installed, LIMIT)
        .unwrap_or_else(|failed| panic!("{}", failed.message().unwrap_or_default()));
    let inside: Vec<Row> = serde_json::from_str(said.lines().last().unwrap()).unwrap();
    rows.extend(inside);
}

/// All that is done inside, where this is.
pub fn inside() -> Option<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [inside, bus, amount, sesame] = &words[..] else { return None };
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == bus).filter(|_| inside == "--inside")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let rows = runtime.block_on(measured(kind, Amount::of(amount == "quick"), sesame));
    println!("{}", serde_json::to_string(&rows).unwrap());
    Some(())
}

async fn measured(kind: Kind, amount: Amount, sesame: &str) -> Vec<Row> {
    let (session, place) = (UserSession::enter(kind), format!("{} under systemd", kind.name()));
    let mut rows = Vec::new();
    session.start().await;
    starts(&session, &place, amount, &mut rows).await;
    memory(&session, &format!("all locked, {place}"), [1.9, 2.3], amount, &mut rows).await;
    session.unlock("personal").await;
    memory(&session, &format!("one vault open, {place}"), [1.9, 2.6], amount, &mut rows).await;
    let [profile, secrets] = [session.pid(PROFILE_UNIT).await, session.pid(SECRETS_UNIT).await];
    idle::rest(&place, [("daemon-profile", profile), ("daemon-secrets", secrets)], amount, &mut rows).await;
    let (client, vault) = (session.client().await, vault_at(&session.runtime("open-sesame/secrets.socket")).await);
    warm::calls((kind, &place), &session.bus(), &client, &vault, amount, &mut rows).await;
    let run = |words: &[&str]| {
        let took = cold::timed(Command::new(words[0]).args(&words[1..]));
        took.unwrap_or_else(|| panic!("{words:?} failed"))
    };
    let figure = format!("cold `sesame status` over busctl, µs, {place}");
    rows.push(cold::pairs(run, amount, figure, (&[sesame, "status"], &cold::BUSCTL), Some(0.30)));
    rows
}

/// Root reads it: the daemons show their memory to nobody of their own user.
async fn memory(session: &UserSession, circumstance: &str, targets: [f64; 2], amount: Amount, rows: &mut Vec<Row>) {
    tokio::time::sleep(amount.settled).await;
    for (name, unit, target) in
        [("daemon-profile", PROFILE_UNIT, targets[0]), ("daemon-secrets", SECRETS_UNIT, targets[1])]
    {
        let pid = session.pid(unit).await;
        let rollup = session.as_root(&["cat", &idle::of(pid, "smaps_rollup")]).await.stdout_of_success();
        let status = fs::read_to_string(idle::of(pid, "status")).unwrap();
        idle::weigh(circumstance, (name, target), &rollup, &status, rows);
    }
}

/// From the moment that systemd makes the process until it has heard READY=1, by its own clock: what it does before the
/// exec is in it.
async fn starts(session: &UserSession, place: &str, amount: Amount, rows: &mut Vec<Row>) {
    for (name, unit) in [("daemon-profile", PROFILE_UNIT), ("daemon-secrets", SECRETS_UNIT)] {
        let mut times = Vec::new();
        for _ in 0..amount.few {
            session.systemctl(&["reset-failed", PROFILE_UNIT, SECRETS_UNIT]).await;
            session.systemctl(&["restart", unit]).await;
            let at = async |what: &str| -> f64 { session.property(unit, what).await.parse().unwrap() };
            let [made, active] =
                [at("ExecMainStartTimestampMonotonic").await, at("ActiveEnterTimestampMonotonic").await];
            times.push((active - made) / 1000.0);
        }
        let figure = format!("{name}, from the process to active, ms, {place}");
        rows.push(Row { figure, ours: Spread::of(times), theirs: None, target: None });
    }
    session.systemctl(&["start", TARGET]).await;
    session.until_report("health to be ok", |report| report.health == "ok").await;
}
