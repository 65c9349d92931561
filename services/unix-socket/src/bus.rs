//! The way to a bus: from its address to a connection over a socket of [`crate::messages`].

use std::{
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use tokio::time::sleep;
use zbus::{
    Address, Connection, Guid, Message, MessageStream,
    address::transport::{Transport, UnixSocket},
    connection::Builder,
};

use crate::{
    BlockingSocket, Socket,
    messages::{ask_over, over},
};

/// Between two tries to get into a full queue.
const FULL: Duration = Duration::from_millis(20);

/// Begins a connection to the bus at `address`; while the queue there is full, it is waited for.
///
/// # Errors
/// It is no address, or nothing listens there.
pub async fn dial(address: &str) -> zbus::Result<Builder<'static>> {
    let parsed = Address::try_from(address)?;
    let Some(path) = path(parsed.transport()) else { return Ok(Builder::address(parsed)) };
    loop {
        match Socket::connect(&path) {
            // There is no event to await.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(FULL).await,
            connected => return Ok(over(connected.map_err(|error| unconnected(error, parsed))?)),
        }
    }
}

fn unconnected(error: io::Error, address: Address) -> zbus::Error {
    if error.kind() == io::ErrorKind::TimedOut {
        return error.into();
    }
    zbus::Error::Connection(error.into(), address.into())
}

/// Asks `question` of the bus at `address`, right behind the handshake: what is answered comes out. Blocks up to a moment,
/// but for the rare bus that is not at a Unix socket.
///
/// # Errors
/// As [`dial`] and [`check`], and `TimedOut` at the moment.
pub async fn ask(address: &str, question: &Message, until: Instant) -> zbus::Result<MessageStream> {
    let parsed = Address::try_from(address)?;
    let Some(path) = path(parsed.transport()) else {
        let answers = Builder::address(parsed).build_message_stream().await?;
        Connection::from(&answers).send(question).await?;
        return Ok(answers);
    };
    let expected = parsed.guid().map(Guid::to_owned);
    let socket = BlockingSocket::connect(&path, until).map_err(|error| unconnected(error, parsed))?;
    let answers = ask_over(socket, question.clone()).build_message_stream().await?;
    must_be(&Connection::from(&answers), expected.as_ref())?;
    Ok(answers)
}

/// Whether [`ask`] needs no event loop for any address of this list.
pub fn is_at_unix_sockets(addresses: &str) -> bool {
    // Of what begins so, the transport is a path or a name, or the address is none.
    let is_at_one = |one: &str| one.starts_with("unix:path=") || one.starts_with("unix:abstract=");
    addresses.split(';').filter(|one| !one.is_empty()).all(is_at_one)
}

/// That the bus is the one whose id the address has, if it has one (D-Bus specification, "Server Addresses").
///
/// # Errors
/// It is another one.
pub fn check(bus: &Connection, address: &str) -> zbus::Result<()> {
    must_be(bus, Address::try_from(address)?.guid())
}

fn must_be(bus: &Connection, expected: Option<&Guid<'_>>) -> zbus::Result<()> {
    if expected.is_some_and(|expected| expected.as_str() != bus.server_guid().as_str()) {
        return Err(zbus::Error::Handshake("another bus than the address's listens there".into()));
    }
    Ok(())
}

/// Where to connect; nothing for the rare bus that is elsewhere than at a Unix socket.
fn path(transport: &Transport) -> Option<PathBuf> {
    let Transport::Unix(unix) = transport else { return None };
    match unix.path() {
        UnixSocket::File(path) => Some(path.clone()),
        UnixSocket::Abstract(name) => {
            let mut path = std::ffi::OsString::from("\0");
            path.push(name);
            Some(path.into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Listens, and plays the bus's part: what was said to it up to the end of the question, which it does not answer.
    fn heard(listener: std::os::unix::net::UnixListener, question: &[u8]) -> std::thread::JoinHandle<Vec<u8>> {
        let question = question.to_vec();
        std::thread::spawn(move || {
            let (mut stream, mut said) = (listener.accept().unwrap().0, Vec::new());
            while !said.ends_with(&question) {
                let mut some = [0; 4096];
                let read = io::Read::read(&mut stream, &mut some).unwrap();
                assert!(read > 0, "{said:?}");
                said.extend_from_slice(&some[..read]);
            }
            said
        })
    }

    #[tokio::test]
    async fn a_question_goes_along_with_the_handshake_wherever_the_bus_is() {
        use std::os::{linux::net::SocketAddrExt, unix::net};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let at_path = (net::UnixListener::bind(&path).unwrap(), format!("unix:path={}", path.display()));
        let name = format!("unix-socket-{}", std::process::id());
        let address = net::SocketAddr::from_abstract_name(&name).unwrap();
        let at_name = (net::UnixListener::bind_addr(&address).unwrap(), format!("unix:abstract={name}"));
        for (listener, address) in [at_path, at_name] {
            let question = Message::method_call("/a", "Asked").build(&()).unwrap();
            let hearing = heard(listener, question.data());
            let until = Instant::now() + Duration::from_secs(10);
            assert!(is_at_unix_sockets(&address));
            assert!(ask(&address, &question, until).await.is_err(), "nobody answered");
            let said = String::from_utf8_lossy(&hearing.join().unwrap()).into_owned();
            let [auth, begin, hello, asked] = ["\0AUTH ", "BEGIN\r\n", "Hello", "Asked"].map(|word| said.find(word));
            assert!(auth < begin && begin < hello && hello < asked && auth == Some(0), "{said:?}");
        }
    }

    #[test]
    fn what_is_elsewhere_than_at_unix_sockets_is_told() {
        assert!(is_at_unix_sockets("unix:path=/a;;unix:abstract=b,guid=00"));
        for other in ["tcp:host=a,port=1", "unix:path=/a;tcp:host=a,port=1", "unix:dir=/tmp", "autolaunch:", "nonsense"]
        {
            assert!(!is_at_unix_sockets(other), "{other}");
        }
    }

    #[tokio::test]
    async fn a_connection_dialled_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bus");
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let address = format!("unix:path={}", path.display());
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            let stream = stream.into_std().unwrap();
            Builder::unix_stream(stream).server(Guid::generate()).p2p().build().await.unwrap()
        };
        let dialling = async { dial(&address).await.unwrap().p2p().build().await.unwrap() };
        let (server, client) = tokio::join!(serving, dialling);
        let mut signals = MessageStream::from(&client);
        server.emit_signal(None::<&str>, "/a", "a.b", "C", &vec![7_u8; 100_000]).await.unwrap();
        let told = futures_util::StreamExt::next(&mut signals).await.unwrap().unwrap();
        assert_eq!(told.body().deserialize::<Vec<u8>>().unwrap(), [7; 100_000]);
        client.close().await.unwrap();
        tokio::time::timeout(Duration::from_secs(10), server.closed()).await.unwrap();
        let nobody = dial("unix:path=/nowhere/at/all").await;
        assert!(matches!(nobody, Err(zbus::Error::Connection(..))));
    }
}
