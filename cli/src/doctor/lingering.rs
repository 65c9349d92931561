//! A server whose daemons end with the last login.

use std::{env, fs, path::Path};

use super::{Diagnosis, Finding, Severity, finding};

/// What decides whether lingering is needed.
struct Facts {
    /// The user's name.
    user: String,
    /// Whether systemd runs this machine.
    systemd: bool,
    /// Whether the machine starts into a graphical session, or this is one.
    graphical: bool,
    /// Whether the user's service manager runs without a login.
    lingers: bool,
}

pub(super) fn look(diagnosis: &mut Diagnosis) {
    let Some(user) = user_name() else { return };
    let systemd = Path::new("/run/systemd/system").exists();
    let graphical = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env::var_os(name).is_some())
        || starts_into_a_graphical_session();
    let lingers = Path::new("/var/lib/systemd/linger").join(&user).exists();
    diagnosis.add(findings(&Facts { user, systemd, graphical, lingers }));
}

/// The user's name as the user database has it: the environment may say anything.
fn user_name() -> Option<String> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let own = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|field| field.get(2) == Some(&&*uid));
    own.map(|field| field[0].to_owned()).or_else(|| env::var("USER").ok()).filter(|name| !name.contains('/'))
}

fn starts_into_a_graphical_session() -> bool {
    let targets = ["/etc/systemd/system/default.target", "/usr/lib/systemd/system/default.target"];
    let default = targets.iter().find_map(|path| fs::read_link(path).ok());
    default.is_some_and(|target| target.ends_with("graphical.target"))
        && Path::new("/etc/systemd/system/display-manager.service").exists()
}

fn findings(facts: &Facts) -> Option<Finding> {
    if !facts.systemd || facts.graphical || facts.lingers {
        return None;
    }
    let sentence = "this machine has no graphical session and lingering is off: the daemons end, and the vaults are \
                    locked, at the last logout";
    Some(finding("no-lingering", Severity::Advice, &facts.user, sentence, "loginctl enable-linger"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_headless_server_is_told() {
        let told = |systemd, graphical, lingers| {
            findings(&Facts { user: "ada".into(), systemd, graphical, lingers }).map(|finding| finding.mend)
        };
        assert_eq!(told(true, false, false).unwrap(), "loginctl enable-linger");
        assert_eq!(told(true, true, false), None);
        assert_eq!(told(true, false, true), None);
        assert_eq!(told(false, false, false), None);
    }
}
