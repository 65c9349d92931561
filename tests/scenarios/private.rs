//! Passphrases and secrets stay off the bus, and the private socket is this user's alone.

use std::{
    io::{Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    time::Duration,
};

use futures_util::StreamExt;
use rustix::{
    process::{Gid, Uid},
    thread::{set_thread_res_gid, set_thread_res_uid},
};
use session_tests::{client::Client, needs::Need, scenarios, session::Session, suite::Suite};
use zbus::{MessageStream, connection::Builder};

pub fn add(suite: &mut Suite) {
    scenarios!(suite.on_each_bus(&[]);
        a_monitor_sees_neither_passphrase_nor_secret,
        the_private_socket_is_closed_to_others_by_its_folder,
        no_other_process_of_the_user_reads_a_daemons_memory,
    );
    scenarios!(suite.on_dbus_daemon(&[Need::Root]);
        another_user_is_turned_away_at_the_private_socket,
    );
}

const PASSPHRASES: [&str; 3] =
    ["first-passphrase-3141592653", "second-passphrase-2718281828", "work-passphrase-1618033988"];
const SECRET: &str = "postgres://user:secret-1414213562@host";
const CANARY: &str = "canary-1732050807";

/// A monitor of everything on the bus, told so by the bus itself. Descriptors are handed to it as well.
async fn monitor(session: &Session) -> MessageStream {
    let builder = Builder::address(session.bus.address()).max_queued(100_000.try_into().unwrap());
    let connection = builder.build().await.unwrap();
    let stream = MessageStream::from(&connection);
    let interface = Some("org.freedesktop.DBus.Monitoring");
    let bus = Some("org.freedesktop.DBus");
    let all = (Vec::<&str>::new(), 0_u32);
    connection.call_method(bus, "/org/freedesktop/DBus", interface, "BecomeMonitor", &all).await.unwrap();
    stream
}

async fn a_session_with_secrets(session: &Session) {
    let files: Vec<String> = PASSPHRASES
        .iter()
        .enumerate()
        .map(|(at, text)| session.home.write(&format!("passphrase-{at}"), text).to_str().unwrap().to_owned())
        .collect();
    let from = |at: usize| ["--passphrase-file", files[at].as_str()];
    let with = |words: &[&'static str], at: usize| {
        words.iter().copied().map(str::to_owned).chain(from(at).map(str::to_owned)).collect::<Vec<String>>()
    };
    let mut change = with(&["passphrase"], 0);
    change.extend(["--new-passphrase-file".to_owned(), files[1].clone()]);
    for words in [with(&["init"], 0), with(&["profile", "add", "work"], 2), change, with(&["unlock", "-p", "work"], 2)]
    {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        session.sesame(&words).await.stdout_of_success();
    }
    session.sesame_fed(&["secret", "set", "db-url"], SECRET.as_bytes()).await.stdout_of_success();
    assert_eq!(session.sesame(&["secret", "get", "db-url"]).await.stdout_of_success(), SECRET);
    session.sesame(&["secret", "list"]).await.stdout_of_success();
    let shown = session.sesame(&["run", "--", "printenv", "DB_URL"]).await.stdout_of_success();
    assert_eq!(shown.trim_end(), SECRET);
    let file = session.sesame(&["run", "--file", "F=db-url", "--", "sh", "-c", "cat $F"]).await.stdout_of_success();
    assert_eq!(file, SECRET);
    session.sesame(&["lock", "--all"]).await.stdout_of_success();
    let unlock = with(&["unlock"], 1);
    session.sesame(&unlock.iter().map(String::as_str).collect::<Vec<_>>()).await.stdout_of_success();
    session.sesame(&["status"]).await.stdout_of_success();
}

async fn a_monitor_sees_neither_passphrase_nor_secret(session: Session) {
    let _daemons = session.daemons().await;
    let mut stream = monitor(&session).await;
    a_session_with_secrets(&session).await;
    // The control: what crosses the bus is seen.
    let client: Client = session.client().await;
    client.forge(None, "/control", "org.opensesame.Test", "Control", &CANARY).await;
    let mut messages = 0;
    let mut unlocks = 0;
    loop {
        let message = session_tests::within_deadline("the canary", stream.next()).await.unwrap().unwrap();
        let data = message.data();
        let holds = |needle: &str| data.bytes().windows(needle.len()).any(|window| window == needle.as_bytes());
        for private in PASSPHRASES.iter().chain([&SECRET]) {
            assert!(!holds(private), "{private} crossed the bus in {message:?}");
        }
        assert_eq!(message.header().unix_fds().unwrap_or(0), 0, "a descriptor crossed the bus in {message:?}");
        messages += 1;
        unlocks += usize::from(holds("VaultChanged"));
        if holds(CANARY) {
            break;
        }
    }
    assert!(messages > 50 && unlocks > 5, "the monitor saw the session: {messages} messages, {unlocks} of vaults");
}

async fn the_private_socket_is_closed_to_others_by_its_folder(session: Session) {
    let _daemons = session.daemons().await;
    session.create(&["personal"]).await;
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let home = &session.home;
    assert_eq!(mode(&home.runtime().join("open-sesame")), 0o700);
    assert_eq!(mode(&home.vaults().join("personal")), 0o700);
    for file in ["identity.age", "items.age"] {
        assert_eq!(mode(&home.vaults().join("personal").join(file)), 0o600);
    }
    assert_eq!(mode(&home.vaults()), 0o700);
}

async fn no_other_process_of_the_user_reads_a_daemons_memory(session: Session) {
    let daemons = session.daemons().await;
    for daemon in [&daemons.profile, &daemons.secrets] {
        let own = format!("/proc/{}/mem", daemon.pid().as_raw_pid());
        // Not dumpable: the kernel gives its entries to root, whoever runs it, and hides its memory from its own user.
        let shown = std::fs::metadata(&own).unwrap();
        assert_eq!((shown.uid(), shown.gid()), (0, 0), "{own}");
        if !rustix::process::geteuid().is_root() {
            assert!(std::fs::File::open(&own).is_err(), "{own} can be opened");
        }
    }
}

/// What the private socket says to a process of `uid` that authenticates as that.
fn handshake(socket: &std::path::Path, uid: u32) -> String {
    // A thread of its own: it never becomes this user again.
    let socket = socket.to_owned();
    let visitor = std::thread::spawn(move || {
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
        set_thread_res_gid(group, group, group).unwrap();
        set_thread_res_uid(user, user, user).unwrap();
        let mut stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let hex: String = uid.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        // It may hang up before it has read everything.
        let _ = stream.write_all(format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").as_bytes());
        let mut said = vec![0; 64];
        let length = stream.read(&mut said).unwrap_or(0);
        String::from_utf8_lossy(&said[..length]).into_owned()
    });
    visitor.join().unwrap()
}

async fn another_user_is_turned_away_at_the_private_socket(session: Session) {
    let _daemons = session.daemons().await;
    let socket = session.home.private_socket();
    // As if folder and socket had been opened by mistake: the socket itself must look at who comes.
    for folder in socket.ancestors().take_while(|folder| *folder != std::path::Path::new("/tmp")) {
        let mode = if folder == socket { 0o666 } else { 0o755 };
        std::fs::set_permissions(folder, PermissionsExt::from_mode(mode)).unwrap();
    }
    assert!(handshake(&socket, 0).starts_with("OK "), "the control: the daemon's own user");
    let said = handshake(&socket, 65534);
    assert!(!said.contains("OK "), "another user was let in: {said:?}");
    // And it serves its own user on.
    session.create(&["personal"]).await;
}
