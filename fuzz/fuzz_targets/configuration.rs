//! `config.toml`: whatever is wrong is told in one line about a line that is there; what is taken can be written and is
//! read as the same.
#![no_main]

use std::{collections::BTreeSet, fmt::Write, time::Duration};

use daemon_config::{Config, LockOn, Parsed, Sandbox, parse};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let lines = text.split('\n').count();
    let (config, told) = match parse(text) {
        Ok(Parsed { config, warnings }) => (Some(config), warnings),
        Err(problem) => (None, vec![problem]),
    };
    for problem in &told {
        assert!((1..=lines).contains(&problem.line), "{problem}");
        assert!(
            !problem.to_string().chars().any(char::is_control),
            "one line, and nothing a terminal obeys: {problem:?}"
        );
    }
    assert!(told.is_sorted_by_key(|problem| problem.line));
    let Some(config) = config else { return };
    sound(&config);
    assert_eq!(parse(&written(&config)), Ok(Parsed { config, warnings: vec![] }), "written and read again");
});

/// What may be relied on.
fn sound(config: &Config) {
    let time = |time: Duration| Duration::ZERO < time && time <= Duration::from_secs(365 * 24 * 3600);
    assert!((15..=18).contains(&config.work_factor) && time(config.lock_after));
    assert!(config.askpass.first().is_some_and(|program| !program.is_empty()));
    let any = config.locks_on();
    assert!(config.lock_on.is_subset(&any));
    for (profile, own) in &config.profiles {
        let holds = config.for_profile(profile);
        assert!(holds.lock_on.is_subset(&any) && time(holds.lock_after));
        assert_eq!(&holds.lock_on, own.lock_on.as_ref().unwrap_or(&config.lock_on));
    }
}

fn written(config: &Config) -> String {
    let sandbox = match config.sandbox {
        Sandbox::BestEffort => "best-effort",
        Sandbox::Required => "required",
    };
    let askpass: Vec<String> = config.askpass.iter().map(|word| quoted(word)).collect();
    let mut text = format!(
        "work_factor = {}\nsandbox = {sandbox:?}\nnotify = {}\naskpass = [{}]\nsecret_service = {}\nplain_sessions = {}\n",
        config.work_factor,
        config.notify,
        askpass.join(", "),
        config.secret_service,
        config.plain_sessions,
    );
    locking(&mut text, Some(&config.lock_on), Some(config.lock_after));
    for (profile, own) in &config.profiles {
        let _ = writeln!(text, "[profiles.{}]", quoted(profile));
        locking(&mut text, own.lock_on.as_ref(), own.lock_after);
        if let Some(locked_search) = own.locked_search {
            let _ = writeln!(text, "locked_search = {locked_search}");
        }
    }
    text
}

fn locking(text: &mut String, on: Option<&BTreeSet<LockOn>>, after: Option<Duration>) {
    let word = |on: &LockOn| match on {
        LockOn::Sleep => "\"sleep\"",
        LockOn::Screen => "\"screen\"",
        LockOn::Idle => "\"idle\"",
    };
    if let Some(on) = on {
        let _ = writeln!(text, "lock_on = [{}]", on.iter().map(word).collect::<Vec<_>>().join(","));
    }
    if let Some(after) = after {
        let _ = writeln!(text, "lock_after = \"{}s\"", after.as_secs());
    }
}

fn quoted(word: &str) -> String {
    let escaped: String = word.chars().map(|char| format!("\\U{:08x}", u32::from(char))).collect();
    format!("\"{escaped}\"")
}
