//! `make order`: which functions run while the daemons rest and answer, and while sesame runs, told by valgrind, for the
//! linker to lay them side by side. Writes its scripts to the files that the arguments name: the daemons', sesame's.

// A step that fails ends it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::{
    collections::{BTreeSet, HashMap},
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

use rustix::process::Signal;
use session_tests::{PASSPHRASE, bus::Kind, home::Home, process::Process, program, session::Session};

/// Every other tick is with a reconciliation.
const RECONCILIATIONS: usize = 2;

fn main() {
    let places: Vec<_> = std::env::args_os().skip(1).collect();
    let [daemons, sesame] = &places[..] else { panic!("usage: order DAEMONS SESAME") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let session = Session::start(Kind::DbusDaemon, Arc::new(Home::new())).await;
        // The daemons have no C library in them.
        let used = of_sesame(&session).await;
        let members = members(&used);
        assert!(members.len() > 50, "{members:?}: was sesame linked without the C library?");
        fs::write(sesame, script(&used, &members)).unwrap();
        fs::write(daemons, script(&of_daemons(&session).await, &BTreeSet::new())).unwrap();
    });
}

/// What runs in sesame for what scripts ask most.
async fn of_sesame(session: &Session) -> BTreeSet<String> {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    session.vault().await.set_secret("personal", "token", b"0123456789").await.unwrap();
    let (sesame, file) = (program("sesame"), session.home.path().join("sesame.functions"));
    let out = format!("--callgrind-out-file={}", file.display());
    let mut used = BTreeSet::new();
    for words in [&["status"][..], &["secret", "get", "token"]] {
        let valgrind = ["valgrind", "--tool=callgrind", "--demangle=no", &out, sesame.to_str().unwrap()];
        let ended = session.run(&[&valgrind, words].concat()).await;
        assert_eq!(ended.code, 0, "{ended:?}");
        used.append(&mut functions(&file, "sesame"));
    }
    used
}

/// What runs in both daemons after a start, and an unlock, has given back what it took.
async fn of_daemons(session: &Session) -> BTreeSet<String> {
    let profile = Watched::start(session, "daemon-profile", "org.opensesame.Profile").await;
    let started = profile.parts().len();
    let secrets = Watched::start(session, "daemon-secrets", "org.opensesame.Secrets").await;
    session.wait_until_healthy().await;
    let vault = session.vault().await;
    vault.unlock("personal", PASSPHRASE.as_bytes()).await.unwrap();
    let unlocked = secrets.parts().len();
    session.client().await.status().await;
    vault.get_secret("personal", "token").await.unwrap();
    let mut recorder = session.recorder().await;
    let reconciled = |message: &&zbus::Message| message.header().member().is_some_and(|name| name == "Reconciled");
    recorder.until("reconciliations", |messages| messages.iter().filter(reconciled).count() >= RECONCILIATIONS).await;
    let mut used = secrets.functions_after(unlocked).await;
    used.append(&mut profile.functions_after(started).await);
    used
}

/// A daemon under valgrind, which begins a file of what ran each time that the daemon gives back.
struct Watched {
    process: Process,
    name: &'static str,
    folder: PathBuf,
}

impl Watched {
    async fn start(session: &Session, name: &'static str, bus_name: &str) -> Self {
        let client = session.client().await;
        client.wait_until_gone(bus_name).await;
        let folder = session.home.path().join(format!("{name}.parts"));
        fs::create_dir(&folder).unwrap();
        let out = format!("--callgrind-out-file={}", folder.join("part").display());
        let path = program(name);
        let words = ["valgrind", "--tool=callgrind", "--demangle=no", "--dump-before=*give_back*", &out];
        let recipe = session.recipe(name, [&words[..], &[path.to_str().unwrap()]].concat());
        let process = recipe.with("WATCHDOG_USEC", "4000000").start();
        client.wait_for_owner(bus_name).await;
        Self { process, name, folder }
    }

    /// In order: `part.1`, `part.2`, ..., and at the end `part`.
    fn parts(&self) -> Vec<PathBuf> {
        let paths = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().path());
        let number = |path: &PathBuf| path.extension().map_or(u32::MAX, |text| text.to_str().unwrap().parse().unwrap());
        let mut parts: Vec<_> = paths.collect();
        parts.sort_by_key(number);
        parts
    }

    /// Ends it.
    async fn functions_after(mut self, parts: usize) -> BTreeSet<String> {
        self.process.signal(Signal::TERM);
        self.process.exited().await;
        self.parts().iter().skip(parts).flat_map(|part| functions(part, self.name)).collect()
    }
}

