//! Where lines go: standard error, or a syslog's socket, written to without ever blocking.
//!
//! Standard error's flags are not ours to change: whoever started us shares them.
//! A pipe or a terminal is opened once more through `/proc/self/fd`: that gives a file of our own, whose flags are ours. On
//! a socket each call can ask not to block; on Linux 6.1 no call can on a pipe (`RWF_NOWAIT` came to pipes later). A regular
//! file never blocks, and is not opened again: its position is shared. Where none of that is possible (no `/proc`, a pipe of
//! another user's), `poll` is asked before each write, which is what all of them cost otherwise.
//!
//! A syslog gets a datagram for each line. Its socket is connected, so that the system looks the way up once, and again when
//! the other end is new: a daemon that was started again.

use crate::config::Address;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, SockaddrStorage, UnixAddr, connect, send, socket};
use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

/// What a writable pipe takes at once without blocking (POSIX `PIPE_BUF` on Linux).
const PIPE_BUF: usize = 4096;

/// A descriptor for lines.
pub(super) struct Sink {
    file: File,
    way: Way,
}

/// What keeps a write from blocking.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// The file itself.
    Plain,
    /// A flag of the call.
    Send,
    /// A look before.
    Poll,
    /// A flag of the call, and a call for each line, to there.
    Datagrams(Address),
}

impl Sink {
    /// What `given` leads to.
    pub(super) fn new(given: OwnedFd) -> Self {
        let given = File::from(given);
        let kind = given.metadata().map(|metadata| metadata.file_type());
        match kind {
            Ok(kind) if kind.is_file() => Self { file: given, way: Way::Plain },
            Ok(kind) if kind.is_socket() => Self { file: given, way: Way::Send },
            Ok(_) | Err(_) => match opened_again(&given) {
                Ok(file) => Self { file, way: Way::Plain },
                Err(_) => Self { file: given, way: Way::Poll },
            },
        }
    }

    /// A syslog. Where nobody is there yet lines are tried nevertheless; then it says why.
    ///
    /// # Errors
    /// The system's: no socket.
    pub(super) fn syslog(to: &Address) -> nix::Result<(Self, Option<Errno>)> {
        let family = match to {
            Address::Unix(_) => AddressFamily::Unix,
            Address::Inet(address) if address.is_ipv4() => AddressFamily::Inet,
            Address::Inet(_) => AddressFamily::Inet6,
        };
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let socket = socket(family, SockType::Datagram, flags, None)?;
        let sink = Self { file: socket.into(), way: Way::Datagrams(to.clone()) };
        let failed = sink.reach(to).err();
        Ok((sink, failed))
    }

    fn reach(&self, to: &Address) -> nix::Result<()> {
        let socket = self.file.as_raw_fd();
        match to {
            Address::Inet(address) => connect(socket, &SockaddrStorage::from(*address)),
            Address::Unix(path) => match path.strip_prefix('@') {
                Some(name) => connect(socket, &UnixAddr::new_abstract(name.as_bytes())?),
                None => connect(socket, &UnixAddr::new(path.as_str())?),
            },
        }
    }

    /// Whether each line is taken or lost by itself.
    pub(super) fn is_syslog(&self) -> bool {
        matches!(self.way, Way::Datagrams(_))
    }

