//! `sesame`: parses the arguments, runs one command, prints one failure.

use std::{io::Write, process::ExitCode};

use process_memory::{WIPING_ALLOCATOR, WipingAllocator};
use sesame_cli::{
    commands, complete,
    error::Failure,
    exit::Code,
    usage::{self, Parsed},
};

/// Passphrases and secrets pass through this memory: what is freed is wiped.
#[global_allocator]
static ALLOCATOR: WipingAllocator = WIPING_ALLOCATOR;

fn main() -> ExitCode {
    let ended = protect().and_then(|()| run());
    let code = ended.unwrap_or_else(|failure| {
        // Nobody is left to tell where standard error fails.
        let _ = writeln!(std::io::stderr(), "{failure}");
        failure.code
    });
    process_memory::wipe_registers();
    code.into()
}

/// No core dump and no other process of this user sees the memory.
fn protect() -> Result<(), Failure> {
    process_memory::close().map_err(|cause| Failure {
        what: "cannot protect the memory".into(),
        why: cause.to_string(),
        hint: None,
        code: Code::Failure,
    })
}

fn run() -> Result<Code, Failure> {
    complete::answer_shell();
    match usage::parse()? {
        Parsed::Run(args) => commands::run(args),
        Parsed::Done(code) => Ok(code),
    }
}
