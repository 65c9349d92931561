//! The two halves of a connection as zbus sees them: the gate. The reader refuses a message by its header, and a message
//! that is refused is the last; the writer counts answers.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Weak},
    time::Duration,
};

use tokio::time::{Instant, timeout, timeout_at};
use tracing::debug;
use unix_socket::{Ahead, Socket};
use zbus::{
    Message,
    connection::socket::{ReadHalf, WriteHalf},
    export::async_trait::async_trait,
};

use crate::{
    Peer,
    answers::Answers,
    calls::{Calls, Wanted},
    header::{self, HEADER},
};

/// The most time between a message's first byte and its last: half a message must not hold its buffer for ever.
const MAX_MESSAGE_TIME: Duration = Duration::from_secs(5);

/// The most time that an answer may wait for its caller to take it. A lock waits for no such caller.
const MAX_ANSWER_TIME: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// Reads calls, and nothing else.
#[derive(Debug)]
pub struct Reader {
    stream: Arc<Socket>,
    ahead: Ahead,
    calls: Arc<Calls>,
    peer: Peer,
    /// The bytes of the current message that are still to come; 0 where the next is a header.
    rest: usize,
    /// When they must have come.
    deadline: Instant,
}

impl Reader {
    /// The reading half of a peer's connection.
    pub fn new(stream: Arc<Socket>, calls: Arc<Calls>, peer: Peer) -> Self {
        Self { stream, ahead: Ahead::default(), calls, peer, rest: 0, deadline: Instant::now() }
    }

    /// The header of the next call, once there is room for one more.
    async fn header(&mut self) -> io::Result<[u8; HEADER]> {
        tokio::select! {
            // In this order, so that what a peer said before it left is read while there is room.
            biased;
            () = self.calls.room() => {}
            gone = self.stream.gone() => return Err(gone.err().unwrap_or(io::ErrorKind::UnexpectedEof.into())),
        }
        let mut header = [0; HEADER];
        let read = self.ahead.read(&*self.stream, &mut header).await?;
        self.deadline = Instant::now() + MAX_MESSAGE_TIME;
        let remaining = header.get_mut(read..).unwrap_or_default();
        timeout_at(self.deadline, self.ahead.read_exact(&*self.stream, remaining)).await??;
        let call = header::judge(&header).map_err(|refusal| io::Error::new(io::ErrorKind::InvalidData, refusal))?;
        self.calls.asked(&call);
        self.rest = call.rest;
        header::expect_reply(&mut header);
        Ok(header)
    }

    /// Fills a part of the buffer that zbus made for the message: it first asks for a header, then for the rest.
    async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest == 0 {
            let place = buffer.first_chunk_mut().ok_or(io::ErrorKind::InvalidInput)?;
            *place = self.header().await?;
            return Ok(HEADER);
        }
        let end = buffer.len().min(self.rest);
        let place = buffer.get_mut(..end).unwrap_or_default();
        let read = timeout_at(self.deadline, self.ahead.read(&*self.stream, place)).await??;
        self.rest -= read;
        Ok(read)
    }
}

#[async_trait]
impl ReadHalf for Reader {
    /// As zbus's own `receive_message` wants it: no descriptors, since none is ever taken.
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
        let received = self.receive(buffer).await;
        if let Err(error) = &received
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            debug!(pid = self.peer.pid, %error, "ended a private connection over a message");
        }
        Ok((received?, Vec::new()))
    }
}

/// Writes answers, and counts them.
#[derive(Debug)]
pub struct Writer {
    /// Weak, since zbus keeps this half as long as any call runs: the descriptor is to end with the connection.
    stream: Weak<Socket>,
    calls: Arc<Calls>,
    answers: Answers,
}

impl Writer {
    /// The writing half of a peer's connection; what waits there for its peer is among `answers`.
    pub fn new(stream: &Arc<Socket>, calls: Arc<Calls>, answers: Answers) -> Self {
        Self { stream: Arc::downgrade(stream), calls, answers }
    }

