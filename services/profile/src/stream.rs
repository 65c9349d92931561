//! What the bus says of daemon-secrets, decoded: signals, its coming and going, and answers. Believes nobody but the
//! bus itself and the owner of the name.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use daemon_runtime::bus::DRIVER;
use dbus_interfaces::{
    ProfileName, daemon, events,
    secrets::{self, VaultState, Vaults},
};
use serde::Deserialize;
use zbus::{Message, Type, message::Type as MessageType, names::OwnedUniqueName, wire::as_variant};

use crate::{calls::MANAGER, peers::Introduction, units::UnitFacts};

/// A message that concerns the hub.
#[derive(Debug)]
pub enum Heard {
    /// daemon-secrets' name has this owner now.
    OwnerChanged(Option<OwnedUniqueName>),
    /// The service manager's name has this owner now.
    ManagerChanged(Option<OwnedUniqueName>),
    /// The service manager says something of daemon-secrets' unit. It tells of the service first and of the unit last,
    /// and only then `is_whole`.
    Unit {
        /// What it says.
        said: UnitProperties,
        /// Whether the state that this belongs to is told completely now.
        is_whole: bool,
    },
    /// The owner states its vaults.
    Vaults(BTreeMap<ProfileName, VaultState>),
    /// The owner announces a run.
    #[expect(missing_docs, reason = "its daemon id")]
    Started { id: String },
    /// The owner counts the sessions of applications.
    Sessions(u32),
    /// The owner said something of no further interest.
    SignOfLife,
    /// An answer to one of the hub's calls.
    Answer,
    /// Somebody who is not the owner speaks in its name.
    #[expect(missing_docs, reason = "the signal's own words")]
    Forged { sender: String, member: String },
    /// Nothing that concerns the hub.
    Other,
}

/// Who owns the names that count now.
#[derive(Clone, Debug, Default)]
pub struct Owners {
    /// Of daemon-secrets' name.
    pub secrets: Option<OwnedUniqueName>,
    /// Of the service manager's.
    pub manager: Option<OwnedUniqueName>,
}

/// What `message` means while these are the owners.
pub fn decode(message: &Message, owners: &Owners) -> Heard {
    match message.message_type() {
        MessageType::MethodCall => Heard::Other,
        MessageType::MethodReturn | MessageType::Error => Heard::Answer,
        MessageType::Signal => signal(message, owners),
    }
}

fn signal(message: &Message, owners: &Owners) -> Heard {
    let header = message.header();
    let (Some(interface), Some(member), Some(sender)) = (header.interface(), header.member(), header.sender()) else {
        return Heard::Other;
    };
    // The bus writes the sender: nobody else can be the driver.
    if sender.as_str() == DRIVER {
        return if member.as_str() == "NameOwnerChanged" { owner_changed(message) } else { Heard::Other };
    }
    let is = |owner: &Option<OwnedUniqueName>| owner.as_ref().is_some_and(|owner| owner.as_str() == sender.as_str());
    if is(&owners.manager) {
        return unit_changed(message);
    }
    if !is(&owners.secrets) {
        return Heard::Forged { sender: sender.to_string(), member: member.to_string() };
    }
    match (interface.as_str(), member.as_str()) {
        ("org.freedesktop.DBus.Properties", "PropertiesChanged") => properties_changed(message),
        (daemon::INTERFACE, "DaemonStarted") => match message.body().deserialize::<(&str, &str)>() {
            Ok((_, id)) => Heard::Started { id: id.into() },
            Err(_) => Heard::SignOfLife,
        },
        (secrets::INTERFACE, "SessionsChanged") => {
            message.body().deserialize().map_or(Heard::SignOfLife, Heard::Sessions)
        }
        _ => Heard::SignOfLife,
    }
}

fn owner_changed(message: &Message) -> Heard {
    match message.body().deserialize::<(&str, &str, &str)>() {
        Ok((secrets::NAME, _, new)) => Heard::OwnerChanged(OwnedUniqueName::try_from(new.to_owned()).ok()),
        Ok((MANAGER, _, new)) => Heard::ManagerChanged(OwnedUniqueName::try_from(new.to_owned()).ok()),
        _ => Heard::Other,
    }
}

/// The one property of daemon-secrets that the hub needs: it holds all the others.
#[derive(Deserialize, Type)]
#[serde(rename_all = "PascalCase", default)]
#[zbus(signature = "a{sv}")]
#[derive(Default)]
struct Changed {
    #[serde(with = "as_variant::optional")]
    vaults: Option<Vaults>,
}

fn properties_changed(message: &Message) -> Heard {
    match message.body().deserialize::<(&str, Changed, Vec<&str>)>() {
        Ok((secrets::INTERFACE, Changed { vaults: Some(vaults) }, _)) => Heard::Vaults(named(vaults)),
        _ => Heard::SignOfLife,
    }
}

