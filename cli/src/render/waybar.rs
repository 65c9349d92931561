//! The status as an object for a custom module of waybar: `return-type` json, one object a line.

use dbus_interfaces::{ProfileName, profile::Report};
use serde::Serialize;

use super::{
    asked_for, json,
    paint::{Paint, When},
    text,
};
use crate::{error::Failure, output::printable};

#[derive(Serialize)]
struct Module<'a> {
    text: String,
    tooltip: String,
    alt: &'a str,
    class: [&'a str; 2],
}

/// How many of the vaults in `only` (of all where it names none) are unlocked, and all that `sesame status` says.
pub fn status(report: &Report, only: &[ProfileName]) -> String {
    let all = asked_for(report, only).count();
    let unlocked = asked_for(report, only).filter(|(_, row)| !row.locked).count();
    let alt = alt(report, unlocked, all);
    // Without ages: a bar shows it for as long as nothing changes.
    let tooltip = text::status(report, only, None, Paint::for_output(When::Never));
    let text = if alt == "down" { "?".into() } else { format!("{unlocked}/{all}") };
    json::line(&Module { text, tooltip: escape(tooltip.trim_end()), alt, class: [alt, &report.health] })
}

/// What stands in place of a status that could not be had.
pub fn unknown(failure: &Failure) -> String {
    let mut tooltip = printable(&failure.why).into_owned();
    if let Some(hint) = &failure.hint {
        tooltip += "\n";
        tooltip += &printable(hint);
    }
    json::line(&Module { text: "?".into(), tooltip: escape(&tooltip), alt: "down", class: ["down", "unknown"] })
}

fn alt(report: &Report, unlocked: usize, all: usize) -> &'static str {
    let secrets = report.daemons.get("daemon-secrets").map(|daemon| daemon.state.as_str());
    match (unlocked, all) {
        _ if report.reconciled_usec == 0 => "down",
        _ if secrets == Some("unresponsive") => "unresponsive",
        (_, 0) => "none",
        (0, _) => "locked",
        (unlocked, all) if unlocked == all => "unlocked",
        _ => "mixed",
    }
}

/// As Pango takes it for the text itself, not for markup.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '\'' => escaped += "&#39;",
            '"' => escaped += "&quot;",
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::{error::Error, render::sample};

    #[test]
    fn every_state_has_its_word() {
        let vaults = [("personal", false, true), ("work", true, false)];
        let mut shown = String::new();
        for report in [sample::report(&vaults), sample::report(&vaults[..1]), sample::report(&vaults[1..])] {
            shown += &status(&report, &[]);
        }
        shown += &status(&sample::report(&vaults), &["work".parse().unwrap()]);
        shown += &status(&sample::report(&[]), &[]);
        shown += &status(&sample::lost(), &[]);
        shown += &status(&sample::not_reported(), &[]);
        let mut hung = sample::report(&vaults);
        sample::set_state(&mut hung, "daemon-secrets", "unresponsive");
        shown += &status(&hung, &[]);
        assert_snapshot!(shown);
    }

    #[test]
    fn a_failure_is_an_object_too() {
        assert_snapshot!(unknown(&Error::NotRunning("daemon-profile").during("cannot read the status")));
    }

    #[test]
    fn nothing_in_the_tooltip_is_markup() {
        let mut report = sample::lost();
        report.problems[0].2 = "<b>a</b> & \"b\" 'c'\n\u{7}".into();
        let shown = status(&report, &[]);
        assert!(shown.contains("&lt;b&gt;a&lt;/b&gt; &amp; &quot;b&quot; &#39;c&#39;"), "{shown}");
        assert_eq!(shown.lines().count(), 1);
    }
}
