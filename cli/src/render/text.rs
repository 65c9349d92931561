//! The status as text: the same words on a terminal and off it.

use std::fmt::Write;

use comfy_table::{Table, presets::NOTHING};
use dbus_interfaces::{
    ProfileName,
    profile::{Report, VaultRow},
};

use super::{
    asked_for,
    paint::{Paint, Tone},
};
use crate::output::printable;

/// The time, to tell how long something has been so.
#[derive(Clone, Copy, Debug)]
pub struct Ages {
    /// CLOCK_REALTIME.
    pub now_usec: u64,
    /// Of every vault, not of problems alone.
    pub of_vaults: bool,
}

/// The whole status: vaults (those in `only`, where it names any), profiles, and what is wrong.
/// Ages are told where the time is given.
pub fn status(report: &Report, only: &[ProfileName], ages: Option<Ages>, paint: Paint) -> String {
    let mut text = vaults(report, only, ages, paint);
    let heading = |title| paint.paint(Tone::Heading, title);
    text += &format!("{} {}\n", heading("Default profile:"), printable(&report.default_profile));
    if report.active_profiles.is_empty() {
        text += &format!("{} none\n", heading("Active profiles:"));
    } else {
        text += &format!("{}\n", heading("Active profiles:"));
    }
    for profile in &report.active_profiles {
        let default = if *profile == report.default_profile { " (default)" } else { "" };
        text += &format!("  - {}{default}\n", printable(profile));
    }
    if report.health != "ok" {
        text += &problems(report, ages, paint);
    }
    text
}

fn vaults(report: &Report, only: &[ProfileName], ages: Option<Ages>, paint: Paint) -> String {
    if report.reconciled_usec == 0 {
        let heading = paint.paint(Tone::Heading, "Secrets daemon:");
        return format!("{heading} {}\n", lock_word(report.locked, paint));
    }
    if report.vaults.is_empty() {
        return "No vaults. Create one: sesame init\n".into();
    }
    let mut table = Table::new();
    table.load_preset(NOTHING);
    for (name, row) in asked_for(report, only) {
        table.add_row([printable(name).into_owned(), vault(row, report, ages, paint)]);
    }
    paint.paint(Tone::Heading, "Vaults:") + "\n" + &lines(&mut table)
}

/// The lines of a table of two columns.
pub(super) fn lines(table: &mut Table) -> String {
    // The first column stands two blanks from the margin and two from the second.
    if let Some(names) = table.column_mut(0) {
        names.set_padding((2, 2));
    }
    if let Some(states) = table.column_mut(1) {
        states.set_padding((0, 0));
    }
    table.lines().fold(String::new(), |text, line| text + line.trim_end() + "\n")
}

fn lock_word(locked: bool, paint: Paint) -> String {
    if locked { paint.paint(Tone::Shut, "locked") } else { paint.paint(Tone::Open, "unlocked") }
}

/// `unlocked (not active, last known)`: the state as a word, then what else there is to know.
fn vault(row: &VaultRow, report: &Report, ages: Option<Ages>, paint: Paint) -> String {
    let mut notes = Vec::new();
    if !row.locked && !row.active {
        notes.push("not active".into());
    }
    if row.locked && row.reason == "daemon-restarted" {
        let cause = report.daemons.get("daemon-secrets").and_then(|daemon| daemon.reason.as_deref());
        notes.push(match cause {
            Some(cause) => format!("daemon-secrets restarted: {}", printable(cause)),
            None => "daemon-secrets restarted".into(),
        });
    }
    match row.known.as_str() {
        "assumed" => notes.push("assumed".into()),
        "last-known" => notes.push("last known".into()),
        _ => {}
    }
    if let Some(ages) = ages.filter(|ages| ages.of_vaults) {
        notes.push(format!("for {}", age(ages.now_usec.saturating_sub(row.since_usec))));
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join(", ")) };
    lock_word(row.locked, paint) + &notes
}

/// What is wrong with what, since when, and (the hub's sentence says it) what to do.
fn problems(report: &Report, ages: Option<Ages>, paint: Paint) -> String {
    let health = paint.paint(Tone::Wrong, &printable(&report.health));
    let mut text = format!("{} {health}\n", paint.paint(Tone::Heading, "Health:"));
    for (subject, code, sentence) in &report.problems {
        // Since when a vault is in trouble is not known, but since when it is locked or not.
        let since = report.daemons.get(subject).map(|daemon| daemon.since_usec);
        let age = ages.zip(since).map(|(ages, since)| format!(", for {}", age(ages.now_usec.saturating_sub(since))));
        let age = age.unwrap_or_default();
        let code = paint.paint(Tone::Wrong, &printable(code));
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  - {} ({code}{age}): {}", printable(subject), printable(sentence));
    }
    text
}

