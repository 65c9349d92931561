//! Somebody who looks on: hears every signal of both daemons and every change of their names in the order of the bus,
//! believes only who owns a name, and folds what is told into what must then be so.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use dbus_interfaces::{profile, secrets};
use futures_util::StreamExt;
use session_tests::{client::Client, recorder, within_deadline};
use tokio::{sync::Notify, task::JoinHandle};
use zbus::{Message, MessageStream, OwnedVariant, message::Type};

use crate::{
    ensure,
    history::Daemon,
    table::Outcome,
    world::{LOOK, PROMPT},
};

const RULES: [&str; 2] = [
    "type='signal',path_namespace='/org/opensesame'",
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0namespace='org.opensesame'",
];
const MARK: &str = "org.opensesame.Test";

/// The well-known name of a daemon.
pub fn bus_name(daemon: Daemon) -> &'static str {
    match daemon {
        Daemon::Profile => profile::NAME,
        Daemon::Secrets => secrets::NAME,
    }
}

/// What is known of a daemon from its signals alone.
#[derive(Default)]
pub struct Seen {
    /// Who owns the name.
    pub owner: Option<String>,
    /// Its properties, once they were asked for, as words.
    properties: Option<BTreeMap<String, String>>,
    lock_state: BTreeMap<String, bool>,
    active: Vec<String>,
    generation: u64,
    /// What the signals said before the properties were asked for.
    early: Vec<BTreeMap<String, OwnedVariant>>,
    /// The generation that was read, until a signal tells of a later one.
    read: u64,
    /// Whether the last `PropertiesChanged` was older than what was read.
    is_old: bool,
    /// `DaemonLost` and `DaemonRestarted`, of this owner.
    pub told: (usize, usize),
    /// The state in the last `DaemonChanged` of daemon-secrets.
    pub daemon_state: Option<String>,
}

/// The connection that looks on.
pub struct Observer {
    /// As a client.
    pub client: Client,
    heard: Arc<Mutex<Vec<Message>>>,
    more: Arc<Notify>,
    task: JoinHandle<()>,
    marks: u64,
    /// The hub.
    pub hub: Seen,
    /// daemon-secrets.
    pub secrets: Seen,
    /// How many signals were compared.
    pub signals: usize,
}

