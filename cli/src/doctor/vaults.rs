//! Folders that hold no vault, vaults that daemon-secrets does not have, profiles without a vault, and vaults whose key
//! lies in one place only.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use daemon_config::ConfigFile;
use dbus_interfaces::{ProfileName, places};

use super::{Diagnosis, Finding, Severity, backup, finding, quoted};

/// What lies in the folder of the vaults, and what others expect there.
#[derive(Default)]
struct Facts<'k> {
    folder: String,
    /// By the folder's name: whether it has both files.
    found: BTreeMap<String, bool>,
    /// The profiles that daemon-secrets has, where it tells.
    known: Option<&'k BTreeSet<String>>,
    /// The default profile, and its file.
    default: Option<(String, String)>,
    /// The profiles that the configuration names, and its file.
    configured: Vec<String>,
    config: String,
}

pub(super) fn look(known: Option<&BTreeSet<String>>, diagnosis: &mut Diagnosis) {
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
        facts.default = is_there.then(|| (places::read_default_profile(&file).to_string(), quoted(&file)));
    }
    if let Ok(path) = places::config_file() {
        facts.config = quoted(&path);
        facts.configured = ConfigFile::new(path).load().config.profiles.keys().map(ToString::to_string).collect();
    }
    diagnosis.add(findings(&facts));
    diagnosis.add(backup::advice(&folder, facts.found.iter().filter(|(_, whole)| **whole).map(|(name, _)| name)));
}

fn found(folder: &Path) -> BTreeMap<String, bool> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders
        .map(|entry| {
            let whole = ["identity.age", "items.age"].iter().all(|file| entry.path().join(file).is_file());
            (entry.file_name().to_string_lossy().into_owned(), whole)
        })
        .collect()
}

fn findings(facts: &Facts<'_>) -> Vec<Finding> {
    let mut all = Vec::new();
    for (name, whole) in &facts.found {
        let place = format!("{}/{}", facts.folder, quoted(name));
        if name.parse::<ProfileName>().is_err() || !whole {
            let sentence = "this folder among the vaults is no vault: identity.age or items.age is missing, or its name \
                            is no profile's";
            let mend = format!("ls -la {place} (then restore the missing file from a copy, or remove the folder)");
            all.push(finding("folder-without-vault", Severity::Warning, name, sentence, mend));
        } else if facts.known.is_some_and(|known| !known.contains(name)) {
            let sentence =
                "there is a vault on the disk that daemon-secrets does not have: it came while the daemon ran";
            let mend = "systemctl --user restart open-sesame-secrets.service";
            all.push(finding("vault-without-profile", Severity::Warning, name, sentence, mend));
        }
    }
    for name in facts.known.into_iter().flatten().filter(|name| !facts.found.contains_key(*name)) {
        let sentence = "daemon-secrets has a vault whose folder is gone from the disk; keep the daemon running until it \
                        is back, if the vault is unlocked";
        let mend = format!("ls -la {} (then restore {name} from a copy)", facts.folder);
        all.push(finding("profile-without-folder", Severity::Error, name, sentence, mend));
    }
    let missing = |name: &str| facts.found.get(name) != Some(&true);
    if let Some((name, _)) = facts.default.as_ref().filter(|(name, _)| missing(name)) {
        let sentence = "the default profile has no vault, so every command without -p fails";
        let mend = format!("sesame profile default NAME (or create it: sesame profile add {name})");
        all.push(finding("default-without-vault", Severity::Warning, name, sentence, mend));
    }
    for name in facts.configured.iter().filter(|name| missing(name)) {
        let sentence = "the configuration has a table for this profile, which has no vault";
        let mend = format!("${{EDITOR:-vi}} {} (or create it: sesame profile add {name})", facts.config);
        all.push(finding("config-without-vault", Severity::Warning, name, sentence, mend));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_daemon_and_configuration_are_compared() {
        let known = BTreeSet::from(["personal".to_owned(), "gone".to_owned()]);
        let facts = Facts {
            folder: "/vaults".into(),
            found: [("personal", true), ("new", true), ("half", false), (".x", true)]
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
            ("profile-without-folder", "gone"),
            ("default-without-vault", "missing"),
            ("config-without-vault", "wrok"),
        ];
        assert_eq!(found, expected.map(|(id, subject)| (id, subject.to_owned())));
        let silent = Facts { known: None, found: [("new".to_owned(), true)].into(), ..Default::default() };
        assert_eq!(findings(&silent), [], "what the daemon does not tell is not held against anybody");
    }
}