/// The functions of the program's file in what callgrind wrote: `ob=(1) /path` names the program that a `fn=(2) name` is of, and
/// a name is only told once (callgrind's manual, "Callgrind Format Specification").
fn functions(file: &Path, program: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap();
    let mut names = HashMap::new();
    let (mut is_ours, mut found) = (false, BTreeSet::new());
    for (key, value) in text.lines().filter_map(|line| line.split_once("=(")) {
        let Some((id, name)) = value.split_once(')') else { continue };
        let kind = key.trim_start_matches('c');
        if !name.is_empty() {
            names.insert((kind, id), name.trim());
        }
        let name = names.get(&(kind, id)).copied().unwrap_or_default();
        match key {
            "ob" => is_ours = name.ends_with(program),
            // Recursion is told as NAME'2.
            "fn" if is_ours => {
                found.insert(name.split('\'').next().unwrap_or_default().to_owned());
            }
            _ => {}
        }
    }
    found
}

/// The name for any compiler and any version of a dependency: without the hashes of crates, the back references, which
/// lie elsewhere with other hashes, the crate at the end that had the function made, and the number that tells it from
/// its like (rustc's book, "v0 Symbol Format").
fn pattern(symbol: &str) -> String {
    let (mut pattern, mut rest) = (String::new(), symbol.split('.').next().unwrap_or_default());
    while let Some(tag) = rest.chars().next() {
        let length = match tag {
            '0'..='9' => identifier(rest),
            // A disambiguator, or the value of a constant.
            's' | 'K' => past_underscore(rest),
            _ => 1,
        };
        let hash = if rest.starts_with("Cs") || tag == 'B' { past_underscore(rest) } else { 0 };
        if hash == 0 {
            pattern.push_str(&rest[..length]);
        } else if !pattern.ends_with('*') {
            pattern.push('*');
        }
        rest = &rest[length.max(hash)..];
    }
    match pattern.rsplit_once("E*") {
        Some((name, maker)) if maker.starts_with(|letter: char| letter.is_ascii_digit()) => format!("{name}E*"),
        _ if pattern.ends_with('*') => pattern,
        _ => pattern + "*",
    }
}

/// The length of `LENGTH[_]BYTES`.
fn identifier(rest: &str) -> usize {
    let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap();
    let separator = usize::from(rest[digits..].starts_with('_'));
    digits + separator + rest[..digits].parse::<usize>().unwrap()
}

fn past_underscore(rest: &str) -> usize {
    rest.find('_').unwrap() + 1
}

/// The files in the C library that have such functions, and their like for other processors: valgrind's has no AVX-512.
fn members(used: &BTreeSet<String>) -> BTreeSet<String> {
    let said = |command: &mut Command| String::from_utf8(command.output().unwrap().stdout).unwrap();
    let library = said(Command::new("cc").arg("-print-file-name=libc.a"));
    let symbols =
        said(Command::new("nm").args(["--print-file-name", "--defined-only", "--extern-only", library.trim()]));
    // /usr/lib/libc.a:malloc.o:0000000000001900 T malloc
    let symbols = symbols.lines().filter_map(|line| {
        let (file, symbol) = line.rsplit_once(':')?;
        Some((file.rsplit(':').next()?, symbol.rsplit(' ').next()?))
    });
    let members = symbols.filter(|(_, symbol)| used.contains(*symbol)).map(|(member, _)| member);
    members.flat_map(|member| ["avx", "evex", "avx512"].map(|set| of_set(member, set))).collect()
}

/// memset-avx2-unaligned-erms.o as it is called where it is made of other instructions.
fn of_set(member: &str, set: &str) -> String {
    let parts = member.split('-').map(|part| match (part, set) {
        ("avx" | "avx2", "avx") => part,
        ("avx" | "avx2", _) => set,
        ("avx2.o", "evex") => "evex.o",
        _ => part,
    });
    parts.collect::<Vec<_>>().join("-")
}

fn script(used: &BTreeSet<String>, members: &BTreeSet<String>) -> String {
    let patterns: BTreeSet<_> = used.iter().filter(|name| name.starts_with("_R")).map(|name| pattern(name)).collect();
    assert!(patterns.len() > 500, "{} functions: were the programs linked without symbols?", patterns.len());
    let mut script = String::from(
        "/* Written by `make order`, not by hand. The functions that run often lie side by side, so that little of what lies\n\
         between them is read and in memory. What is not found is where it would be without this. */\n\
         SECTIONS\n{\n  .text :\n  {\n",
    );
    for pattern in patterns {
        writeln!(script, "    *(.text*.{pattern})").unwrap();
    }
    for member in members {
        writeln!(script, "    *libc.a:{member}(.text .text.*)").unwrap();
    }
    script + "    *(.text .text.*)\n  }\n}\nINSERT AFTER .init;\n"
}
