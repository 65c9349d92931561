//! The reference model: what is true of the vaults, and what the hub must say of it. Written from the contract alone;
//! shares no code and no type with the daemons. Time is no part of it: it says what must be said once everything that
//! was sent has arrived.

use std::collections::{BTreeMap, BTreeSet};

/// How a daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// There is no process.
    Absent,
    /// It runs.
    Running,
    /// There is a process, and it does nothing.
    Frozen,
    /// Somebody else owns its name.
    Stranger,
}

/// Why something is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NoSuchProfile,
    AlreadyExists,
    Locked,
    NotActive,
    WrongPassphrase,
    NotFound,
    Unavailable,
}

/// A passphrase, by number: each is used once.
pub type Passphrase = u32;

/// One vault, as it is.
#[derive(Clone, Debug)]
pub struct Vault {
    pub locked: bool,
    pub active: bool,
    pub reason: &'static str,
    pub passphrase: Passphrase,
    pub former: Option<Passphrase>,
    pub items: BTreeMap<&'static str, u32>,
}

/// What is seen of a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub locked: bool,
    pub active: bool,
    pub reason: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Nothing,
    Reported,
    Assumed,
}

/// What the hub must know.
#[derive(Clone, Debug)]
struct View {
    rows: BTreeMap<&'static str, Row>,
    known: Known,
    daemon: &'static str,
    // A run of daemon-secrets was seen, in this life of the hub.
    met: bool,
    // That run still owns its name.
    present: bool,
    // A run came while the hub was frozen: it is met when the hub goes on, if it is still there.
    pending: bool,
    // How the last run ended.
    before: &'static str,
    // Unlocked when their daemon was lost.
    robbed: BTreeSet<&'static str>,
    lost: usize,
    restarted: usize,
}

impl View {
    fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            known: Known::Nothing,
            daemon: "stopped",
            met: false,
            present: false,
            pending: false,
            before: "stopped",
            robbed: BTreeSet::new(),
            lost: 0,
            restarted: 0,
        }
    }
}

/// What the hub must say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub rows: BTreeMap<&'static str, Row>,
    pub default: &'static str,
    pub health: &'static str,
    /// Of daemon-secrets, if any.
    pub problem: Option<&'static str>,
    pub daemon: &'static str,
    pub known: &'static str,
    /// `DaemonLost` and `DaemonRestarted` in this life of the hub.
    pub told: (usize, usize),
}

/// The whole system.
#[derive(Clone, Debug)]
pub struct Model {
    pub vaults: BTreeMap<&'static str, Vault>,
    pub default: &'static str,
    pub secrets: Life,
    pub hub: Life,
    /// systemd looks after the daemons: it says why they end.
    pub supervised: bool,
    view: View,
    // Asked of a frozen daemon-secrets by callers who were told that it does not answer: it does so when it goes on.
    unanswered: Vec<(&'static str, bool)>,
    last_passphrase: Passphrase,
}

impl Model {
    /// Nothing yet: no vault, no daemon.
    pub fn new(supervised: bool) -> Self {
        Self {
            vaults: BTreeMap::new(),
            default: "personal",
            secrets: Life::Absent,
            hub: Life::Absent,
            supervised,
            view: View::new(),
            unanswered: Vec::new(),
            last_passphrase: 0,
        }
    }

    /// A passphrase that was never used.
    pub fn new_passphrase(&mut self) -> Passphrase {
        self.last_passphrase += 1;
        self.last_passphrase
    }

    /// What the hub must say now.
    pub fn expected(&self) -> Expected {
        let view = &self.view;
        let running = view.daemon == "running";
        let problem = match (view.daemon, view.known) {
            ("running", Known::Reported) => None,
            ("unresponsive", _) => Some("unresponsive"),
            (_, Known::Nothing) => Some("not-reported"),
            ("running", _) => Some("not-reported"),
            (gone, _) => Some(gone),
        };
        let known = match view.known {
            Known::Assumed => "assumed",
            _ if running => "reported",
            _ => "last-known",
        };
        Expected {
            rows: view.rows.clone(),
            default: self.default,
            health: if problem.is_none() { "ok" } else { "degraded" },
            problem,
            daemon: view.daemon,
            known,
            told: (view.lost, view.restarted),
        }
    }

