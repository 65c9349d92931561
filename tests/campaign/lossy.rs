//! A way to the bus that loses and delays: the hub connects here, and what the bus sends to it can be held back or
//! left out, message by message. What the hub sends passes at once.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::net::{RecvFlags, recv};

/// What to leave out: messages that contain all of these bytes.
type Pattern = Vec<&'static [u8]>;

#[derive(Default)]
struct Orders {
    closed: bool,
    drop: Vec<Pattern>,
    dropped: usize,
    delay: Duration,
}

/// The way.
pub struct Lossy {
    /// Its address.
    pub address: String,
    orders: Arc<Mutex<Orders>>,
    socket: PathBuf,
}

impl Lossy {
    /// A way to the bus at `bus`, in `folder`.
    ///
    /// # Panics
    /// There can be no socket.
    pub fn open(folder: &Path, bus: PathBuf) -> Self {
        let socket = folder.join("lossy");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let orders = Arc::new(Mutex::new(Orders::default()));
        let shared = Arc::clone(&orders);
        thread::spawn(move || {
            for hub in listener.incoming().map_while(Result::ok) {
                if shared.lock().is_ok_and(|orders| orders.closed) {
                    return;
                }
                let Ok(bus) = UnixStream::connect(&bus) else { continue };
                let (Ok(from_hub), Ok(to_bus)) = (hub.try_clone(), bus.try_clone()) else { continue };
                let orders = Arc::clone(&shared);
                thread::spawn(move || pass(from_hub, to_bus));
                thread::spawn(move || filter(bus, hub, &orders));
            }
        });
        Self { address: format!("unix:path={}", socket.display()), orders, socket }
    }

    /// From now on, leaves out what contains all of `pattern`.
    pub fn drop_messages(&self, pattern: Pattern) {
        self.with(|orders| orders.drop.push(pattern));
    }

    /// From now on, everything arrives this late.
    pub fn delay(&self, delay: Duration) {
        self.with(|orders| orders.delay = delay);
    }

    /// Passes everything again. How many were left out.
    pub fn relent(&self) -> usize {
        self.with(|orders| std::mem::take(orders).dropped)
    }

    fn with<T>(&self, action: impl FnOnce(&mut Orders) -> T) -> T {
        action(&mut self.orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        self.with(|orders| orders.closed = true);
        // The listener looks up.
        let _ = UnixStream::connect(&self.socket);
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn pass(mut from: UnixStream, mut to: UnixStream) {
    let _ = std::io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn filter(mut bus: UnixStream, mut hub: UnixStream, orders: &Mutex<Orders>) {
    let _ = lines(&mut bus, &mut hub).and_then(|()| messages(&mut bus, &mut hub, orders));
    let _ = hub.shutdown(Shutdown::Both);
    let _ = bus.shutdown(Shutdown::Both);
}

/// The handshake: lines of text, until the first message begins with its byte order.
fn lines(bus: &mut UnixStream, hub: &mut UnixStream) -> std::io::Result<()> {
    loop {
        let mut first = [0; 1];
        // Looked at, not taken: a message is the other one's.
        if recv(&mut *bus, &mut first, RecvFlags::PEEK)?.0 == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if matches!(first[0], b'l' | b'B') {
            return Ok(());
        }
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0; 1];
            bus.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        hub.write_all(&line)?;
    }
}

fn messages(bus: &mut UnixStream, hub: &mut UnixStream, orders: &Mutex<Orders>) -> std::io::Result<()> {
    loop {
        let mut message = vec![0; 16];
        bus.read_exact(&mut message)?;
        let number = |at: usize| {
            let bytes = [message[at], message[at + 1], message[at + 2], message[at + 3]];
            if message[0] == b'l' { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }
        };
        let (body, fields) = (number(4) as usize, number(12) as usize);
        let rest = fields.next_multiple_of(8) + body;
        message.resize(16 + rest, 0);
        bus.read_exact(&mut message[16..])?;
        let delay = {
            let mut orders = orders.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let contains = |part: &&[u8]| message.windows(part.len()).any(|window| window == *part);
            if orders.drop.iter().any(|pattern| pattern.iter().all(contains)) {
                orders.dropped += 1;
                continue;
            }
            orders.delay
        };
        thread::sleep(delay);
        hub.write_all(&message)?;
    }
}
