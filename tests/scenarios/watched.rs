//! `status --watch`, `wait` and `events` against the real daemons: what they tell, what they survive, when they end.

use std::{process::Stdio, time::Duration};

use dbus_interfaces::{profile, secrets};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use session_tests::{DEADLINE, bus::Bus, program, scenarios, session::Session, suite::Suite, within_deadline};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        a_watch_tells_each_change_and_survives_every_end,
        events_tell_every_change_in_order,
        events_say_what_was_missed,
        events_tell_who_read_a_secret,
        wait_returns_when_it_is_so,
        wait_waits_for_what_is_not_there,
        a_hub_that_hangs_is_found_by_the_ticks_that_do_not_come,
        a_watcher_ends_at_once,
        a_waiting_wait_uses_no_processor,
    );
}

/// A running watcher, and what it prints.
pub struct Watcher {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watcher {
    pub fn start(session: &Session, words: &[&str]) -> Self {
        // Whoever runs the tests may ignore SIGHUP, as nohup does, and so would their children.
        let mut command = Command::new("/usr/bin/env");
        command.arg("--default-signal=HUP").arg(program("sesame"));
        command.args(words).env_clear().envs(session.home.environment()).current_dir(session.home.path());
        command.env("DBUS_SESSION_BUS_ADDRESS", session.bus.address());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        let line = within_deadline("a line of a watcher", self.lines.next_line()).await.unwrap();
        line.expect("a watcher that goes on")
    }

    /// Reads on until a line is `expected`.
    async fn until(&mut self, expected: &str) {
        let mut seen = Vec::new();
        let found = async {
            while let Some(line) = self.lines.next_line().await.unwrap() {
                if line == expected {
                    return;
                }
                seen.push(line);
            }
            panic!("it ended");
        };
        let found = tokio::time::timeout(DEADLINE, found).await;
        assert!(found.is_ok(), "no {expected:?}, but {seen:?}");
    }

    pub async fn event(&mut self) -> Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap()
    }

    async fn code(&mut self) -> i32 {
        within_deadline("the end of a watcher", self.child.wait()).await.unwrap().code().unwrap_or(-1)
    }
}

/// `event`, and what it is about, old and new.
fn words(event: &Value) -> Value {
    let about = if event["profile"].is_null() { &event["daemon"] } else { &event["profile"] };
    json!([event["event"], about, event["old"], event["new"], event["reason"]])
}

async fn a_watch_tells_each_change_and_survives_every_end(mut session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    let mut watch = Watcher::start(&session, &["status", "--watch"]);
    assert_eq!(watch.line().await, "personal=locked work=locked health=ok");
    session.unlock(&["personal"]).await;
    assert_eq!(watch.line().await, "personal=unlocked work=locked health=ok");
    session.sesame(&["profile", "deactivate", "personal"]).await.stdout_of_success();
    assert_eq!(watch.line().await, "personal=unlocked,not-active work=locked health=ok");

    daemons.secrets.kill9().await;
    watch.until("personal=locked,assumed work=locked,assumed health=degraded").await;
    daemons.secrets = session.secrets().await;
    watch.until("personal=locked work=locked health=ok").await;

    daemons.profile.kill9().await;
    assert_eq!(watch.line().await, "vaults=unknown health=unknown error=no-hub");
    daemons.profile = session.profile().await;
    watch.until("personal=locked work=locked health=ok").await;

    session.bus.process().kill9().await;
    watch.until("vaults=unknown health=unknown error=no-bus").await;
    within_deadline("the daemons' end", async {
        daemons.profile.exited().await;
        daemons.secrets.exited().await;
    })
    .await;
    session.bus = Bus::start(session.kind, &session.home).await;
    let _daemons = session.daemons().await;
    watch.until("personal=locked work=locked health=ok").await;
    watch.signal(Signal::TERM);
    assert_eq!(watch.code().await, 0);
}

