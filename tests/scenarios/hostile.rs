//! Callers that mean no good, on the bus and at the private socket (contract, section 2, rule 4): they get clear
//! errors, cost little, and keep no honest caller waiting.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use dbus_interfaces::{Error, profile, secrets, vault};
use session_tests::{
    DEADLINE,
    client::Client,
    fuzzed,
    needs::Need,
    process::Process,
    random::Random,
    scenarios,
    session::{Daemons, Session},
    suite::Suite,
    within_deadline,
};
use zbus::{Connection, Message};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        any_method_with_any_arguments_is_answered,
        malformed_messages_end_no_daemon,
    );
    scenarios!(suite.on_each_bus(&[Need::Root]);
        a_storm_leaves_status_and_memory_as_they_were,
    );
}

/// A call that is answered, whatever it is: with an error that has a name and a sentence, unless it was a good one.
async fn is_answered(connection: &Connection, name: Option<&str>, random: &mut Random, method: &fuzzed::Method) {
    let (path, interface) = (method.path.as_str(), Some(method.interface.as_str()));
    let member = method.member.as_str();
    let what = format!("an answer to {member} of {}", method.interface);
    let answer = match fuzzed::body(random, &method.takes) {
        Some(body) => within_deadline(&what, connection.call_method(name, path, interface, member, &body)).await,
        None => within_deadline(&what, connection.call_method(name, path, interface, member, &())).await,
    };
    match answer {
        Ok(_) => {}
        Err(error @ (zbus::Error::MethodError(..) | zbus::Error::FDO(_))) => {
            let told = error.to_string();
            let (name, text) = told.split_once(": ").unwrap_or((&told, ""));
            assert!(name.contains(".Error."), "{member}: {name}");
            assert!(text.len() > 10, "{member}: {name}: {text:?}");
            // Ours repeat little of what they were given; zbus' own repeat a name that it does not know.
            let short = !name.starts_with("org.opensesame.") || text.len() < 1000;
            assert!(short, "{member}: {name}: a text of {} bytes", text.len());
        }
        Err(error) => panic!("{member}: {error:?}"),
    }
}

async fn any_method_with_any_arguments_is_answered(session: Session) {
    let mut random = Random::announced("hostile calls");
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal"]).await;
    let ids = ids(&session).await;
    let client = session.client().await;
    for name in [profile::NAME, secrets::NAME] {
        let methods = fuzzed::methods(&client.connection, Some(name), "/").await;
        assert!(methods.len() > 15, "{methods:?}");
        for turn in 0..600 {
            let mut method = methods[turn % methods.len()].clone();
            match random.below(12) {
                0 => method.path = "/".into(),
                1 => method.interface = "org.opensesame.Nothing".into(),
                2 => method.member = "Nothing".into(),
                _ => {}
            }
            is_answered(&client.connection, Some(name), &mut random, &method).await;
        }
    }
    let private = session.vault().await;
    let connection = private.inner().connection();
    let methods = fuzzed::methods(connection, None, "/").await;
    assert!(methods.iter().any(|method| method.member == "ChangePassphrase"), "{methods:?}");
    for turn in 0..300 {
        is_answered(connection, None, &mut random, &methods[turn % methods.len()]).await;
    }
    assert_unhurt(&session, &mut daemons, &ids).await;
}

/// The same daemons run, none has panicked, and they serve.
async fn assert_unhurt(session: &Session, daemons: &mut Daemons, before: &[Option<String>]) {
    assert_eq!(ids(session).await, before, "the same daemons run");
    for daemon in [&daemons.profile, &daemons.secrets] {
        assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
    }
    session.vault().await.unlock("personal", session_tests::PASSPHRASE.as_bytes()).await.unwrap();
    session.wait_until_healthy().await;
}

async fn ids(session: &Session) -> Vec<Option<String>> {
    session.client().await.report().await.daemons.into_values().map(|row| row.id).collect()
}

/// Bytes to somebody who may hang up.
struct Raw(UnixStream);

const HANDSHAKE: &[u8] = b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n";

impl Raw {
    fn connect(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).unwrap();
        for set in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
            set(&stream, Some(Duration::from_secs(1))).unwrap();
        }
        Self(stream)
    }

    /// Through the handshake, unless it is hung up on, and on a bus with a name of its own.
    fn authenticated(socket: &Path, hello: bool) -> Self {
        let mut raw = Self::connect(socket);
        raw.send(HANDSHAKE);
        let (mut lines, mut byte) = (0, [0]);
        while lines < 2 && raw.0.read_exact(&mut byte).is_ok() {
            lines += usize::from(byte == *b"\n");
        }
        if hello {
            let bus = "org.freedesktop.DBus";
            let call = Message::method_call("/org/freedesktop/DBus", "Hello");
            raw.send(call.destination(bus).interface(bus).build(&()).unwrap().data());
        }
        raw
    }

    /// False where the other side has hung up or takes no more.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }
}

