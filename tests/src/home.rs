//! A home for one test: every folder and file that a program of this project looks for, and nothing of the user's.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::PASSPHRASE;

/// A home of its own, gone when this is dropped.
pub struct Home(TempDir);

impl Home {
    /// A fresh home: empty but for a configuration with the lowest work factor that the contract allows.
    ///
    /// # Panics
    /// No folder can be made.
    pub fn new() -> Self {
        // Directly below /tmp, whatever TMPDIR says: a socket's path has at most 107 bytes.
        let home = Self(tempfile::Builder::new().prefix("sesame-").tempdir_in("/tmp").expect("a folder in /tmp"));
        for folder in ["config/open-sesame", "data/dbus-1/services", "state", "run", "logs"] {
            fs::create_dir_all(home.path().join(folder)).expect("a folder of the test's home");
        }
        home.write("config/open-sesame/config.toml", "work_factor = 15\n");
        home.write("passphrase", PASSPHRASE);
        home
    }

    /// The home itself.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file of the home; its path.
    ///
    /// # Panics
    /// It cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).expect("a file of the test's home");
        path
    }

    /// The file with [`PASSPHRASE`].
    pub fn passphrase_file(&self) -> PathBuf {
        self.path().join("passphrase")
    }

    /// `$XDG_RUNTIME_DIR`.
    pub fn runtime(&self) -> PathBuf {
        self.path().join("run")
    }

    /// The address of the system bus: none is there, unless a test starts one.
    pub fn system_bus(&self) -> String {
        format!("unix:path={}", self.path().join("system-bus").display())
    }

    /// The private socket.
    pub fn private_socket(&self) -> PathBuf {
        self.runtime().join("open-sesame/secrets.socket")
    }

    /// Where the vaults lie.
    pub fn vaults(&self) -> PathBuf {
        self.path().join("data/open-sesame/vaults")
    }

    /// The whole environment of a program of the test: nothing is inherited but PATH.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        let below = |folder: &str| self.path().join(folder).into_os_string();
        vec![
            ("PATH", path),
            ("LC_ALL", "C.UTF-8".into()),
            ("HOME", below("")),
            ("XDG_CONFIG_HOME", below("config")),
            ("XDG_DATA_HOME", below("data")),
            ("XDG_STATE_HOME", below("state")),
            ("XDG_RUNTIME_DIR", below("run")),
            ("DBUS_SYSTEM_BUS_ADDRESS", self.system_bus().into()),
        ]
    }

    /// What every program of the test has said on its standard error.
    pub fn logs(&self) -> String {
        let Ok(entries) = fs::read_dir(self.path().join("logs")) else { return String::new() };
        let mut logs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        logs.sort();
        let shown = logs.iter().filter_map(|log| {
            let text = String::from_utf8_lossy(&fs::read(log).ok()?).into_owned();
            Some(format!("--- {}\n{text}", log.file_name()?.display()))
        });
        shown.collect()
    }
}

impl Default for Home {
    fn default() -> Self {
        Self::new()
    }
}
