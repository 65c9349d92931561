//! From a message to the object that it is for. Objects are made for the call and forgotten after it: a vault with
//! 10,000 items costs nothing until somebody asks for one of them.

use std::{
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use daemon_runtime::admission::Permits;
use futures_util::StreamExt;
use zbus::{
    BoxDBusError, Message, MessageStream, ObjectServer, OwnedVariant, fdo,
    message::{Header, Type},
    object_server::{DispatchResult, Interface, SignalEmitter},
};

use super::{
    announcements::{COLLECTION_INTERFACE, ITEM_INTERFACE, PROMPT_INTERFACE, SERVICE_INTERFACE},
    caller,
    collection::Collection,
    desk::Desk,
    error::{self, no_object},
    item::Item,
    paths::{self, Object},
    prompt::Prompt,
    service::Service,
    session::Session,
    turns::{Turn, Turns},
};
use crate::handle::Reads;

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const INTROSPECTABLE: &str = "org.freedesktop.DBus.Introspectable";
const PEER: &str = "org.freedesktop.DBus.Peer";
const SESSION_INTERFACE: &str = "org.freedesktop.Secret.Session";

/// The methods that wait for a disk, a key or the bus itself.
const WAITS: &[&str] = &["CreateItem", "Delete", "SetSecret", "Set", "Lock", "SetAlias", "Prompt"];

/// Answers calls, until the connection is lost or this is dropped. What is answered from memory is answered here, but for
/// what waits behind a call of the same client that takes its time.
pub async fn serve(desk: Arc<Desk>, own: ObjectServerOf, mut messages: MessageStream) {
    let (permits, turns) = (Permits::default(), Arc::new(Mutex::new(Turns::default())));
    while let Some(message) = messages.next().await {
        let Ok(message) = message else { return };
        if message.message_type() != Type::MethodCall {
            continue;
        }
        let (client, bytes) = (caller::connection(&message.header()), message.data().len());
        let turn = lock(&turns).come(&client, message, bytes);
        let calls = Calls { desk: Arc::clone(&desk), own: own.clone(), permits: permits.clone() };
        match turn {
            Turn::Later => {}
            Turn::TooMany(message) if waits(&message) => calls.refuse(&message).await,
            Turn::Now(message) if waits(&message) => {
                lock(&turns).begin(&client);
                let turns = Arc::clone(&turns);
                // A task of its own, which is never cancelled: half an answer would be the end of the connection.
                tokio::spawn(async move {
                    let mut next = Some(message);
                    while let Some(message) = next {
                        calls.answer(&message).await;
                        next = lock(&turns).next(&client);
                    }
                });
            }
            // From memory, which is never refused.
            Turn::Now(message) | Turn::TooMany(message) => calls.answer(&message).await,
        }
    }
}

/// `std` mutex, not tokio's: never held across an await; the critical sections put a call into a queue, or take it out.
fn lock(turns: &Mutex<Turns<Message>>) -> MutexGuard<'_, Turns<Message>> {
    turns.lock().unwrap_or_else(PoisonError::into_inner)
}

fn waits(message: &Message) -> bool {
    message.header().member().is_some_and(|member| WAITS.contains(&member.as_str()))
}

/// What answers calls.
struct Calls {
    desk: Arc<Desk>,
    own: ObjectServerOf,
    permits: Permits,
}

impl Calls {
    async fn answer(&self, message: &Message) {
        let permit = if waits(message) { self.permits.admit_on_bus(&message.header()).map(Some) } else { Some(None) };
        match permit {
            Some(_permit) => answer(&self.desk, &self.own, message).await,
            None => self.refuse(message).await,
        }
    }

    async fn refuse(&self, message: &Message) {
        let sentence = "too many calls wait for an answer; retry when some have been answered";
        let refused = Box::new(fdo::Error::LimitsExceeded(sentence.into()));
        // Fails only with the connection.
        let _ = self.desk.connection.reply_dbus_error(&message.header(), refused).await;
    }
}

/// The daemon's own connection. Interfaces want an object server, and this one's is never asked for anything; the
/// connection of the Secret Service has none, since that would answer every call a second time.
pub type ObjectServerOf = zbus::Connection;