    async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.upgrade().ok_or(io::ErrorKind::BrokenPipe)?;
        // A message sent in part, because the call that sent it was dropped, leaves the peer waiting for the rest.
        let whole = EndUnlessWhole(Some(&stream));
        let written = stream.write_some(bytes)?;
        if written < bytes.len() {
            let _under_way = self.answers.begin(&stream);
            let rest = bytes.get(written..).unwrap_or_default();
            timeout(MAX_ANSWER_TIME, stream.write_all(rest)).await??;
        }
        whole.done();
        Ok(())
    }
}

#[async_trait]
impl WriteHalf for Writer {
    async fn send_message(&mut self, message: &Message) -> zbus::Result<()> {
        let answered = message.header().reply_serial();
        if answered.is_none_or(|serial| self.calls.wanted(serial) == Wanted::Yes) {
            self.write(message.data()).await?;
        }
        if let Some(serial) = answered {
            self.calls.answered(serial);
        }
        Ok(())
    }

    async fn close(&mut self) -> io::Result<()> {
        if let Some(stream) = self.stream.upgrade() {
            stream.end();
        }
        Ok(())
    }
}

/// Ends the stream when dropped before it is done.
struct EndUnlessWhole<'s>(Option<&'s Socket>);

impl EndUnlessWhole<'_> {
    fn done(mut self) {
        self.0 = None;
    }
}

impl Drop for EndUnlessWhole<'_> {
    fn drop(&mut self) {
        if let Some(stream) = self.0 {
            stream.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const PEER: Peer = Peer { pid: 1, uid: 1 };

    fn call(size: usize) -> Message {
        Message::method_call("/a", "B").build(&vec![7u8; size]).unwrap()
    }

    /// Else it were a matter of luck whether a call or the end is seen first.
    #[tokio::test]
    async fn what_a_peer_said_before_it_left_is_read() {
        let (ours, theirs) = Socket::pair().unwrap();
        let mut reader = Reader::new(Arc::new(ours), Arc::default(), PEER);
        for _ in 0..10 {
            theirs.write_all(call(0).data()).await.unwrap();
        }
        drop(theirs);
        for _ in 0..10 {
            reader.receive_message(0, &mut vec![], &mut vec![]).await.unwrap();
        }
        assert!(reader.receive_message(0, &mut vec![], &mut vec![]).await.is_err());
    }

    #[tokio::test]
    async fn an_answer_dropped_halfway_ends_the_connection() {
        let (ours, theirs) = Socket::pair().unwrap();
        let ours = Arc::new(ours);
        let mut writer = Writer::new(&ours, Arc::default(), Answers::default());
        assert!(writer.send_message(&call(10 << 20)).now_or_never().is_none(), "more than a socket takes");
        let mut sent = vec![0; 11 << 20];
        let read = timeout(MAX_MESSAGE_TIME, theirs.read_exact(&mut sent)).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn an_answer_that_is_not_taken_ends_the_connection() {
        let (ours, theirs) = Socket::pair().unwrap();
        let ours = Arc::new(ours);
        let mut writer = Writer::new(&ours, Arc::default(), Answers::default());
        let large = call(10 << 20);
        let sent = timeout(MAX_ANSWER_TIME * 20, writer.send_message(&large)).await;
        assert!(sent.expect("it does not wait for ever").is_err());
        let mut all = vec![0; 11 << 20];
        let read = timeout(MAX_MESSAGE_TIME, theirs.read_exact(&mut all)).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    /// What a call that still runs holds of a connection is no descriptor.
    #[tokio::test]
    async fn the_writer_alone_keeps_no_descriptor() {
        let (ours, theirs) = Socket::pair().unwrap();
        let ours = Arc::new(ours);
        let mut writer = Writer::new(&ours, Arc::default(), Answers::default());
        drop(ours);
        let read = timeout(MAX_MESSAGE_TIME, theirs.read(&mut [0])).await.unwrap();
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(writer.send_message(&call(1)).await.is_err());
    }
}
