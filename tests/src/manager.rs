//! A whole user's session for one scenario: a real `systemd --user`, its bus and journal, an ordinary user's home with
//! the installed programs and units. The scenario runs inside of it, as that user; here is the outside.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::{self, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::Failed;
use tempfile::TempDir;
use tokio::process::Command;

use crate::bus::Kind;

/// The home that the session's user has.
pub const HOME: &str = "/run/home";
/// Whose sessions they are: an ordinary user's id (the journal keeps those of system and dynamic users apart) that no
/// account needs to have.
const USER: u32 = 23_456;
/// How long a whole session may take. A limit against hanging, not a measure.
const LIMIT: Duration = Duration::from_secs(150);

/// What `make install PREFIX=~/.local` leaves, once for all sessions.
pub struct Installed(TempDir);

impl Installed {
    /// Installs the programs that lie beside the tests.
    ///
    /// # Errors
    /// What `make` says.
    pub fn new() -> Result<Self, String> {
        let stage = tempfile::Builder::new().prefix("sesame-").tempdir().map_err(|error| error.to_string())?;
        let stage = Self(stage);
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let built = crate::program("sesame").with_file_name("");
        let mut make = process::Command::new("make");
        make.current_dir(tests.parent().unwrap_or(tests)).args(["--silent", "--assume-old=build", "install"]);
        make.arg(format!("BUILT={}", built.display())).arg(format!("PREFIX={HOME}/.local"));
        make.arg(format!("DESTDIR={}", stage.0.path().display()));
        // A make around this test has flags of its own.
        make.env_remove("MAKEFLAGS").env_remove("MFLAGS").env_remove("MAKELEVEL").stdin(Stdio::null());
        let output = make.output().map_err(|error| format!("cannot run make: {error}"))?;
        match output.status.success() {
            true => Ok(stage),
            false => Err(format!("make install: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join(HOME.trim_start_matches('/')).join(".local")
    }
}

/// Plays the scenario `name` of this very program in a session of its own, on a bus of this kind.
///
/// # Errors
/// It failed: what it said, and the session's journal.
pub fn play(kind: Kind, name: &str, installed: &Installed) -> Result<(), Failed> {
    run(kind, &[name, kind.name()], installed, LIMIT).map(drop)
}

/// Runs this very program with `--inside WORDS` in a session of its own, on a bus of this kind: its standard output.
///
/// # Errors
/// It failed, or did not end in time: what it said, and the session's journal.
pub fn run(kind: Kind, words: &[&str], installed: &Installed, limit: Duration) -> Result<String, Failed> {
    let group = Group::new()?;
    let unit = bus_unit(kind).ok_or("the bus has no user unit")?;
    let mut command = Command::new("setpriv");
    // Ends with the thread that runs the test, and everything in its namespace with it.
    command.args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private", "--pid", "--fork"]);
    command.args(["--kill-child", "--mount-proc", "bash", "-c", include_str!("user-session.sh"), "user-session.sh"]);
    command.arg(USER.to_string()).arg(group.name()).arg(installed.folder()).arg(unit);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.arg(std::env::current_exe()?).arg("--inside").args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let output = runtime.block_on(async { tokio::time::timeout(limit, command.output()).await });
    let output = output.map_err(|_| format!("it did not end within {limit:?}"))??;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(format!("{}\n{}{}", output.status, text(&output.stdout), text(&output.stderr)).into()),
    }
}

/// The unit that runs a bus of this kind in users' managers, where it is installed.
pub fn bus_unit(kind: Kind) -> Option<PathBuf> {
    let names: &[&str] = match kind {
        Kind::DbusDaemon => &["dbus-daemon.service", "dbus.service"],
        Kind::DbusBroker => &["dbus-broker.service"],
    };
    let paths = names.iter().map(|name| Path::new("/usr/lib/systemd/user").join(name));
    paths.into_iter().find(|path| fs::read_to_string(path).is_ok_and(|text| text.contains(kind.name())))
}

/// Where the control groups (version 2) are mounted, if they are.
pub fn control_groups() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    mounts.find(|words| words.get(2) == Some(&"cgroup2")).map(|words| PathBuf::from(words[1]))
}

/// A session's control groups, removed when this is dropped.
struct Group(PathBuf);

impl Group {
    fn new() -> Result<Self, Failed> {
        let root = control_groups().ok_or("no control groups of version 2")?;
        Ok(Self(tempfile::Builder::new().prefix("sesame-test-").suffix(".slice").tempdir_in(root)?.keep()))
    }

    /// Below the root of the hierarchy.
    fn name(&self) -> &OsStr {
        self.0.file_name().unwrap_or_default()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The kernel is done with the last process a moment after its end was reported, and says so to nobody.
        let end = Instant::now() + Duration::from_secs(5);
        while remove(&self.0).is_err() && self.0.exists() && Instant::now() < end {
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn remove(group: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(group)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove(&entry.path())?;
        }
    }
    fs::remove_dir(group)
}
