//! Where a history is played: a private bus with the daemons as children, or a whole session under `systemd --user`.

use std::{fs, os::unix::fs::FileExt, path::PathBuf, process::Stdio, sync::Arc};

use rustix::process::{Pid, Signal, kill_process};
use session_tests::{
    bus::{Bus, Kind},
    home::Home,
    manager::HOME,
    process::Process,
    program,
    sesame::Ended,
    session::Session,
    user_session::{PROFILE_UNIT, SECRETS_UNIT, TARGET, UNITS, UserSession},
};

use crate::{history::Daemon, lossy::Lossy};

/// Seconds; long enough for a hang to be seen before it is ended.
const WATCHDOG: u32 = 12;

/// Where a history is played.
pub enum Host {
    /// Daemons without systemd.
    Private(Box<Private>),
    /// Daemons under systemd.
    Supervised(UserSession),
}

/// A bus of its own, and children.
pub struct Private {
    session: Session,
    lossy: Lossy,
    profile: Option<Process>,
    secrets: Option<Process>,
    clock: fs::File,
    preload: PathBuf,
}

impl Private {
    /// A session in `home`, whose daemons see a clock that can be set.
    ///
    /// # Panics
    /// It cannot be made.
    pub async fn new(kind: Kind, home: Arc<Home>) -> Self {
        let preload = home.path().join("clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/campaign/clock.c");
        let mut compile = std::process::Command::new("cc");
        compile.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&preload).arg(source).stdin(Stdio::null());
        assert!(compile.status().is_ok_and(|status| status.success()), "the clock cannot be compiled");
        let file = home.write("clock", [0; 8]);
        let clock = fs::File::options().write(true).open(file).expect("the clock's file");
        let lossy = Lossy::open(home.path(), home.path().join("bus"));
        let session = Session::start(kind, home).await;
        Self { session, lossy, profile: None, secrets: None, clock, preload }
    }

    fn child(&mut self, daemon: Daemon) -> &mut Option<Process> {
        match daemon {
            Daemon::Profile => &mut self.profile,
            Daemon::Secrets => &mut self.secrets,
        }
    }

    fn start(&mut self, daemon: Daemon) -> Process {
        let name = program_name(daemon);
        let recipe = self.session.recipe(name, [program(name)]);
        let recipe = recipe.with("LD_PRELOAD", &self.preload.display().to_string());
        let clock = self.session.home.path().join("clock");
        let recipe = recipe.with("SESAME_TEST_CLOCK", &clock.display().to_string());
        match daemon {
            Daemon::Profile => recipe.with("DBUS_SESSION_BUS_ADDRESS", &self.lossy.address).start(),
            Daemon::Secrets => recipe.start(),
        }
    }

    /// Sets the daemons' clock, this many seconds ahead.
    ///
    /// # Panics
    /// Its file is gone.
    pub fn set_clock(&self, seconds: i64) {
        self.clock.write_all_at(&seconds.to_ne_bytes(), 0).expect("the clock's file");
    }

    /// The way from the bus to the hub.
    pub fn lossy(&self) -> &Lossy {
        &self.lossy
    }

    /// A daemon that finds its name taken: how it ended, and what it said.
    pub async fn try_start(&mut self, daemon: Daemon) -> (Option<i32>, String) {
        let mut process = self.start(daemon);
        let before = process.log().len();
        let code = process.exited().await.code();
        let said = process.log();
        (code, said.get(before.min(said.len())..).unwrap_or_default().to_owned())
    }

    /// Stops the bus, or lets it go on.
    pub fn signal_bus(&mut self, signal: Signal) {
        // dbus-broker is a child of its launcher, which only starts it.
        let launcher = self.session.bus.process().pid();
        let children = format!("/proc/{0}/task/{0}/children", launcher.as_raw_pid());
        let children = fs::read_to_string(children).unwrap_or_default();
        let broker = children.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).next();
        let bus = if self.session.kind == Kind::DbusBroker { broker.unwrap_or(launcher) } else { launcher };
        let _ = kill_process(bus, signal);
    }

    /// Kills the bus and starts another at the same address. Both daemons must have ended by then, each with a word.
    ///
    /// # Errors
    /// How one ended instead.
    pub async fn restart_bus(&mut self) -> Result<(), String> {
        // Its launcher ends with it, and it with its launcher.
        self.session.bus.process().kill9().await;
        for daemon in [Daemon::Profile, Daemon::Secrets] {
            if let Some(mut process) = self.child(daemon).take() {
                process.signal(Signal::CONT);
                let code = process.exited().await.code();
                if code != Some(1) {
                    return Err(format!("{} without its bus ended with {code:?}", program_name(daemon)));
                }
            }
        }
        self.session.bus = Bus::start(self.session.kind, &self.session.home).await;
        Ok(())
    }
}

