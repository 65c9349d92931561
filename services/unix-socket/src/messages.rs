//! The socket as zbus's: to the session bus, and from a client to a daemon; how a bus is reached: [`crate::bus`]. It outlives
//! a message that zbus cannot read: dbus-broker passes on headers that dbus-daemon refuses, and over one of them zbus itself
//! would end the connection, and the program with it. A question goes along with the handshake, whose answers nobody need
//! know to ask it.
//!
//! Takes no descriptors: no member of a daemon has any, and so no caller can fill its table.

use std::{fmt::Debug, io, os::fd::OwnedFd, sync::Arc};

use tracing::debug;
use zbus::{
    Message,
    connection::{
        Builder,
        socket::{self, ReadHalf, Split, WriteHalf},
    },
    export::async_trait::async_trait,
};

use crate::{Ahead, BlockingSocket, Socket};

/// The bytes that tell a message's length (D-Bus specification, "Message Format").
const HEADER: usize = 16;
/// The longest message (D-Bus specification, "Message Format").
const MAX_MESSAGE: usize = 128 * 1024 * 1024;

/// Begins a connection as a client over `socket`.
pub fn over(socket: Socket) -> Builder<'static> {
    Builder::socket(Messages { stream: Arc::new(socket), question: None })
}

/// Begins a connection as a client over `socket`; `question` follows the handshake at once.
pub fn ask_over(socket: BlockingSocket, question: Message) -> Builder<'static> {
    Builder::socket(Messages { stream: Arc::new(socket), question: Some(question) })
}

/// What both kinds of socket do.
pub trait Stream: Debug + Send + Sync + 'static {
    /// Reads what there is, at least a byte.
    fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send;
    /// Writes all of the bytes.
    fn write_all(&self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;
    /// Ends both directions.
    fn end(&self);
}

impl Stream for Socket {
    fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        self.read(buffer)
    }

    fn write_all(&self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send {
        self.write_all(bytes)
    }

    fn end(&self) {
        self.end();
    }
}

impl Stream for BlockingSocket {
    fn read(&self, buffer: &mut [u8]) -> impl Future<Output = io::Result<usize>> + Send {
        self.read(buffer)
    }

    async fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn end(&self) {
        self.end();
    }
}

/// Both halves share the socket.
struct Messages<S> {
    stream: Arc<S>,
    question: Option<Message>,
}

impl<S: Stream> socket::Socket for Messages<S> {
    type ReadHalf = Reader<S>;
    type WriteHalf = Writer<S>;

    fn split(self) -> Split<Reader<S>, Writer<S>> {
        let writer = Writer { stream: Arc::clone(&self.stream), question: self.question };
        Split::new(Reader(Bytes::new(self.stream)), writer)
    }
}

/// Reads messages, and leaves out those that zbus refuses.
#[derive(Debug)]
struct Reader<S>(Bytes<S>);

#[async_trait]
impl<S: Stream> ReadHalf for Reader<S> {
    async fn receive_message(
        &mut self,
        seq: u64,
        already_received_bytes: &mut Vec<u8>,
        already_received_fds: &mut Vec<OwnedFd>,
    ) -> zbus::Result<Message> {
        if !already_received_bytes.is_empty() {
            self.0.ahead.put_back(std::mem::take(already_received_bytes));
        }
        loop {
            self.0.message = Passed::default();
            match self.0.receive_message(seq, &mut Vec::new(), already_received_fds).await {
                Err(error) if !matches!(error, zbus::Error::InputOutput(_)) => {
                    // Without a length nobody knows where the next message begins.
                    let Some(rest) = self.0.message.rest() else { return Err(error) };
                    self.0.skip(rest).await?;
                    debug!(%error, "left out a message that is none");
                }
                received => return received,
            }
        }
    }

    /// For the handshake, which reads what is no message.
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        self.0.recvmsg(buffer).await
    }
}

/// The bytes as they come, for zbus to make messages of.
#[derive(Debug)]
struct Bytes<S> {
    stream: Arc<S>,
    ahead: Ahead,
    message: Passed,
}

impl<S: Stream> Bytes<S> {
    fn new(stream: Arc<S>) -> Self {
        Self { stream, ahead: Ahead::default(), message: Passed::default() }
    }