fn bus_socket(session: &Session) -> PathBuf {
    session.bus.address().strip_prefix("unix:path=").unwrap().into()
}

/// A call as bytes.
fn call(name: Option<&str>, path: &str, interface: &str, member: &str, body: &str) -> Vec<u8> {
    let mut call = Message::method_call(path, member).interface(interface);
    if let Some(name) = name {
        call = call.destination(name);
    }
    call.build(&body).unwrap().data().to_vec()
}

/// Good calls with bytes changed, left out or repeated, and much that never was a message.
async fn malformed_messages_end_no_daemon(session: Session) {
    let mut random = Random::announced("malformed messages");
    let mut daemons = session.daemons().await;
    session.create(&["personal"]).await;
    session.unlock(&["personal"]).await;
    let ids = ids(&session).await;
    let private = session.home.private_socket();
    let bus = bus_socket(&session);
    let good = [
        call(None, vault::PATH, vault::INTERFACE, "ListSecrets", "personal"),
        call(Some(profile::NAME), profile::PATH, profile::INTERFACE, "ActivateProfile", "personal"),
        call(Some(secrets::NAME), secrets::PATH, secrets::INTERFACE, "Lock", "nobody"),
    ];
    let client = session.client().await;
    for turn in 0..2000 {
        let on_bus = turn % 2 == 1;
        let (socket, message) = if on_bus { (&bus, &good[1 + turn / 2 % 2]) } else { (&private, &good[0]) };
        let mut message = message.clone();
        for _ in 0..=random.below(4) {
            let at = random.below(message.len());
            match random.below(4) {
                0 => message.truncate(at.max(1)),
                1 => message.extend(random.bytes(64)),
                _ => message[at] = random.number() as u8,
            }
        }
        let mut raw = if turn % 10 == 0 { Raw::connect(socket) } else { Raw::authenticated(socket, socket == &bus) };
        if turn % 10 == 0 {
            let mut half = HANDSHAKE.to_vec();
            let at = random.below(half.len());
            half[at] = random.number() as u8;
            raw.send(&half);
        }
        raw.send(&message);
        raw.send(&random.bytes(200));
        if turn % 40 == 0 {
            client.status().await;
            session.vault().await.list_secrets("personal").await.unwrap();
        }
    }
    assert_unhurt(&session, &mut daemons, &ids).await;
}

/// What a process has that nobody shares, and its whole share of memory, in KiB. Only the first is compared: what the
/// binary maps counts less for each process more that runs it.
fn memory(process: &Process) -> (u64, u64) {
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid().as_raw_pid())).unwrap();
    (field(&rollup, "Pss_Anon:"), field(&rollup, "Pss:"))
}