/// The program's name.
pub fn program_name(daemon: Daemon) -> &'static str {
    match daemon {
        Daemon::Profile => "daemon-profile",
        Daemon::Secrets => "daemon-secrets",
    }
}

/// The unit's name.
pub fn unit(daemon: Daemon) -> &'static str {
    match daemon {
        Daemon::Profile => PROFILE_UNIT,
        Daemon::Secrets => SECRETS_UNIT,
    }
}

impl Host {
    /// Makes a session under systemd ready.
    pub async fn supervised(session: UserSession) -> Self {
        for unit in UNITS {
            let settings =
                format!("[Unit]\nStartLimitIntervalSec=0\n[Service]\nWatchdogSec={WATCHDOG}\nRestartSec=100ms\n");
            session.drop_in(unit, &settings).await;
        }
        session.systemctl(&["enable", TARGET]).await;
        Self::Supervised(session)
    }

    /// The private session, if it is one.
    pub fn private(&mut self) -> Option<&mut Private> {
        match self {
            Self::Private(private) => Some(private),
            Self::Supervised(_) => None,
        }
    }

    /// The bus's address.
    pub fn address(&self) -> String {
        match self {
            Self::Private(private) => private.session.bus.address().to_owned(),
            Self::Supervised(session) => session.bus(),
        }
    }

    /// The private socket.
    pub fn socket(&self) -> PathBuf {
        match self {
            Self::Private(private) => private.session.home.private_socket(),
            Self::Supervised(session) => session.runtime("open-sesame/secrets.socket"),
        }
    }

    /// A vault's folder.
    pub fn vault(&self, profile: &str) -> PathBuf {
        match self {
            Self::Private(private) => private.session.home.vaults().join(profile),
            Self::Supervised(_) => PathBuf::from(HOME).join(".local/share/open-sesame/vaults").join(profile),
        }
    }

    /// `sesame WORDS`.
    pub async fn sesame(&self, words: &[&str]) -> Ended {
        match self {
            Self::Private(private) => private.session.sesame(words).await,
            Self::Supervised(session) => session.sesame(words).await,
        }
    }

    /// Has a daemon started. It does not run yet.
    pub async fn start(&mut self, daemon: Daemon) {
        match self {
            Self::Private(private) => {
                let process = private.start(daemon);
                *private.child(daemon) = Some(process);
            }
            Self::Supervised(session) => {
                session.systemctl(&["start", unit(daemon)]).await;
            }
        }
    }

    /// SIGKILL. Where systemd looks after it, it comes back.
    pub async fn kill(&mut self, daemon: Daemon) {
        match self {
            Self::Private(private) => {
                if let Some(mut process) = private.child(daemon).take() {
                    process.kill9().await;
                }
            }
            Self::Supervised(session) => session.signal(unit(daemon), Signal::KILL).await,
        }
    }

    /// A clean end: its exit status, where that is known.
    pub async fn stop(&mut self, daemon: Daemon) -> Option<i32> {
        match self {
            Self::Private(private) => match private.child(daemon).take() {
                Some(mut process) => process.stop().await.code(),
                None => Some(0),
            },
            Self::Supervised(session) => {
                session.systemctl(&["stop", unit(daemon)]).await;
                Some(0)
            }
        }
    }

    /// Sends a signal to a daemon's process.
    pub async fn signal(&mut self, daemon: Daemon, signal: Signal) {
        match self {
            Self::Private(private) => {
                if let Some(process) = private.child(daemon) {
                    process.signal(signal);
                }
            }
            Self::Supervised(session) => session.signal(unit(daemon), signal).await,
        }
    }
}
