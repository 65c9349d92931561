//! A user's session, seen from inside by the scenario that plays in it: systemctl, the command line, the bus.
//! `manager` makes the session.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use dbus_interfaces::profile::Report;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::{
    DEADLINE, PASSPHRASE, bus::Kind, client::Client, manager::HOME, recorder::Recorder, sesame::Ended, within_deadline,
};

/// The unit of daemon-profile.
pub const PROFILE_UNIT: &str = "open-sesame-profile.service";
/// The unit of daemon-secrets.
pub const SECRETS_UNIT: &str = "open-sesame-secrets.service";
/// Both.
pub const UNITS: [&str; 2] = [PROFILE_UNIT, SECRETS_UNIT];
/// What starts both.
pub const TARGET: &str = "open-sesame.target";

/// Between two looks at something that tells nobody of its changes.
const LOOK: Duration = Duration::from_millis(50);

/// The session that this process lives in.
pub struct UserSession {
    /// What its bus is.
    pub kind: Kind,
}

impl UserSession {
    /// The session around this process, with the lowest work factor that the contract allows.
    ///
    /// # Panics
    /// Its home cannot be written.
    pub fn enter(kind: Kind) -> Self {
        let session = Self { kind };
        session.write(".config/open-sesame/config.toml", "work_factor = 15\n");
        session.write("passphrase", PASSPHRASE);
        session
    }