    async fn skip(&mut self, mut rest: usize) -> io::Result<()> {
        let mut nowhere = [0; 4096];
        while rest > 0 {
            let end = rest.min(nowhere.len());
            rest -= self.ahead.read(&*self.stream, nowhere.get_mut(..end).unwrap_or_default()).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl<S: Stream> ReadHalf for Bytes<S> {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let read = self.ahead.read(&*self.stream, buffer).await?;
        self.message.pass(buffer.get(..read).unwrap_or_default());
        Ok((read, Vec::new()))
    }
}

/// How much of the current message has passed. Pure.
#[derive(Debug, Default)]
struct Passed {
    header: [u8; HEADER],
    bytes: usize,
}

impl Passed {
    fn pass(&mut self, bytes: &[u8]) {
        let places = self.header.iter_mut().skip(self.bytes);
        places.zip(bytes).for_each(|(place, byte)| *place = *byte);
        self.bytes += bytes.len();
    }

    /// The bytes that are still to come; nothing where the header does not tell.
    fn rest(&self) -> Option<usize> {
        let [endian, _, _, _, numbers @ ..] = &self.header;
        let (numbers, _) = numbers.as_chunks::<4>();
        let &[body, _, fields] = numbers else { return None };
        let number = |bytes| match endian {
            b'l' => usize::try_from(u32::from_le_bytes(bytes)).ok(),
            b'B' => usize::try_from(u32::from_be_bytes(bytes)).ok(),
            _ => None,
        };
        let (body, fields) = (number(body)?, number(fields)?);
        let length = HEADER.checked_add(fields)?.checked_next_multiple_of(8)?.checked_add(body)?;
        if length > MAX_MESSAGE { None } else { length.checked_sub(self.bytes) }
    }
}

/// Writes messages, and before them the handshake.
#[derive(Debug)]
struct Writer<S> {
    stream: Arc<S>,
    /// Until the handshake is written.
    question: Option<Message>,
}

#[async_trait]
impl<S: Stream> WriteHalf for Writer<S> {
    async fn send_message(&mut self, message: &Message) -> zbus::Result<()> {
        Ok(self.stream.write_all(message.data()).await?)
    }

    /// For the handshake, which zbus writes as a whole, up to the `Hello` of a bus.
    async fn sendmsg(&mut self, handshake: &[u8], _: &[std::os::fd::BorrowedFd<'_>]) -> io::Result<usize> {
        match self.question.take() {
            Some(question) => self.stream.write_all(&[handshake, question.data()].concat()).await?,
            None => self.stream.write_all(handshake).await?,
        }
        Ok(handshake.len())
    }

    async fn close(&mut self) -> io::Result<()> {
        self.stream.end();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn signal(body: &impl Body) -> Vec<u8> {
        Message::signal("/a", "a.b", "C").build(body).unwrap().data().to_vec()
    }

    trait Body: zbus::export::serde::Serialize + zbus::DynamicType {}
    impl<T: zbus::export::serde::Serialize + zbus::DynamicType> Body for T {}

    /// What comes out at the far end where `bytes` went in, until they end.
    async fn received(bytes: Vec<u8>) -> Vec<zbus::Result<Message>> {
        let (ours, theirs) = Socket::pair().unwrap();
        let mut reader = socket::Socket::split(Messages { stream: Arc::new(ours), question: None }).take().0;
        let writing = async move { theirs.write_all(&bytes).await.unwrap() };
        let reading = async {
            let mut all = Vec::new();
            loop {
                let one = reader.receive_message(1, &mut Vec::new(), &mut Vec::new()).await;
                let last = one.is_err();
                all.push(one);
                if last {
                    return all;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), async { tokio::join!(reading, writing).0 }).await.unwrap()
    }

    fn at_end(last: &zbus::Result<Message>) -> bool {
        matches!(last, Err(zbus::Error::InputOutput(error)) if error.kind() == io::ErrorKind::UnexpectedEof)
    }

    #[tokio::test]
    async fn a_message_that_zbus_refuses_is_left_out_and_the_next_is_read() {
        let good = signal(&"whole");
        let mut unknown_type = signal(&vec![1_u8; 10_000]);
        unknown_type[1] = 0;
        let mut bad_padding = good.clone();
        bad_padding[HEADER + 1] = 77;
        let mut bad_version = good.clone();
        bad_version[3] = 9;
        let bytes = [&good[..], &unknown_type, &good, &bad_padding, &bad_version, &good].concat();
        let all = received(bytes).await;
        assert_eq!(all.len(), 4, "{all:?}");
        assert!(all[..3].iter().flatten().all(|message| message.data()[..] == good[..]));
        assert!(at_end(&all[3]), "{:?}", all[3]);
    }

    #[tokio::test]
    async fn without_a_length_the_connection_ends() {
        let mut bytes = signal(&"whole");
        bytes[0] = b'x';
        let all = received(bytes).await;
        assert!(matches!(&all[..], [Err(error)] if !at_end(&all[0]) && !error.to_string().is_empty()), "{all:?}");
    }

    proptest! {
        /// Whatever one byte becomes, unless it was the length: the message after it is read.
        #[test]
        fn one_bad_byte_costs_one_message(at in 0..usize::MAX, byte: u8, size in 0_usize..9000) {
            let mut changed = signal(&vec![5_u8; size]);
            let at = at % changed.len();
            prop_assume!(at != 0 && !(4..8).contains(&at) && !(12..16).contains(&at));
            changed[at] = byte;
            let after = signal(&"after");
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let all = runtime.block_on(received([changed, after.clone()].concat()));
            let whole: Vec<_> = all.iter().flatten().map(|message| message.data().to_vec()).collect();
            prop_assert_eq!(whole.last(), Some(&after));
            prop_assert!(at_end(all.last().unwrap()));
        }
    }
}
