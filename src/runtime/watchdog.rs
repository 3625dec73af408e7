//! A watchdog device: hardware that resets the board unless it is fed.
//!
//! Owns the device's protocol (Linux' Documentation/watchdog/watchdog-api.rst): any byte feeds it, a `V` before it is closed ends
//! it, if its driver was built to be ended. Refuses to know when it is fed.

#![allow(unsafe_code, reason = "nix makes an unsafe function of each ioctl")]

use super::outside;
use nix::fcntl::OFlag;
use nix::libc;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Milliseconds between two feeds of a device that does not tell its time-out; none has less than a second.
const UNTOLD_MS: u64 = 500;

nix::ioctl_read!(get_timeout, b'W', 7, libc::c_int);

/// An open device, which is counting down.
pub struct Watchdog(File);

impl From<OwnedFd> for Watchdog {
    fn from(device: OwnedFd) -> Self {
        Self(device.into())
    }
}

impl AsFd for Watchdog {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Watchdog {
    /// Opens the device at `path`, which starts it.
    ///
    /// # Errors
    /// The system's; `EBUSY` while another process has it.
    pub fn open(path: &Path) -> io::Result<Self> {
        // What is there instead may be a pipe, which would wait for a reader.
        outside::open_as(path, OFlag::O_WRONLY | OFlag::O_NONBLOCK).map(Self::from)
    }

    /// Seconds after which it resets the board; `None` when it does not tell.
    #[must_use]
    pub fn timeout_s(&self) -> Option<u64> {
        let mut seconds = 0;
        // SAFETY: the descriptor is open, and the call writes one integer, which outlives it.
        let told = unsafe { get_timeout(self.0.as_raw_fd(), &raw mut seconds) };
        told.ok().and_then(|_| u64::try_from(seconds).ok()).filter(|&seconds| seconds > 0)
    }

    /// Milliseconds between two feeds: a third of the time-out, so that two in a row may be late.
    #[must_use]
    pub fn interval_ms(&self) -> u64 {
        self.timeout_s().map_or(UNTOLD_MS, |seconds| seconds.saturating_mul(1_000) / 3)
    }

    /// Starts its time-out anew.
    ///
    /// # Errors
    /// The system's.
    pub fn feed(&self) -> io::Result<()> {
        (&self.0).write_all(b"\0")
    }

    /// Lets it know that it is closed on purpose.
    ///
    /// # Errors
    /// The system's.
    pub fn end(&self) -> io::Result<()> {
        (&self.0).write_all(b"V")
    }
}
