//! A session and its model, side by side: what is compared after each step, and what is waited for.

use std::{
    collections::BTreeMap,
    future::Future,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use dbus_interfaces::{
    Error,
    profile::{ProfileProxy, Report},
    secrets::SecretsProxy,
    vault::VaultProxy,
};
use session_tests::{DEADLINE, random::Random};
use zbus::connection::Builder;

use crate::{
    ensure,
    history::{Daemon, PROFILES},
    host::{Host, program_name},
    lag,
    model::{Expected, Life, Model, Refusal, Row},
    observer::Observer,
    table::{Outcome, Table, Violation},
};

/// Within this an answer from memory is there, and a watched hang is seen (contract, section 2); `sesame` waits no
/// longer for one.
pub const PROMPT: Duration = Duration::from_secs(2);
/// Between two looks at what tells nobody of its changes.
pub const LOOK: Duration = Duration::from_millis(20);

/// A session, and what should be so.
pub struct World {
    pub host: Host,
    pub model: Model,
    pub observer: Observer,
    pub random: Random,
    pub table: Table,
    pub clock: i64,
    step: usize,
}

impl World {
    /// A world without vaults and daemons.
    pub async fn new(host: Host, supervised: bool, seed: u64) -> Self {
        let observer = Observer::start(&host.address()).await;
        let (model, random) = (Model::new(supervised), Random::of(seed));
        Self { host, model, observer, random, table: Table::default(), clock: 0, step: 0 }
    }

    /// The hub.
    pub async fn hub(&self) -> ProfileProxy<'static> {
        self.observer.client.hub().await
    }

    /// daemon-secrets on the bus.
    pub async fn secrets(&self) -> SecretsProxy<'static> {
        self.observer.client.secrets().await
    }

    /// A new connection to the private socket.
    pub async fn vault(&self) -> Outcome<VaultProxy<'static>> {
        let stream = UnixStream::connect(self.host.socket());
        ensure!(stream.is_ok(), "nobody listens on the private socket: {stream:?}");
        let stream = stream.expect("checked just now");
        let connecting = Builder::unix_stream(stream).p2p().method_timeout(DEADLINE).build();
        let connection = connecting.await;
        ensure!(connection.is_ok(), "no connection to the private socket: {connection:?}");
        let built = VaultProxy::builder(&connection.expect("checked just now"))
            .destination("org.opensesame.Secrets")
            .cache_properties(zbus::proxy::CacheProperties::No)
            .build();
        Ok(built.await.expect("a proxy of the vaults"))
    }

    /// Awaits an answer that must come from memory.
    pub async fn prompt<T>(&mut self, what: &str, answer: impl Future<Output = T>) -> Outcome<T> {
        let begin = Instant::now();
        let answer = self.bounded(what, answer).await?;
        self.table.late(begin.elapsed().saturating_sub(lag::since(begin)), what);
        Ok(answer)
    }

    /// Awaits an answer for which another daemon may be asked, which has a deadline of its own.
    pub async fn bounded<T>(&mut self, what: &str, answer: impl Future<Output = T>) -> Outcome<T> {
        let begin = Instant::now();
        let answer = answer.await;
        let took = begin.elapsed().saturating_sub(lag::since(begin));
        self.table.answers += 1;
        ensure!(took <= PROMPT, "{what} took {took:?}, which is more than {PROMPT:?}");
        Ok(answer)
    }

    /// The hub's report.
    pub async fn report(&mut self) -> Outcome<Report> {
        let hub = self.hub().await;
        let report = self.prompt("Report", async move { hub.report().await }).await?;
        ensure!(report.is_ok(), "Report is refused: {report:?}");
        Ok(report.expect("checked just now"))
    }

    /// Compares everything with the model, now.
    pub async fn check(&mut self) -> Outcome {
        self.step += 1;
        self.table.steps += 1;
        match self.model.hub {
            Life::Running => {
                let report = self.report().await?;
                let expected = self.model.expected();
                let differs = difference(&report, &expected);
                ensure!(differs.is_empty(), "the hub is wrong in {}; it says {report:?}", differs.join(", "));
                self.check_hub(&report).await?;
            }
            Life::Frozen => {}
            Life::Absent | Life::Stranger => {
                let refused = self.hub().await.report().await;
                ensure!(refused.is_err(), "a hub that is not there answers {refused:?}");
            }
        }
        if self.model.secrets == Life::Running {
            self.check_secrets().await?;
        }
        self.check_units().await?;
        self.check_sesame().await
    }

    /// Waits until the hub says what the model says. What it says until then must not be worse than old: no vault that
    /// is locked is said for certain to be unlocked.
    pub async fn settle(&mut self, after: &str) -> Outcome {
        self.until_right(after, true).await
    }

    /// The same where the hub was not told: until it has found out it cannot know.
    pub async fn settle_untold(&mut self, after: &str) -> Outcome {
        self.until_right(after, false).await
    }

    async fn until_right(&mut self, after: &str, told: bool) -> Outcome {
        if self.model.hub != Life::Running {
            return Ok(());
        }
        let (begin, expected) = (Instant::now(), self.model.expected());
        loop {
            let report = self.report().await?;
            let differs = difference(&report, &expected);
            let took = begin.elapsed().saturating_sub(lag::since(begin));
            if differs.is_empty() {
                self.table.stale(took, after);
                return Ok(());
            }
            let certain =
                |profile: &str| told && report.vaults.get(profile).is_some_and(|row| row.known != "last-known");
            for profile in PROFILES.iter().filter(|profile| certain(profile)) {
                let locked = self.model.vaults.get(profile).is_none_or(|vault| vault.locked);
                let shown = report.lock_state[*profile];
                ensure!(
                    !locked || shown,
                    "{profile} is locked and the hub says for certain that it is not: {report:?}"
                );
            }
            ensure!(
                took <= 2 * PROMPT,
                "{took:?} after {after} the hub is still wrong in {}; it says {report:?}",
                differs.join(", ")
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn check_hub(&mut self, report: &Report) -> Outcome {
        let hub = self.hub().await;
        let status = self.prompt("Status", async { hub.status().await }).await?;
        let told =
            (report.lock_state.clone(), report.default_profile.clone(), report.active_profiles.clone(), report.locked);
        ensure!(status.as_ref().is_ok_and(|status| *status == told), "Status says {status:?}, Report {report:?}");
        let vaults = self.prompt("Vaults", async { hub.vaults().await }).await?;
        ensure!(vaults.as_ref().is_ok_and(|rows| *rows == report.vaults), "Vaults says {vaults:?}, Report {report:?}");
        self.observer.compare_properties(Daemon::Profile).await?;
        let (begin, expected) = (Instant::now(), self.model.expected().told);
        // systemd's reason is waited for.
        while self.model.supervised && self.observer.hub.told != expected && begin.elapsed() < PROMPT {
            tokio::time::sleep(LOOK).await;
            self.observer.catch_up().await?;
        }
        let told = self.observer.hub.told;
        ensure!(told == expected, "DaemonLost and DaemonRestarted came {told:?} times instead of {expected:?}");
        if let Some(state) = &self.observer.hub.daemon_state {
            let shown = &report.daemons["daemon-secrets"].state;
            ensure!(state == shown, "the last DaemonChanged says {state}, Daemons {shown}");
        }
        Ok(())
    }

    async fn check_secrets(&mut self) -> Outcome {
        let secrets = self.secrets().await;
        let state = self.prompt("State", async { secrets.state().await }).await?;
        ensure!(state.is_ok(), "State is refused: {state:?}");
        let (state, _) = state.expect("checked just now");
        let rows: BTreeMap<&str, (bool, bool, &str)> = state
            .iter()
            .map(|(profile, row)| (profile.as_str(), (row.locked, row.active, row.reason.as_str())))
            .collect();
        let truth = self.model.truth();
        let truth: BTreeMap<&str, _> =
            truth.iter().map(|(profile, row)| (*profile, (row.locked, row.active, row.reason))).collect();
        ensure!(rows == truth, "daemon-secrets says {rows:?} instead of {truth:?}");
        ensure!(state.values().all(|row| row.error.is_none()), "trouble with a vault: {state:?}");
        self.observer.compare_properties(Daemon::Secrets).await
    }

    /// Flags and targets: there exactly while the vault is unlocked and active.
    async fn check_units(&mut self) -> Outcome {
        for profile in PROFILES {
            let served = self.model.serves(profile);
            let Host::Supervised(session) = &self.host else {
                let flag = self.host.socket().with_file_name("unlocked").join(profile);
                ensure!(!flag.exists(), "there is a flag of {profile} without systemd");
                continue;
            };
            if self.model.secrets == Life::Frozen {
                continue;
            }
            let flag = session.runtime(&format!("open-sesame/unlocked/{profile}")).exists();
            ensure!(flag == served, "the flag of {profile} is {flag} and it should be {served}");
            for unit in [format!("open-sesame-unlocked@{profile}.target"), format!("bound-{profile}.service")] {
                let begin = Instant::now();
                loop {
                    // In one answer: the stop may be done between two.
                    let shown = session.systemctl(&["show", "--property=ActiveState,Job", &unit]).await;
                    let active = shown.lines().any(|line| line == "ActiveState=active");
                    let queued = shown.lines().any(|line| line.strip_prefix("Job=").is_some_and(|job| !job.is_empty()));
                    if if served { active } else { !active || queued } {
                        break;
                    }
                    // Told over the bus, and asked beside it.
                    let took = begin.elapsed().saturating_sub(lag::since(begin));
                    let limit = if served { DEADLINE } else { PROMPT };
                    ensure!(took < limit, "{took:?} after a step {unit} is {shown:?} and served is {served}");
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
        Ok(())
    }

    /// The command line, as a user sees it: JSON each time, text now and then.
    async fn check_sesame(&mut self) -> Outcome {
        if !self.step.is_multiple_of(3) {
            return Ok(());
        }
        let shown = self.host.sesame(&["status", "--format", "json"]).await;
        let expected = self.model.expected();
        let code = match self.model.hub {
            Life::Running => 0,
            Life::Frozen => 5,
            Life::Absent | Life::Stranger => 3,
        };
        ensure!(shown.code == code, "sesame status ended with {} instead of {code}: {shown:?}", shown.code);
        let json: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap_or_default();
        if code != 0 {
            let health = json.get("health").and_then(serde_json::Value::as_str);
            ensure!(health.is_none_or(|health| health == "unknown"), "without a hub the health is {json}");
            return Ok(());
        }
        let told = |key: &str| json.get(key).cloned().unwrap_or_default();
        let locks: serde_json::Map<_, _> =
            expected.rows.iter().map(|(profile, row)| ((*profile).to_owned(), row.locked.into())).collect();
        ensure!(told("lock_state") == serde_json::Value::Object(locks), "lock_state of sesame status: {json}");
        ensure!(told("health") == expected.health, "health of sesame status: {json}");
        ensure!(told("default_profile") == expected.default, "default_profile of sesame status: {json}");
        if self.step.is_multiple_of(4) {
            let text = self.host.sesame(&["status"]).await;
            ensure!(text.code == 0, "sesame status: {text:?}");
            for (profile, row) in expected.rows.iter().filter(|_| self.model.has_report()) {
                let word = if row.locked { "locked" } else { "unlocked" };
                let shown = text.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
                let shown = shown.into_iter().any(|words| words.starts_with(&[profile, word]));
                ensure!(shown, "sesame status does not say that {profile} is {word}: {}", text.stdout);
            }
        }
        Ok(())
    }

    /// Waits for a daemon's name to be owned by a run that was not there before, or by nobody.
    pub async fn until_owned(&mut self, daemon: Daemon, owned: bool) -> Outcome {
        self.observer.until_owner(daemon, |owner| owner.is_some() == owned).await
    }

    /// Compares an answer with what the model says to the same call.
    ///
    /// # Errors
    /// They differ.
    pub fn same<T: std::fmt::Debug, U>(what: &str, answer: &Result<T, Error>, model: &Result<U, Refusal>) -> Outcome {
        let refusal = answer.as_ref().err().map(|error| (refusal(error), error));
        let (told, expected) =
            (refusal.as_ref().map(|(told, _)| *told), model.as_ref().err().map(|error| Some(*error)));
        ensure!(told == expected, "{what} was answered {answer:?} instead of {expected:?}");
        Ok(())
    }
}

/// What an error means; `None` for none that a model knows.
fn refusal(error: &Error) -> Option<Refusal> {
    Some(match error {
        Error::NoSuchProfile(_) => Refusal::NoSuchProfile,
        Error::AlreadyExists(_) => Refusal::AlreadyExists,
        Error::Locked(_) => Refusal::Locked,
        Error::NotActive(_) => Refusal::NotActive,
        Error::WrongPassphrase(_) => Refusal::WrongPassphrase,
        Error::NotFound(_) => Refusal::NotFound,
        Error::Unavailable(_) => Refusal::Unavailable,
        _ => return None,
    })
}

/// What a report has otherwise than expected, in words.
pub fn difference(report: &Report, expected: &Expected) -> Vec<String> {
    let mut differs = Vec::new();
    let mut compare = |what: &str, told: String, expected: String| {
        if told != expected {
            differs.push(format!("{what}: {told} instead of {expected}"));
        }
    };
    let rows: BTreeMap<&str, (bool, bool, &str, &str)> = report
        .vaults
        .iter()
        .map(|(profile, row)| (profile.as_str(), (row.locked, row.active, row.reason.as_str(), row.known.as_str())))
        .collect();
    let row = |row: &Row| (row.locked, row.active, row.reason, expected.known);
    let right: BTreeMap<&str, _> = expected.rows.iter().map(|(profile, is)| (*profile, row(is))).collect();
    compare("Vaults", format!("{rows:?}"), format!("{right:?}"));
    let locks: BTreeMap<&str, bool> = report.lock_state.iter().map(|(name, locked)| (name.as_str(), *locked)).collect();
    let right: BTreeMap<&str, bool> = expected.rows.iter().map(|(name, row)| (*name, row.locked)).collect();
    compare("LockState", format!("{locks:?}"), format!("{right:?}"));
    let active: Vec<&str> = expected.rows.iter().filter(|(_, row)| row.active).map(|(name, _)| *name).collect();
    compare("ActiveProfiles", format!("{:?}", report.active_profiles), format!("{active:?}"));
    let locked = expected.rows.values().all(|row| row.locked);
    compare("Locked", report.locked.to_string(), locked.to_string());
    compare("DefaultProfile", report.default_profile.clone(), expected.default.into());
    compare("Health", report.health.clone(), expected.health.into());
    let problems: Vec<(&str, &str)> =
        report.problems.iter().map(|(subject, code, _)| (subject.as_str(), code.as_str())).collect();
    let right: Vec<(&str, &str)> = expected.problem.iter().map(|code| (program_name(Daemon::Secrets), *code)).collect();
    compare("Problems", format!("{problems:?}"), format!("{right:?}"));
    let daemon = report.daemons.get("daemon-secrets").map_or("", |row| row.state.as_str());
    compare("Daemons", daemon.into(), expected.daemon.into());
    differs
}

/// A violation in words.
pub fn wrong<T>(what: String) -> Outcome<T> {
    Err(Violation::Wrong(what))
}
