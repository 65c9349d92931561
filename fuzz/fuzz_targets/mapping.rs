//! `sesame run`: each secret in one variable of its own or in a file, none that is set already, none that steers
//! programs; and nothing is refused without one of these reasons.
//!
//! The input is secrets by comma, then `|` and those that go into files, then `|` and a mapping as the command line
//! takes it.
#![no_main]

use std::collections::BTreeSet;

use dbus_interfaces::SecretName;
use sesame_cli::{args, mapping};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut parts = text.splitn(3, '|');
    let mut names = || -> BTreeSet<SecretName> {
        parts.next().unwrap_or_default().split(',').filter_map(|name| name.parse().ok()).collect()
    };
    let (secrets, filed) = (names(), names());
    by_hand(parts.next().unwrap_or_default());

    let files: Vec<_> = filed.iter().map(|name| (format!("FILE_{}", name.len()), name.clone())).collect();
    let is_set = |variable: &str| variable == "HOME";
    let mapped = mapping::of_all(secrets.iter().cloned().collect(), &files, is_set)
        .and_then(|mapped| mapping::check_distinct(mapped.iter().chain(&files)).map(|()| mapped));

    let left: Vec<&SecretName> = secrets.difference(&filed).collect();
    let wanted: Vec<String> = left.iter().map(|name| foreseen(name)).collect();
    let distinct: BTreeSet<&str> =
        wanted.iter().map(String::as_str).chain(files.iter().map(|(variable, _)| variable.as_str())).collect();
    let reason = wanted.iter().any(|variable| is_set(variable) || steers(variable))
        || distinct.len() < wanted.len() + files.len();
    let Ok(mapped) = mapped else { return assert!(reason, "refused without a reason: {wanted:?}") };
    assert!(!reason, "not refused: {wanted:?} and {files:?}");
    assert!(mapped.iter().map(|(_, name)| name).eq(left), "every secret once");
    assert!(mapped.iter().map(|(variable, _)| variable).eq(&wanted));
});

/// As the manual says it.
fn foreseen(name: &str) -> String {
    name.replace(['-', '.'], "_").to_uppercase()
}

/// As the manual lists it.
fn steers(variable: &str) -> bool {
    ["PATH", "IFS", "ENV", "BASH_ENV"].contains(&variable)
        || ["LD_", "PYTHON", "PERL5"].iter().any(|beginning| variable.starts_with(beginning))
        || variable.ends_with("_OPTIONS")
}

/// A mapping of the command line can be set, and says what it was given.
fn by_hand(text: &str) {
    match args::mapping(text) {
        Ok((variable, name)) => {
            assert_eq!(format!("{variable}={name}"), text);
            assert!(!variable.is_empty() && !variable.contains(['=', '\0', '-', '.', ' ']));
        }
        Err(why) => assert!(!why.chars().any(char::is_control), "{why:?}"),
    }
}
