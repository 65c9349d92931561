//! `sesame`: parses the arguments, runs one command, prints one failure.

use std::{io::Write, process::ExitCode};

use process_memory::{WIPING_ALLOCATOR, WipingAllocator};
use sesame_cli::{
    commands, complete,
    error::Failure,
    exit::Code,
    usage::{self, Parsed},
};
use signal_hook::low_level::emulate_default_handler;

/// Passphrases and secrets pass through this memory: what is freed is wiped.
#[global_allocator]
static ALLOCATOR: WipingAllocator = WIPING_ALLOCATOR;

fn main() -> ExitCode {
    let ended = protect().and_then(|()| run());
    let (code, signal) = ended.map_or_else(
        |failure| {
            // Nobody is left to tell where standard error fails.
            let _ = writeln!(std::io::stderr(), "{failure}");
            (failure.code, failure.signal)
        },
        |code| (code, None),
    );
    process_memory::wipe_registers();
    if let Some(signal) = signal {
        // Returns only where the system refuses it.
        let _ = emulate_default_handler(signal.as_raw_value());
    }
    code.into()
}

/// No core dump and no other process of this user sees the memory.
fn protect() -> Result<(), Failure> {
    process_memory::close().map_err(|cause| Failure {
        what: "cannot protect the memory".into(),
        why: cause.to_string(),
        hint: None,
        code: Code::Failure,
        signal: None,
    })
}

fn run() -> Result<Code, Failure> {
    complete::answer_shell();
    match usage::parse()? {
        Parsed::Run(args) => commands::run(args),
        Parsed::Done(code) => Ok(code),
    }
}
