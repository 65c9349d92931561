//! What is heard on the bus, as the fold's input. Subscribes first and then asks; asks the hub for its report after each
//! of its signals, a tick too, so that a hang is found; tries a bus that is away once a second. Wakes for nothing else.

use std::{collections::HashMap, num::NonZeroU32, time::Duration};

use dbus_interfaces::{daemon, places, profile, secrets};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{Instant, sleep, sleep_until},
};
use zbus::{
    DynamicType, Message, MessageStream, OwnedVariant,
    message::{Flags, Type as Kind},
};

use super::{
    event::Event,
    fold::{Away, Fold, Input, Seen},
    signal,
};
use crate::{
    bus::{Bus, DRIVER, HUB, Service},
    clock,
    deadline::Deadline,
    error::Error,
};

/// Before a bus that is away is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Between two ticks of a hub that has no watchdog.
const TICK: Duration = Duration::from_secs(15);

const RULES: [&str; 5] = [
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.opensesame.Profile'",
    "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.opensesame.Secrets'",
    "type='signal',sender='org.opensesame.Profile',path_namespace='/org/opensesame'",
    "type='signal',sender='org.opensesame.Secrets',interface='org.opensesame.Secrets',member='SecretRead'",
    "type='signal',sender='org.opensesame.Secrets',interface='org.opensesame.Secrets',member='LockedItemRequested'",
];

/// What one message of the bus, or its absence, came to.
#[derive(Debug)]
pub struct Step {
    /// What it tells.
    pub events: Vec<Event>,
    /// What there is to see after it.
    pub seen: Seen,
    /// Whether that is the hub's own last word, or its absence; signals carry it on meanwhile.
    pub settled: bool,
    /// The hub that was heard last.
    pub hub_id: Option<String>,
    /// CLOCK_REALTIME.
    pub at_usec: u64,
}

/// Starts to watch; every answer is waited for no longer than `limit`. Ends when nobody receives any more.
pub fn start(limit: Duration) -> Receiver<Step> {
    let (steps, receiver) = channel(16);
    let source = Source { fold: Fold::default(), steps, limit };
    tokio::spawn(source.run());
    receiver
}

/// Nobody receives any more.
struct Unwatched;

struct Source {
    fold: Fold,
    steps: Sender<Step>,
    limit: Duration,
}

impl Source {
    async fn run(mut self) {
        while let Ok(away) = self.follow_once().await {
            if self.take(Input::Away(away), true).await.is_err() {
                return;
            }
            tokio::select! {
                () = sleep(RETRY) => {}
                () = self.steps.closed() => return,
            }
        }
    }

    /// Follows one connection to its end, which is told.
    async fn follow_once(&mut self) -> Result<Away, Unwatched> {
        let closed = self.steps.clone();
        let connected = tokio::select! {
            connected = Bus::connect(Deadline::after(self.limit)) => connected,
            () = closed.closed() => return Err(Unwatched),
        };
        match connected {
            Ok(bus) => self.follow(&bus).await,
            Err(Error::NoBus { address, cause }) => Ok(Away::Bus { address, cause }),
            Err(error) => Ok(no_bus(&error.to_string())),
        }
    }

    async fn follow(&mut self, bus: &Bus) -> Result<Away, Unwatched> {
        let ended = no_bus("the connection ended");
        let mut stream = MessageStream::from(bus.connection());
        let mut link = Link::new(self.limit);
        let Ok(mut calls) = link.begin() else { return Ok(ended) };
        loop {
            for call in calls.drain(..) {
                if bus.connection().send(&call).await.is_err() {
                    return Ok(ended);
                }
            }
            let closed = self.steps.clone();
            // The messages first: a deadline that passed while nobody read is none.
            let heard = tokio::select! {
                biased;
                () = closed.closed() => return Err(Unwatched),
                message = stream.next() => match message {
                    Some(Ok(message)) => link.hear(&message),
                    Some(Err(zbus::Error::InputOutput(_))) | None => return Ok(ended),
                    Some(Err(_)) => continue,
                },
                () = sleep_until(link.deadline()) => match link.expire() {
                    Some(away) => Heard { inputs: vec![Input::Away(away)], ..Heard::default() },
                    None => return Ok(no_bus("it does not answer")),
                },
            };
            let settles = heard.asks.is_empty();
            for input in heard.inputs {
                let settled = settles && !matches!(input, Input::Signal(_));
                self.take(input, settled).await?;
            }
            for ask in heard.asks {
                // Names and an empty body: such a message can always be composed.
                calls.extend(link.ask(ask));
            }
        }
    }

