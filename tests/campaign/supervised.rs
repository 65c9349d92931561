//! The same histories under a real `systemd --user`: this program plays both parts, the outside that makes the session
//! and the inside that plays in it.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use session_tests::{
    bus::Kind,
    manager::{self, Installed},
    user_session::UserSession,
};

use crate::{
    history::PROFILES,
    host::Host,
    player::{self, Played},
    table::Table,
    world::World,
};

/// Begins the line that tells the outside what came of it.
const TOLD: &str = "TABLE ";
/// A session plays no longer than this, so that what it leaves in its journal stays readable.
const AT_MOST: Duration = Duration::from_secs(300);
/// What a session takes beside its history.
const AROUND: Duration = Duration::from_secs(120);

/// Plays the history of `seed` in a session of its own.
pub fn play(kind: Kind, seed: u64, end: Instant, installed: &Installed) -> Played {
    let time = end.saturating_duration_since(Instant::now()).min(AT_MOST);
    let words = [&seed.to_string(), kind.name(), &time.as_secs().to_string()];
    let output = manager::run(kind, &words, installed, time + AROUND);
    let (text, failed) = match output {
        Ok(text) => (text, false),
        Err(failed) => (failed.message().unwrap_or("it failed").to_owned(), true),
    };
    let told = text.lines().find_map(|line| serde_json::from_str::<Table>(line.strip_prefix(TOLD)?).ok());
    let mut table = told.unwrap_or_default();
    if failed && table.wrong + table.lost == 0 {
        table.wrong = 1;
    }
    Played { table, failure: failed.then_some(text) }
}

/// The part that plays inside of the session.
pub fn inside(seed: &str, bus: &str, seconds: &str) -> ExitCode {
    let kind = Kind::ALL.into_iter().find(|kind| kind.name() == bus);
    let (Some(kind), Ok(seed), Ok(seconds)) = (kind, seed.parse(), seconds.parse()) else {
        return ExitCode::from(2);
    };
    let end = Instant::now() + Duration::from_secs(seconds);
    let how = format!("SEED={seed} BUS={bus} make soak MINUTES=5");
    let Played { table, failure } = player::run(seed, &how, end, async move || {
        let session = UserSession::enter(kind);
        for profile in PROFILES {
            let target = format!("open-sesame-unlocked@{profile}.target");
            let unit = format!(
                "[Unit]\nBindsTo={target}\nAfter={target}\n[Service]\nExecStart=/bin/sleep infinity\n\
                 [Install]\nWantedBy={target}\n"
            );
            session.write(&format!(".config/systemd/user/bound-{profile}.service"), &unit);
        }
        session.systemctl(&["daemon-reload"]).await;
        for profile in PROFILES {
            session.systemctl(&["enable", &format!("bound-{profile}.service")]).await;
        }
        World::new(Host::supervised(session).await, true, seed).await
    });
    println!("{TOLD}{}", serde_json::to_string(&table).unwrap_or_default());
    match failure {
        None => ExitCode::SUCCESS,
        Some(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    }
}
