//! The least that could answer a call: a process of its own that says the same bytes to each, made once, and knows neither
//! state nor secret. What a call takes beyond it is ours; what it takes itself is the machine's, and the client's.

use std::{
    env,
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    num::NonZeroU32,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Child, Command, Stdio},
};

use dbus_interfaces::{
    profile::{ProfileProxy, Status},
    vault::VaultProxy,
};
use serde::Serialize;
use session_tests::{client::Client, session::vault_at};
use zbus::{
    Address, DynamicType, Message,
    address::transport::{Transport, UnixSocket},
    proxy::CacheProperties,
};

const NAME: &str = "org.opensesame.Least";

/// A process that answers, and ends with this.
pub struct Least(Child);

impl Drop for Least {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is done before a `SetSecret` is answered.
#[derive(Clone, Copy)]
pub enum Before {
    /// The file is written.
    Written,
    /// As many bytes are encrypted, and written.
    Sealed,
}

impl Least {
    fn start(words: &[&str], stdin: impl Into<Stdio>) -> Self {
        let program = env::current_exe().unwrap();
        Self(Command::new(program).arg("--least").args(words).stdin(stdin).spawn().unwrap())
    }

    async fn on_socket(words: &[&str]) -> (Self, VaultProxy<'static>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let least = Self::start(words, OwnedFd::from(UnixListener::bind(&path).unwrap()));
        (least, vault_at(&path).await)
    }

    /// One that answers a vault's `GetSecret`.
    pub async fn of_get_secret() -> (Self, VaultProxy<'static>) {
        Self::on_socket(&["get"]).await
    }

    /// One that answers a vault's `SetSecret`, once a file like that of `like` is in `folder`.
    pub async fn of_set_secret(before: Before, folder: &Path, like: &Path) -> (Self, VaultProxy<'static>) {
        let before = match before {
            Before::Written => "set",
            Before::Sealed => "seal",
        };
        Self::on_socket(&[before, folder.to_str().unwrap(), like.to_str().unwrap()]).await
    }

    /// One that answers `Status` to `client`, as the hub does now.
    pub async fn of_status(bus: &str, client: &Client) -> (Self, ProfileProxy<'static>) {
        let status = serde_json::to_string(&client.status().await).unwrap();
        let caller = client.connection.unique_name().unwrap().to_string();
        let least = Self::start(&["status", &caller, &status], connected(bus));
        client.wait_for_owner(NAME).await;
        let hub = ProfileProxy::builder(&client.connection).destination(NAME).cache_properties(CacheProperties::No);
        (least, hub.build().await.unwrap())
    }
}

fn connected(bus: &str) -> OwnedFd {
    let address = Address::try_from(bus).unwrap();
    let Transport::Unix(unix) = address.transport() else { panic!("{bus}") };
    let UnixSocket::File(path) = unix.path() else { panic!("{bus}") };
    UnixStream::connect(path).unwrap().into()
}

/// A file in another one's place, as a vault's is written.
pub fn replace(folder: &Path, bytes: &[u8]) -> io::Result<()> {
    let (temporary, place) = (folder.join("bench.new"), folder.join("bench"));
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, &place)?;
    File::open(folder)?.sync_all()
}

/// All that such a process does, where this is one. It ends when its caller has gone.
pub fn answering() -> Option<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let ["--least", rest @ ..] = &words[..] else { return None };
    let stdin = io::stdin().as_fd().try_clone_to_owned().unwrap();
    let _ = match rest {
        ["get"] => answer(accepted(stdin).unwrap(), &Answer::new("", &(&b"0123456789"[..],)), || Ok(())),
        ["status", caller, status] => {
            let status: Status = serde_json::from_str(status).unwrap();
            answer(introduced(stdin.into()).unwrap(), &Answer::new(caller, &status), || Ok(()))
        }
        [before, folder, like] => {
            let (bytes, recipient) = (fs::read(like).unwrap(), age::x25519::Identity::generate().to_public());
            let sealed = || age::encrypt(&recipient, &bytes).map_err(io::Error::other);
            answer(accepted(stdin).unwrap(), &Answer::new("", &()), || match *before {
                "seal" => replace(Path::new(folder), &sealed()?),
                _ => replace(Path::new(folder), &bytes),
            })
        }
        _ => panic!("{words:?}"),
    };
    Some(())
}

