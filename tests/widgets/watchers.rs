//! The scripts that follow the hub's signals, across restarts.

use dbus_interfaces::profile;
use session_tests::{needs::Need, process::Process, scenarios, session::Session, suite::Suite, within_deadline};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};

use crate::example;

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[Need::Program("gjs")]); gjs_follows_the_hub);
    scenarios!(suite.on_each_bus(&[Need::Program("/usr/lib/python3/dist-packages/jeepney/__init__.py")]); python_follows_the_hub);
}

/// A script, and the lines that it prints.
struct Watcher {
    _process: Process,
    lines: Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Watcher {
    fn start(session: &Session, name: &str) -> Self {
        let mut process = session.recipe("watcher", [example(name)]).start();
        let lines = BufReader::new(process.stdout().unwrap()).lines();
        Self { _process: process, lines }
    }

    /// Reads until `wanted`: what is true only for a moment may or may not be seen.
    async fn until(&mut self, wanted: &str) {
        let mut seen = Vec::new();
        let what = format!("the line {wanted:?}");
        let read = async {
            loop {
                let line = self.lines.next_line().await.unwrap().unwrap_or_else(|| panic!("it ended after {seen:?}"));
                if line == wanted {
                    return;
                }
                seen.push(line);
            }
        };
        within_deadline(&what, read).await;
    }
}

async fn gjs_follows_the_hub(session: Session) {
    follows_the_hub(&session, "gjs/watch.js").await;
}

async fn python_follows_the_hub(session: Session) {
    follows_the_hub(&session, "python/watch.py").await;
}

async fn follows_the_hub(session: &Session, name: &str) {
    let mut watcher = Watcher::start(session, name);
    watcher.until("the health hub is not running").await;
    assert_eq!(session.client().await.owner(profile::NAME).await, None, "looking starts nothing");
    let mut daemons = session.daemons().await;
    watcher.until("no vaults health=ok").await;
    session.create(&["personal"]).await;
    watcher.until("personal=locked health=ok").await;
    session.unlock(&["personal"]).await;
    watcher.until("personal=unlocked health=ok").await;
    daemons.secrets.kill9().await;
    watcher.until("personal=locked health=degraded").await;
    daemons.secrets = session.secrets().await;
    watcher.until("personal=locked health=ok").await;
    daemons.profile.kill9().await;
    watcher.until("the health hub is not running").await;
    daemons.profile = session.profile().await;
    watcher.until("personal=locked health=ok").await;
}
