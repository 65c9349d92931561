//! The scenarios: the real daemons and the real command line on real buses, one file a subject.

// A failed step fails its test.
#![allow(clippy::unwrap_used, clippy::panic)]

mod announced;
mod applications;
mod autolock;
mod believed;
mod bounded;
mod command_line;
mod completed;
mod exit_codes;
mod hostile;
mod imported;
mod in_turn;
mod installed;
mod items;
mod keyrings;
mod killed;
mod lifecycle;
mod notified;
mod overheard;
mod private;
mod prompts;
mod published;
mod searched;
mod secrecy;
mod secret_service;
mod stalled;
mod starved;
mod told;
mod vault_files;
mod watched;
mod who_read;

use std::process::ExitCode;

use session_tests::{program, suite::Suite};

fn main() -> ExitCode {
    let arguments = libtest_mimic::Arguments::from_args();
    for name in ["sesame", "daemon-profile", "daemon-secrets", "sesame-prompter"] {
        if !program(name).is_file() && !arguments.list {
            eprintln!("{} is missing; run: cargo build --workspace", program(name).display());
            return ExitCode::FAILURE;
        }
    }
    let mut suite = Suite::default();
    announced::add(&mut suite);
    applications::add(&mut suite);
    autolock::add(&mut suite);
    believed::add(&mut suite);
    bounded::add(&mut suite);
    command_line::add(&mut suite);
    completed::add(&mut suite);
    exit_codes::add(&mut suite);
    hostile::add(&mut suite);
    imported::add(&mut suite);
    in_turn::add(&mut suite);
    installed::add(&mut suite);
    items::add(&mut suite);
    keyrings::add(&mut suite);
    killed::add(&mut suite);
    lifecycle::add(&mut suite);
    notified::add(&mut suite);
    overheard::add(&mut suite);
    private::add(&mut suite);
    prompts::add(&mut suite);
    published::add(&mut suite);
    secrecy::add(&mut suite);
    searched::add(&mut suite);
    secret_service::add(&mut suite);
    stalled::add(&mut suite);
    starved::add(&mut suite);
    told::add(&mut suite);
    vault_files::add(&mut suite);
    watched::add(&mut suite);
    who_read::add(&mut suite);
    libtest_mimic::run(&arguments, suite.trials()).exit_code()
}