/// The one who connects, once it has begun (D-Bus specification, "Authentication Protocol").
fn accepted(listener: OwnedFd) -> io::Result<UnixStream> {
    let (mut stream, _) = UnixListener::from(listener).accept()?;
    loop {
        let line = line(&mut stream)?;
        match line.trim_start_matches('\0').split(' ').next() {
            Some("AUTH") => writeln!(stream, "OK {:032x}\r", 0)?,
            Some("NEGOTIATE_UNIX_FD") => writeln!(stream, "AGREE_UNIX_FD\r")?,
            Some("BEGIN") => return Ok(stream),
            _ => return Err(ErrorKind::InvalidData.into()),
        }
    }
}

/// To the bus, by name.
fn introduced(mut stream: UnixStream) -> io::Result<UnixStream> {
    let driver = "org.freedesktop.DBus";
    let call = |member| {
        let call = Message::method_call("/org/freedesktop/DBus", member);
        call.destination(driver).interface(driver)
    };
    let built = |message: zbus::Result<Message>| message.map_err(io::Error::other);
    stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
    stream.write_all(built(call("Hello").build(&()))?.data())?;
    stream.write_all(built(call("RequestName").build(&(NAME, 0_u32)))?.data())?;
    while !line(&mut stream)?.starts_with("OK") {}
    Ok(stream)
}

fn line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = String::new();
    while !line.ends_with("\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        line.extend(byte.map(char::from));
    }
    Ok(line.trim_end().to_owned())
}

/// The bytes of an answer; only the call that they answer differs.
struct Answer {
    bytes: Vec<u8>,
    reply_serial: usize,
}

impl Answer {
    fn new(caller: &str, body: &(impl Serialize + DynamicType)) -> Self {
        // Found again in what is built: no length is so large.
        let serial = NonZeroU32::new(0x7a69_7a69).unwrap();
        let call = Message::method_call("/", "Any").serial(serial);
        let call = if caller.is_empty() { call } else { call.sender(caller) }.build(&()).unwrap();
        let bytes = Message::method_return(&call.header()).build(body).unwrap().data().to_vec();
        let reply_serial = bytes.windows(4).position(|bytes| bytes == serial.get().to_ne_bytes()).unwrap();
        Self { bytes, reply_serial }
    }
}

/// Answers each call, after `work`.
fn answer(mut stream: UnixStream, answer: &Answer, work: impl Fn() -> io::Result<()>) -> io::Result<()> {
    const FIXED: usize = 16;
    const METHOD_CALL: u8 = 1;
    let (mut bytes, mut serials) = (answer.bytes.clone(), 1_u32..);
    let (mut buffer, mut held) = ([0; 4096], 0);
    loop {
        while let Some(fixed) = buffer[..held].first_chunk::<FIXED>() {
            let number = |at: usize| u32::from_ne_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
            let [body, fields] = [number(4), number(12)].map(|length| usize::try_from(length).unwrap());
            let (length, is_call) = (FIXED + fields.next_multiple_of(8) + body, fixed[1] == METHOD_CALL);
            if held < length {
                break;
            }
            if is_call {
                work()?;
                bytes[8..12].copy_from_slice(&serials.next().unwrap().to_ne_bytes());
                bytes[answer.reply_serial..answer.reply_serial + 4].copy_from_slice(&number(8).to_ne_bytes());
                stream.write_all(&bytes)?;
            }
            buffer.copy_within(length..held, 0);
            held -= length;
        }
        match stream.read(&mut buffer[held..])? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => held += read,
        }
    }
}
