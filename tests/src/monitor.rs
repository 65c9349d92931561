//! Everything that passes over a bus, with the descriptors that pass along: what `busctl monitor` would see.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use futures_util::StreamExt;
use rustix::fs::{FileType, fstat};
use tokio::{sync::watch, task::JoinHandle};
use zbus::{Connection, Message, MessageStream};

use crate::{client::Client, within_deadline};

/// A connection that only listens.
pub struct Monitor {
    heard: watch::Receiver<Vec<Message>>,
    /// How many ends were sent: an earlier one ends nothing that comes after it.
    ends: usize,
    task: JoinHandle<()>,
}

impl Monitor {
    /// Begins to listen on the bus at `address`.
    ///
    /// # Panics
    /// The bus refuses.
    pub async fn start(address: &str) -> Self {
        let connection: Connection = Client::connect(address).await.connection;
        let mut stream = MessageStream::from(&connection);
        let rules: &[&str] = &[];
        let (bus, monitoring) = ("org.freedesktop.DBus", "org.freedesktop.DBus.Monitoring");
        let path = "/org/freedesktop/DBus";
        let listen = (rules, 0_u32);
        let become_one = connection.call_method(Some(bus), path, Some(monitoring), "BecomeMonitor", &listen);
        become_one.await.expect("to be a monitor");
        let (sender, heard) = watch::channel(Vec::new());
        let task = tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                sender.send_modify(|heard| heard.push(message));
            }
        });
        Self { heard, ends: 0, task }
    }

    /// Every message until the one that `client` now sends, as bytes: first those of the message, then what a file or
    /// a memory file that came along holds.
    ///
    /// # Panics
    /// The bus is gone.
    pub async fn all(&mut self, client: &Client) -> Vec<Vec<u8>> {
        client.forge(None, "/monitor", "org.opensesame.Test", "End", &()).await;
        self.ends += 1;
        let is_end = |message: &&Message| message.header().path().is_some_and(|path| path.as_str() == "/monitor");
        let heard = self.heard.wait_for(|heard| heard.iter().filter(is_end).count() == self.ends);
        let heard = within_deadline("the monitor", heard).await.expect("a monitor that listens").clone();
        heard.iter().flat_map(|message| [message.data().to_vec()].into_iter().chain(held(message))).collect()
    }
}

fn held(message: &Message) -> Vec<Vec<u8>> {
    message.data().fds().iter().map(|fd| contents(fd.as_fd())).collect()
}

/// Of a socket or a pipe nobody but its owner reads.
fn contents(fd: BorrowedFd<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile) {
        // From its beginning, wherever its owner has read to.
        let mut file = File::open(format!("/proc/self/fd/{}", fd.as_raw_fd())).expect("a file that is open");
        file.read_to_end(&mut bytes).expect("a file that can be read");
    }
    bytes
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}
