//! Vaults that something is wrong with, folders that hold none, vaults that daemon-secrets does not have, profiles without a
//! vault, and vaults whose key lies in one place only.

use std::{collections::BTreeMap, fs, io::ErrorKind, path::Path};

use daemon_config::ConfigFile;
use dbus_interfaces::{ProfileName, places, secrets::Vaults};

use super::{Diagnosis, Finding, Severity, backup, finding, quoted};

/// What lies in the folder of the vaults, and what others expect there.
#[derive(Default)]
struct Facts<'k> {
    folder: String,
    /// By the folder's name: whether it has both files, as far as that can be told.
    found: BTreeMap<String, bool>,
    /// The vaults that daemon-secrets has, where it tells.
    known: Option<&'k Vaults>,
    /// The default profile, and its file.
    default: Option<(String, String)>,
    /// The profiles that the configuration names, and its file.
    configured: Vec<String>,
    config: String,
}

pub(super) fn look(known: Option<&Vaults>, diagnosis: &mut Diagnosis) {
    let folder = match places::vaults_folder() {
        Ok(folder) => folder,
        Err(error) => return diagnosis.skip("vaults", error),
    };
    if known.is_none() {
        diagnosis.skip("vaults that daemon-secrets does not have", "daemon-secrets does not tell");
    }
    let mut facts = Facts { folder: quoted(&folder), found: found(&folder), known, ..Default::default() };
    if let Ok(file) = places::default_profile_file() {
        let is_there = file.exists();
        match places::read_default_profile(&file) {
            Ok(name) => facts.default = is_there.then(|| (name.to_string(), quoted(&file))),
            Err(error) => {
                let mend = format!("sesame profile default {}", ProfileName::personal());
                diagnosis.add([finding("bad-default-profile", Severity::Error, file.display(), error, mend)]);
            }
        }
    }
    if let Ok(path) = places::config_file() {
        facts.config = quoted(&path);
        facts.configured = ConfigFile::new(path).load().config.profiles.keys().map(ToString::to_string).collect();
    }
    diagnosis.add(findings(&facts));
    let is_sound = |name: &str| known.and_then(|known| known.get(name)).is_none_or(|vault| vault.error.is_none());
    // A copy of a vault that is damaged could take the place of a good one.
    let worth_a_copy = facts.found.iter().filter(|(name, whole)| **whole && is_sound(name));
    diagnosis.add(backup::advice(&folder, worth_a_copy.map(|(name, _)| name)));
}

fn found(folder: &Path) -> BTreeMap<String, bool> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // A link to a folder is one.
    let folders = entries.filter(|entry| fs::metadata(entry.path()).is_ok_and(|found| found.is_dir()));
    folders
        .map(|entry| {
            let is_missing = |file: &&str| match fs::metadata(entry.path().join(file)) {
                Ok(found) => !found.is_file(),
                Err(cause) => cause.kind() == ErrorKind::NotFound,
            };
            let whole = !["identity.age", "items.age"].iter().any(is_missing);
            (entry.file_name().to_string_lossy().into_owned(), whole)
        })
        .collect()
}

fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    let place_of = |name: &str| format!("{}/{}", facts.folder, quoted(name));
    for (name, whole) in &facts.found {
        let place = place_of(name);
        let is_open = facts.known.and_then(|known| known.get(name)).is_some_and(|vault| !vault.locked);
        if !whole && is_open {
            let sentence = "identity.age or items.age is missing from the disk, and what daemon-secrets has open is the only \
                            copy: keep it unlocked until you have put the missing file back, or read the secrets out: \
                            sesame secret list, sesame secret get NAME";
            let mend = format!("ls -la {place}");
            all.push(finding("only-copy", Severity::Error, name, sentence, mend));
        } else if name.parse::<ProfileName>().is_err() || !whole {
            let sentence = "this folder among the vaults is no vault: identity.age or items.age is missing, or its name \
                            is no profile's; restore the missing file from a copy, or remove the folder";
            let mend = format!("ls -la {place}");
            all.push(finding("folder-without-vault", Severity::Warning, name, sentence, mend));
        } else if facts.known.is_some_and(|known| !known.contains_key(name)) {
            let sentence =
                "there is a vault on the disk that daemon-secrets does not have: it came while the daemon ran";
            let mend = "systemctl --user restart open-sesame-secrets.service";
            all.push(finding("vault-without-profile", Severity::Warning, name, sentence, mend));
        }
    }
    for (name, vault) in facts.known.into_iter().flatten() {
        let Some(error) = &vault.error else { continue };
        let place = place_of(name);
        let (id, mend) = match vault.error_code.as_deref() {
            Some("write-failed") => ("write-failed", format!("df -h {place}; ls -la {place}")),
            _ => ("corrupt", format!("ls -la {place}")),
        };
        all.push(finding(id, Severity::Error, name, error, mend));
    }
    for name in facts.known.into_iter().flat_map(Vaults::keys).filter(|name| !facts.found.contains_key(*name)) {
        let sentence = "daemon-secrets has a vault whose folder is gone from the disk; keep the daemon running until it \
                        is back from a copy, if the vault is unlocked";
        let mend = format!("ls -la {}", facts.folder);
        all.push(finding("profile-without-folder", Severity::Error, name, sentence, mend));
    }
    let missing = |name: &str| facts.found.get(name) != Some(&true);
    if let Some((name, _)) = facts.default.as_ref().filter(|(name, _)| missing(name)) {
        let sentence = "the default profile has no vault, so every command without -p fails; create it, or choose \
                        another: sesame profile default NAME";
        let mend = format!("sesame profile add {}", quoted(name));
        all.push(finding("default-without-vault", Severity::Warning, name, sentence, mend));
    }
    for name in facts.configured.iter().filter(|name| missing(name)) {
        let sentence = "the configuration has a table for this profile, which has no vault; create it, or remove the \
                        table with your editor";
        let mend = format!("sesame profile add {}", quoted(name));
        all.push(finding("config-without-vault", Severity::Warning, name, sentence, mend));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use dbus_interfaces::secrets::VaultState;

    use super::*;

    fn locked() -> VaultState {
        VaultState {
            locked: true,
            active: false,
            since_usec: 0,
            reason: "never-unlocked".into(),
            error: None,
            error_code: None,
        }
    }

    /// Root sees everything, so this tells only where somebody else tests.
    #[test]
    fn what_cannot_be_looked_at_is_not_said_to_be_missing() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["closed", "empty"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        for file in ["identity.age", "items.age"] {
            fs::write(folder.path().join("closed").join(file), "").unwrap();
        }
        let mode = |mode| fs::set_permissions(folder.path().join("closed"), fs::Permissions::from_mode(mode)).unwrap();
        mode(0o000);
        let found = found(folder.path());
        mode(0o700);
        assert_eq!(found, [("closed", true), ("empty", false)].map(|(name, whole)| (name.to_owned(), whole)).into());
    }

    #[test]
    fn disk_daemon_and_configuration_are_compared() {
        let vault = |error: Option<&str>| VaultState {
            error: error.map(|_| "it is so".into()),
            error_code: error.map(Into::into),
            ..locked()
        };
        let known = Vaults::from([
            ("personal".to_owned(), vault(None)),
            ("gone".to_owned(), vault(None)),
            ("bad".to_owned(), vault(Some("corrupt"))),
            ("full".to_owned(), vault(Some("write-failed"))),
            ("open".to_owned(), VaultState { locked: false, ..vault(None) }),
        ]);
        let facts = Facts {
            folder: "/vaults".into(),
            found: [
                ("personal", true),
                ("new", true),
                ("half", false),
                (".x", true),
                ("bad", true),
                ("full", true),
                ("open", false),
            ]
            .map(|(name, whole)| (name.to_owned(), whole))
            .into(),
            known: Some(&known),
            default: Some(("missing".into(), "/default".into())),
            configured: vec!["personal".into(), "wrok".into()],
            config: "/config.toml".into(),
        };
        let found: Vec<_> = findings(&facts).into_iter().map(|finding| (finding.id, finding.subject)).collect();
        let expected = [
            ("folder-without-vault", ".x"),
            ("folder-without-vault", "half"),
            ("vault-without-profile", "new"),
            ("only-copy", "open"),
            ("corrupt", "bad"),
            ("write-failed", "full"),
            ("profile-without-folder", "gone"),
            ("default-without-vault", "missing"),
            ("config-without-vault", "wrok"),
        ];
        assert_eq!(found, expected.map(|(id, subject)| (id, subject.to_owned())));
        let silent = Facts { known: None, found: [("new".to_owned(), true)].into(), ..Default::default() };
        assert_eq!(findings(&silent), [], "what the daemon does not tell is not held against anybody");
    }
}
