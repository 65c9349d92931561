//! The state of the vaults as units (contract, section 4): a flag for each active vault, without which its
//! `open-sesame-unlocked@.target` refuses to start, and the wish that systemd starts or stops that target. Nothing
//! here waits for systemd, and only signals of the bus tell whether a vault is locked: a lost wish changes neither.

use std::{
    collections::BTreeSet,
    env,
    ffi::OsStr,
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use daemon_runtime::identity::DaemonId;
use dbus_interfaces::ProfileName;
use zbus::{Message, message::Flags};

use crate::state::VaultChange;

/// The folder of the flags, in the runtime folder.
const FLAGS: &str = "unlocked";

/// The flags that this daemon has raised.
#[derive(Debug)]
pub struct Units {
    folder: PathBuf,
    active: BTreeSet<ProfileName>,
}

/// At the start there must be no flag.
#[derive(Debug, thiserror::Error)]
#[error("cannot empty {folder:?}, where each flag would say that a vault is unlocked: {cause}; remove that folder")]
pub struct FlagsError {
    folder: PathBuf,
    cause: io::Error,
}

/// What systemd is to do with a target. Its words for it are the methods' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Job {
    Start,
    Stop,
}

impl Units {
    /// Sweeps the flags in `runtime_folder`, which must be this daemon's own. `None` where systemd did not give it to
    /// this run, whose id is `id`: it would then not remove the flags, which might outlive the daemon.
    ///
    /// # Errors
    /// An old flag cannot be removed, or no new one could be made.
    pub fn begin(runtime_folder: &Path, id: &DaemonId) -> Result<Option<Self>, FlagsError> {
        let given = |variable| env::var_os(variable).unwrap_or_default();
        let is_given = is_given(runtime_folder, &given("RUNTIME_DIRECTORY"), &given("INVOCATION_ID"), id);
        let folder = runtime_folder.join(FLAGS);
        match empty(&folder, is_given) {
            Ok(()) => Ok(is_given.then(|| Self { folder, active: BTreeSet::new() })),
            Err(cause) => Err(FlagsError { folder, cause }),
        }
    }

    /// Raises and lowers the flags as `changes` say, and returns what systemd is to be told, in order.
    ///
    /// The flag is gone before systemd hears of a lock: whoever has the target started meanwhile is refused, or is
    /// stopped with it.
    pub fn follow(&mut self, changes: &[VaultChange]) -> Vec<Message> {
        changes.iter().filter_map(|change| self.follow_one(change)).collect()
    }

    fn follow_one(&mut self, change: &VaultChange) -> Option<Message> {
        let profile = &change.profile;
        let job = note(&mut self.active, change)?;
        let flag = self.folder.join(profile.as_str());
        let done = match job {
            Job::Start => File::create(&flag).map(drop),
            Job::Stop => unless_missing(fs::remove_file(&flag)),
        };
        if let Err(cause) = done {
            tracing::error!(
                %profile,
                "the flag {flag:?} does not say what the vault of {profile} is ({cause}), so its target may not either; \
                 restart open-sesame-secrets.service when that is mended"
            );
        }
        message(job, profile).inspect_err(|cause| tracing::error!(%profile, %cause, "systemd could not be told")).ok()
    }
}

/// Brings `active` up to date; what this means for the profile's target.
fn note(active: &mut BTreeSet<ProfileName>, change: &VaultChange) -> Option<Job> {
    if change.active && !change.locked {
        active.insert(change.profile.clone()).then_some(Job::Start)
    } else {
        active.remove(&change.profile).then_some(Job::Stop)
    }
}

/// Whether systemd gave `folder` to the run `id`. Both variables are inherited by children, and an id is systemd's only
/// in the very process that it was given to.
fn is_given(folder: &Path, runtime_directory: &OsStr, invocation: &OsStr, id: &DaemonId) -> bool {
    invocation == id.as_str() && env::split_paths(runtime_directory).any(|given| given == folder)
}

/// Removes `folder` with its files, and makes it again where it `is_wanted`.
fn empty(folder: &Path, is_wanted: bool) -> io::Result<()> {
    unless_missing(fs::remove_dir_all(folder))?;
    if is_wanted { DirBuilder::new().mode(0o700).create(folder) } else { Ok(()) }
}

fn unless_missing(removed: io::Result<()>) -> io::Result<()> {
    removed.or_else(|cause| if cause.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(cause) })
}

