//! One test's session: a home, a bus, the daemons in it, and the ways to reach them.

use std::{
    ffi::{OsStr, OsString},
    os::unix::net::UnixStream,
    path::Path,
    sync::Arc,
};

use dbus_interfaces::{profile, prompter, secrets, vault::VaultProxy};
use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};
use zbus::{connection::Builder, fdo};

use crate::{
    DEADLINE, PASSPHRASE,
    bus::{Bus, Kind},
    client::Client,
    home::Home,
    process::{Process, Recipe},
    program,
    recorder::Recorder,
    sesame::{self, Ended},
    within_deadline,
};

/// A home and a bus. Daemons are started by the test, and end before it.
pub struct Session {
    /// Its home.
    pub home: Arc<Home>,
    /// Its bus.
    pub bus: Bus,
    /// The bus's kind.
    pub kind: Kind,
}

/// Both daemons, running.
pub struct Daemons {
    /// daemon-profile.
    pub profile: Process,
    /// daemon-secrets.
    pub secrets: Process,
}

impl Session {
    /// A session in `home`, without daemons.
    pub async fn start(kind: Kind, home: Arc<Home>) -> Self {
        let bus = Bus::start(kind, &home).await;
        Self { home, bus, kind }
    }

    /// How to start a daemon or another program on this bus.
    pub fn recipe(&self, name: &str, words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Recipe {
        Recipe::new(&self.home, name, words).with("DBUS_SESSION_BUS_ADDRESS", self.bus.address())
    }

    /// Starts daemon-profile and waits until it owns its name.
    pub async fn profile(&self) -> Process {
        self.daemon("daemon-profile", profile::NAME).await
    }

    /// Starts daemon-secrets and waits until it owns its name.
    pub async fn secrets(&self) -> Process {
        self.daemon("daemon-secrets", secrets::NAME).await
    }

    /// Starts the prompter by hand and waits until it owns its name. It ends when it is asked nothing.
    pub async fn prompter(&self) -> Process {
        self.daemon("sesame-prompter", prompter::NAME).await
    }

    /// Starts both, and waits until the hub has its first report.
    pub async fn daemons(&self) -> Daemons {
        let daemons = Daemons { profile: self.profile().await, secrets: self.secrets().await };
        self.wait_until_healthy().await;
        daemons
    }

    /// Waits until the hub says that all is well.
    pub async fn wait_until_healthy(&self) {
        let mut recorder = self.recorder().await;
        recorder.until_report("health to be ok", |report| report.health == "ok").await;
    }

    async fn daemon(&self, name: &str, bus_name: &str) -> Process {
        let mut process = self.recipe(name, [program(name)]).start();
        let client = self.client().await;
        let ended = tokio::select! {
            () = client.wait_for_owner(bus_name) => None,
            status = process.exited() => Some(status),
        };
        assert!(ended.is_none(), "{name} ended with {ended:?}: {}", process.log());
        process
    }

    /// A new connection to the bus.
    pub async fn client(&self) -> Client {
        Client::connect(self.bus.address()).await
    }

    /// A recorder of the bus's signals.
    pub async fn recorder(&self) -> Recorder {
        Recorder::start(self.bus.address()).await
    }

    /// A new connection to the private socket.
    pub async fn vault(&self) -> VaultProxy<'static> {
        vault_at(&self.home.private_socket()).await
    }

    /// Creates locked vaults.
    ///
    /// # Panics
    /// One is refused.
    pub async fn create(&self, profiles: &[&str]) {
        let vault = self.vault().await;
        for profile in profiles {
            vault.create(profile, PASSPHRASE.as_bytes()).await.expect("Create");
        }
    }

    /// Unlocks vaults.
    ///
    /// # Panics
    /// One is refused.
    pub async fn unlock(&self, profiles: &[&str]) {
        let vault = self.vault().await;
        for profile in profiles {
            vault.unlock(profile, PASSPHRASE.as_bytes()).await.expect("Unlock");
        }
    }

    /// `sesame WORDS`.
    pub async fn sesame(&self, words: &[&str]) -> Ended {
        self.sesame_fed(words, b"").await
    }

    /// `sesame WORDS`, with the passphrase by file where it may be needed.
    pub async fn sesame_with_passphrase(&self, words: &[&str]) -> Ended {
        let mut all = vec![program("sesame").into_os_string()];
        all.extend(words.iter().map(OsString::from));
        all.push("--passphrase-file".into());
        all.push(self.home.passphrase_file().into());
        sesame::run(&self.home, Some(self.bus.address()), &all, b"").await
    }

    /// `sesame WORDS`, with `stdin` as its standard input.
    pub async fn sesame_fed(&self, words: &[&str], stdin: &[u8]) -> Ended {
        let mut all = vec![program("sesame").into_os_string()];
        all.extend(words.iter().map(OsString::from));
        sesame::run(&self.home, Some(self.bus.address()), &all, stdin).await
    }

    /// Any program, on this bus.
    pub async fn run(&self, words: &[&str]) -> Ended {
        sesame::run(&self.home, Some(self.bus.address()), words, b"").await
    }

    /// Any program, on this bus, with `stdin` as its standard input.
    pub async fn run_fed(&self, words: &[&str], stdin: &[u8]) -> Ended {
        sesame::run(&self.home, Some(self.bus.address()), words, stdin).await
    }

    /// Ends the session, and waits for the daemons that its bus has started: they are no children of the test, and end
    /// with the bus.
    ///
    /// # Panics
    /// One of them does not end.
    pub async fn end(self) {
        let client = self.client().await;
        let bus = fdo::DBusProxy::new(&client.connection).await.expect("a proxy of the bus");
        let mut daemons = Vec::new();
        for name in [profile::NAME, secrets::NAME, prompter::NAME] {
            if let Ok(pid) = bus.get_connection_unix_process_id(name.try_into().expect("a bus name")).await {
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
                daemons.push(pidfd_open(pid, PidfdFlags::empty()).expect("a pidfd of a daemon"));
            }
        }
        drop(self.bus);
        let deadline = DEADLINE.try_into().expect("a deadline for poll");
        for daemon in daemons {
            let ended = poll(&mut [PollFd::new(&daemon, PollFlags::IN)], Some(&deadline));
            assert_eq!(ended, Ok(1), "a daemon that the bus has started does not end with it");
        }
    }

    /// Writes the activation files that `make install` would install, for the programs beside the tests.
    /// A test that has used them closes with [`Session::end`].
    pub fn install_activation_files(&self) {
        let all =
            [(profile::NAME, "daemon-profile"), (secrets::NAME, "daemon-secrets"), (prompter::NAME, "sesame-prompter")];
        for (name, daemon) in all {
            let exec = program(daemon);
            let text = format!("[D-BUS Service]\nName={name}\nExec={}\n", exec.display());
            self.home.write(&format!("data/dbus-1/services/{name}.service"), text);
        }
    }
}

/// A new connection to a private socket.
///
/// # Panics
/// Nobody listens there.
pub async fn vault_at(socket: &Path) -> VaultProxy<'static> {
    let stream = UnixStream::connect(socket).expect("the private socket");
    let connecting = Builder::unix_stream(stream).p2p().method_timeout(DEADLINE).build();
    let connection = within_deadline("a connection to the private socket", connecting).await;
    let connection = connection.expect("a connection to the private socket");
    // Nothing subscribes and nothing is cached on a connection without a bus.
    let built = VaultProxy::builder(&connection)
        .destination("org.opensesame.Secrets")
        .cache_properties(zbus::proxy::CacheProperties::No)
        .build();
    built.await.expect("a proxy of the vaults")
}
