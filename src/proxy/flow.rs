//! One direction of an exchange: bytes in from one socket, out to the other, through one buffer.
//!
//! What goes out next is a batch: the rewritten head (once), what is added behind it, a run of payload, a tail of
//! framing. It leaves in one call, and stays in the buffer until the next receive, so that a request can be sent
//! again. Nothing is received before the batch is out: that is the backpressure.
//!
//! ```text
//!   receive --> raw --decode--> payload --+
//!                               head -----+--> batch --send--> sink
//!                               added ----+
//! ```

use super::added::{Added, Out};
use super::broken::Broken;
use crate::http::body::{BodyDecoder, Framing};
use crate::limits::{LARGE_BUFFER, PIPE_BYTES, SPLICE_FROM, STEPS_PER_TURN};
use crate::runtime::{Buffer, Buffers, Need, Pipe, Received, Spliced, Stream};
use std::fmt::Write;
use std::io::IoSlice;
use std::ops::Range;

/// Where a direction stands after a pump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pumped {
    /// The message is complete and sent.
    Done,
    /// The source has nothing more at the moment.
    WaitSource,
    /// The sink takes nothing more at the moment.
    WaitSink,
    /// There may be more, but others want their turn.
    Yield,
}

/// One direction.
pub(super) struct Flow {
    /// Held while it holds bytes that are needed.
    pub buffer: Option<Buffer>,
    /// Holds what follows the batch, held while more of that may come.
    pipe: Option<Pipe>,
    /// More comes than one receive takes.
    streams: bool,
    /// The head, rewritten, at the front of the buffer; 0 behind the first batch.
    head: usize,
    /// What is added to the head, or stands before the payload, and is not in the buffer.
    added: Added,
    payload: Range<usize>,
    tail: &'static [u8],
    /// Bytes that are not out yet: the last of the batch, or what is in the pipe.
    left: usize,
    /// Received and not decoded.
    raw: Range<usize>,
    decoder: BodyDecoder,
    rechunk: bool,
    /// The source's end may be a reset whose error another call has taken.
    dubious: bool,
    /// The batch is the message's first.
    first: bool,
    /// The last batch of the message is made.
    complete: bool,
    /// Payload that may still come.
    allowance: u64,
    /// Bytes sent in all.
    pub total: u64,
    /// Bytes received and sent so far: changes when the direction moves.
    pub moved: u64,
}

impl Flow {
    /// A direction with nothing in it.
    pub(super) fn new() -> Self {
        Self {
            buffer: None,
            pipe: None,
            streams: false,
            head: 0,
            added: Added::new(),
            payload: 0..0,
            tail: b"",
            left: 0,
            raw: 0..0,
            decoder: BodyDecoder::Length(0),
            rechunk: false,
            dubious: false,
            first: false,
            complete: false,
            allowance: u64::MAX,
            total: 0,
            moved: 0,
        }
    }

    /// Forgets all, for the next exchange: what [`Flow::start`] does not set anew.
    pub(super) fn reset(&mut self) {
        (self.buffer, self.pipe) = (None, None);
        self.raw = 0..0;
        self.left = 0;
        (self.dubious, self.first, self.complete) = (false, false, false);
        self.allowance = u64::MAX;
        (self.total, self.moved) = (0, 0);
    }

