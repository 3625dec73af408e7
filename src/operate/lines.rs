//! Lines for standard error, or for a syslog, that never block the loop.
//!
//! Whatever beelance says while it serves goes through here, the access log and the messages about servers alike: two
//! writers on one pipe would cut each other's lines. Lines wait in one fixed buffer, written once a turn and only as far
//! as the `Sink` takes them without blocking. What does not fit is dropped and counted, and the count is told as
//! soon as there is room.

use super::header::{Header, Moment, Severity};
use super::sink::Sink;
use super::text::Text;
use crate::http::date::Second;
use crate::limits::{LOG_BUFFER, LOG_DATAGRAM, LOG_LINE};
use crate::runtime::{NEVER, Reactor, Seat};
use async_io::Async;
use nix::errno::Errno;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Writes in one turn at most.
const WRITES_PER_TURN: usize = 4;
/// The same to a syslog, where each line is one.
const DATAGRAMS_PER_TURN: usize = 64;
/// The longest line: its fixed parts and a request line in which every byte is escaped. A longer one is cut.
const ROOM: usize = 512 + 3 * LOG_LINE;
const _: () = assert!(LOG_DATAGRAM <= ROOM, "a line for a syslog is one");
/// Room that lines of every request leave to others.
const RESERVED: usize = ROOM;

/// Lines on their way to a descriptor. Behind a lock only because a logger must be shareable: one thread writes.
pub struct Lines {
    sink: Sink,
    /// What stands before a message of its own, where that is a syslog.
    header: Option<Header>,
    waiting: Mutex<Waiting>,
    /// Whether there are any: asked each turn, which the lock would be too dear for.
    any: AtomicBool,
    /// The seat of [`keep`] while it rests: who wakes it takes it.
    keeper: Mutex<Option<u16>>,
}

struct Waiting {
    bytes: Vec<u8>,
    /// Lines that are lost and were not told of.
    dropped: u64,
    /// Lines that ever were lost.
    lost: u64,
    /// Bytes of a line at most.
    room: usize,
    /// Whether the last line arrived, as far as that can be seen: else it is no use to tell of those that did not.
    reaches: bool,
}

impl Lines {
    /// An empty buffer before `sink`.
    #[must_use]
    pub fn new(sink: OwnedFd) -> Self {
        Self::before(Sink::new(sink), None, ROOM)
    }

    /// The same before a syslog; `header` stands before every line.
    pub(super) fn syslog(sink: Sink, header: Header) -> Self {
        Self::before(sink, Some(header), LOG_DATAGRAM)
    }

    fn before(sink: Sink, header: Option<Header>, room: usize) -> Self {
        let bytes = Vec::with_capacity(LOG_BUFFER);
        Self {
            sink,
            header,
            waiting: Mutex::new(Waiting { bytes, dropped: 0, lost: 0, room, reaches: true }),
            any: AtomicBool::new(false),
            keeper: Mutex::new(None),
        }
    }

    /// The socket it may lead to.
    pub(super) fn descriptor(&self) -> RawFd {
        self.sink.as_raw_fd()
    }

    /// Adds what `write` writes as a line, or counts it as dropped. The line's end is added.
    pub fn push(&self, write: impl FnOnce(&mut Text<'_>)) {
        self.enter(RESERVED, write);
    }

    /// The same for a line that matters more, such as a server's going down: some room is kept for those.
    pub(super) fn push_message(&self, write: impl FnOnce(&mut Text<'_>)) {
        self.enter(0, write);
    }

    /// Lines that were lost: nobody took them in time, or nobody was there.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.waiting().lost
    }

    fn enter(&self, reserved: usize, write: impl FnOnce(&mut Text<'_>)) {
        let mut waiting = self.waiting();
        if !waiting.has_room(reserved) {
            self.write(&mut waiting);
            self.tell(&mut waiting);
        }
        if waiting.has_room(reserved) {
            waiting.add(write);
            self.any.store(true, Ordering::Relaxed);
        } else {
            waiting.lose(1);
        }
    }

    /// Writes what can be written without blocking; what is left, and what was dropped, is for `keep`.
    pub fn flush(&self, reactor: &Reactor) {
        if self.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        self.write(&mut waiting);
        self.tell(&mut waiting);
        let any = !waiting.bytes.is_empty();
        self.any.store(any, Ordering::Relaxed);
        if any && let Some(keeper) = self.keeper().take() {
            reactor.wake(keeper);
        }
    }

    fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Relaxed)
    }

