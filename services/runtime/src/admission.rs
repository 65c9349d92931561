//! Which calls are let in, and when they end (contract, section 2, rule 4). A wrapper around an interface: what is
//! answered from memory passes at once and in order; what waits for a disk, a key or another daemon takes a permit,
//! runs in a task of its own and ends with its caller.

use std::{
    collections::HashMap,
    fmt::Write,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use zbus::{
    BoxDBusError, Connection, ObjectServer, OwnedVariant, Variant,
    export::async_trait::async_trait,
    fdo,
    message::{Header, Message},
    names::{InterfaceName, MemberName},
    object_server::{DispatchResult, Interface, SignalEmitter},
};

use crate::bus;

/// Waiting calls of one daemon.
const MAX_WAITING: usize = 64;
/// Waiting calls of one caller.
const MAX_WAITING_OF_ONE: usize = 8;

/// The permits of one daemon. Clones share them.
#[derive(Clone, Default)]
pub struct Permits {
    // A `std` mutex: never held across an await; the critical section is a count.
    waiting: Arc<Mutex<HashMap<Caller, usize>>>,
}

/// Who calls: a connection of the bus, or a process on the private socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Caller {
    Connection(String),
    Process(u32),
}

/// One waiting call; its place is free again when this is dropped.
pub struct Permit {
    permits: Permits,
    caller: Caller,
}

impl Permits {
    /// A place for a call that came over the bus. Nothing where too many wait.
    pub fn admit_on_bus(&self, header: &Header<'_>) -> Option<Permit> {
        self.admit(Caller::Connection(header.sender().map(ToString::to_string).unwrap_or_default()))
    }

    fn admit(&self, caller: Caller) -> Option<Permit> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = waiting.values().sum();
        let own = waiting.get(&caller).copied().unwrap_or(0);
        if all >= MAX_WAITING || own >= MAX_WAITING_OF_ONE {
            return None;
        }
        waiting.insert(caller.clone(), own + 1);
        Some(Permit { permits: self.clone(), caller })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut waiting = self.permits.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = waiting.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                waiting.remove(&self.caller);
            }
        }
    }
}

/// Where an interface is served.
enum Place {
    Bus,
    PrivateSocket { peer: u32 },
}

/// A future that ends when the daemon's state has taken in what the bus delivered before.
pub type Settled = Pin<Box<dyn Future<Output = ()> + Send>>;
type Settle = Box<dyn Fn() -> Settled + Send + Sync>;

/// The interface `I` with its calls admitted.
pub struct Admitted<I> {
    inner: Arc<I>,
    permits: Permits,
    place: Place,
    waits: &'static [&'static str],
    settle: Option<Settle>,
}

impl<I: Interface> Admitted<I> {
    /// `interface` on the session bus, where the methods named in `waits` take a permit.
    pub fn on_bus(interface: I, permits: Permits, waits: &'static [&'static str]) -> Self {
        Self { inner: Arc::new(interface), permits, place: Place::Bus, waits, settle: None }
    }

    /// `interface` for the process `peer` on the private socket.
    pub fn on_private_socket(interface: I, permits: Permits, waits: &'static [&'static str], peer: u32) -> Self {
        Self { inner: Arc::new(interface), permits, place: Place::PrivateSocket { peer }, waits, settle: None }
    }

    /// Awaits `settle` before properties are read, so that they too show everything that the bus delivered before.
    #[must_use]
    pub fn settled_by(mut self, settle: impl Fn() -> Settled + Send + Sync + 'static) -> Self {
        self.settle = Some(Box::new(settle));
        self
    }

    async fn settle(&self) {
        if let Some(settle) = &self.settle {
            settle().await;
        }
    }

    fn caller(&self, header: &Header<'_>) -> Caller {
        match self.place {
            Place::Bus => Caller::Connection(header.sender().map(ToString::to_string).unwrap_or_default()),
            Place::PrivateSocket { peer } => Caller::Process(peer),
        }
    }

    /// Starts a waiting call in a task of its own, so that the calls behind it are served meanwhile.
    fn start(&self, connection: &Connection, msg: &Message, member: MemberName<'static>) -> Result<(), BoxDBusError> {
        let caller = self.caller(&msg.header());
        let Some(permit) = self.permits.admit(caller.clone()) else {
            let sentence = "too many calls wait for an answer; retry when some have been answered";
            return Err(fdo::Error::LimitsExceeded(sentence.into()).into());
        };
        let (inner, connection, msg) = (Arc::clone(&self.inner), connection.clone(), msg.clone());
        tokio::spawn(async move {
            // Cancelling the call may cut off its answer, but never half-way: the kernel takes a message of this
            // size (names, or nothing) as a whole. On the private socket nobody is left to read it.
            tokio::select! {
                biased;
                () = answer(&*inner, &connection, &msg, member) => {}
                () = end_of(&caller, &connection) => {}
            }
            drop(permit);
        });
        Ok(())
    }
}