    /// What daemon-secrets must say of itself.
    pub fn truth(&self) -> BTreeMap<&'static str, Row> {
        let row = |vault: &Vault| Row { locked: vault.locked, active: vault.active, reason: vault.reason };
        self.vaults.iter().map(|(profile, vault)| (*profile, row(vault))).collect()
    }

    /// Whether a profile can be asked for its secrets.
    pub fn serves(&self, profile: &str) -> bool {
        self.vaults.get(profile).is_some_and(|vault| vault.active)
    }

    // ---- daemon-secrets, asked for something

    pub fn create(&mut self, profile: &'static str, passphrase: Passphrase) -> Result<(), Refusal> {
        if self.vaults.contains_key(profile) {
            return Err(Refusal::AlreadyExists);
        }
        let vault =
            Vault { locked: true, active: false, reason: "created", passphrase, former: None, items: BTreeMap::new() };
        self.vaults.insert(profile, vault);
        Ok(())
    }

    pub fn unlock(&mut self, profile: &str, passphrase: Passphrase) -> Result<(), Refusal> {
        let vault = self.vault(profile)?;
        if vault.locked && vault.passphrase != passphrase {
            return Err(Refusal::WrongPassphrase);
        }
        if !vault.active {
            (vault.locked, vault.active, vault.reason) = (false, true, "user");
        }
        Ok(())
    }

    pub fn lock(&mut self, profile: &str) -> Result<(), Refusal> {
        let vault = self.vault(profile)?;
        if !vault.locked {
            (vault.locked, vault.active, vault.reason) = (true, false, "user");
        }
        Ok(())
    }

