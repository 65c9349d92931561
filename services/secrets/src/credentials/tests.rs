//! The sockets for units with real peers: who is given what, and who nothing.

use std::{io::Read, os::unix::net::UnixStream as Client};

use rustix::net::{AddressFamily, SocketAddrUnix, SocketType};

use super::*;
use crate::{
    handle::{self, Command},
    state::State,
};

/// What a client is given that connects from the abstract address `from`, or from none.
async fn given(socket: PathBuf, from: Option<&'static str>) -> Vec<u8> {
    let asking = move || {
        let client = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        if let Some(from) = from {
            rustix::net::bind(&client, &SocketAddrUnix::new_abstract_name(from.as_bytes()).unwrap()).unwrap();
        }
        rustix::net::connect(&client, &SocketAddrUnix::new(&socket).unwrap()).unwrap();
        let mut taken = Vec::new();
        Client::from(client).read_to_end(&mut taken).unwrap();
        taken
    };
    tokio::task::spawn_blocking(asking).await.unwrap()
}

#[tokio::test]
async fn a_unit_is_given_the_secret_it_names_and_nobody_else_anything() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("credentials");
    fs::create_dir(&folder).unwrap();
    // What a run that was killed leaves.
    drop(StdListener::bind(folder.join("work")).unwrap());
    drop(StdListener::bind(folder.join("gone")).unwrap());
    let state = State::new([("work".parse().unwrap(), None)], 0);
    let (vaults, mut inbox) = handle::channel(state.snapshot());
    let owner = tokio::spawn(async move {
        let mut readers = Vec::new();
        while readers.len() < 2 {
            let Some(Command::Get(wanted, waiter)) = inbox.commands.recv().await else { continue };
            let missing = || dbus_interfaces::Error::NotFound("no such secret".into());
            let value = (wanted.name.as_str() == "db-url").then(|| Box::from(*b"s3cret")).ok_or_else(missing);
            assert!(waiter.send(value).is_ok());
            readers.push(wanted.reader.unit);
        }
        readers
    });
    let credentials = Credentials::open(folder.clone(), vaults).unwrap();
    let socket = folder.join("work");
    assert!(!folder.join("gone").exists());
    assert_eq!(socket.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    for from in [None, Some("sesame-test/unit/mail.service/db-url")] {
        assert_eq!(given(socket.clone(), from).await, b"", "{from:?}");
    }
    // Abstract names are the machine's: these are this test's own.
    assert_eq!(given(socket.clone(), Some("5e5a3e7e57000001/unit/mail.service/db-url")).await, b"s3cret");
    assert_eq!(given(socket.clone(), Some("5e5a3e7e57000002/unit/web.service/other")).await, b"");
    assert_eq!(owner.await.unwrap(), ["mail.service", "web.service"]);
    drop(credentials);
    assert!(!socket.exists());
}

/// A peer that takes nothing: what the socket could not hold is not kept for it once the vault is locked.
#[tokio::test]
async fn a_lock_ends_an_answer_that_nobody_takes() {
    let home = tempfile::tempdir().unwrap();
    let state = State::new([("work".parse().unwrap(), None)], 0);
    let (vaults, mut inbox) = handle::channel(state.snapshot());
    let value: Box<[u8]> = vec![7; 1 << 20].into();
    let whole = value.len();
    let owner = tokio::spawn(async move {
        let Some(Command::Get(_, waiter)) = inbox.commands.recv().await else { panic!("another command") };
        // By now it is locked, which the state says.
        assert!(waiter.send(Ok(value)).is_ok());
        inbox
    });
    let credentials = Credentials::open(home.path().join("credentials"), vaults).unwrap();
    let socket = home.path().join("credentials/work");
    let given = given(socket, Some("5e5a3e7e57000003/unit/mail.service/db-url"));
    let given = timeout(DEADLINE / 2, given).await.expect("an end before the deadline of a slow peer");
    assert!(given.len() < whole, "{}", given.len());
    drop((owner.await.unwrap(), credentials));
}