impl Observer {
    /// Looks on at the bus at `address`.
    ///
    /// # Panics
    /// The bus refuses.
    pub async fn start(address: &str) -> Self {
        let client = Client::connect(address).await;
        let mut stream = MessageStream::from(&client.connection);
        let (heard, more) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (into, notify) = (Arc::clone(&heard), Arc::clone(&more));
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                if message.message_type() == Type::Signal {
                    into.lock().unwrap_or_else(PoisonError::into_inner).push(message);
                    notify.notify_one();
                }
            }
        });
        for rule in RULES {
            let bus = "org.freedesktop.DBus";
            let added = client.connection.call_method(Some(bus), "/org/freedesktop/DBus", Some(bus), "AddMatch", &rule);
            added.await.expect("a subscription");
        }
        Self {
            hub: Seen { owner: client.owner(profile::NAME).await, ..Seen::default() },
            secrets: Seen { owner: client.owner(secrets::NAME).await, ..Seen::default() },
            client,
            heard,
            more,
            task,
            marks: 0,
            signals: 0,
        }
    }

    /// What is known of a daemon.
    pub fn seen(&mut self, daemon: Daemon) -> &mut Seen {
        match daemon {
            Daemon::Profile => &mut self.hub,
            Daemon::Secrets => &mut self.secrets,
        }
    }

    /// Takes in everything that the bus had routed here before this call.
    pub async fn catch_up(&mut self) -> Outcome {
        let own = self.client.connection.unique_name().expect("a name of one's own").to_string();
        self.marks += 1;
        self.client.forge(Some(&own), "/mark", MARK, "Mark", &self.marks).await;
        let mut marked = false;
        while !marked {
            for message in self.take() {
                let header = message.header();
                let from_here = header.sender().is_some_and(|sender| sender.as_str() == own);
                if from_here && header.interface().is_some_and(|name| name == MARK) {
                    marked |= message.body().deserialize::<u64>() == Ok(self.marks);
                } else {
                    self.fold(&message)?;
                }
            }
            if !marked {
                within_deadline("its own mark", self.more.notified()).await;
            }
        }
        Ok(())
    }

    /// Takes in what comes until the name of `daemon` is, or is not, `owner`'s.
    pub async fn until_owner(&mut self, daemon: Daemon, is: impl Fn(Option<&str>) -> bool) -> Outcome {
        self.catch_up().await?;
        while !is(self.seen(daemon).owner.as_deref()) {
            let what = format!("a change of the owner of {}", bus_name(daemon));
            within_deadline(&what, self.more.notified()).await;
            for message in self.take() {
                self.fold(&message)?;
            }
        }
        Ok(())
    }

    /// Compares what the signals said with what `GetAll` says.
    pub async fn compare_properties(&mut self, daemon: Daemon) -> Outcome {
        let all = self.client.get_all(bus_name(daemon)).await;
        let told: BTreeMap<String, String> = all
            .iter()
            // Announced by no signal.
            .filter(|(name, _)| name.as_str() != "ReconciledUsec")
            .map(|(name, value)| (name.clone(), format!("{:?}", &**value)))
            .collect();
        let generation = all.get("Generation").and_then(|value| u64::try_from(value.clone()).ok()).unwrap_or(0);
        self.catch_up().await?;
        let begin = Instant::now();
        // The properties may be ahead of the signal for a moment; a gap stays.
        while self.seen(daemon).is_behind(generation) && begin.elapsed() < PROMPT {
            tokio::time::sleep(LOOK).await;
            self.catch_up().await?;
        }
        let lock_state = all.get("LockState").and_then(|value| BTreeMap::try_from(value.clone()).ok());
        let active = all.get("ActiveProfiles").and_then(|value| Vec::try_from(value.clone()).ok());
        let seen = self.seen(daemon);
        match &seen.properties {
            Some(folded) if seen.generation == generation => {
                let differs: Vec<_> = told.iter().filter(|(name, value)| folded.get(*name) != Some(value)).collect();
                ensure!(
                    differs.is_empty(),
                    "the signals of {} and its properties differ in {differs:?}; the signals said {folded:?}",
                    bus_name(daemon)
                );
            }
            // It goes on changing.
            Some(_) if seen.generation > generation => {}
            Some(_) => ensure!(
                false,
                "{} is at generation {generation} and its signals at {}",
                bus_name(daemon),
                seen.generation
            ),
            None => {
                seen.properties = Some(told);
                (seen.generation, seen.read) = (generation, generation);
                seen.lock_state = lock_state.unwrap_or_default();
                seen.active = active.unwrap_or_default();
                // Heard while the answer was on its way.
                for changed in std::mem::take(&mut seen.early) {
                    seen.take_in(&changed)?;
                }
            }
        }
        Ok(())
    }

    fn take(&self) -> Vec<Message> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fold(&mut self, message: &Message) -> Outcome {
        let header = message.header();
        let (Some(sender), Some(member)) = (header.sender(), header.member()) else { return Ok(()) };
        if sender.as_str() == "org.freedesktop.DBus" {
            if let Ok((name, _, new)) = message.body().deserialize::<(&str, &str, &str)>() {
                let owner = (!new.is_empty()).then(|| new.to_owned());
                for daemon in [Daemon::Profile, Daemon::Secrets] {
                    if bus_name(daemon) == name {
                        *self.seen(daemon) = Seen { owner: owner.clone(), ..Seen::default() };
                    }
                }
            }
            return Ok(());
        }
        for daemon in [Daemon::Profile, Daemon::Secrets] {
            if self.seen(daemon).owner.as_deref() == Some(sender.as_str()) {
                self.signals += 1;
                let words = recorder::line(message).unwrap_or_default();
                return self.seen(daemon).hear(message, member.as_str(), &words);
            }
        }
        Ok(())
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Seen {
    fn is_behind(&self, generation: u64) -> bool {
        self.properties.is_some() && self.generation < generation
    }

    fn hear(&mut self, message: &Message, member: &str, words: &str) -> Outcome {
        let words: Vec<&str> = words.split(' ').collect();
        match (member, words.as_slice()) {
            ("PropertiesChanged", _) => self.properties_changed(message),
            ("VaultChanged", [_, profile, locked, active, ..]) => self.vault_changed(profile, locked, active),
            ("DaemonChanged", [_, "daemon-secrets", state, ..]) => {
                self.daemon_state = Some((*state).to_owned());
                Ok(())
            }
            ("DaemonLost", _) => {
                self.told.0 += 1;
                Ok(())
            }
            ("DaemonRestarted", _) => {
                self.told.1 += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn properties_changed(&mut self, message: &Message) -> Outcome {
        let Some(changed) = recorder::changed(message) else { return Ok(()) };
        if self.properties.is_none() {
            self.early.push(changed);
            return Ok(());
        }
        self.take_in(&changed)
    }

    fn take_in(&mut self, changed: &BTreeMap<String, OwnedVariant>) -> Outcome {
        let Some(properties) = &mut self.properties else { return Ok(()) };
        let generation = changed.get("Generation").and_then(|value| u64::try_from(value.clone()).ok());
        self.is_old = generation.is_some_and(|generation| generation <= self.read);
        if self.is_old {
            return Ok(());
        }
        self.read = 0;
        ensure!(
            generation == Some(self.generation + 1),
            "a gap in Generation: {generation:?} after {} ({changed:?})",
            self.generation
        );
        self.generation += 1;
        if let Some(lock_state) = changed.get("LockState").and_then(|value| BTreeMap::try_from(value.clone()).ok()) {
            self.lock_state = lock_state;
        }
        if let Some(active) = changed.get("ActiveProfiles").and_then(|value| Vec::try_from(value.clone()).ok()) {
            self.active = active;
        }
        properties.extend(changed.iter().map(|(name, value)| (name.clone(), format!("{:?}", &**value))));
        Ok(())
    }

    fn vault_changed(&self, profile: &str, locked: &str, active: &str) -> Outcome {
        if self.properties.is_none() || self.is_old {
            return Ok(());
        }
        let is_locked = self.lock_state.get(profile).copied().unwrap_or(true);
        let is_active = self.active.iter().any(|active| active == profile);
        ensure!(
            (locked, active) == (is_locked.to_string().as_str(), is_active.to_string().as_str()),
            "VaultChanged {profile} {locked} {active} contradicts LockState {is_locked}, ActiveProfiles {is_active}"
        );
        Ok(())
    }
}