    async fn take(&mut self, input: Input, settled: bool) -> Result<(), Unwatched> {
        let at_usec = clock::now_usec();
        let events = self.fold.apply(input, at_usec);
        let Some(seen) = self.fold.seen().filter(|_| settled || !events.is_empty()) else { return Ok(()) };
        let hub_id = self.fold.hub_id().map(str::to_owned);
        self.steps.send(Step { events, seen, settled, hub_id, at_usec }).await.map_err(|_| Unwatched)
    }
}

fn no_bus(cause: &str) -> Away {
    Away::Bus { address: places::session_bus(), cause: cause.into() }
}

/// What is asked of the bus and of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    HubOwner,
    SecretsOwner,
    Report,
    Watchdog,
}

/// What a message means, and what has to be asked because of it.
#[derive(Default)]
struct Heard {
    inputs: Vec<Input>,
    asks: Vec<Ask>,
}

/// One connection: who owns the names, and what was asked.
struct Link {
    hub: Option<String>,
    secrets: Option<String>,
    asked: HashMap<NonZeroU32, Ask>,
    // Since when an answer is waited for.
    waiting: Option<Instant>,
    // The hub said something after it was asked for its report: the answer may be older.
    overtaken: bool,
    heard: Instant,
    tick: Duration,
    silent: bool,
    limit: Duration,
}

impl Link {
    fn new(limit: Duration) -> Self {
        Self {
            hub: None,
            secrets: None,
            asked: HashMap::new(),
            waiting: None,
            overtaken: false,
            heard: Instant::now(),
            tick: TICK,
            silent: false,
            limit,
        }
    }

    /// The subscriptions, and then the questions.
    fn begin(&mut self) -> zbus::Result<Vec<Message>> {
        let mut calls = Vec::new();
        for rule in RULES {
            calls.push(call(DRIVER, "AddMatch", Flags::NO_REPLY_EXPECTED, &rule)?);
        }
        calls.extend(self.ask(Ask::SecretsOwner));
        calls.extend(self.ask(Ask::HubOwner));
        Ok(calls)
    }

    fn ask(&mut self, ask: Ask) -> Option<Message> {
        let flags = Flags::NO_AUTO_START;
        let call = match ask {
            Ask::HubOwner => call(DRIVER, "GetNameOwner", flags, &profile::NAME),
            Ask::SecretsOwner => call(DRIVER, "GetNameOwner", flags, &secrets::NAME),
            Ask::Report if self.waiting.is_some() => return None,
            Ask::Report => call(HUB, "Report", flags, &()),
            Ask::Watchdog => {
                let properties = Service { path: daemon::PATH, interface: "org.freedesktop.DBus.Properties", ..HUB };
                call(properties, "Get", flags, &(daemon::INTERFACE, "WatchdogUsec"))
            }
        };
        let call = call.ok()?;
        if matches!(ask, Ask::HubOwner | Ask::Report) {
            self.waiting = Some(Instant::now());
            self.overtaken = false;
        }
        self.asked.insert(call.primary_header().serial_num(), ask);
        Some(call)
    }

    /// When the silence means something: an answer that is due, or two ticks that did not come.
    fn deadline(&self) -> Instant {
        let never = Instant::now() + Duration::from_secs(86_400);
        match (self.waiting, &self.hub) {
            (Some(since), _) => since + self.limit,
            (None, Some(_)) if !self.silent => self.heard + 2 * self.tick + self.tick / 4,
            _ => never,
        }
    }

