//! Which ways of docs/unlock-at-login.md to unlock without typing work on this machine. Nothing is wrong where one does
//! not: they are told as notes.

use std::{fs, path::Path};

use super::{Diagnosis, Note};

/// What decides which ways there are.
struct Facts {
    /// systemd-creds, which seals (systemd 250).
    seals: bool,
    /// The service that seals and opens for users (systemd 256).
    for_users: bool,
    /// A TPM that the kernel knows.
    tpm: bool,
    /// The unit of the system that hands a sealed passphrase to a user's vault: a system-wide installation.
    unit: bool,
    /// pam_exec, which hands over the passphrase of a login.
    pam: bool,
}

const PATH: [&str; 4] = [
    "/usr/bin/systemd-creds",
    "/bin/systemd-creds",
    "/usr/local/bin/systemd-creds",
    "/run/current-system/sw/bin/systemd-creds",
];
const UNIT: &str = "systemd/system/open-sesame-unlock-user@.service";

pub(super) fn look(diagnosis: &mut Diagnosis) {
    let any = |paths: &[String]| paths.iter().any(|path| Path::new(path).exists());
    let facts = Facts {
        seals: any(&PATH.map(String::from)),
        for_users: Path::new("/run/systemd/io.systemd.Credentials").exists(),
        tpm: fs::read_dir("/sys/class/tpmrm").is_ok_and(|mut devices| devices.next().is_some()),
        unit: any(&["/usr/local/lib/", "/usr/lib/", "/lib/", "/etc/"].map(|folder| format!("{folder}{UNIT}"))),
        pam: has_pam_exec(),
    };
    diagnosis.notes.push(note(&facts));
}

/// In the folder of an architecture on Debian, and beside the libraries elsewhere.
fn has_pam_exec() -> bool {
    let libraries = ["/usr/lib", "/usr/lib64", "/lib", "/lib64"].map(Path::new);
    let below = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let has = |folder: &Path| folder.join("security/pam_exec.so").exists();
    libraries.iter().any(|folder| has(folder) || below(folder).any(|folder| has(&folder)))
}

fn note(facts: &Facts) -> Note {
    let key = if facts.tpm { "the TPM" } else { "a key on this disk (there is no TPM)" };
    let sealed = match facts {
        Facts { seals: false, .. } => {
            "a sealed passphrase does not work: systemd-creds is missing (systemd 250)".into()
        }
        Facts { for_users: true, .. } => format!("a passphrase sealed with {key} works, by root or by you alone"),
        Facts { unit: true, .. } => {
            format!("a passphrase sealed with {key} works, by root; by you alone it needs systemd 256")
        }
        _ => format!(
            "a passphrase sealed with {key} works where root hands it to your service manager; the rest needs systemd 256 \
             or a system-wide installation"
        ),
    };
    let pam = match facts {
        Facts { pam: false, .. } => "pam_exec is missing",
        Facts { unit: true, .. } => "the passphrase of the login works too, by pam_exec",
        _ => "the passphrase of the login needs a system-wide installation",
    };
    Note { subject: "unlock at login", sentence: format!("{sealed}; {pam}; docs/unlock-at-login.md says how") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Facts = Facts { seals: true, for_users: true, tpm: true, unit: true, pam: true };

    #[test]
    fn the_ways_that_a_machine_has_are_told() {
        let told = |facts| note(&facts).sentence;
        assert!(
            told(ALL).starts_with("a passphrase sealed with the TPM works, by root or by you alone; the passphrase of")
        );
        let old = Facts { for_users: false, tpm: false, ..ALL };
        let disk =
            "a passphrase sealed with a key on this disk (there is no TPM) works, by root; by you alone it needs";
        assert!(told(old).starts_with(disk));
        assert!(told(Facts { for_users: false, unit: false, ..ALL }).contains("hands it to your service manager"));
        assert!(told(Facts { seals: false, ..ALL }).contains("does not work: systemd-creds is missing"));
        assert!(told(Facts { pam: false, ..ALL }).contains("; pam_exec is missing;"));
        assert!(told(Facts { unit: false, ..ALL }).contains("; the passphrase of the login needs a system-wide"));
    }
}
