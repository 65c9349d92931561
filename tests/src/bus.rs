//! Private session buses: dbus-daemon, and dbus-broker without a systemd around it.

use std::{
    net::Shutdown,
    os::{
        fd::OwnedFd,
        unix::net::{UnixDatagram, UnixListener},
    },
    path::Path,
    thread::JoinHandle,
};

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::{
    home::Home,
    process::{Process, Recipe},
    within_deadline,
};

/// An implementation of the message bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The reference implementation.
    DbusDaemon,
    /// The one that most distributions run now.
    DbusBroker,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::DbusDaemon, Self::DbusBroker];

    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::DbusDaemon => "dbus-daemon",
            Self::DbusBroker => "dbus-broker",
        }
    }
}

/// A bus of one test, gone when this is dropped.
pub struct Bus {
    address: String,
    process: Process,
    _journal: Option<Journal>,
}

impl Bus {
    /// Starts a bus in `home`, at the same address every time.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(kind: Kind, home: &Home) -> Self {
        let socket = home.path().join("bus");
        // A killed bus leaves its socket behind.
        let _ = std::fs::remove_file(&socket);
        let address = format!("unix:path={}", socket.display());
        match kind {
            Kind::DbusDaemon => Self::dbus_daemon(home, "dbus-daemon", address).await,
            Kind::DbusBroker => Self::dbus_broker(home, &socket, address),
        }
    }

    /// Starts a bus where the programs in `home` look for the system's.
    ///
    /// # Panics
    /// It does not start.
    pub async fn system(home: &Home) -> Self {
        Self::dbus_daemon(home, "system-bus", home.system_bus()).await
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    async fn dbus_daemon(home: &Home, name: &str, address: String) -> Self {
        let config = home.write(&format!("{name}.conf"), configuration(home, &address));
        let config = format!("--config-file={}", config.display());
        let words = ["dbus-daemon", &config, "--nofork", "--nopidfile", "--print-address=1"];
        let mut process = Recipe::new(home, name, words).with("DBUS_SESSION_BUS_ADDRESS", &address).start();
        let stdout = process.stdout().expect("the bus's standard output");
        let line = within_deadline("the bus's address", BufReader::new(stdout).lines().next_line()).await;
        assert!(matches!(line, Ok(Some(_))), "dbus-daemon did not start: {}", process.log());
        Self { address, process, _journal: None }
    }

    /// dbus-broker-launch takes its listening socket as systemd passes it (descriptor 3), and wants a journal, which
    /// it gets in a mount namespace of its own. It answers the first connection as soon as it runs.
    fn dbus_broker(home: &Home, socket: &Path, address: String) -> Self {
        let config = home.write("bus.conf", configuration(home, &address));
        let listener = UnixListener::bind(socket).expect("a socket for the bus");
        let journal = Journal::at(&home.path().join("journal"));
        let script = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal \
             && : > /run/systemd/journal/socket && mount --bind journal /run/systemd/journal/socket \
             && exec 3<&0 0</dev/null && LISTEN_FDS=1 LISTEN_PID=$$ exec dbus-broker-launch --scope user \
             --config-file \"$0\"";
        let namespace = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script];
        let words = namespace.into_iter().map(AsRef::as_ref).chain([config.as_os_str()]);
        let recipe = Recipe::new(home, "dbus-broker", words).with("DBUS_SESSION_BUS_ADDRESS", &address);
        Self { address, process: recipe.stdin(OwnedFd::from(listener)).start(), _journal: Some(journal) }
    }
}

/// As a session's bus is: everything allowed, and the limits so high that they do not count.
fn configuration(home: &Home, address: &str) -> String {
    let services = home.path().join("data/dbus-1/services");
    let limits = [
        "max_incoming_bytes",
        "max_outgoing_bytes",
        "max_message_size",
        "max_completed_connections",
        "max_incomplete_connections",
        "max_connections_per_user",
        "max_names_per_connection",
        "max_match_rules_per_connection",
        "max_replies_per_connection",
    ];
    let limits: String = limits.iter().map(|name| format!("<limit name=\"{name}\">1000000000</limit>")).collect();
    format!(
        "<!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN\" \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
         <busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth>\
         <servicedir>{}</servicedir><policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
         <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy>{limits}</busconfig>\n",
        services.display()
    )
}

/// A journal that reads what it is sent and forgets it.
struct Journal {
    socket: UnixDatagram,
    reader: Option<JoinHandle<()>>,
}

impl Journal {
    fn at(path: &Path) -> Self {
        let _ = std::fs::remove_file(path);
        let socket = UnixDatagram::bind(path).expect("a socket for the journal");
        let theirs = socket.try_clone().expect("a second descriptor");
        // An own thread: the bus must never wait for a test that is busy. Ends at the shutdown, which reads as nothing.
        let reader = std::thread::spawn(move || while theirs.recv(&mut [0; 16]).is_ok_and(|length| length > 0) {});
        Self { socket, reader: Some(reader) }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = self.reader.take().map(JoinHandle::join);
    }
}