    /// Starts a message whose head took `received` bytes of the buffer and is `head` bytes long since it was rewritten.
    /// `add` writes what comes behind it. `rechunk` says whether the body leaves in chunks. The first batch is made.
    ///
    /// # Errors
    /// [`Broken`] when the first bytes of the body are no body, or too long.
    pub(super) fn start(
        &mut self,
        received: usize,
        head: usize,
        framing: Framing,
        rechunk: bool,
        add: impl FnOnce(&mut Out<'_>) -> std::fmt::Result,
    ) -> Result<(), Broken> {
        let filled = self.buffer.as_ref().map_or(0, Buffer::len);
        self.head = head;
        self.raw = received.min(filled)..filled;
        (self.payload, self.tail) = (0..0, b"");
        self.decoder = BodyDecoder::new(framing);
        self.rechunk = rechunk;
        (self.first, self.complete) = (true, framing == Framing::None);
        self.streams = matches!(framing, Framing::Length(_));
        self.added.clear();
        // All of it in one run, if nothing stands behind the head, or the head can be moved.
        let behind =
            self.buffer.as_mut().filter(|_| self.raw.is_empty()).and_then(|buffer| Out::new(buffer.behind(head)));
        let joined = behind.is_some();
        let mut out = behind.unwrap_or_else(|| self.added.out());
        let result = add(&mut out).and_then(|()| out.extend_from_slice(b"\r\n"));
        result.map_err(|_| Broken::Malformed("no room for what is added"))?;
        let end = head + out.len();
        if !joined {
            self.added.set_len(end - head);
        }
        if let Some(buffer) = &mut self.buffer {
            if joined {
                buffer.set_len(end);
                (self.head, self.raw) = (end, end..end);
            } else if buffer.join(head, self.added.filled(), self.raw.start) {
                (self.head, self.raw) = (end, end..buffer.len());
                self.added.clear();
            }
        }
        self.left = self.batch();
        self.decode()
    }

    /// As if an empty message had passed, behind which `begun` was received: what [`Flow::run_on`] begins with where no
    /// message goes before.
    pub(super) fn begin_with(&mut self, begun: Option<Buffer>) {
        self.raw = 0..begun.as_ref().map_or(0, Buffer::len);
        self.buffer = begun;
        self.complete = true;
    }

    /// Passes on whatever comes, without an end: a tunnel. What is received behind the message is its beginning.
    ///
    /// # Errors
    /// None that could happen: bytes have no form.
    pub(super) fn run_on(&mut self) -> Result<(), Broken> {
        debug_assert!(self.is_done());
        self.clear_batch();
        self.decoder = BodyDecoder::UntilClose;
        self.allowance = u64::MAX;
        (self.rechunk, self.complete, self.streams) = (false, false, false);
        self.decode()
    }

    /// Takes the source's end for a failure from now on: a send to it failed, and with that the system has told of a reset
    /// what it tells only once.
    pub(super) fn doubt_end(&mut self) {
        self.dubious = true;
    }

    /// Limits the payload to `bytes`.
    pub(super) fn allow(&mut self, bytes: u64) {
        self.allowance = bytes;
    }

    /// Whether the whole message has been received.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether the whole message is in the buffer: its first batch, which is its last.
    pub(super) fn is_whole(&self) -> bool {
        self.first && self.complete
    }

    /// Whether bytes behind the message have been received.
    pub(super) fn has_more(&self) -> bool {
        !self.raw.is_empty()
    }

    /// Whether the message is complete and sent.
    pub(super) fn is_done(&self) -> bool {
        self.complete && self.is_out()
    }

    /// The head of a message that is not sent yet, and what follows it.
    pub(super) fn parts(&self) -> [&[u8]; 2] {
        let filled = self.buffer.as_ref().map_or(&[][..], Buffer::filled);
        [filled.get(..self.head).unwrap_or_default(), self.added.filled()]
    }

    /// Bytes that came of the message.
    pub(super) fn received(&self) -> u64 {
        // What lies behind it is the next one's.
        (self.moved - self.total).saturating_sub(self.raw.len() as u64)
    }

    /// Makes the message, which is whole, unsent again.
    pub(super) fn rewind(&mut self) {
        debug_assert!(self.is_whole());
        self.left = self.batch();
    }

    /// Gives up the buffer, left with only what was received behind the message.
    pub(super) fn take_rest(&mut self) -> Option<Buffer> {
        let mut buffer = self.buffer.take()?;
        buffer.consume(self.raw.start);
        self.raw = 0..0;
        (!buffer.is_empty()).then_some(buffer)
    }

    /// Lets the buffer go if no byte in it is needed: all is sent and will not be sent again.
    pub(super) fn shrink(&mut self) {
        if self.is_out() && self.raw.is_empty() {
            self.clear_batch();
            (self.buffer, self.pipe) = (None, None);
        }
    }

    /// Moves what can be moved without waiting.
    ///
    /// # Errors
    /// [`Broken`], by side.
    pub(super) fn pump(&mut self, source: &Stream, sink: &Stream, buffers: &'static Buffers) -> Result<Pumped, Broken> {
        let mut steps = 0;
        while steps < STEPS_PER_TURN {
            if !self.send(sink)? {
                return Ok(Pumped::WaitSink);
            }
            if self.complete {
                return Ok(Pumped::Done);
            }
            // Decoding leaves nothing raw but what follows a complete message.
            debug_assert!(self.raw.is_empty());
            match self.splice(source, buffers)? {
                Spliced::Bytes(count) => steps += count.div_ceil(LARGE_BUFFER),
                Spliced::Dry => return Ok(Pumped::WaitSource),
                Spliced::Unsure => {
                    if !self.receive(source, buffers)? {
                        return Ok(Pumped::WaitSource);
                    }
                    self.decode()?;
                    steps += 1;
                }
            }
        }
        Ok(Pumped::Yield)
    }

    /// Sends the batch and what follows it; whether all of it is out.
    pub(super) fn send(&mut self, sink: &Stream) -> Result<bool, Broken> {
        // A splice that takes a part of it does not mean that no more is taken.
        while self.left > 0 {
            let sent = match self.pipe.as_mut().filter(|pipe| !pipe.is_empty()) {
                Some(pipe) => sink.splice_from(pipe),
                None => self.send_batch(sink),
            };
            let Some(sent) = sent.map_err(|_| Broken::Sink)? else { return Ok(false) };
            self.count_sent(sent);
        }
        Ok(true)
    }

    /// Sends what it can of what ends a connection, which is closed as soon as all of it is out; [`Flow::send`] sends what is left.
    #[inline(never)]
    pub(super) fn send_last(&mut self, sink: &Stream) -> Result<(), Broken> {
        if self.left == 0 || self.pipe.is_some() || !self.is_joined() {
            return Ok(());
        }
        let filled = self.buffer.as_ref().map_or(&[][..], Buffer::filled);
        let sent = sink.send_last(self.rest_of_run(filled)).map_err(|_| Broken::Sink)?.unwrap_or(0);
        self.count_sent(sent);
        Ok(())
    }

    #[inline(always)]
    fn count_sent(&mut self, sent: usize) {
        self.left -= sent;
        self.total += sent as u64;
        self.moved += sent as u64;
    }

    /// What is left of a batch that is one run of the bytes in the buffer.
    #[inline(always)]
    fn rest_of_run<'b>(&self, filled: &'b [u8]) -> &'b [u8] {
        let run = self.head + self.payload.len();
        &filled[run - self.left..run]
    }

    fn send_batch(&self, sink: &Stream) -> std::io::Result<Option<usize>> {
        let filled = self.buffer.as_ref().map_or(&[][..], Buffer::filled);
        // One run of bytes costs the system less than several, and is what most batches are.
        if self.is_joined() {
            return sink.send(self.rest_of_run(filled));
        }
        let parts = [&filled[..self.head], self.added.filled(), &filled[self.payload.clone()], self.tail];
        let mut slices = [IoSlice::new(&[]); 4];
        let (mut count, mut skip) = (0, self.batch() - self.left);
        for part in parts {
            let skipped = skip.min(part.len());
            skip -= skipped;
            if skipped < part.len() {
                slices[count] = IoSlice::new(&part[skipped..]);
                count += 1;
            }
        }
        sink.send_slices(&slices[..count])
    }

    /// Moves what comes into a pipe, where the message has many bytes more that pass unchanged and they come steadily.
    /// [`Spliced::Unsure`] where they are to be received.
    fn splice(&mut self, source: &Stream, buffers: &'static Buffers) -> Result<Spliced, Broken> {
        let run = if self.streams && !self.rechunk { self.decoder.run() } else { 0 };
        if run < SPLICE_FROM || !source.readable() {
            return Ok(Spliced::Unsure);
        }
        let Some(mut pipe) = self.pipe.take().or_else(|| buffers.pipe()) else { return Ok(Spliced::Unsure) };
        self.clear_batch();
        self.buffer = None;
        let most = usize::try_from(run).unwrap_or(usize::MAX).min(PIPE_BYTES);
        let spliced = source.splice_into(&mut pipe, most).map_err(|_| Broken::Source)?;
        if let Spliced::Bytes(count) = spliced {
            self.pipe = Some(pipe);
            self.left = count;
            self.moved += count as u64;
            self.allowance = self.allowance.checked_sub(count as u64).ok_or(Broken::TooLong)?;
            self.decoder.pass(count as u64);
            self.complete = self.decoder.is_done();
            // Little at a time goes better by receiving, which also finds out when there is no more.
            self.streams = count >= LARGE_BUFFER;
            if self.complete {
                source.look_behind();
            }
        }
        Ok(spliced)
    }

    /// Receives into the buffer, which holds nothing that is needed; whether something came.
    fn receive(&mut self, source: &Stream, buffers: &'static Buffers) -> Result<bool, Broken> {
        if !source.readable() {
            self.shrink();
            return Ok(false);
        }
        self.clear_batch();
        self.pipe = None;
        // A body that outlives one receive streams through a large buffer while there are any.
        if self.buffer.as_ref().is_none_or(|buffer| buffer.capacity() < LARGE_BUFFER) {
            if let Some(large) = buffers.large(Need::Body) {
                self.buffer = Some(large);
            } else if self.buffer.is_none() {
                self.buffer = buffers.small();
            }
        }
        let buffer = self.buffer.as_mut().ok_or(Broken::NoBuffer)?;
        buffer.clear();
        match source.receive(buffer.space()) {
            Ok(Received::Bytes(count)) => {
                buffer.fill(count);
                self.streams = buffer.space().is_empty();
                self.moved += count as u64;
                self.raw = 0..count;
                Ok(true)
            }
            Ok(Received::End) if self.decoder.ends_with_connection() && !self.dubious && !source.failed() => {
                self.complete = true;
                self.tail = if self.rechunk { b"0\r\n\r\n" } else { b"" };
                self.left = self.tail.len();
                // The batch is the tail alone, which is in no buffer; the caller's loop sends it.
                self.buffer = None;
                self.decoder = BodyDecoder::Length(0);
                Ok(true)
            }
            Ok(Received::End) | Err(_) => Err(Broken::Source),
            Ok(Received::Dry) => {
                self.buffer = None;
                Ok(false)
            }
        }
    }

    /// Makes a batch of the raw bytes.
    fn decode(&mut self) -> Result<(), Broken> {
        if self.complete {
            return Ok(());
        }
        let raw = self.raw.clone();
        let bytes = self.buffer.as_mut().map_or(&mut [][..], |buffer| &mut buffer.filled_mut()[raw.clone()]);
        let decoded = self.decoder.decode(bytes)?;
        self.allowance = self.allowance.checked_sub(decoded.payload as u64).ok_or(Broken::TooLong)?;
        self.payload = raw.start..raw.start + decoded.payload;
        self.raw.start += decoded.consumed;
        self.complete = self.decoder.is_done();
        if self.rechunk {
            if decoded.payload > 0 {
                // A length of five digits at most; `start` left room for it.
                self.added
                    .write(|out| write!(out, "{:x}\r\n", decoded.payload))
                    .map_err(|_| Broken::Malformed("no room for a chunk's size"))?;
            }
            self.tail = match (decoded.payload > 0, self.complete) {
                (true, true) => b"\r\n0\r\n\r\n",
                (true, false) => b"\r\n",
                (false, true) => b"0\r\n\r\n",
                (false, false) => b"",
            };
        }
        self.left = self.batch();
        Ok(())
    }

    fn clear_batch(&mut self) {
        self.first = false;
        self.head = 0;
        self.added.clear();
        self.payload = 0..0;
        self.tail = b"";
        self.left = 0;
    }

    /// Whether all that was made ready to be sent is out.
    fn is_out(&self) -> bool {
        self.left == 0
    }

    /// Whether the batch is one run of bytes at the front of the buffer.
    fn is_joined(&self) -> bool {
        let follows = self.payload.is_empty() || self.payload.start == self.head;
        follows && self.added.is_empty() && self.tail.is_empty()
    }

    /// Bytes of the batch.
    fn batch(&self) -> usize {
        self.head + self.added.len() + self.payload.len() + self.tail.len()
    }
}