/// Has systemd, if it runs, start or stop the profile's target, and answer nothing.
fn message(job: Job, profile: &ProfileName) -> zbus::Result<Message> {
    let method = match job {
        Job::Start => "StartUnit",
        Job::Stop => "StopUnit",
    };
    // A profile's name needs no escaping: a unit's name may hold each of its characters.
    let unit = format!("open-sesame-unlocked@{profile}.target");
    Message::method_call("/org/freedesktop/systemd1", method)
        .destination("org.freedesktop.systemd1")
        .interface("org.freedesktop.systemd1.Manager")
        .with_flags(Flags::NO_REPLY_EXPECTED | Flags::NO_AUTO_START)
        // A later wish takes the place of an earlier one that is not yet fulfilled.
        .build(&(unit, "replace"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::Reason;

    fn change(profile: &str, locked: bool, active: bool) -> VaultChange {
        VaultChange { profile: profile.parse().unwrap(), locked, active, reason: Reason::User }
    }

    fn told(message: &Message) -> String {
        let header = message.header();
        let (unit, mode) = message.body().deserialize::<(String, String)>().unwrap();
        format!("{} {unit} {mode}", header.member().unwrap())
    }

    #[test]
    fn a_flag_and_a_target_for_each_active_vault() {
        let home = tempfile::tempdir().unwrap();
        empty(home.path(), true).unwrap();
        let mut units = Units { folder: home.path().to_owned(), active: BTreeSet::new() };
        let flag = home.path().join("a-b_C9");

        let messages = units.follow(&[change("a-b_C9", false, true), change("other", true, false)]);
        assert_eq!(
            messages.iter().map(told).collect::<Vec<_>>(),
            ["StartUnit open-sesame-unlocked@a-b_C9.target replace"]
        );
        assert!(flag.exists() && !home.path().join("other").exists());
        let flags = messages[0].primary_header().flags();
        assert!(flags.contains(Flags::NO_REPLY_EXPECTED | Flags::NO_AUTO_START), "{flags:?}");

        // Deactivated, it is unlocked and yet not served.
        let messages = units.follow(&[change("a-b_C9", false, false)]);
        assert_eq!(
            messages.iter().map(told).collect::<Vec<_>>(),
            ["StopUnit open-sesame-unlocked@a-b_C9.target replace"]
        );
        assert!(!flag.exists());
        assert!(units.follow(&[change("a-b_C9", true, false)]).is_empty(), "the target is stopped already");
    }

    #[test]
    fn systemd_is_told_of_a_lock_even_where_somebody_removed_the_flag() {
        let home = tempfile::tempdir().unwrap();
        let mut units = Units { folder: home.path().to_owned(), active: BTreeSet::new() };
        units.follow(&[change("work", false, true)]);
        fs::remove_file(home.path().join("work")).unwrap();
        assert_eq!(units.follow(&[change("work", true, false)]).len(), 1);
    }

    #[test]
    fn the_folder_is_systemds_gift_only_to_the_run_it_was_given_to() {
        let id = DaemonId::of_this_process().unwrap();
        let given = |folders: &str, invocation: &str| {
            is_given(Path::new("/run/user/1/open-sesame"), folders.as_ref(), invocation.as_ref(), &id)
        };
        assert!(given("/run/user/1/open-sesame", id.as_str()));
        assert!(given("/run/user/1/more:/run/user/1/open-sesame", id.as_str()));
        assert!(!given("/run/user/1/open-sesame", "0123456789abcdef0123456789abcdef"), "a parent's");
        assert!(!given("/run/user/1/open-sesame", ""));
        assert!(!given("/run/user/1/other", id.as_str()));
        assert!(!given("", id.as_str()));
    }

    #[test]
    fn old_flags_are_swept_and_by_hand_no_folder_is_made() {
        let home = tempfile::tempdir().unwrap();
        let flags = home.path().join(FLAGS);
        fs::create_dir(&flags).unwrap();
        fs::write(flags.join("personal"), "").unwrap();
        // The id of a test is never systemd's.
        let id = DaemonId::of_this_process().unwrap();
        assert!(Units::begin(home.path(), &id).unwrap().is_none());
        assert!(!flags.exists());
        empty(&flags, true).unwrap();
        assert_eq!(fs::read_dir(&flags).unwrap().count(), 0);
    }

    proptest! {
        /// What systemd was told last is what the vault is, and it is told nothing twice.
        #[test]
        fn each_wish_undoes_the_one_before(changes in prop::collection::vec((0..3_usize, any::<bool>(), any::<bool>()), 0..40)) {
            let mut active = BTreeSet::new();
            let mut last = [Job::Stop; 3];
            let mut served = [false; 3];
            for (vault, locked, is_active) in changes {
                served[vault] = is_active && !locked;
                if let Some(job) = note(&mut active, &change(&format!("vault-{vault}"), locked, is_active)) {
                    prop_assert_ne!(job, last[vault]);
                    last[vault] = job;
                }
                prop_assert_eq!(served.map(|served| if served { Job::Start } else { Job::Stop }), last);
            }
        }
    }
}
