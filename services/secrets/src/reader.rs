//! Who reads a secret, as far as the kernel tells: for the user to see, never a policy. A process may say what it
//! likes of itself (another name, another control group), so nothing may be allowed or refused by this.

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

/// Who reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// Its process; 0 where that is unknown.
    pub pid: u32,
    /// The systemd unit that the process runs in (`mail.service`, `session-2.scope`); empty where there is none, or it
    /// is unknown.
    pub unit: String,
}

impl Reader {
    /// The process `pid`, as it is now.
    pub fn process(pid: u32) -> Self {
        Self { pid, unit: unit(pid).unwrap_or_default() }
    }

    /// A unit whose process is not known.
    pub fn unit(unit: impl Into<String>) -> Self {
        Self { pid: 0, unit: unit.into() }
    }
}

fn unit(pid: u32) -> Option<String> {
    let process = pidfd_open(Pid::from_raw(i32::try_from(pid).ok()?)?, PidfdFlags::empty()).ok()?;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    // Still there, so the file was its own, and not that of another one that was given its number.
    let ended = poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&Timespec::default())).ok()? > 0;
    (!ended).then(|| unit_of(&groups).unwrap_or_default().to_owned())
}

/// The innermost unit in a process's `/proc/PID/cgroup`.
fn unit_of(groups: &str) -> Option<&str> {
    // Version 2, or systemd's own hierarchy of version 1.
    let path = groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        matches!(controllers, "" | "name=systemd").then_some(path)
    })?;
    let is_unit = |part: &&str| part.ends_with(".service") || part.ends_with(".scope");
    // systemd puts an underscore before a name that would look like one of the kernel's files.
    path.rsplit('/').find(is_unit).map(|part| part.strip_prefix('_').unwrap_or(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_unit_counts() {
        let user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice";
        for (groups, unit) in [
            (format!("{user}/mail.service\n"), Some("mail.service")),
            (format!("{user}/mail.service/worker\n"), Some("mail.service")),
            (format!("{user}/app-org.gnome.Terminal.slice/vte-spawn-1.scope\n"), Some("vte-spawn-1.scope")),
            (format!("{user}/_memory.service\n"), Some("memory.service")),
            ("0::/user.slice/user-1000.slice/session-2.scope\n".into(), Some("session-2.scope")),
            ("12:memory:/other.service\n1:name=systemd:/system.slice/cron.service\n".into(), Some("cron.service")),
            ("0::/\n".into(), None),
            ("0::/init.slice/a\n".into(), None),
            ("12:memory:/other.service\n".into(), None),
            (String::new(), None),
            ("nonsense".into(), None),
        ] {
            assert_eq!(unit_of(&groups), unit, "{groups}");
        }
    }

    #[test]
    fn a_process_that_is_gone_has_no_unit_and_nobody_elses() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        child.wait().unwrap();
        assert_eq!(Reader::process(child.id()), Reader { pid: child.id(), unit: String::new() });
        assert_eq!(Reader::process(0), Reader { pid: 0, unit: String::new() });
    }
}