/// Whether the bus itself says that nobody has the name that was called.
pub fn is_nobody(answer: &Message) -> bool {
    let header = answer.header();
    let nobody = ["org.freedesktop.DBus.Error.NameHasNoOwner", "org.freedesktop.DBus.Error.ServiceUnknown"];
    header.sender().is_some_and(|sender| sender.as_str() == DRIVER)
        && header.error_name().is_some_and(|name| nobody.contains(&name.as_str()))
}

/// The vaults that an answer to `State` states; `None` where it is no such answer.
pub fn state(answer: &Message) -> Option<BTreeMap<ProfileName, VaultState>> {
    let (vaults, _generation): (Vaults, u64) = answer.body().deserialize().ok()?;
    Some(named(vaults))
}

/// Names are parsed at every boundary; a row whose name is none is no vault.
fn named(vaults: Vaults) -> BTreeMap<ProfileName, VaultState> {
    vaults.into_iter().filter_map(|(profile, state)| Some((profile.parse().ok()?, state))).collect()
}

/// The properties of `org.opensesame.Daemon` that the hub keeps.
#[derive(Deserialize, Type)]
#[serde(rename_all = "PascalCase")]
#[zbus(signature = "a{sv}")]
struct DaemonProperties {
    #[serde(with = "as_variant")]
    id: String,
    #[serde(with = "as_variant")]
    started_usec: u64,
    #[serde(with = "as_variant")]
    sandbox: String,
}

/// What a daemon says of its run; `None` where the answer is none.
pub fn introduction(answer: &Message) -> Option<Introduction> {
    let said: DaemonProperties = answer.body().deserialize().ok()?;
    Some(Introduction { id: said.id, started_usec: said.started_usec, sandbox: said.sandbox })
}

/// The properties of a unit that the hub keeps. What is absent is not said.
#[derive(Debug, Default, Deserialize, Type)]
#[serde(rename_all = "PascalCase", default)]
#[zbus(signature = "a{sv}")]
pub struct UnitProperties {
    #[serde(with = "as_variant::optional")]
    load_state: Option<String>,
    #[serde(with = "as_variant::optional")]
    active_state: Option<String>,
    #[serde(with = "as_variant::optional")]
    sub_state: Option<String>,
    #[serde(with = "as_variant::optional", rename = "InvocationID")]
    invocation: Option<Vec<u8>>,
    #[serde(with = "as_variant::optional")]
    result: Option<String>,
    #[serde(with = "as_variant::optional")]
    exec_main_status: Option<i32>,
    #[serde(with = "as_variant::optional", rename = "NRestarts")]
    restarts: Option<u32>,
}

impl UnitProperties {
    /// Brings `facts` up to date.
    pub fn update(self, facts: &mut UnitFacts) {
        fn set<T>(fact: &mut T, said: Option<T>) {
            if let Some(said) = said {
                *fact = said;
            }
        }
        let invocation = self.invocation.map(|id| id.iter().map(|byte| format!("{byte:02x}")).collect());
        set(&mut facts.load_state, self.load_state);
        set(&mut facts.active_state, self.active_state);
        set(&mut facts.sub_state, self.sub_state);
        set(&mut facts.invocation, invocation);
        set(&mut facts.result, self.result);
        set(&mut facts.exec_status, self.exec_main_status);
        set(&mut facts.restarts, self.restarts);
    }
}

/// What the service manager knows of a unit; `None` where the answer is none.
pub fn unit(answer: &Message) -> Option<UnitFacts> {
    let said: UnitProperties = answer.body().deserialize().ok()?;
    let mut facts = UnitFacts::default();
    said.update(&mut facts);
    Some(facts)
}

fn unit_changed(message: &Message) -> Heard {
    match message.body().deserialize::<(&str, UnitProperties, Vec<&str>)>() {
        Ok((interface, said, _)) => Heard::Unit { said, is_whole: interface == "org.freedesktop.systemd1.Unit" },
        Err(_) => Heard::Other,
    }
}

/// Logs forged signals, one line in ten seconds.
#[derive(Default)]
pub struct Grievances {
    last: Option<Instant>,
    unsaid: u64,
}

impl Grievances {
    /// `sender` spoke in the name of daemon-secrets.
    pub fn forged(&mut self, sender: &str, member: &str) {
        if self.last.is_some_and(|last| last.elapsed() < Duration::from_secs(10)) {
            self.unsaid += 1;
            return;
        }
        let unsaid = std::mem::take(&mut self.unsaid);
        self.last = Some(Instant::now());
        let message_id = events::STRANGER_IGNORED;
        tracing::warn!(message_id, sender, member, unsaid, "ignored a signal {member} from {sender}, a stranger");
    }
}
