//! What was read before it was asked for: a short message is one system call in place of one for its header and one for
//! the rest. Nothing stays here that was asked for, since it may be a secret.

use std::io;

use crate::messages::Stream;

/// Read ahead at most: nearly every message is shorter.
const READ_AHEAD: usize = 1024;

/// The bytes. There is no buffer while there are none.
#[derive(Debug, Default)]
pub struct Ahead {
    bytes: Vec<u8>,
    /// Those before are 0.
    start: usize,
}

impl Ahead {
    /// Puts back what was asked for and not needed.
    pub(crate) fn put_back(&mut self, mut bytes: Vec<u8>) {
        bytes.extend_from_slice(self.bytes.get(self.start..).unwrap_or_default());
        self.bytes.fill(0);
        (self.bytes, self.start) = (bytes, 0);
    }

    /// Reads what there is here, or else from `stream`: at least a byte.
    ///
    /// # Errors
    /// Those of `stream`.
    pub async fn read(&mut self, stream: &impl Stream, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            if buffer.len() >= READ_AHEAD {
                return stream.read(buffer).await;
            }
            let mut bytes = vec![0; READ_AHEAD];
            let read = stream.read(&mut bytes).await?;
            bytes.truncate(read);
            self.bytes = bytes;
        }
        let ahead = self.bytes.get_mut(self.start..).unwrap_or_default();
        let length = buffer.len().min(ahead.len());
        let (taken, left) = ahead.split_at_mut(length);
        buffer.get_mut(..length).unwrap_or_default().copy_from_slice(taken);
        taken.fill(0);
        if left.is_empty() {
            *self = Self::default();
        } else {
            self.start += length;
        }
        Ok(length)
    }

    /// Fills the buffer.
    ///
    /// # Errors
    /// Those of `stream`.
    pub async fn read_exact(&mut self, stream: &impl Stream, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            let read = self.read(stream, buffer).await?;
            buffer = buffer.get_mut(read..).unwrap_or_default();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Socket;

    #[tokio::test]
    async fn nothing_stays_of_what_was_taken() {
        let (ours, theirs) = Socket::pair().unwrap();
        theirs.write_all(b"header and the rest").await.unwrap();
        let (mut ahead, mut header, mut rest) = (Ahead::default(), [0; 6], [0; 64]);
        assert_eq!(ahead.read(&ours, &mut header).await.unwrap(), 6);
        assert_eq!((&header, &ahead.bytes[..]), (b"header", &b"\0\0\0\0\0\0 and the rest"[..]));
        assert_eq!(ahead.read(&ours, &mut rest).await.unwrap(), 13);
        assert_eq!((&rest[..13], ahead.bytes.capacity()), (&b" and the rest"[..], 0));
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_comes_in_order(
            sent: Vec<u8>,
            back in proptest::collection::vec(any::<u8>(), 0..40),
            asked in proptest::collection::vec(1_usize..3000, 1..20),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let read = runtime.block_on(async {
                let (ours, theirs) = Socket::pair().unwrap();
                theirs.write_all(&sent).await.unwrap();
                drop(theirs);
                let (mut ahead, mut read, mut asked) = (Ahead::default(), Vec::new(), asked.into_iter().cycle());
                // As after a handshake, where nothing was read ahead yet.
                if !back.is_empty() {
                    ahead.put_back(back.clone());
                }
                let mut buffer = [0; 3000];
                while let Ok(length) = ahead.read(&ours, &mut buffer[..asked.next().unwrap()]).await {
                    read.extend_from_slice(&buffer[..length]);
                }
                read
            });
            prop_assert_eq!(read, [back, sent].concat());
        }
    }
}