    /// Whether that is by UDP, where nobody says that he took a line, and at best somebody that nobody will.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.way, Way::Datagrams(Address::Inet(_)))
    }

    /// Sends the first line of `bytes`; how many bytes that was, with its end.
    fn send_line(&self, bytes: &[u8], to: &Address) -> Result<usize, Errno> {
        let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
        let send = || send(self.file.as_raw_fd(), &bytes[..end], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
        match send() {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::ENOBUFS) => return Err(Errno::EAGAIN),
            Err(Errno::EMSGSIZE) => return Err(Errno::EMSGSIZE),
            // Of a datagram before this one.
            Err(Errno::ECONNREFUSED) if self.is_remote() => return Err(Errno::ECONNREFUSED),
            // The other end is another one, or was not there when the last line came.
            Err(_) => {
                self.reach(to)?;
                send()?;
            }
        }
        Ok((end + 1).min(bytes.len()))
    }

    /// Writes some of `bytes`; how many.
    ///
    /// # Errors
    /// `EAGAIN` when it would block. For a syslog any other: its first line is lost; `ECONNREFUSED` of another machine's: one
    /// before was.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<usize, Errno> {
        let bytes = &bytes[..bytes.len().min(PIPE_BUF)];
        match &self.way {
            Way::Plain => {}
            Way::Datagrams(to) => return self.send_line(bytes, to),
            Way::Send => {
                return send(self.file.as_raw_fd(), bytes, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
            }
            Way::Poll => {
                let mut ready = [PollFd::new(self.file.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut ready, PollTimeout::ZERO)? == 0 {
                    return Err(Errno::EAGAIN);
                }
            }
        }
        nix::unistd::write(&self.file, bytes)
    }

    pub(super) fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Another descriptor of it, to wait at.
    pub(super) fn try_clone(&self) -> std::io::Result<OwnedFd> {
        self.file.as_fd().try_clone_to_owned()
    }
}

fn opened_again(given: &File) -> std::io::Result<File> {
    let flags = (nix::fcntl::OFlag::O_NONBLOCK | nix::fcntl::OFlag::O_NOCTTY).bits();
    OpenOptions::new().write(true).custom_flags(flags).open(format!("/proc/self/fd/{}", given.as_raw_fd()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    use std::io::Read;

    /// Two ends, and how the second one is written to.
    fn pairs() -> Vec<(&'static str, OwnedFd, OwnedFd, Way)> {
        let pipe = nix::unistd::pipe().unwrap();
        let terminal = nix::pty::openpty(None, None).unwrap();
        let stream = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::empty()).unwrap();
        let packets = socketpair(AddressFamily::Unix, SockType::Datagram, None, SockFlag::empty()).unwrap();
        vec![
            ("a pipe", pipe.0, pipe.1, Way::Plain),
            ("a terminal", terminal.master, terminal.slave, Way::Plain),
            ("a socket", stream.0, stream.1, Way::Send),
            ("a socket of packets", packets.0, packets.1, Way::Send),
        ]
    }

    #[test]
    fn a_reader_that_does_not_read_blocks_nobody_and_no_flag_is_changed() {
        for (name, reader, writer, way) in pairs() {
            let shared = writer.try_clone().unwrap();
            let sink = Sink::new(writer);
            assert_eq!(sink.way, way, "{name}");
            let mut written = 0;
            let end = loop {
                match sink.write(&[b'x'; 3 * PIPE_BUF]) {
                    Ok(count) => written += count,
                    Err(why) => break why,
                }
            };
            assert_eq!(end, Errno::EAGAIN, "{name}");
            assert!(written >= PIPE_BUF, "{name}: {written}");
            let flags = OFlag::from_bits_retain(fcntl(&shared, FcntlArg::F_GETFL).unwrap());
            assert!(!flags.contains(OFlag::O_NONBLOCK), "{name}");
            // What was taken is there.
            let count = File::from(reader).read(&mut [0; 16]).unwrap();
            assert!(count > 0, "{name}");
        }
    }

    #[test]
    fn where_a_pipe_cannot_be_opened_again_it_is_polled() {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        let sink = Sink { file: writer.into(), way: Way::Poll };
        let written: usize = std::iter::from_fn(|| sink.write(&[b'x'; PIPE_BUF]).ok()).sum();
        assert!(written >= PIPE_BUF);
        drop(reader);
        assert_eq!(sink.write(b"x"), Err(Errno::EPIPE));
    }

    #[test]
    fn a_file_is_written_where_others_left_off() {
        let path = std::env::temp_dir().join(format!("beelance-sink-{}", std::process::id()));
        let mut shared = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
        let sink = Sink::new(shared.try_clone().unwrap().into());
        std::io::Write::write_all(&mut shared, b"theirs ").unwrap();
        assert_eq!(sink.write(b"ours "), Ok(5));
        std::io::Write::write_all(&mut shared, b"theirs").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "theirs ours theirs");
        std::fs::remove_file(&path).unwrap();
    }
}
