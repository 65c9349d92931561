//! What `sesame import` does, or did: for people, and as JSON.

use serde::Serialize;

use crate::import::plan::Action;

/// One item of the other provider.
#[derive(Serialize)]
pub struct Row<'a> {
    /// Its collection's label.
    pub collection: &'a str,
    /// Its own label.
    pub label: &'a str,
    /// What becomes of it.
    #[serde(flatten)]
    pub action: &'a Action,
}

/// Everything.
#[derive(Serialize)]
pub struct Shown<'a> {
    /// The program that it comes from.
    pub provider: &'a str,
    /// Where it goes.
    pub profile: &'a str,
    /// Whether it was done, or is only planned.
    pub done: bool,
    /// What was found.
    pub items: Vec<Row<'a>>,
    /// The collections that were not looked into.
    pub locked: &'a [String],
}

/// A line for each item that is not there already, and how many there are of each.
pub fn lines(shown: &Shown<'_>) -> Vec<String> {
    let mut lines = vec![format!("From {} into {}:", shown.provider, shown.profile)];
    for row in shown.items.iter().filter(|row| *row.action != Action::Present) {
        let why = if let Action::Failed(why) = row.action { format!(" ({why})") } else { String::new() };
        lines.push(format!("  {:8}  {}: {}{why}", row.action.word(), row.collection, row.label));
    }
    lines.extend(shown.locked.iter().map(|label| format!("  locked    {label}")));
    let count = |word| shown.items.iter().filter(|row| row.action.word() == word).count();
    let counts = ["new", "conflict", "skipped", "present", "failed"].map(|word| format!("{} {word}", count(word)));
    lines.push(counts.join(", "));
    if !shown.done {
        lines.push("Nothing was stored yet. To store what is new or a conflict, add --yes.".into());
    }
    lines
}

/// One line.
pub fn json(shown: &Shown<'_>) -> String {
    serde_json::to_string(shown).unwrap_or_default()
}
