//! systemd's sd_notify(3): what the process is about to do, told to the socket in `NOTIFY_SOCKET`.
//!
//! The socket is connected to before root and the way to it are given up, and never waited for. There is one for the process, as
//! there is one such variable. Where it is not set, nothing of this does anything.

use crate::runtime::clock;
use std::env;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::OnceLock;

static SOCKET: OnceLock<UnixDatagram> = OnceLock::new();

/// Finds the socket, or takes the one that was handed over.
pub(super) fn connect(inherited: Option<OwnedFd>) {
    let Some(address) = env::var_os("NOTIFY_SOCKET") else { return };
    let connected = || -> io::Result<UnixDatagram> {
        let address = match address.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(&address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        Ok(socket)
    };
    let socket = inherited.map_or_else(connected, |socket| Ok(socket.into()));
    match socket.and_then(|socket| socket.set_nonblocking(true).map(|()| socket)) {
        Ok(socket) => drop(SOCKET.set(socket)),
        Err(error) => log::warn!("NOTIFY_SOCKET: {error}: systemd is told nothing"),
    }
}

/// The socket, to hand it over.
pub(super) fn socket() -> Option<BorrowedFd<'static>> {
    SOCKET.get().map(AsFd::as_fd)
}

/// Sends lines of `NAME=value`. A socket that takes none, now or ever, is not waited for.
pub(super) fn say(lines: &str) {
    if let Some(Err(error)) = SOCKET.get().map(|socket| socket.send(lines.as_bytes())) {
        log::debug!("NOTIFY_SOCKET: {error}");
    }
}

/// It serves: from its start, or again after [`reloading`].
pub(super) fn ready(status: &str) {
    say(&format!("READY=1\nMAINPID={}\nSTATUS={status}", std::process::id()));
}

/// Something takes the place of its configuration, or of its program; [`ready`] is to follow.
pub(super) fn reloading(status: &str) {
    say(&format!("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS={status}", clock::monotonic_us()));
}

/// It finishes what it has begun, and ends.
pub(super) fn stopping(status: &str) {
    say(&format!("STOPPING=1\nSTATUS={status}"));
}

/// Milliseconds between two signs of life, half of what systemd waits for one (`WatchdogSec`); `None` when it does not.
pub(super) fn interval_ms() -> Option<u64> {
    let variable = |name| env::var(name).ok();
    SOCKET.get()?;
    interval(variable("WATCHDOG_USEC").as_deref(), variable("WATCHDOG_PID").as_deref(), std::process::id())
}

fn interval(usec: Option<&str>, pid: Option<&str>, own: u32) -> Option<u64> {
    let ours = pid.is_none_or(|pid| pid.parse() == Ok(own));
    let interval_ms = usec?.parse::<u64>().ok().filter(|_| ours)? / 2_000;
    // More often than asked does no harm, and no deadline is days away.
    (interval_ms > 0).then_some(interval_ms.min(3_600_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_the_time_that_is_given_to_this_process() {
        let cases = [
            ((None, None), None),
            ((Some("30000000"), None), Some(15_000)),
            ((Some("30000000"), Some("7")), Some(15_000)),
            ((Some("30000000"), Some("8")), None),
            ((Some("30000000"), Some("x")), None),
            ((Some("1000000"), Some("7")), Some(500)),
            ((Some("1999"), None), None),
            ((Some("0"), None), None),
            ((Some("-1"), None), None),
            ((Some(""), None), None),
            ((Some("18446744073709551615"), None), Some(3_600_000)),
        ];
        for ((usec, pid), expected) in cases {
            assert_eq!(interval(usec, pid, 7), expected, "{usec:?} {pid:?}");
        }
    }
}