async fn end_of(caller: &Caller, connection: &Connection) {
    match caller {
        Caller::Connection(unique_name) => bus::departure(connection, unique_name).await,
        Caller::Process(_) => connection.closed().await,
    }
}

async fn answer<I: Interface>(inner: &I, connection: &Connection, msg: &Message, member: MemberName<'static>) {
    let outcome = match inner.call(connection.object_server(), connection, msg, member) {
        DispatchResult::Async(call) => call.await,
        DispatchResult::NotFound | DispatchResult::RequiresMut => {
            Err(fdo::Error::UnknownMethod("no such method".into()).into())
        }
    };
    if let Err(error) = outcome {
        // Fails only with the connection.
        let _ = connection.reply_dbus_error(&msg.header(), error).await;
    }
}

#[async_trait]
impl<I: Interface> Interface for Admitted<I> {
    fn name() -> InterfaceName<'static> {
        I::name()
    }

    fn spawn_tasks_for_methods(&self) -> bool {
        false
    }

    async fn get(
        &self,
        property_name: &str,
        server: &ObjectServer,
        connection: &Connection,
        header: Option<&Header<'_>>,
        emitter: &SignalEmitter<'_>,
    ) -> Option<Result<OwnedVariant, BoxDBusError>> {
        self.settle().await;
        self.inner.get(property_name, server, connection, header, emitter).await
    }

    async fn get_all(
        &self,
        server: &ObjectServer,
        connection: &Connection,
        header: Option<&Header<'_>>,
        emitter: &SignalEmitter<'_>,
    ) -> fdo::Result<HashMap<String, OwnedVariant>> {
        self.settle().await;
        self.inner.get_all(server, connection, header, emitter).await
    }

    async fn set_mut(
        &mut self,
        property_name: &str,
        _value: &Variant<'_>,
        _server: &ObjectServer,
        _connection: &Connection,
        _header: Option<&Header<'_>>,
        _emitter: &SignalEmitter<'_>,
    ) -> Option<Result<(), BoxDBusError>> {
        let sentence = format!("{property_name} cannot be set; properties are read-only, call a method instead");
        Some(Err(fdo::Error::PropertyReadOnly(sentence).into()))
    }

    fn call<'call>(
        &'call self,
        server: &'call ObjectServer,
        connection: &'call Connection,
        msg: &'call Message,
        name: MemberName<'call>,
    ) -> DispatchResult<'call> {
        if !self.waits.contains(&name.as_str()) {
            return self.inner.call(server, connection, msg, name);
        }
        let started = self.start(connection, msg, name.to_owned());
        DispatchResult::Async(Box::pin(async move { started }))
    }

    fn call_mut<'call>(
        &'call mut self,
        _server: &'call ObjectServer,
        _connection: &'call Connection,
        _msg: &'call Message,
        _name: MemberName<'call>,
    ) -> DispatchResult<'call> {
        DispatchResult::NotFound
    }

    fn introspect_to_writer(&self, writer: &mut dyn Write, level: usize) {
        self.inner.introspect_to_writer(writer, level);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(name: &str) -> Caller {
        Caller::Connection(name.into())
    }

    #[test]
    fn one_caller_cannot_take_every_permit() {
        let permits = Permits::default();
        let taken: Vec<_> = (0..MAX_WAITING_OF_ONE).map(|_| permits.admit(caller(":1.1")).unwrap()).collect();
        assert!(permits.admit(caller(":1.1")).is_none());
        assert!(permits.admit(caller(":1.2")).is_some());
        drop(taken);
        assert!(permits.admit(caller(":1.1")).is_some());
    }

    #[test]
    fn the_daemon_has_a_limit_of_its_own() {
        let permits = Permits::default();
        let callers = (0..u32::try_from(MAX_WAITING).unwrap()).map(Caller::Process);
        let taken: Vec<_> = callers.map(|caller| permits.admit(caller).unwrap()).collect();
        assert!(permits.admit(caller(":1.9")).is_none());
        drop(taken);
        assert!(permits.waiting.lock().unwrap().is_empty());
    }
}