async fn events_tell_every_change_in_order(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal"]).await;
    let mut watch = Watcher::start(&session, &["events", "--format", "json"]);
    let first = watch.event().await;
    assert_eq!((&first["event"], &first["seq"], &first["missed"]), (&json!("snapshot"), &json!(1), &Value::Null));
    assert_eq!(first["new"]["lock_state"], json!({"personal": true}));
    let hub_id = first["hub_id"].clone();
    assert_eq!(hub_id.as_str().unwrap().len(), 32);

    session.unlock(&["personal"]).await;
    session.create(&["work"]).await;
    session.sesame(&["profile", "default", "work"]).await.stdout_of_success();
    session.sesame(&["lock", "-p", "personal"]).await.stdout_of_success();
    let (open, shut) = (json!({"locked": false, "active": true}), json!({"locked": true, "active": false}));
    let mut seq = 1;
    for expected in [
        json!(["vault-changed", "personal", shut, open, "user"]),
        json!(["vault-changed", "work", null, shut, "created"]),
        json!(["default-changed", null, "personal", "work", null]),
        json!(["vault-changed", "personal", open, shut, "user"]),
    ] {
        let event = watch.event().await;
        seq += 1;
        assert_eq!((words(&event), &event["seq"], &event["hub_id"]), (expected, &json!(seq), &hub_id), "{event}");
        assert!(event["time"].as_str().unwrap().ends_with('Z'), "{event}");
    }

    session.unlock(&["personal"]).await;
    watch.event().await;
    daemons.secrets.kill9().await;
    let mut told = Vec::new();
    while !told.iter().any(|event: &Value| event["event"] == "daemon-lost") {
        told.push(watch.event().await);
    }
    let told: Vec<_> = told.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told[..3], ["health-changed", "vault-changed", "daemon-changed"], "{told:?}");
    daemons.secrets = session.secrets().await;
    let mut seqs = Vec::new();
    loop {
        let event = watch.event().await;
        seqs.push(event["seq"].as_u64().unwrap());
        if event["event"] == "health-changed" && event["new"] == "ok" {
            break;
        }
    }
    assert!(seqs.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{seqs:?}");
}

async fn events_say_what_was_missed(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal"]).await;
    let mut watch = Watcher::start(&session, &["events", "--format", "json"]);
    watch.event().await;
    daemons.profile.kill9().await;
    assert_eq!(words(&watch.event().await), json!(["daemon-changed", "daemon-profile", "running", "lost", "unknown"]));
    assert_eq!(words(&watch.event().await), json!(["health-changed", null, "ok", "unknown", "daemon-lost"]));
    // Nobody tells of it.
    session.unlock(&["personal"]).await;
    daemons.profile = session.profile().await;
    session.wait_until_healthy().await;
    let mut last = watch.event().await;
    assert_eq!((&last["event"], &last["missed"]), (&json!("snapshot"), &json!(true)), "{last}");
    // The new hub may have been asked before daemon-secrets has reported to it.
    while last["event"] != "vault-changed" && last["new"]["lock_state"] != json!({"personal": false}) {
        last = watch.event().await;
    }
}

async fn events_tell_who_read_a_secret(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    session.sesame_fed(&["secret", "set", "db-url"], b"postgres://x").await.stdout_of_success();
    let mut watch = Watcher::start(&session, &["events", "--format", "json"]);
    watch.event().await;
    // Not from the owner of the name: not believed.
    let client = session.client().await;
    let forged = ("personal", "db-url", 1_u32, "evil.service");
    client.forge(None, secrets::PATH, secrets::INTERFACE, "SecretRead", &forged).await;
    session.sesame(&["secret", "get", "db-url"]).await.stdout_of_success();
    let event = watch.event().await;
    assert_eq!((&event["event"], &event["profile"]), (&json!("secret-read"), &json!("personal")), "{event}");
    assert_eq!(event["new"]["name"], "db-url");
    assert!(event["new"]["pid"].as_u64().unwrap() > 1, "{event}");
    assert!(!event.to_string().contains("postgres"), "{event}");
}

async fn wait_returns_when_it_is_so(session: Session) {
    let daemons = session.daemons().await;
    session.create(&["personal"]).await;
    for (words, code) in [
        (&["wait", "running"][..], 0),
        (&["wait", "locked", "--timeout", "5m"], 0),
        (&["wait", "unlocked", "--timeout", "0.3"], 8),
        (&["wait", "unlocked", "-p", "nobody"], 7),
        (&["wait", "healthy", "-p", "personal"], 2),
        (&["wait", "open"], 2),
    ] {
        assert_eq!(session.sesame(words).await.code, code, "{words:?}");
    }
    let mut wait = Watcher::start(&session, &["wait", "active"]);
    session.unlock(&["personal"]).await;
    assert_eq!(wait.code().await, 0);
    // A daemon that hangs is neither locked nor unlocked.
    daemons.secrets.signal(Signal::STOP);
    // The hub looks for a hang when it is asked.
    let found = async { while session.sesame(&["is", "unlocked"]).await.code != 5 {} };
    within_deadline("the hang to be found", found).await;
    let vain = session.sesame(&["wait", "locked", "--timeout", "0.5"]).await.stderr_of(8);
    assert!(vain.contains("last-known"), "{vain}");
    daemons.secrets.signal(Signal::CONT);
    session.sesame(&["wait", "unlocked", "--timeout", "1m"]).await.stdout_of_success();
}