    /// Which it locks.
    pub fn lock_all(&mut self) -> Vec<&'static str> {
        let unlocked: Vec<_> =
            self.vaults.iter().filter(|(_, vault)| !vault.locked).map(|(profile, _)| *profile).collect();
        for profile in &unlocked {
            let _ = self.lock(profile);
        }
        unlocked
    }

    pub fn set_active(&mut self, profile: &str, active: bool) -> Result<(), Refusal> {
        let vault = self.vault(profile)?;
        if active && vault.locked {
            return Err(Refusal::Locked);
        }
        if vault.active != active {
            (vault.active, vault.reason) = (active, if active { "user" } else { "deactivated" });
        }
        Ok(())
    }

    /// A frozen daemon-secrets was asked to activate or deactivate a profile.
    pub fn asked_in_vain(&mut self, profile: &'static str, active: bool) {
        self.unanswered.push((profile, active));
    }

    pub fn change_passphrase(&mut self, profile: &str, old: Passphrase, new: Passphrase) -> Result<(), Refusal> {
        let vault = self.vault(profile)?;
        if vault.passphrase != old {
            return Err(Refusal::WrongPassphrase);
        }
        (vault.former, vault.passphrase) = (Some(old), new);
        Ok(())
    }

    pub fn delete(&mut self, profile: &str, passphrase: Passphrase) -> Result<(), Refusal> {
        if self.vault(profile)?.passphrase != passphrase {
            return Err(Refusal::WrongPassphrase);
        }
        self.vaults.remove(profile);
        Ok(())
    }

    pub fn set(&mut self, profile: &str, name: &'static str, value: u32) -> Result<(), Refusal> {
        self.served(profile)?.items.insert(name, value);
        Ok(())
    }

    pub fn get(&mut self, profile: &str, name: &str) -> Result<u32, Refusal> {
        self.served(profile)?.items.get(name).copied().ok_or(Refusal::NotFound)
    }

    pub fn delete_secret(&mut self, profile: &str, name: &str) -> Result<(), Refusal> {
        self.served(profile)?.items.remove(name).map(|_| ()).ok_or(Refusal::NotFound)
    }

    // ---- the hub, asked for something

    pub fn set_default(&mut self, profile: &'static str) -> Result<(), Refusal> {
        if self.view.known == Known::Nothing {
            return Err(Refusal::Unavailable);
        }
        if !self.view.rows.contains_key(profile) {
            return Err(Refusal::NoSuchProfile);
        }
        self.default = profile;
        Ok(())
    }

    /// Whether the hub has had any report in its life.
    pub fn has_report(&self) -> bool {
        self.view.known != Known::Nothing
    }

    // ---- lives

    /// daemon-secrets is gone. On purpose, it has locked everything before and said so.
    pub fn secrets_end(&mut self, on_purpose: bool) {
        if on_purpose {
            for vault in self.vaults.values_mut().filter(|vault| !vault.locked) {
                (vault.locked, vault.active, vault.reason) = (true, false, "daemon-stopped");
            }
            self.announced();
        }
        for vault in self.vaults.values_mut() {
            (vault.locked, vault.active, vault.reason) = (true, false, "never-unlocked");
        }
        self.unanswered.clear();
        self.owner_left(on_purpose && self.supervised);
        self.secrets = Life::Absent;
    }

    /// Another run of daemon-secrets, which reports.
    pub fn secrets_start(&mut self) {
        self.secrets = Life::Running;
        self.ran();
    }

    /// The hub learns of a run, and hears its report.
    pub fn ran(&mut self) {
        if self.hub == Life::Absent {
            return;
        }
        let view = &mut self.view;
        view.pending = self.hub == Life::Frozen;
        if view.pending {
            return;
        }
        if view.met && view.before != "stopped" {
            view.restarted += 1;
        }
        (view.met, view.present, view.daemon) = (true, true, "running");
        self.announced();
    }

    /// daemon-secrets' name is nobody's any more, as far as the hub hears.
    pub fn owner_left(&mut self, on_purpose: bool) {
        let view = &mut self.view;
        if self.hub == Life::Absent {
            return;
        }
        // Told of a run that was met, once; nothing that never was a run can be lost.
        if view.present && !on_purpose {
            view.lost += 1;
        }
        // A stranger's leaving is nobody's loss; of a run that was never met only systemd knows.
        if view.present || self.supervised && self.secrets != Life::Stranger {
            view.before = if on_purpose { "stopped" } else { "lost" };
        }
        (view.daemon, view.present, view.pending) = (view.before, false, false);
        if view.known == Known::Nothing {
            return;
        }
        view.known = Known::Assumed;
        for (profile, row) in &mut view.rows {
            if row.reason == "daemon-stopped" {
                view.robbed.insert(profile);
            }
            if !row.locked {
                view.robbed.insert(profile);
                *row = Row { locked: true, active: false, reason: "daemon-lost" };
            }
        }
    }

    /// What is true now has arrived at the hub.
    pub fn announced(&mut self) {
        if self.hub == Life::Absent || !self.view.present {
            return;
        }
        let mut rows = self.truth();
        self.view.robbed.retain(|profile| {
            rows.get_mut(profile).filter(|row| row.locked && row.reason == "never-unlocked").is_some_and(|row| {
                row.reason = "daemon-restarted";
                true
            })
        });
        (self.view.rows, self.view.known) = (rows, Known::Reported);
    }

    /// The owner of daemon-secrets' name has let a deadline pass, or answers again.
    pub fn answers(&mut self, it_does: bool) {
        if self.hub != Life::Absent {
            self.view.daemon = if it_does { "running" } else { "unresponsive" };
        }
    }

    /// A frozen daemon-secrets goes on.
    pub fn secrets_thaw(&mut self) {
        self.secrets = Life::Running;
        for (profile, active) in std::mem::take(&mut self.unanswered) {
            let _ = self.set_active(profile, active);
        }
        if self.view.present {
            self.answers(true);
            self.announced();
        } else {
            self.ran();
        }
    }

    /// A frozen hub goes on.
    pub fn hub_thaw(&mut self) {
        self.hub = Life::Running;
        match self.secrets {
            Life::Running if self.view.pending => self.ran(),
            Life::Frozen | Life::Stranger => self.answers(false),
            _ => {}
        }
    }

    /// The hub is gone, and what it knew.
    pub fn hub_end(&mut self) {
        self.hub = Life::Absent;
        self.view = View::new();
    }

    /// A new hub looks around.
    pub fn hub_start(&mut self) {
        self.hub = Life::Running;
        self.view = View::new();
        match self.secrets {
            Life::Running => self.ran(),
            Life::Frozen | Life::Stranger => self.answers(false),
            Life::Absent => {}
        }
    }

    fn vault(&mut self, profile: &str) -> Result<&mut Vault, Refusal> {
        self.vaults.get_mut(profile).ok_or(Refusal::NoSuchProfile)
    }

    fn served(&mut self, profile: &str) -> Result<&mut Vault, Refusal> {
        let vault = self.vault(profile)?;
        match (vault.locked, vault.active) {
            (true, _) => Err(Refusal::Locked),
            (_, false) => Err(Refusal::NotActive),
            _ => Ok(vault),
        }
    }
}