    fn keeper(&self) -> MutexGuard<'_, Option<u16>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic ends the process: nobody sees a poisoned lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, waiting: &mut Waiting) {
        let (mut written, mut refused) = (0, false);
        let is_syslog = self.sink.is_syslog();
        for _ in 0..if is_syslog { DATAGRAMS_PER_TURN } else { WRITES_PER_TURN } {
            let rest = &waiting.bytes[written..];
            if rest.is_empty() {
                break;
            }
            match self.sink.write(rest) {
                Ok(count) => {
                    written += count;
                    waiting.reaches = !std::mem::take(&mut refused);
                }
                // A disk that is full may have room again.
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOSPC | Errno::EDQUOT) => break,
                // Another machine says so of a line before, which was taken for sent.
                Err(Errno::ECONNREFUSED) if self.sink.is_remote() => {
                    waiting.lose(1);
                    refused = true;
                }
                // Nobody is there: the next line finds out whether somebody is again.
                Err(_) if is_syslog => {
                    written += rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |end| end + 1);
                    waiting.lose(1);
                    waiting.reaches = false;
                }
                // Nobody reads any more, or the terminal is gone: the lines are lost whatever we do.
                Err(_) => {
                    let lines = rest.iter().filter(|&&byte| byte == b'\n').count();
                    waiting.lose(lines as u64);
                    waiting.reaches = false;
                    written = waiting.bytes.len();
                }
            }
        }
        waiting.bytes.drain(..written);
    }
}

impl Waiting {
    fn lose(&mut self, lines: u64) {
        self.dropped += lines;
        self.lost += lines;
    }

    fn has_room(&self, reserved: usize) -> bool {
        self.bytes.len() + ROOM + reserved <= LOG_BUFFER
    }

