//! A private system bus, and a logind on it that does what a test tells it: python-dbusmock's.

use futures_util::StreamExt;
use tokio::{sync::watch, task::JoinHandle};
use zbus::{Message, MessageStream, Variant};

use crate::{
    bus::Bus,
    client::Client,
    home::Home,
    process::{Process, Recipe},
    within_deadline,
};

const NAME: &str = "org.freedesktop.login1";
const PATH: &str = "/org/freedesktop/login1";
const MANAGER: &str = "org.freedesktop.login1.Manager";
const MOCK: &str = "org.freedesktop.DBus.Mock";
/// The session that this user has, with a desktop.
pub const SESSION: &str = "/org/freedesktop/login1/session/c1";
/// A session of another user.
pub const OTHERS_SESSION: &str = "/org/freedesktop/login1/session/c2";

/// The system bus of a test, which looks on.
pub struct SystemBus {
    /// A connection to it.
    pub client: Client,
    // How often an inhibitor was taken and closed.
    inhibitors: watch::Receiver<(usize, usize)>,
    task: JoinHandle<()>,
    bus: Bus,
}

impl SystemBus {
    /// Starts a bus where the programs in `home` look for the system's.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(home: &Home) -> Self {
        let bus = Bus::system(home).await;
        let client = Client::connect(bus.address()).await;
        let mut stream = MessageStream::from(&client.connection);
        let (sender, inhibitors) = watch::channel((0, 0));
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let member = message.header().member().map(ToString::to_string);
                sender.send_if_modified(|(taken, closed)| match member.as_deref() {
                    Some("InhibitorTaken") => {
                        *taken += 1;
                        true
                    }
                    Some("InhibitorClosed") => {
                        *closed += 1;
                        true
                    }
                    _ => false,
                });
            }
        });
        let rule = "type='signal',interface='org.opensesame.Test'";
        let bus_name = Some("org.freedesktop.DBus");
        let added = client.connection.call_method(bus_name, "/org/freedesktop/DBus", bus_name, "AddMatch", &rule);
        added.await.expect("a subscription");
        Self { client, inhibitors, task, bus }
    }

    /// Waits until an inhibitor was taken and closed this often since the bus was started.
    pub async fn until_inhibitors(&mut self, taken: usize, closed: usize) {
        let what = format!("{taken} inhibitors taken and {closed} closed; now it is {:?}", *self.inhibitors.borrow());
        let seen = within_deadline(&what, self.inhibitors.wait_for(|now| *now == (taken, closed))).await;
        drop(seen.expect("a bus that runs"));
    }

    /// The unique names of the connections that the process has.
    pub async fn connections_of(&self, process: &Process) -> Vec<String> {
        let bus = zbus::fdo::DBusProxy::new(&self.client.connection).await.expect("a proxy of the bus");
        let pid = u32::try_from(process.pid().as_raw_pid()).expect("a process id");
        let mut connections = Vec::new();
        for name in bus.list_names().await.expect("ListNames") {
            let of = bus.get_connection_unix_process_id(name.as_ref()).await;
            if name.starts_with(':') && of.is_ok_and(|of| of == pid) {
                connections.push(name.to_string());
            }
        }
        connections
    }

    /// The bus itself.
    pub fn bus(&mut self) -> &mut Bus {
        &mut self.bus
    }
}

impl Drop for SystemBus {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// logind, with a session of this user and one of another.
pub struct Logind {
    client: Client,
    /// Its process.
    pub process: Process,
}

impl Logind {
    /// Starts it, and waits until it owns its name.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(home: &Home, bus: &SystemBus) -> Self {
        let logind = Self::with(home, bus, "{}").await;
        let uid = rustix::process::geteuid().as_raw();
        for (session, uid, user) in [("c1", uid, "us"), ("c2", uid + 1, "another")] {
            logind.mock(PATH, "AddSession", &(session, "seat0", uid, user, true)).await;
        }
        let display = ("c1", zbus::ObjectPath::try_from(SESSION).expect("a path"));
        let body = ("org.freedesktop.login1.User", "Display", Variant::from(display));
        logind.call(&user(), "org.freedesktop.DBus.Properties", "Set", &body).await;
        logind
    }

    /// Starts it with a session of this user whose screen is locked, which nobody is told.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start_locked(home: &Home, bus: &SystemBus) -> Self {
        Self::with(home, bus, &format!("{{\"locked\": [{}]}}", rustix::process::geteuid().as_raw())).await
    }

    async fn with(home: &Home, bus: &SystemBus, parameters: &str) -> Self {
        let template = home.write("fake_logind.py", include_str!("fake_logind.py"));
        let template = template.display().to_string();
        let words =
            ["/usr/bin/python3", "-m", "dbusmock", "--system", "--template", &template, "--parameters", parameters];
        let process = Recipe::new(home, "logind", words).start();
        let logind = Self { client: bus.client.clone(), process };
        logind.client.wait_for_owner(NAME).await;
        logind
    }

    /// Tells that the machine is about to sleep, or that it is awake again.
    pub async fn sleep(&self, sleeps: bool) {
        self.mock(PATH, "EmitSignal", &(MANAGER, "PrepareForSleep", "b", vec![Variant::from(sleeps)])).await;
    }

    /// Asks for the lock of a session's screen, as `loginctl lock-session` does.
    pub async fn lock(&self, session: &str) {
        self.session(session, "Lock", &()).await;
    }

    /// Has a session's screen locked, as a desktop says it.
    pub async fn set_locked_hint(&self, session: &str, locked: bool) {
        self.session(session, "SetLockedHint", &locked).await;
    }

    /// Has this user be away, or back.
    pub async fn set_idle_hint(&self, idle: bool) {
        let changed = std::collections::HashMap::from([("IdleHint", Variant::from(idle))]);
        self.mock(&user(), "UpdateProperties", &("org.freedesktop.login1.User", changed)).await;
    }

    async fn session<B>(&self, path: &str, member: &str, body: &B)
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        self.call(path, "org.freedesktop.login1.Session", member, body).await;
    }

    async fn mock<B>(&self, path: &str, member: &str, body: &B)
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        self.call(path, MOCK, member, body).await;
    }

    async fn call<B>(&self, path: &str, interface: &str, member: &str, body: &B) -> Message
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        let answer = self.client.connection.call_method(Some(NAME), path, Some(interface), member, body).await;
        answer.unwrap_or_else(|error| panic!("{member}: {error}"))
    }
}

/// This user's object.
fn user() -> String {
    format!("{PATH}/user/{}", rustix::process::geteuid().as_raw())
}