async fn answer(desk: &Arc<Desk>, own: &ObjectServerOf, message: &Message) {
    let header = message.header();
    if let Err(refused) = dispatch(desk, own.object_server(), message, &header).await {
        // Fails only with the connection.
        let _ = desk.connection.reply_dbus_error(&header, refused).await;
    }
}

async fn dispatch(
    desk: &Arc<Desk>,
    server: &ObjectServer,
    message: &Message,
    header: &Header<'_>,
) -> Result<(), BoxDBusError> {
    let (Some(path), Some(member)) = (header.path(), header.member()) else {
        return Err(fdo::Error::InvalidArgs("a call has a path and a member".into()).into());
    };
    let interface = header.interface().map_or("", |interface| interface.as_str());
    if interface == PEER {
        return peer(desk, header, member).await;
    }
    if interface == INTROSPECTABLE {
        return introspect(desk, header, path.as_str()).await;
    }
    let (own_interface, object) = object(desk, path.as_str()).await.map_err(boxed)?;
    if interface == PROPERTIES {
        return properties(desk, server, message, header, (own_interface, &*object)).await;
    }
    if !interface.is_empty() && interface != own_interface {
        return Err(fdo::Error::UnknownInterface(format!("{path} has no interface {interface}")).into());
    }
    match object.call(server, &desk.connection, message, member.as_ref()) {
        DispatchResult::Async(called) => called.await,
        DispatchResult::NotFound | DispatchResult::RequiresMut => {
            Err(fdo::Error::UnknownMethod(format!("{own_interface} has no method {member}")).into())
        }
    }
}

fn boxed(error: error::Error) -> BoxDBusError {
    Box::new(error)
}

/// The object at `path`, and its interface.
async fn object(desk: &Arc<Desk>, path: &str) -> Result<(&'static str, Box<dyn Interface>), error::Error> {
    let desk = Arc::clone(desk);
    Ok(match desk.object(path)? {
        Object::Service => (SERVICE_INTERFACE, Box::new(Service(desk))),
        Object::Collection(which) => (COLLECTION_INTERFACE, Box::new(Collection { desk, which })),
        Object::Item(collection, id) => {
            // A locked one is not looked for: what is asked of it says that it is locked.
            match desk.look_at(&collection, id, Reads::Nothing, |_, _| ()).await {
                Ok(()) | Err(error::Error::IsLocked(_)) => {}
                Err(error) => return Err(error),
            }
            (ITEM_INTERFACE, Box::new(Item { desk, collection, id }))
        }
        Object::Session(number) => (SESSION_INTERFACE, Box::new(Session { desk, number })),
        Object::Prompt(number) => (PROMPT_INTERFACE, Box::new(Prompt { desk, number })),
        Object::Alias(_) => return Err(no_object(path)),
    })
}

