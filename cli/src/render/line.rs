//! The state as one line of words, for scripts and logs: `personal=unlocked work=locked health=ok`.

use dbus_interfaces::{ProfileName, profile::Report};

use super::asked_for;
use crate::{output::printable, watch::Seen};

/// The vaults in `only`, or all where it names none, and the health.
pub fn seen(seen: &Seen, only: &[ProfileName]) -> String {
    match seen {
        Seen::Known(report) => report_line(report, only),
        Seen::Away(away) => format!("vaults=unknown health=unknown error={}", away.word()),
    }
}

fn report_line(report: &Report, only: &[ProfileName]) -> String {
    let mut words = Vec::new();
    if report.reconciled_usec == 0 {
        words.push("vaults=unknown".to_owned());
    } else if report.vaults.is_empty() {
        words.push("vaults=none".to_owned());
    }
    for (name, row) in asked_for(report, only) {
        let mut word = format!("{name}={}", if row.locked { "locked" } else { "unlocked" });
        if !row.locked && !row.active {
            word += ",not-active";
        }
        if row.known != "reported" {
            word += &format!(",{}", row.known);
        }
        words.push(word);
    }
    words.push(format!("health={}", report.health));
    printable(&words.join(" ")).into_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{render::sample, watch::Away};

    #[test]
    fn each_state_is_a_word() {
        let known = |report: Report| Seen::Known(Arc::new(report));
        let report = sample::report(&[("personal", false, true), ("spare", false, false), ("work", true, false)]);
        for (state, only, line) in [
            (known(report.clone()), &[][..], "personal=unlocked spare=unlocked,not-active work=locked health=ok"),
            (known(report), &["work"], "work=locked health=ok"),
            (known(sample::lost()), &[], "personal=locked,assumed work=locked,assumed health=degraded"),
            (known(sample::not_reported()), &[], "vaults=unknown health=degraded"),
            (known(sample::report(&[])), &[], "vaults=none health=ok"),
            (Seen::Away(Away::Hub), &["work"], "vaults=unknown health=unknown error=no-hub"),
        ] {
            let only: Vec<_> = only.iter().map(|name| name.parse().unwrap()).collect();
            assert_eq!(seen(&state, &only), line);
        }
    }
}
