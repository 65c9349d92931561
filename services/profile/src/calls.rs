//! The calls that the hub has made and that wait for an answer, each with its deadline. The answers come in the one
//! ordered stream of the bus, so that each is applied at its place among the signals.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    time::Duration,
};

use dbus_interfaces::{Error, daemon, secrets};
use tokio::{sync::oneshot, time::Instant};
use zbus::{
    Message, Variant,
    message::Flags,
    names::{OwnedUniqueName, UniqueName},
};

use daemon_runtime::bus::{DRIVER, DRIVER_PATH};

use crate::{notifications::Note, peers::DaemonName};

/// The service manager's name.
pub const MANAGER: &str = "org.freedesktop.systemd1";
const NOTIFICATIONS: &str = "org.freedesktop.Notifications";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// How long any call of the hub waits.
const DEADLINE: Duration = Duration::from_secs(1);

/// Where an answer is wanted.
pub type Waiter<T> = oneshot::Sender<Result<T, Error>>;

/// What was asked, and who waits for it.
pub enum Call {
    /// Who owns daemon-secrets' name.
    Owner,
    /// Which process that is.
    Pid,
    /// What daemon-secrets says of its run.
    Introduction,
    /// How many sessions applications have open with it.
    Sessions,
    /// Every vault: a reconciliation.
    State(Vec<Waiter<bool>>),
    /// Every vault: only to see whether it answers.
    Probe,
    /// A user's wish that only daemon-secrets can fulfil.
    Forward(Waiter<()>),
    /// Who the service manager is.
    Manager,
    /// What it knows of a unit.
    Unit(DaemonName),
    /// The desktop's id of what it shows.
    Notify,
}

impl Call {
    /// Whether daemon-secrets was asked.
    pub fn is_to_secrets(&self) -> bool {
        !matches!(self, Self::Owner | Self::Manager | Self::Unit(_) | Self::Notify)
    }
}

/// Calls by serial number.
#[derive(Default)]
pub struct Calls {
    waiting: BTreeMap<NonZeroU32, (Call, Instant)>,
}

impl Calls {
    /// Remembers a call that is being sent now.
    pub fn add(&mut self, message: &Message, call: Call) {
        let deadline = Instant::now() + DEADLINE;
        self.waiting.insert(message.primary_header().serial_num(), (call, deadline));
    }

    /// The call that a message answers.
    pub fn answered_by(&mut self, reply: &Message) -> Option<Call> {
        let serial = reply.header().reply_serial()?;
        self.waiting.remove(&serial).map(|(call, _)| call)
    }

    /// When the first one is overdue.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.waiting.values().map(|(_, deadline)| *deadline).min()
    }

    /// Takes out what is overdue.
    pub fn overdue(&mut self, now: Instant) -> Vec<Call> {
        self.take(|(_, deadline)| *deadline <= now)
    }

    /// Takes out what was asked of daemon-secrets, whose name has another owner now, or none.
    pub fn orphaned(&mut self) -> Vec<Call> {
        self.take(|(call, _)| call.is_to_secrets())
    }

    /// Lets `newcomers` share the answer of a reconciliation that is under way.
    ///
    /// # Errors
    /// Gives them back where none is.
    pub fn join_reconciliation(&mut self, newcomers: Vec<Waiter<bool>>) -> Result<(), Vec<Waiter<bool>>> {
        let under_way = self.waiting.values_mut().find_map(|(call, _)| match call {
            Call::State(waiters) => Some(waiters),
            _ => None,
        });
        match under_way {
            Some(waiters) => {
                waiters.extend(newcomers);
                Ok(())
            }
            None => Err(newcomers),
        }
    }

    /// Whether a probe is under way.
    pub fn is_probing(&self) -> bool {
        self.waiting.values().any(|(call, _)| matches!(call, Call::Probe | Call::Introduction))
    }

    /// Whether the bus is being asked who owns daemon-secrets' name.
    pub fn is_asking_owner(&self) -> bool {
        self.waiting.values().any(|(call, _)| matches!(call, Call::Owner))
    }

    /// Whether daemon-secrets is being asked who it is.
    pub fn is_introducing(&self) -> bool {
        self.waiting.values().any(|(call, _)| matches!(call, Call::Introduction))
    }

    /// Whether a unit is being read.
    pub fn is_reading(&self, unit: DaemonName) -> bool {
        self.waiting.values().any(|(call, _)| matches!(call, Call::Unit(reading) if *reading == unit))
    }

    fn take(&mut self, unwanted: impl Fn(&(Call, Instant)) -> bool) -> Vec<Call> {
        let serials: Vec<_> =
            self.waiting.iter().filter(|(_, call)| unwanted(call)).map(|(serial, _)| *serial).collect();
        serials.into_iter().filter_map(|serial| self.waiting.remove(&serial)).map(|(call, _)| call).collect()
    }
}