    /// Writes a file of the home; its path.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = Path::new(HOME).join(name);
        fs::create_dir_all(path.parent().expect("a file in a folder")).expect("a folder of the home");
        fs::write(&path, text).expect("a file of the home");
        path
    }

    /// A file in `$XDG_RUNTIME_DIR`.
    pub fn runtime(&self, name: &str) -> PathBuf {
        PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").expect("XDG_RUNTIME_DIR")).join(name)
    }

    /// The bus's address.
    pub fn bus(&self) -> String {
        std::env::var("DBUS_SESSION_BUS_ADDRESS").expect("DBUS_SESSION_BUS_ADDRESS")
    }

    /// A new connection to the bus.
    pub async fn client(&self) -> Client {
        Client::connect(&self.bus()).await
    }

    /// A recorder of the bus's signals.
    pub async fn recorder(&self) -> Recorder {
        Recorder::start(&self.bus()).await
    }

    /// The hub's report.
    pub async fn report(&self) -> Report {
        self.client().await.report().await
    }

    /// Changes a unit's settings, as a user would.
    ///
    /// # Panics
    /// systemd does not take it.
    pub async fn drop_in(&self, unit: &str, settings: &str) {
        self.write(&format!(".config/systemd/user/{unit}.d/test.conf"), settings);
        self.systemctl(&["daemon-reload"]).await;
    }

    /// Gives both daemons a short watchdog.
    pub async fn short_watchdog(&self, seconds: u32) {
        for unit in UNITS {
            self.drop_in(unit, &format!("[Service]\nWatchdogSec={seconds}\n")).await;
        }
    }

    /// Both daemons under systemd, `personal` unlocked and `work` locked.
    pub async fn start(&self) {
        self.systemctl(&["enable", "--now", TARGET]).await;
        let file = self.passphrase_file();
        self.sesame(&["init", "--passphrase-file", &file]).await.stdout_of_success();
        self.sesame(&["profile", "add", "work", "--passphrase-file", &file]).await.stdout_of_success();
        self.until_report("health to be ok", |report| report.health == "ok").await;
    }

    /// Unlocks `profile`.
    pub async fn unlock(&self, profile: &str) {
        let file = self.passphrase_file();
        self.sesame(&["unlock", "-p", profile, "--passphrase-file", &file]).await.stdout_of_success();
    }

    /// The file with [`PASSPHRASE`].
    pub fn passphrase_file(&self) -> String {
        format!("{HOME}/passphrase")
    }

    /// `sesame WORDS`, from the user's own ~/.local/bin.
    pub async fn sesame(&self, words: &[&str]) -> Ended {
        let sesame = format!("{HOME}/.local/bin/sesame");
        self.run(&[&[sesame.as_str()], words].concat()).await
    }

    /// `systemctl --user WORDS`, which must succeed: its output.
    pub async fn systemctl(&self, words: &[&str]) -> String {
        let ended = self.run(&[&["systemctl", "--user"], words].concat()).await;
        assert_eq!(ended.code, 0, "systemctl {words:?}: {ended:?}");
        ended.stdout
    }

    /// A property of a unit, as `systemctl --user show` prints it.
    pub async fn property(&self, unit: &str, name: &str) -> String {
        self.systemctl(&["show", "--value", "--property", name, unit]).await.trim().to_owned()
    }

    /// The main process of a unit.
    ///
    /// # Panics
    /// It has none.
    pub async fn pid(&self, unit: &str) -> Pid {
        let pid = self.property(unit, "MainPID").await;
        pid.parse().ok().and_then(Pid::from_raw).unwrap_or_else(|| panic!("{unit} has no process"))
    }

    /// Sends a signal to a unit's main process, itself: systemd does not know of it.
    ///
    /// # Panics
    /// It has none.
    pub async fn signal(&self, unit: &str, signal: Signal) {
        kill_process(self.pid(unit).await, signal).expect("a signal to a process of the session");
    }

    /// How a user starts an installed program from a shell: without anything that a service manager sets.
    pub fn by_hand(&self, program: &str) -> Command {
        let mut command = Command::new(format!("{HOME}/.local/bin/{program}"));
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Any program.
    ///
    /// # Panics
    /// It cannot be started, or does not end in time.
    pub async fn run(&self, words: &[&str]) -> Ended {
        let started = Instant::now();
        let output = Command::new(words[0]).args(&words[1..]).stdin(Stdio::null()).kill_on_drop(true).output();
        let output = within_deadline(&format!("the end of {words:?}"), output).await;
        let output = output.unwrap_or_else(|error| panic!("cannot start {words:?}: {error}"));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
            took: started.elapsed(),
        }
    }

    /// Any program, as root.
    pub async fn as_root(&self, words: &[&str]) -> Ended {
        self.run(&[&["/run/as-root", "--reuid=0", "--regid=0", "--clear-groups"], words].concat()).await
    }

    /// Waits until a property of a unit has a value.
    pub async fn until_property(&self, unit: &str, name: &str, value: &str) {
        self.until_property_is(unit, name, |now| now == value).await;
    }

    /// Waits until a property of a unit fulfils `holds`; its value then.
    pub async fn until_property_is(&self, unit: &str, name: &str, holds: impl Fn(&str) -> bool) -> String {
        until(&format!("{name} of {unit}"), async || {
            let now = self.property(unit, name).await;
            if holds(&now) { Ok(now) } else { Err(now) }
        })
        .await
    }

    /// Waits until the hub, which may be away meanwhile, gives a report that fulfils `holds`. Looks at it all the time,
    /// as a panel would.
    pub async fn until_report(&self, what: &str, holds: impl Fn(&Report) -> bool) -> Report {
        let client = self.client().await;
        let hub = client.hub().await;
        until(what, async || match hub.report().await {
            Ok(report) if holds(&report) => Ok(report),
            other => Err(other),
        })
        .await
    }
}

/// A child's process id.
///
/// # Panics
/// It was waited for.
pub fn pid_of(child: &Child) -> Pid {
    child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).expect("a child that runs")
}

/// Looks until `look` finds what it looks for.
///
/// # Panics
/// It does not in time: the text names the last thing that it found instead.
pub async fn until<T, E: std::fmt::Debug>(what: &str, look: impl AsyncFn() -> Result<T, E>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(other) => {
                assert!(Instant::now() < end, "waited {DEADLINE:?} in vain for {what}; the last was {other:?}")
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
