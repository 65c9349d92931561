//! The examples, each run as it stands against the real daemons; and the dialogues, on a real screen.

// A failed step fails its test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod bar;
mod dialogue;
mod git;
mod metrics;
mod monitors;
mod pointer;
mod screen;
mod shell;
mod terminal;
mod watchers;

use std::{path::PathBuf, process::ExitCode};

use session_tests::{program, suite::Suite};

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    let mut suite = Suite::default();
    bar::add(&mut suite);
    dialogue::add(&mut suite);
    git::add(&mut suite);
    metrics::add(&mut suite);
    monitors::add(&mut suite);
    shell::add(&mut suite);
    terminal::add(&mut suite);
    watchers::add(&mut suite);
    libtest_mimic::run(&arguments, suite.trials()).exit_code()
}

/// A file of `examples/`.
fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name)
}

/// `PATH`, with `sesame` in it.
fn path_with_sesame() -> String {
    let built = program("sesame");
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/bin:/bin".into());
    format!("{}:{path}", built.parent().unwrap().display())
}

/// `words`, with `sesame` in the PATH.
fn with_sesame(words: &[&str]) -> Vec<String> {
    let path = format!("PATH={}", path_with_sesame());
    ["env", &path].iter().chain(words).map(|word| (*word).to_owned()).collect()
}
