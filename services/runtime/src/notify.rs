//! What the service manager is told: READY, STATUS, STOPPING, WATCHDOG (sd_notify(3)), and what it asks for
//! (sd_watchdog_enabled(3)).

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    sync::Arc,
    time::Duration,
};

use sd_notify::NotifyState;

/// The way to the service manager, if there is one. Connected once, before the sandbox: under a scope on abstract
/// sockets a later connection to an abstract one would be refused.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    socket: Option<Arc<UnixDatagram>>,
}

impl Notifier {
    /// Connects to `NOTIFY_SOCKET`, a path or an abstract (`@`) name. Without the variable nobody is told anything.
    ///
    /// # Errors
    /// The socket is named and cannot be reached.
    pub fn from_environment() -> io::Result<Self> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address(&name)?)?;
        // A manager that takes nothing must not stop a daemon.
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Some(Arc::new(socket)) })
    }

    /// Whether a service manager started this process.
    pub fn is_connected(&self) -> bool {
        self.socket.is_some()
    }

    /// Tells the service manager. What it does not take is lost: there is nobody else to tell.
    pub fn tell(&self, states: &[NotifyState<'_>]) {
        if let Some(socket) = &self.socket {
            let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
            if let Err(cause) = socket.send(lines.as_bytes()) {
                tracing::debug!(%cause, "the service manager took no notification");
            }
        }
    }
}

fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    }
}

/// The watchdog's time as the service manager set it for the process `pid`.
pub fn watchdog_time(pid: u32) -> Option<Duration> {
    let given = |variable| env::var(variable).ok();
    watchdog_of(given("WATCHDOG_USEC"), given("WATCHDOG_PID"), pid)
}

fn watchdog_of(usec: Option<String>, for_pid: Option<String>, pid: u32) -> Option<Duration> {
    let ours = for_pid.is_none_or(|for_pid| for_pid.parse() == Ok(pid));
    let usec: u64 = usec?.parse().ok()?;
    (ours && usec > 0).then(|| Duration::from_micros(usec))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_counts_only_for_the_process_it_is_set_for() {
        let of = |usec: &str, pid: Option<&str>| watchdog_of(Some(usec.into()), pid.map(Into::into), 42);
        assert_eq!(of("30000000", Some("42")), Some(Duration::from_secs(30)));
        assert_eq!(of("30000000", None), Some(Duration::from_secs(30)));
        assert_eq!(of("30000000", Some("41")), None, "inherited from a parent");
        assert_eq!(of("0", None), None);
        assert_eq!(of("soon", None), None);
        assert_eq!(watchdog_of(None, None, 42), None);
    }

    #[test]
    fn both_kinds_of_socket_can_be_addressed() {
        assert_eq!(address(OsStr::new("@abc")).unwrap().as_abstract_name(), Some(&b"abc"[..]));
        assert!(address(OsStr::new("/run/notify")).unwrap().as_pathname().is_some());
    }
}