async fn wait_waits_for_what_is_not_there(mut session: Session) {
    let mut watch = Watcher::start(&session, &["status", "--watch", "--format", "json"]);
    assert_eq!(watch.event().await["error"]["code"], 3);
    let vain = session.sesame(&["wait", "locked", "--timeout", "0.5"]).await.stderr_of(8);
    assert!(vain.contains("error=no-hub"), "{vain}");
    session.bus.process().kill9().await;
    assert_eq!(watch.event().await["error"]["code"], 4);
    let mut running = Watcher::start(&session, &["wait", "running"]);
    let mut locked = Watcher::start(&session, &["wait", "locked"]);
    session.bus = Bus::start(session.kind, &session.home).await;
    let _profile = session.profile().await;
    // The hub's empty map says nothing of a vault.
    session.client().await.wait_for_owner(profile::NAME).await;
    assert_eq!(session.sesame(&["wait", "locked", "--timeout", "1"]).await.code, 8);
    let _secrets = session.secrets().await;
    assert_eq!(running.code().await, 0);
    while watch.event().await["health"] != "ok" {}
    // It has reported now: there is no vault of this name.
    assert_eq!(locked.code().await, 7);
}

async fn a_hub_that_hangs_is_found_by_the_ticks_that_do_not_come(session: Session) {
    // A tick each second, in place of one in fifteen.
    let hub = session.recipe("daemon-profile", [program("daemon-profile")]).with("WATCHDOG_USEC", "2000000").start();
    session.client().await.wait_for_owner(profile::NAME).await;
    let _secrets = session.secrets().await;
    session.wait_until_healthy().await;
    session.create(&["personal"]).await;
    let mut watch = Watcher::start(&session, &["status", "--watch"]);
    watch.until("personal=locked health=ok").await;
    hub.signal(Signal::STOP);
    assert_eq!(watch.line().await, "vaults=unknown health=unknown error=no-answer");
    hub.signal(Signal::CONT);
    watch.until("personal=locked health=ok").await;
}

async fn a_watcher_ends_at_once(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    for words in [&["events"][..], &["status", "--watch"], &["status", "--watch", "--format", "waybar"]] {
        for signal in [Some(Signal::TERM), Some(Signal::INT), None] {
            let mut watch = Watcher::start(&session, words);
            watch.line().await;
            match signal {
                Some(signal) => watch.signal(signal),
                // The reader goes. Nothing is written that could fail.
                None => drop(std::mem::replace(&mut watch.lines, nothing().await)),
            }
            assert_eq!(watch.code().await, 0, "{words:?} {signal:?}");
        }
    }
    let mut wait = Watcher::start(&session, &["wait", "unlocked"]);
    until_asleep(wait.pid()).await;
    wait.signal(Signal::TERM);
    assert_eq!(wait.code().await, 0);
    let mut wait = Watcher::start(&session, &["wait", "unlocked"]);
    until_asleep(wait.pid()).await;
    wait.signal(Signal::HUP);
    assert_eq!(wait.code().await, -1, "a shell does not go on when the terminal ends");
}

/// The output of a program that has ended.
async fn nothing() -> Lines<BufReader<ChildStdout>> {
    let mut child = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
    child.wait().await.unwrap();
    BufReader::new(child.stdout.take().unwrap()).lines()
}

async fn a_waiting_wait_uses_no_processor(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    let mut wait = Watcher::start(&session, &["wait", "unlocked"]);
    let pid = wait.pid();
    until_asleep(pid).await;
    let before = switches(pid);
    // A measure of silence, shorter than a tick.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let woken = switches(pid) - before;
    // One tick may fall in: the signals of the tick and of a reconciliation, and the answers.
    assert!(woken <= 12, "woken {woken} times in 5 s");
    session.unlock(&["personal"]).await;
    assert_eq!(wait.code().await, 0);
}

/// How often it gave up the processor.
pub fn switches(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_pid())).unwrap();
    let lines = status.lines().filter_map(|line| line.split_once("voluntary_ctxt_switches:"));
    lines.map(|(_, count)| count.trim().parse::<u64>().unwrap()).sum()
}

/// Waits until it has done nothing for a while.
async fn until_asleep(pid: Pid) {
    let asleep = async {
        let mut before = 0;
        loop {
            let now = switches(pid);
            if now == before && now > 3 {
                return;
            }
            before = now;
            tokio::time::sleep(Duration::from_millis(700)).await;
        }
    };
    within_deadline("a program to fall asleep", asleep).await;
}