    fn add(&mut self, write: impl FnOnce(&mut Text<'_>)) {
        write(&mut Text::new(&mut self.bytes, self.room - 1));
        self.bytes.push(b'\n');
    }
}

impl Lines {
    /// Tells, where lines are missing, how many.
    fn tell(&self, waiting: &mut Waiting) {
        if waiting.dropped > 0 && waiting.reaches && waiting.has_room(RESERVED) {
            let dropped = std::mem::take(&mut waiting.dropped);
            waiting.add(|out| match &self.header {
                None => {
                    out.bytes(b"WARN  [beelance::log] ");
                    out.long(dropped);
                    out.bytes(b" lines were dropped: standard error did not take them");
                }
                Some(header) => {
                    header.write(out, Severity::Warning, Moment::now(), &mut Second::default());
                    out.long(dropped);
                    out.bytes(b" lines were dropped: nobody took them");
                }
            });
        }
    }
}

/// The task that writes what a slow reader left, as soon as the descriptor takes it. Ends where nothing blocks: a file.
pub(super) async fn keep(lines: &'static Lines, reactor: &'static Reactor) {
    let Ok(sink) = lines.sink.try_clone() else { return };
    let Ok(sink) = Async::new_nonblocking(sink) else { return };
    let Some(seat) = Seat::take(reactor) else { return };
    loop {
        // Woken once, it waits for the descriptor: woken each turn it would keep the loop from its sleep.
        *lines.keeper() = Some(seat.index());
        let _ = seat.until(NEVER, || (!lines.is_empty()).then_some(())).await;
        if sink.writable().await.is_err() {
            return;
        }
        // The turn's end flushes: this wake made a turn.
        seat.next_turn().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_full_buffer_drops_counts_and_tells() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let lines = Lines::new(writer);
        // The pipe holds 64 kB, then nobody reads.
        for _ in 0..200 {
            lines.push(|out| out.bytes(&[b'x'; 999]));
        }
        let dropped = lines.waiting().dropped;
        assert!(lines.waiting().bytes.len() <= LOG_BUFFER);
        assert!((1..200 - 64).contains(&dropped), "{dropped} dropped");
        let mut reader = std::fs::File::from(reader);
        let (mut text, mut bytes) = (Vec::new(), vec![0; 65536]);
        let reactor = Reactor::new(1, 1).unwrap();
        while !lines.is_empty() {
            lines.flush(&reactor);
            let count = reader.read(&mut bytes).unwrap();
            text.extend_from_slice(&bytes[..count]);
        }
        let text = String::from_utf8(text).unwrap();
        let (told, written): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.contains("dropped"));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(&format!(" {dropped} lines")), "{told:?}");
        assert_eq!(written.len() as u64 + dropped, 200);
        assert!(written.iter().all(|line| line.len() == 999), "no line is cut");
    }

    #[test]
    fn what_a_terminal_that_is_gone_does_not_take_is_not_kept() {
        let nix::pty::OpenptyResult { master, slave } = nix::pty::openpty(None, None).unwrap();
        let lines = Lines::new(slave);
        drop(master);
        lines.push(|out| out.bytes(b"nobody reads this"));
        lines.flush(&Reactor::new(1, 1).unwrap());
        // Otherwise it would be tried again without end: such a descriptor is always ready.
        assert!(lines.is_empty());
        assert_eq!(lines.lost(), 1);
    }

    #[test]
    fn nor_is_what_no_reader_of_packets_is_left_for() {
        let (reader, writer) = std::os::unix::net::UnixDatagram::pair().unwrap();
        let lines = Lines::new(writer.into());
        drop(reader);
        (0..2).for_each(|_| lines.push(|out| out.bytes(b"nobody reads this")));
        lines.flush(&Reactor::new(1, 1).unwrap());
        assert!(lines.is_empty());
        assert_eq!(lines.lost(), 2);
    }

    #[test]
    fn lines_that_nobody_takes_are_counted_and_told_when_somebody_does_again() {
        let reactor = Reactor::new(1, 1).unwrap();
        let path = std::env::temp_dir().join(format!("beelance-lines-{}", std::process::id()));
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let read = || {
            let flags = nix::libc::O_NONBLOCK;
            std::os::unix::fs::OpenOptionsExt::custom_flags(std::fs::File::options().read(true), flags)
                .open(&path)
                .unwrap()
        };
        let reader = read();
        let lines = Lines::new(std::fs::File::options().write(true).open(&path).unwrap().into());
        let say = |text: &[u8]| lines.push(|out| out.bytes(text));
        drop(reader);
        for all in [2, 4] {
            (0..2).for_each(|_| say(b"lost"));
            lines.flush(&reactor);
            assert!(lines.is_empty());
            assert_eq!(lines.lost(), all);
        }
        let mut reader = read();
        say(b"again");
        (0..2).for_each(|_| lines.flush(&reactor));
        let mut bytes = [0; 999];
        let count = reader.read(&mut bytes).unwrap();
        let text = std::str::from_utf8(&bytes[..count]).unwrap();
        assert_eq!(text, "again\nWARN  [beelance::log] 4 lines were dropped: standard error did not take them\n");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn lines_that_another_machine_refuses_are_counted_as_far_as_it_says_so() {
        let reactor = Reactor::new(1, 1).unwrap();
        let receiver = std::net::UdpSocket::bind("127.0.7.9:0").unwrap();
        let address = receiver.local_addr().unwrap();
        let (sink, _) = Sink::syslog(&crate::config::Address::Inet(address)).unwrap();
        let form = super::super::header::Form::Remote(crate::config::LogForm::Rfc3164);
        let lines = Lines::syslog(sink, Header::new(form, 16, "board", 7));
        let say = |text: &[u8]| {
            lines.push(|out| out.bytes(text));
            (0..3).for_each(|_| lines.flush(&reactor));
            assert!(lines.is_empty());
        };
        drop(receiver);
        // What became of a line is known with the next one.
        for known in 0..4 {
            say(b"lost");
            assert_eq!(lines.lost(), known);
        }
        let receiver = std::net::UdpSocket::bind(address).unwrap();
        receiver.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
        (0..2).for_each(|_| say(b"again"));
        let mut bytes = [0; 999];
        let mut next = || {
            let count = receiver.recv(&mut bytes).unwrap();
            String::from_utf8_lossy(&bytes[..count]).into_owned()
        };
        assert_eq!([next(), next()], ["again", "again"]);
        let told = next();
        assert!(told.ends_with("beelance[7]: 4 lines were dropped: nobody took them"), "{told}");
        assert_eq!(lines.lost(), 4);
    }

    #[test]
    fn a_message_finds_room_where_lines_of_requests_do_not() {
        let (_reader, writer) = nix::unistd::pipe().unwrap();
        let lines = Lines::new(writer);
        for _ in 0..200 {
            lines.push(|out| out.bytes(&[b'x'; 999]));
        }
        let dropped = lines.waiting().dropped;
        lines.push_message(|out| out.bytes(b"Server pool/s1 is DOWN"));
        let waiting = lines.waiting();
        assert!(dropped > 0 && waiting.dropped == dropped && waiting.bytes.ends_with(b"s1 is DOWN\n"));
        assert!(waiting.bytes.len() <= LOG_BUFFER);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_ends() {
        let (_reader, writer) = nix::unistd::pipe().unwrap();
        let lines = Lines::new(writer);
        lines.push(|out| out.bytes("\u{e4}".repeat(ROOM).as_bytes()));
        let waiting = lines.waiting();
        assert!(waiting.bytes.len() <= ROOM && waiting.bytes.ends_with(b"\xa4\n"), "{}", waiting.bytes.len());
    }
}
