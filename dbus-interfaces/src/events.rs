//! The journal's message ids (`MESSAGE_ID`), one for each event that a person may look up. Each is explained by an
//! entry of `systemd-user/open-sesame.catalog`. An id never changes its meaning; a new event gets a new id
//! (`systemd-id128 new`).

/// A daemon owns its name and answers calls.
pub const READY: &str = "c8f4e8660fb84ef9b152129b723f51c6";
/// A daemon was asked to end.
pub const STOPPING: &str = "546153b180464bb8a7977c975a0cf90d";
/// A daemon cannot start, or cannot go on.
pub const ENDED_WITH_FAILURE: &str = "bcd9a8f78a044001817ec4962dbaf527";

/// A daemon is gone without having been asked to.
pub const DAEMON_LOST: &str = "8c5624a7cf14488face5380858b524f4";
/// A new run of a daemon took the place of one that ended unasked.
pub const DAEMON_RESTARTED: &str = "6ef253ebc0094b0aa5066a6eb082f0a8";
/// A daemon owns its name and does not answer.
pub const DAEMON_UNRESPONSIVE: &str = "a3c65f240a894a27b8d8a2ff0ef5c089";
/// A daemon that did not answer does so again.
pub const DAEMON_ANSWERS_AGAIN: &str = "26af5f31a4604fd590ef57a92ec604ac";
/// The service manager no longer restarts a daemon.
pub const DAEMON_GIVEN_UP: &str = "75dc87eadcd3444dbc663bbc8d6ba8d0";
/// Reconciliation found, and mended, a difference to what daemon-secrets states.
pub const DRIFT_CORRECTED: &str = "3cf0831cc4ae4378bb6c18fa92392350";

/// A vault was locked, unlocked, activated, deactivated, created or deleted.
pub const VAULT_CHANGED: &str = "5a5a2138417c42e3a1c750368dabaee8";
/// A vault's file is damaged.
pub const VAULT_CORRUPT: &str = "23ced5c334b845a4b7e51459e8013693";
/// A vault's file could not be read or written.
pub const WRITE_FAILED: &str = "1ad1671cac7d46cab95940adb0c783ab";

/// Somebody sent a signal in the name of a daemon.
pub const STRANGER_IGNORED: &str = "fdcb8ab0e8be49d6933c5359ea1a22b4";
/// A process of another user reached the private socket.
pub const PEER_TURNED_AWAY: &str = "fb8f5e882a2142f4a55c001c00ecf041";
/// A process held too many private connections and lost one.
pub const CONNECTION_EVICTED: &str = "ddc6032e2b294396b1042ad7eb4794e7";

/// logind, which tells of sleep and locked screens, is not there.
pub const LOGIND_MISSING: &str = "115123a6f2894d57afac4cd30a6f353f";
/// logind does not let sleep wait for the vaults.
pub const SLEEP_NOT_DELAYED: &str = "69578916827e41e992f9aafac711b923";
/// The machine was let asleep before every key was gone.
pub const KEYS_KEPT_INTO_SLEEP: &str = "494f5a584dbc4b21b8a4c8883e860dfd";

/// A unit that asked for a secret as a credential got nothing.
pub const CREDENTIAL_REFUSED: &str = "6c05c78a969148158f0c67511da74cc8";

/// The session bus is away, or does not answer anybody.
pub const BUS_SILENT: &str = "a59bea65a6f044e89d9198c3942c9dc1";
/// A daemon could not prove that it lives, and does not feed its watchdog.
pub const NO_PROOF_OF_LIFE: &str = "f8a8d9bfc8ed4f518a71369fc897b1dc";

/// Applications keep their secrets here: `org.freedesktop.secrets` is ours.
pub const SECRET_SERVICE_OFFERED: &str = "4f0c6f0f2c5a4b4f9d2b7f3d9a1e6c58";
/// Another program owns `org.freedesktop.secrets`, which the configuration wants here.
pub const SECRET_SERVICE_TAKEN: &str = "b1d3a7e85c924f6e8a70c4d21f9b3e67";

/// The configuration has an error, and the last good one stays in force.
pub const BAD_CONFIG: &str = "f42fb3425ccc49678f151d0fc8a46469";
/// The configuration has a key that means nothing.
pub const UNKNOWN_CONFIG_KEY: &str = "7172dbdcf1d948378b95cfece098258c";
/// The kernel enforces less than the whole sandbox.
pub const SANDBOX_NOT_FULL: &str = "fd5af26437694cf98d823d73e602f681";

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    const HERE: &str = include_str!("events.rs");
    const CATALOG: &str = include_str!("../../systemd-user/open-sesame.catalog");

    /// How often each id is given.
    fn counted<'a>(ids: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
        ids.fold(BTreeMap::new(), |mut counted, id| {
            *counted.entry(id).or_default() += 1;
            counted
        })
    }

    #[test]
    fn each_event_has_exactly_one_entry_in_the_catalog_and_the_other_way_round() {
        let constant = |line: &'static str| line.strip_prefix("pub const ")?.split('"').nth(1);
        let events = counted(HERE.lines().filter_map(constant));
        let entries = counted(CATALOG.lines().filter_map(|line| line.strip_prefix("-- ")));
        assert!(events.len() >= 20 && events.values().all(|count| *count == 1), "{events:?}");
        assert_eq!(events, entries);
        for id in events.keys() {
            assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{id}");
        }
    }
}