/// The most that it ever had resident.
fn peak(process: &Process) -> u64 {
    field(&fs::read_to_string(format!("/proc/{}/status", process.pid().as_raw_pid())).unwrap(), "VmHWM:")
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Keeps asking `Status` while the storm goes on; how long the slowest answer took.
async fn ask_status<T>(session: &Session, storm: &[JoinHandle<T>]) -> (Duration, usize) {
    let client: Client = session.client().await;
    let (mut slowest, mut asked) = (Duration::ZERO, 0);
    while storm.iter().any(|attacker| !attacker.is_finished()) {
        let begun = Instant::now();
        within_deadline("Status in the storm", client.status()).await;
        slowest = slowest.max(begun.elapsed());
        asked += 1;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    (slowest, asked)
}

/// Sends `calls` in turn over a connection, never reads an answer, and stays until the storm is over.
fn never_reads(socket: PathBuf, hello: bool, calls: Vec<Vec<u8>>, times: usize) -> JoinHandle<Raw> {
    std::thread::spawn(move || {
        let mut raw = Raw::authenticated(&socket, hello);
        for turn in 0..times {
            if !raw.send(&calls[turn % calls.len()]) {
                break;
            }
        }
        raw
    })
}

/// Every attack at once.
fn storm(session: &Session) -> Vec<JoinHandle<Vec<Raw>>> {
    let (private, bus) = (session.home.private_socket(), bus_socket(session));
    let hub = |member: &str| call(Some(profile::NAME), profile::PATH, profile::INTERFACE, member, "personal");
    let of_secrets = |member: &str| call(Some(secrets::NAME), secrets::PATH, secrets::INTERFACE, member, "work");
    let on_bus =
        vec![hub("ActivateProfile"), of_secrets("Deactivate"), hub("SetDefaultProfile"), of_secrets("Activate")];
    let value = ("personal", "large");
    let get = Message::method_call(vault::PATH, "GetSecret").interface(vault::INTERFACE);
    let get = vec![get.build(&value).unwrap().data().to_vec()];
    let matched = {
        let bus = "org.freedesktop.DBus";
        let add = Message::method_call("/org/freedesktop/DBus", "AddMatch").destination(bus).interface(bus);
        vec![add.build(&"type='signal',path_namespace='/org/opensesame'").unwrap().data().to_vec()]
    };
    let huge = call(Some(profile::NAME), profile::PATH, profile::INTERFACE, "ActivateProfile", &"x".repeat(16 << 20));
    let many = |count: usize, make: &dyn Fn() -> JoinHandle<Raw>| {
        let attackers: Vec<_> = (0..count).map(|_| make()).collect();
        std::thread::spawn(move || attackers.into_iter().filter_map(|attacker| attacker.join().ok()).collect())
    };
    vec![
        // 10,000 calls at once, whose answers nobody reads.
        many(10, &|| never_reads(bus.clone(), true, on_bus.clone(), 1000)),
        // Subscribers that never read a signal of what those calls change.
        many(20, &|| never_reads(bus.clone(), true, matched.clone(), 1)),
        many(2, &|| never_reads(bus.clone(), true, vec![huge.clone()], 2)),
        // Secrets that nobody takes.
        many(10, &|| never_reads(private.clone(), false, get.clone(), 200)),
        // 500 connections to each: half an authentication, then silence.
        half_open(private.clone(), 500),
        half_open(bus.clone(), 500),
    ]
}

fn half_open(socket: PathBuf, count: usize) -> JoinHandle<Vec<Raw>> {
    std::thread::spawn(move || {
        let mut opened = Vec::new();
        for turn in 0..count {
            let mut raw = Raw::connect(&socket);
            raw.send(&HANDSHAKE[..turn % HANDSHAKE.len()]);
            opened.push(raw);
        }
        opened
    })
}

async fn a_storm_leaves_status_and_memory_as_they_were(session: Session) {
    let mut daemons = session.daemons().await;
    session.create(&["personal", "work"]).await;
    session.unlock(&["personal", "work"]).await;
    session.vault().await.set_secret("personal", "large", &[b'x'; 100_000]).await.unwrap();
    let ids = ids(&session).await;
    let before = [memory(&daemons.profile), memory(&daemons.secrets)];
    let peaks = [peak(&daemons.profile), peak(&daemons.secrets)];
    let attackers = storm(&session);
    let (slowest, asked) = ask_status(&session, &attackers).await;
    let held: Vec<Raw> = attackers.into_iter().flat_map(|attacker| attacker.join().unwrap()).collect();
    // All of them hold what they have; an honest caller is served.
    let begun = Instant::now();
    within_deadline("Status after the storm", async { session.client().await.status().await }).await;
    let honest =
        within_deadline("a secret", async { session.vault().await.get_secret("personal", "large").await }).await;
    assert_eq!(honest.unwrap().len(), 100_000);
    let served = begun.elapsed();
    assert!(held.len() > 900, "{} connections", held.len());
    let cost = [peak(&daemons.profile) - peaks[0], peak(&daemons.secrets) - peaks[1]];
    drop(held);
    let after = settled(&daemons, before).await;
    eprintln!(
        "[{}] Status: {asked} asked, the slowest {slowest:?}; with all held {served:?}. KiB of hub and secrets: \
         before {before:?}, most more {cost:?}, after {after:?}",
        session.kind.name()
    );
    assert!(cost.iter().all(|cost| *cost < 128 << 10), "{cost:?} KiB more at the most");
    assert_unhurt(&session, &mut daemons, &ids).await;
    let Err(Error::NotFound(_)) = session.vault().await.get_secret("personal", "none").await else {
        panic!("an error that is clear")
    };
}

/// Waits until both have given back what the storm took, to within 20 % of what they had in all.
async fn settled(daemons: &Daemons, before: [(u64, u64); 2]) -> [u64; 2] {
    let begun = Instant::now();
    loop {
        let now = [memory(&daemons.profile).0, memory(&daemons.secrets).0];
        if now.iter().zip(before).all(|(now, (own, all))| *now <= own + all / 5) {
            return now;
        }
        // Until the second tick: a daemon that nobody calls gives back at its ticks only.
        assert!(begun.elapsed() < 2 * DEADLINE, "KiB: {now:?} are more than {before:?} and 20 %");
        // Nothing of another process's memory can be awaited.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