async fn properties(
    desk: &Arc<Desk>,
    server: &ObjectServer,
    message: &Message,
    header: &Header<'_>,
    (own_interface, object): (&'static str, &dyn Interface),
) -> Result<(), BoxDBusError> {
    let connection = &desk.connection;
    let path = header.path().map_or("/", |path| path.as_str());
    let emitter = SignalEmitter::new(connection, path).map_err(BoxDBusError::from)?;
    let body = message.body();
    let must_be_own = |interface: &str| match interface {
        "" => Ok(()),
        other if other == own_interface => Ok(()),
        other => Err(fdo::Error::UnknownInterface(format!("{path} has no interface {other}"))),
    };
    let malformed = |cause: zbus::Error| fdo::Error::InvalidArgs(cause.to_string());
    match header.member().map_or("", |member| member.as_str()) {
        "Get" => {
            let (interface, name): (&str, &str) = body.deserialize().map_err(malformed)?;
            must_be_own(interface)?;
            let value = object.get(name, server, connection, Some(header), &emitter).await;
            let value = value.ok_or_else(|| fdo::Error::UnknownProperty(format!("there is no property {name}")))??;
            Ok(connection.reply(header, &value).await?)
        }
        "GetAll" => {
            must_be_own(body.deserialize().map_err(malformed)?)?;
            let values = object.get_all(server, connection, Some(header), &emitter).await?;
            Ok(connection.reply(header, &values).await?)
        }
        "Set" => {
            let (interface, name, value): (&str, &str, OwnedVariant) = body.deserialize().map_err(malformed)?;
            must_be_own(interface)?;
            match object.set(name, &value, server, connection, Some(header), &emitter) {
                DispatchResult::Async(set) => set.await?,
                DispatchResult::NotFound | DispatchResult::RequiresMut => {
                    return Err(fdo::Error::PropertyReadOnly(format!("{name} cannot be set")).into());
                }
            }
            Ok(connection.reply(header, &()).await?)
        }
        other => Err(fdo::Error::UnknownMethod(format!("{PROPERTIES} has no method {other}")).into()),
    }
}

async fn peer(desk: &Desk, header: &Header<'_>, member: &str) -> Result<(), BoxDBusError> {
    match member {
        "Ping" => Ok(desk.connection.reply(header, &()).await?),
        "GetMachineId" => {
            let id = std::fs::read_to_string("/etc/machine-id").unwrap_or_default();
            Ok(desk.connection.reply(header, &id.trim_end()).await?)
        }
        other => Err(fdo::Error::UnknownMethod(format!("{PEER} has no method {other}")).into()),
    }
}

/// The folders above the objects are nodes too, so that who walks the tree gets there.
async fn introspect(desk: &Arc<Desk>, header: &Header<'_>, path: &str) -> Result<(), BoxDBusError> {
    let below = |children: Vec<String>| {
        children.iter().fold(String::new(), |mut xml, child| {
            // Writing to a text cannot fail.
            let _ = writeln!(xml, "  <node name=\"{child}\"/>");
            xml
        })
    };
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let collections = || desk.collections().iter().map(|of| last(paths::collection(of).as_str())).collect();
    let mut xml = String::from(
        "<!DOCTYPE node PUBLIC \"-//freedesktop//DTD D-BUS Object Introspection 1.0//EN\"\n \"http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd\">\n<node>\n",
    );
    let children: Vec<String> = match path {
        "/" => vec!["org".into()],
        "/org" => vec!["freedesktop".into()],
        "/org/freedesktop" => vec!["secrets".into()],
        "/org/freedesktop/secrets/collection" => collections(),
        "/org/freedesktop/secrets/aliases" => {
            ["default", "session"].into_iter().filter(|alias| desk.aliased(alias).is_some()).map(Into::into).collect()
        }
        _ => {
            let (_, object) = object(desk, path).await.map_err(boxed)?;
            object.introspect_to_writer(&mut xml, 1);
            xml.push_str(STANDARD);
            if path == paths::SERVICE { vec!["aliases".into(), "collection".into()] } else { vec![] }
        }
    };
    xml.push_str(&below(children));
    xml.push_str("</node>\n");
    Ok(desk.connection.reply(header, &xml).await?)
}

const STANDARD: &str = "  <interface name=\"org.freedesktop.DBus.Properties\">
    <method name=\"Get\"><arg name=\"interface_name\" type=\"s\" direction=\"in\"/><arg name=\"property_name\" type=\"s\" direction=\"in\"/><arg name=\"value\" type=\"v\" direction=\"out\"/></method>
    <method name=\"GetAll\"><arg name=\"interface_name\" type=\"s\" direction=\"in\"/><arg name=\"properties\" type=\"a{sv}\" direction=\"out\"/></method>
    <method name=\"Set\"><arg name=\"interface_name\" type=\"s\" direction=\"in\"/><arg name=\"property_name\" type=\"s\" direction=\"in\"/><arg name=\"value\" type=\"v\" direction=\"in\"/></method>
    <signal name=\"PropertiesChanged\"><arg name=\"interface_name\" type=\"s\"/><arg name=\"changed_properties\" type=\"a{sv}\"/><arg name=\"invalidated_properties\" type=\"as\"/></signal>
  </interface>
  <interface name=\"org.freedesktop.DBus.Introspectable\">
    <method name=\"Introspect\"><arg name=\"xml_data\" type=\"s\" direction=\"out\"/></method>
  </interface>
";

/// The stream that [`serve`] reads, subscribed to nothing but what is sent to this connection.
pub fn calls(connection: &zbus::Connection) -> MessageStream {
    MessageStream::from(connection)
}