    /// The hub is silent; nothing where it is the bus.
    fn expire(&mut self) -> Option<Away> {
        let limit = if self.waiting.take().is_some() { self.limit } else { 2 * self.tick };
        self.silent = true;
        self.hub.is_some().then_some(Away::Silent { limit })
    }

    fn hear(&mut self, message: &Message) -> Heard {
        let header = message.header();
        let sender = header.sender().map(|sender| sender.as_str());
        if let Some(ask) = header.reply_serial().and_then(|serial| self.asked.remove(&serial)) {
            return self.answered(ask, message, sender);
        }
        if message.message_type() != Kind::Signal {
            return Heard::default();
        }
        if sender == Some(DRIVER.name) {
            return self.owner_changed(message);
        }
        if sender.is_some() && sender == self.hub.as_deref() {
            self.alive();
            self.overtaken = true;
            let is_tick = signal::is_tick(message);
            let inputs = if is_tick { Vec::new() } else { vec![Input::Signal(signal::of_hub(message))] };
            return Heard { inputs, asks: vec![Ask::Report] };
        }
        if sender.is_some() && sender == self.secrets.as_deref() {
            let inputs = signal::of_secrets(message).map(Input::Signal).into_iter().collect();
            return Heard { inputs, asks: Vec::new() };
        }
        // Who owns neither name is not believed.
        Heard::default()
    }

    fn alive(&mut self) {
        self.heard = Instant::now();
        self.silent = false;
    }

    fn answered(&mut self, ask: Ask, message: &Message, sender: Option<&str>) -> Heard {
        match ask {
            Ask::HubOwner => {
                self.waiting = None;
                self.set_hub(owner(message))
            }
            Ask::SecretsOwner => {
                self.secrets = owner(message);
                Heard::default()
            }
            // Of a hub that is gone.
            _ if sender.is_none() || sender != self.hub.as_deref() => Heard::default(),
            Ask::Watchdog => {
                self.alive();
                let usec = message.body().deserialize::<OwnedVariant>().ok().and_then(|usec| u64::try_from(usec).ok());
                if let Some(usec @ 1..) = usec {
                    self.tick = Duration::from_micros(usec / 2);
                }
                Heard::default()
            }
            Ask::Report => {
                self.alive();
                self.waiting = None;
                let asks = if self.overtaken { vec![Ask::Report] } else { Vec::new() };
                let input = match message.body().deserialize() {
                    Ok(report) if message.message_type() == Kind::MethodReturn => Input::Reported(report),
                    _ => Input::Away(Away::Silent { limit: self.limit }),
                };
                Heard { inputs: vec![input], asks }
            }
        }
    }

    fn owner_changed(&mut self, message: &Message) -> Heard {
        let Ok((name, _, new)) = message.body().deserialize::<(String, String, String)>() else {
            return Heard::default();
        };
        let owner = Some(new).filter(|owner| !owner.is_empty());
        match name.as_str() {
            profile::NAME => self.set_hub(owner),
            secrets::NAME => {
                self.secrets = owner;
                Heard::default()
            }
            _ => Heard::default(),
        }
    }

    fn set_hub(&mut self, owner: Option<String>) -> Heard {
        if self.hub.is_some() && self.hub == owner {
            return Heard::default();
        }
        let lost = self.hub.take().is_some() || owner.is_none();
        self.hub = owner;
        self.waiting = None;
        self.tick = TICK;
        self.alive();
        Heard {
            inputs: lost.then_some(Input::Away(Away::Hub)).into_iter().collect(),
            asks: if self.hub.is_some() { vec![Ask::Watchdog, Ask::Report] } else { Vec::new() },
        }
    }
}

/// The answer to who owns a name. A refusal, nobody does, is a text as well.
fn owner(answer: &Message) -> Option<String> {
    answer.body().deserialize().ok().filter(|_| answer.message_type() == Kind::MethodReturn)
}

fn call(
    service: Service<'_>,
    member: &str,
    flags: Flags,
    body: &(impl Serialize + DynamicType),
) -> zbus::Result<Message> {
    Message::method_call(service.path, member)
        .destination(service.name)
        .interface(service.interface)
        .with_flags(flags)
        .build(body)
}
