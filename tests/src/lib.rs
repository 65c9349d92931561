//! The harness of the scenarios: private buses, homes, the real daemons, the real command line, and clients that
//! look on. Everything a test starts ends with it. No rule of the daemons lives here.

// A harness fails a test by panicking, with the words that a reader of the failure needs.
#![allow(clippy::unwrap_used, clippy::panic)]

pub mod bus;
pub mod client;
pub mod fuzzed;
pub mod home;
pub mod logind;
pub mod manager;
pub mod memory;
pub mod monitor;
pub mod needs;
pub mod process;
pub mod random;
pub mod recorder;
pub mod sesame;
pub mod session;
pub mod stock_age;
pub mod suite;
pub mod user_session;

use std::{future::Future, path::PathBuf, time::Duration};

/// How long anything may take that is expected to happen at once. Generous: a machine that runs all tests is busy.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The passphrase of every vault that a test does not say otherwise about.
pub const PASSPHRASE: &str = "correct horse battery staple";

/// Awaits `event`, which must come within [`DEADLINE`].
///
/// # Panics
/// It did not come: the text says what was waited for.
pub async fn within_deadline<T>(what: &str, event: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, event).await {
        Ok(value) => value,
        Err(_) => panic!("waited {DEADLINE:?} in vain for {what}"),
    }
}

/// A program of this workspace: in the folder that `SESAME_TEST_PROGRAMS` names, or as `cargo build --workspace` leaves
/// it beside the tests.
pub fn program(name: &str) -> PathBuf {
    if let Some(folder) = std::env::var_os("SESAME_TEST_PROGRAMS") {
        return std::path::absolute(folder).expect("the folder of the programs").join(name);
    }
    let tests = std::env::current_exe().expect("the path of the running test");
    let folder = tests.ancestors().nth(2).expect("target/PROFILE above deps/");
    folder.join(name)
}
