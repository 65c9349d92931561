//! What is in a process's memory, as root sees it: a core that gdb takes, searched for markers.

use std::{
    fs,
    path::{Path, PathBuf},
};

use memchr::memmem;
use rustix::process::Pid;

use crate::{
    home::Home,
    sesame::{self, Ended},
};

/// Everything that is mapped, not only what a core has by default; and no symbols, which take seconds to read.
const SETTINGS: [&str; 4] =
    ["set sysroot /nonexistent", "set auto-load off", "set use-coredump-filter off", "set dump-excluded-mappings on"];
/// Too short to be found by chance, and short enough for most of what may be left of a text.
const PIECE: usize = 12;

/// Something that must not be found, or must.
#[derive(Clone, Debug)]
pub struct Needle {
    /// What it is, for a person.
    pub what: String,
    pieces: Vec<Vec<u8>>,
}

impl Needle {
    /// Looked for in pieces, so that a part of it is found too.
    ///
    /// # Panics
    /// It is shorter than a piece.
    pub fn new(what: impl Into<String>, bytes: &[u8]) -> Self {
        let pieces: Vec<Vec<u8>> = bytes.chunks_exact(PIECE).map(<[u8]>::to_vec).collect();
        assert!(!pieces.is_empty(), "too short to be told from chance");
        Self { what: what.into(), pieces }
    }
}

/// The memory of a process at one moment.
pub struct Core(Vec<u8>);

impl Core {
    /// Takes a core of a running process, which goes on.
    ///
    /// # Panics
    /// gdb cannot: it needs root.
    pub async fn of(home: &Home, pid: Pid) -> Self {
        let file = fresh(home);
        let attach = format!("attach {}", pid.as_raw_pid());
        let ended = gdb(home, None, &[attach], &file, b"").await;
        Self::taken(&file, &ended)
    }

    /// Runs `words` to their end, and takes the core at the very last: as it calls `exit_group`. What it printed is
    /// in the output of the run.
    ///
    /// # Panics
    /// gdb cannot, or it was not gdb's to see the end.
    pub async fn at_the_end_of(home: &Home, bus: &str, words: &[&str], stdin: &[u8]) -> (Self, Ended) {
        let file = fresh(home);
        let [program, arguments @ ..] = words else { panic!("no program") };
        let run = [
            "set startup-with-shell off".to_owned(),
            format!("exec-file {program}"),
            format!("set args {}", arguments.join(" ")),
            "catch syscall exit_group".to_owned(),
            "run".to_owned(),
        ];
        let ended = gdb(home, Some(bus), &run, &file, stdin).await;
        (Self::taken(&file, &ended), ended)
    }

    fn taken(file: &Path, ended: &Ended) -> Self {
        let core = fs::read(file).unwrap_or_else(|cause| panic!("gdb took no core: {cause}: {ended:?}"));
        fs::remove_file(file).expect("the core was there");
        Self(core)
    }

    /// As [`found`].
    pub fn holds<'a>(&self, needles: impl IntoIterator<Item = &'a Needle>) -> Vec<String> {
        found(&self.0, needles)
    }
}

/// Those of `needles` that are in `bytes`, in whole or in part, and how often.
pub fn found<'a>(bytes: &[u8], needles: impl IntoIterator<Item = &'a Needle>) -> Vec<String> {
    let found = needles.into_iter().filter_map(|needle| {
        let count = |piece: &Vec<u8>| memmem::find_iter(bytes, piece).count();
        let counts: Vec<usize> = needle.pieces.iter().map(count).collect();
        let any = counts.iter().any(|count| *count > 0);
        any.then(|| format!("{} (its pieces: {counts:?} times)", needle.what))
    });
    found.collect()
}

fn fresh(home: &Home) -> PathBuf {
    let file = home.path().join("core");
    let _ = fs::remove_file(&file);
    file
}

async fn gdb(home: &Home, bus: Option<&str>, commands: &[String], core: &Path, stdin: &[u8]) -> Ended {
    let save = format!("generate-core-file {}", core.display());
    let mut words = vec!["gdb", "-nx", "-batch"];
    for command in SETTINGS {
        words.extend(["-iex", command]);
    }
    for command in commands.iter().chain([&save]) {
        words.extend(["-ex", command]);
    }
    sesame::run(home, bus, &words, stdin).await
}
