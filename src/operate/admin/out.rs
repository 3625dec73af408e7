//! What goes to a client: one fixed buffer, sent when it is full, in chunks where the length is not known before.

use super::serve::Visit;
use crate::operate::text::Text;
use crate::runtime::{Seat, Stream};

/// Bytes kept free before what is written: a chunk's size in three digits and CRLF.
const SIZE: usize = 5;
/// Bytes of CRLF behind a chunk, and of the last chunk.
const BEHIND: usize = 2 + 5;
/// Bytes that one piece may have: it is written at once or not at all.
pub(super) const PIECE: usize = 1280;

/// A buffer that never grows.
pub(super) struct Buffer {
    bytes: Vec<u8>,
    /// How many of them there may be.
    most: usize,
}

impl Buffer {
    /// One for `most` bytes, with no more than three digits of chunk.
    pub(super) fn new(most: usize) -> Self {
        debug_assert!((PIECE * 2..=0xfff + SIZE + BEHIND).contains(&most));
        Self { bytes: Vec::with_capacity(most), most }
    }
}

/// The client left, or takes nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gone;

/// A response on its way.
pub(super) struct Out<'a> {
    buffer: &'a mut Buffer,
    visit: &'a Visit,
    stream: &'a Stream,
    seat: &'a Seat,
    deadline_ms: u64,
    /// What is written is a body of unknown length: HTTP/1.1 has chunks, HTTP/1.0 the end of the connection.
    chunked: bool,
    /// The head is enough.
    pub head_only: bool,
}

impl<'a> Out<'a> {
    pub(super) fn new(
        buffer: &'a mut Buffer,
        visit: &'a Visit,
        stream: &'a Stream,
        seat: &'a Seat,
        deadline_ms: u64,
    ) -> Self {
        buffer.bytes.clear();
        Self { buffer, visit, stream, seat, deadline_ms, chunked: false, head_only: false }
    }

    /// Appends a piece of the head, or of a body whose length was told. At most [`PIECE`] bytes at once.
    pub(super) fn put<T>(&mut self, write: &mut dyn FnMut(&mut Text<'_>) -> T) -> T {
        let room = self.buffer.most.saturating_sub(self.buffer.bytes.len() + BEHIND);
        write(&mut Text::new(&mut self.buffer.bytes, room.min(PIECE)))
    }

    /// Sends the head that was put, and begins a body whose length nobody knows.
    pub(super) async fn begin(&mut self, chunked: bool) -> Result<(), Gone> {
        self.flush().await?;
        self.chunked = chunked;
        self.reserve();
        Ok(())
    }

    /// Appends a piece of such a body; sends what there is where it might not fit. Whether there is another piece.
    pub(super) async fn write(&mut self, piece: &mut dyn FnMut(&mut Text<'_>) -> bool) -> Result<bool, Gone> {
        if self.head_only {
            return Ok(false);
        }
        if self.buffer.bytes.len() + PIECE + BEHIND > self.buffer.most {
            self.end_chunk();
            self.flush().await?;
            self.reserve();
            // A scrape of everything is long: others come between.
            self.seat.next_turn().await;
        }
        Ok(self.put(piece))
    }

    /// Ends such a body, and sends what is left of it.
    pub(super) async fn end(&mut self) -> Result<(), Gone> {
        if self.head_only {
            self.buffer.bytes.clear();
            return Ok(());
        }
        self.end_chunk();
        if self.chunked {
            self.buffer.bytes.extend_from_slice(b"0\r\n\r\n");
        }
        self.flush().await
    }

    /// Takes back the last `count` bytes that were put: a body that a HEAD is not sent.
    pub(super) fn forget(&mut self, count: usize) {
        self.buffer.bytes.truncate(self.buffer.bytes.len().saturating_sub(count));
    }

    /// Sends what was put, then `body`.
    pub(super) async fn send(&mut self, body: &[u8]) -> Result<(), Gone> {
        self.flush().await?;
        if self.head_only { Ok(()) } else { self.send_all(body).await }
    }

    fn reserve(&mut self) {
        if self.chunked {
            self.buffer.bytes.extend_from_slice(&[0; SIZE]);
        }
    }

    /// Gives the chunk its size; none where it would be the last.
    fn end_chunk(&mut self) {
        if !self.chunked {
            return;
        }
        let bytes = &mut self.buffer.bytes;
        let count = bytes.len().saturating_sub(SIZE);
        if count == 0 {
            return bytes.clear();
        }
        let digit = |shift: usize| b"0123456789abcdef"[(count >> shift) & 15];
        bytes[..SIZE].copy_from_slice(&[digit(8), digit(4), digit(0), b'\r', b'\n']);
        bytes.extend_from_slice(b"\r\n");
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        let sent = self.send_all(&self.buffer.bytes).await;
        self.buffer.bytes.clear();
        sent
    }

    async fn send_all(&self, mut bytes: &[u8]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let taken = || match self.stream.send(bytes) {
                Ok(Some(count)) => {
                    self.visit.stall(false);
                    Some(Ok(count))
                }
                Ok(None) => self.visit.stall(true).then_some(Err(Gone)),
                Err(_) => Some(Err(Gone)),
            };
            match self.seat.until(self.deadline_ms, taken).await {
                Ok(taken) => bytes = &bytes[taken?..],
                Err(_) => return Err(Gone),
            }
        }
        Ok(())
    }
}