/// Subscribes to what daemon-secrets says of itself and its vaults, and to what systemd says of its unit, and to the coming
/// and going of both. Not to what it says of each vault and of each secret that is read: that would wake the hub for nothing.
pub fn subscriptions() -> zbus::Result<Vec<Message>> {
    let coming_and_going =
        |name| format!("type='signal',sender='{DRIVER}',interface='{DRIVER}',member='NameOwnerChanged',arg0='{name}'");
    let rules = [
        coming_and_going(secrets::NAME),
        coming_and_going(MANAGER),
        format!("type='signal',sender='{}',interface='{PROPERTIES}'", secrets::NAME),
        format!("type='signal',sender='{}',interface='{}'", secrets::NAME, daemon::INTERFACE),
        format!("type='signal',sender='{}',interface='{}',member='SessionsChanged'", secrets::NAME, secrets::INTERFACE),
        format!(
            "type='signal',sender='{MANAGER}',interface='{PROPERTIES}',member='PropertiesChanged',path='{}'",
            unit_path(DaemonName::Secrets)
        ),
    ];
    rules.iter().map(|rule| driver("AddMatch").with_flags(Flags::NO_REPLY_EXPECTED).build(rule)).collect()
}

/// Asks who owns a well-known name.
pub fn owner(name: &str) -> zbus::Result<Message> {
    driver("GetNameOwner").build(&name)
}

/// Has the service manager send the signals of its units, which it otherwise does not.
pub fn subscribe_to_units(manager: &OwnedUniqueName) -> zbus::Result<Message> {
    to(manager, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "Subscribe")
        .with_flags(Flags::NO_REPLY_EXPECTED)
        .build(&())
}

/// Asks the service manager for everything that it knows of a unit: the empty interface stands for all.
pub fn unit(manager: &OwnedUniqueName, unit: DaemonName) -> zbus::Result<Message> {
    to(manager, unit_path(unit), PROPERTIES, "GetAll").build(&"")
}

/// A unit's object: its name with every other character than a letter or digit written as `_` and two hex digits.
fn unit_path(unit: DaemonName) -> &'static str {
    match unit {
        DaemonName::Profile => "/org/freedesktop/systemd1/unit/open_2dsesame_2dprofile_2eservice",
        DaemonName::Secrets => "/org/freedesktop/systemd1/unit/open_2dsesame_2dsecrets_2eservice",
    }
}

/// Asks for the process behind `owner`.
pub fn pid(owner: &OwnedUniqueName) -> zbus::Result<Message> {
    driver("GetConnectionUnixProcessID").build(owner)
}

/// Asks `owner` who it is.
pub fn introduction(owner: &OwnedUniqueName) -> zbus::Result<Message> {
    to(owner, daemon::PATH, PROPERTIES, "GetAll").build(&daemon::INTERFACE)
}

/// Asks `owner` how many sessions applications have open with it.
pub fn sessions(owner: &OwnedUniqueName) -> zbus::Result<Message> {
    to(owner, secrets::PATH, PROPERTIES, "Get").build(&(secrets::INTERFACE, "Sessions"))
}

/// Asks `owner` for every vault.
pub fn state(owner: &OwnedUniqueName) -> zbus::Result<Message> {
    to(owner, secrets::PATH, secrets::INTERFACE, "State").build(&())
}

/// Asks `owner` for `Activate` or `Deactivate`.
pub fn forward(owner: &OwnedUniqueName, member: &'static str, profile: &str) -> zbus::Result<Message> {
    to(owner, secrets::PATH, secrets::INTERFACE, member).build(&profile)
}

/// Has the desktop's notification service show `note` in place of `replaced`. Where none runs, none is started.
pub fn notify(note: &Note, replaced: u32) -> zbus::Result<Message> {
    let no_actions: &[&str] = &[];
    let urgency: u8 = if note.is_critical { 2 } else { 1 };
    let hints = HashMap::from([("urgency", Variant::from(urgency))]);
    const ITS_OWN_TIME: i32 = -1;
    Message::method_call("/org/freedesktop/Notifications", "Notify")
        .interface(NOTIFICATIONS)
        .destination(NOTIFICATIONS)
        .with_flags(Flags::NO_AUTO_START)
        .build(&(
            "Open Sesame",
            replaced,
            "dialog-password",
            &*note.summary,
            &*note.body,
            no_actions,
            hints,
            ITS_OWN_TIME,
        ))
}

/// The unique name cannot be started by the bus: nothing here ever starts daemon-secrets.
fn to<'m>(
    owner: &'m OwnedUniqueName,
    path: &'static str,
    interface: &'static str,
    member: &'static str,
) -> zbus::message::Builder<'m> {
    let owner: &UniqueName<'_> = owner;
    Message::method_call(path, member).interface(interface).destination(owner)
}

fn driver(member: &'static str) -> zbus::message::Builder<'static> {
    Message::method_call(DRIVER_PATH, member).interface(DRIVER).destination(DRIVER)
}