/// A time span in its largest unit.
fn age(usec: u64) -> String {
    let seconds = usec / 1_000_000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{paint::When, sample};

    fn plain(report: &Report, only: &[&str]) -> String {
        let only: Vec<_> = only.iter().map(|name| name.parse().unwrap()).collect();
        status(report, &only, Some(Ages { now_usec: 13_400_000, of_vaults: false }), Paint::for_output(When::Never))
    }

    #[test]
    fn the_contracts_sample() {
        let report = sample::report(&[("personal", false, true), ("work", true, false)]);
        assert_eq!(
            plain(&report, &[]),
            "Vaults:\n  personal  unlocked\n  work      locked\nDefault profile: personal\n\
             Active profiles:\n  - personal (default)\n"
        );
    }

    #[test]
    fn colour_changes_no_word() {
        let report = sample::lost();
        let coloured = status(
            &report,
            &[],
            Some(Ages { now_usec: 13_400_000, of_vaults: false }),
            Paint::for_output(When::Always),
        );
        let mut bare = String::new();
        for piece in coloured.split('\u{1b}') {
            bare += piece.strip_prefix('[').map_or(piece, |painted| painted.split_once('m').unwrap().1);
        }
        assert_ne!(coloured, bare);
        assert_eq!(bare, plain(&report, &[]));
    }

    #[test]
    fn before_the_first_report_one_word_stands_for_all_vaults() {
        let mut report = sample::report(&[]);
        report.reconciled_usec = 0;
        assert_eq!(plain(&report, &[]), "Secrets daemon: locked\nDefault profile: personal\nActive profiles: none\n");
        report.locked = false;
        assert!(plain(&report, &[]).starts_with("Secrets daemon: unlocked\n"));
    }

    #[test]
    fn no_vaults_name_the_way_to_one() {
        assert_eq!(
            plain(&sample::report(&[]), &[]),
            "No vaults. Create one: sesame init\nDefault profile: personal\nActive profiles: none\n"
        );
    }

    #[test]
    fn rows_say_what_else_there_is_to_know() {
        let mut report = sample::report(&[("a", false, false), ("b", true, false), ("c", false, true)]);
        report.vaults.get_mut("b").unwrap().reason = "daemon-restarted".into();
        report.vaults.get_mut("c").unwrap().known = "last-known".into();
        report.daemons.get_mut("daemon-secrets").unwrap().reason = Some("watchdog".into());
        assert_eq!(
            plain(&report, &[]),
            "Vaults:\n  a  unlocked (not active)\n  b  locked (daemon-secrets restarted: watchdog)\n  \
             c  unlocked (last known)\nDefault profile: personal\nActive profiles:\n  - c\n"
        );
        assert!(plain(&report, &["c", "a"]).starts_with("Vaults:\n  a  unlocked (not active)\n  c  unlocked"));
    }

    #[test]
    fn a_loss_is_told_with_its_age_and_the_way_out() {
        assert_eq!(
            plain(&sample::lost(), &[]),
            "Vaults:\n  personal  locked (assumed)\n  work      locked (assumed)\nDefault profile: personal\n\
             Active profiles: none\nHealth: degraded\n  \
             - daemon-secrets (lost, for 3 s): it is gone; start it: sesame unlock\n"
        );
    }

    #[test]
    fn whoever_watches_sees_the_age_of_each_state() {
        let report = sample::report(&[("personal", false, false), ("work", true, false)]);
        let ages = Ages { now_usec: 181_000_000, of_vaults: true };
        let text = status(&report, &[], Some(ages), Paint::for_output(When::Never));
        let rows = "Vaults:\n  personal  unlocked (not active, for 3 min)\n  work      locked (for 3 min)\n";
        assert!(text.starts_with(rows), "{text}");
    }

    #[test]
    fn nothing_from_the_bus_steers_the_terminal() {
        let mut report = sample::lost();
        report.default_profile = "\u{1b}[2Jx".into();
        report.problems[0].2 = "two\nlines".into();
        let text = plain(&report, &[]);
        assert!(text.contains("Default profile:  [2Jx\n") && text.contains(": two lines\n"), "{text:?}");
    }

    #[test]
    fn ages_are_told_in_their_largest_unit() {
        for (seconds, told) in [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7_200, "2 h"), (172_800, "2 days")] {
            assert_eq!(age(seconds * 1_000_000), told);
        }
    }
}
