//! Whether the memory of daemon-secrets is bounded and kept from swap, which its unit asks for and only the kernel can
//! do.

use std::{fs, path::Path};

use super::{Diagnosis, Finding, Severity, finding};

/// What the kernel says of daemon-secrets' control group.
struct Facts {
    /// Whether the group has the memory controller.
    controlled: bool,
    /// `memory.swap.max`, where the kernel has it.
    swap_max: Option<String>,
    /// Whether anything is there to swap to.
    swap: bool,
    uid: u32,
}

pub(super) fn look(secrets: Option<u32>, diagnosis: &mut Diagnosis) {
    let Some(pid) = secrets else { return diagnosis.skip("memory", "daemon-secrets does not run") };
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let Some(group) = groups.lines().find_map(|line| line.strip_prefix("0::")) else {
        return diagnosis.skip("memory", "there are no control groups of version 2");
    };
    if !group.ends_with("/open-sesame-secrets.service") {
        return diagnosis.skip("memory", "daemon-secrets does not run under its unit, which bounds it");
    }
    let folder = Path::new("/sys/fs/cgroup").join(group.trim_start_matches('/'));
    let Ok(controllers) = fs::read_to_string(folder.join("cgroup.controllers")) else {
        return diagnosis.skip("memory", format!("{} cannot be read", folder.display()));
    };
    let swap_max = fs::read_to_string(folder.join("memory.swap.max")).ok().map(|limit| limit.trim().to_owned());
    let swap = fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() > 1);
    let uid = rustix::process::geteuid().as_raw();
    let controlled = controllers.split_whitespace().any(|controller| controller == "memory");
    diagnosis.add(findings(&Facts { controlled, swap_max, swap, uid }));
}

fn findings(facts: &Facts) -> Option<Finding> {
    if !facts.controlled {
        let swap = if facts.swap { ", and its keys may be written to swap" } else { "" };
        let sentence = format!(
            "the memory controller is not delegated to you: its memory is not bounded{swap}; once it is, log in anew"
        );
        // Delegate= is none of the properties that `systemctl set-property` can set.
        let folder = format!("/etc/systemd/system/user@{}.service.d", facts.uid);
        let mend = format!(
            "sudo mkdir -p {folder} && printf '[Service]\\nDelegate=pids memory\\n' | sudo tee {folder}/delegate.conf && \
             sudo systemctl daemon-reload"
        );
        return Some(finding("memory-not-delegated", Severity::Warning, "daemon-secrets", sentence, mend));
    }
    let swappable = facts.swap && facts.swap_max.as_deref().is_some_and(|limit| limit != "0");
    swappable.then(|| {
        let sentence = "its memory may be swapped, so keys may be written to the disk; its unit's MemorySwapMax=0 is \
                        overridden or was not applied";
        let mend = "systemctl --user set-property open-sesame-secrets.service MemorySwapMax=0";
        finding("swap-allowed", Severity::Warning, "daemon-secrets", sentence, mend)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_unit_asks_for_is_compared_with_what_the_kernel_does() {
        let id = |controlled, swap_max: Option<&str>, swap| {
            let facts = Facts { controlled, swap_max: swap_max.map(Into::into), swap, uid: 1000 };
            findings(&facts).map(|finding| finding.id)
        };
        assert_eq!(id(true, Some("0"), true), None);
        assert_eq!(id(true, Some("max"), false), None, "there is nothing to swap to");
        assert_eq!(id(true, None, true), None, "the kernel swaps nothing that it does not count");
        assert_eq!(id(true, Some("max"), true), Some("swap-allowed"));
        assert_eq!(id(false, None, false), Some("memory-not-delegated"));
    }
}
