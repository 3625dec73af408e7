//! Time, read once a turn.
//!
//! Owns the only calls of the system's clocks. Timers and deadlines use the monotonic clock and nothing else, so a wall
//! clock that jumps by decades moves no deadline.

#![allow(unsafe_code, reason = "nix reads the clock by the way for programs whose times have 32 bits")]

use nix::libc;
use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

/// The wall clock is read again when the last reading is so old, in milliseconds.
const WALL_AGE_MS: u64 = 1_000;

/// The loop's clock. All times are milliseconds; [`Clock::now_ms`] starts near zero with the process.
pub struct Clock {
    start_ms: u64,
    now_ms: Cell<u64>,
    /// The wall clock at `wall_read_ms`, in milliseconds since 1970.
    wall_ms: Cell<u64>,
    wall_read_ms: Cell<u64>,
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn new() -> Self {
        Self { start_ms: monotonic_ms(), now_ms: Cell::new(0), wall_ms: Cell::new(wall()), wall_read_ms: Cell::new(0) }
    }

    /// Reads the monotonic clock.
    pub fn refresh(&self) {
        self.now_ms.set(monotonic_ms().saturating_sub(self.start_ms));
    }

    /// Milliseconds since the clock was made, as of the last [`Clock::refresh`].
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    /// Milliseconds since the machine started at the monotonic time `at_ms`.
    #[must_use]
    pub fn up_ms(&self, at_ms: u64) -> u64 {
        self.start_ms + at_ms
    }

    /// Milliseconds since 1970 at the monotonic time `at_ms`, as the wall clock has it today.
    pub fn wall_ms(&self, at_ms: u64) -> u64 {
        let now_ms = self.now_ms();
        if now_ms.saturating_sub(self.wall_read_ms.get()) >= WALL_AGE_MS {
            self.wall_ms.set(wall());
            self.wall_read_ms.set(now_ms);
        }
        (self.wall_ms.get() + at_ms).saturating_sub(self.wall_read_ms.get())
    }
}

/// Milliseconds since 1970, and since the machine started: for who has no loop.
#[must_use]
pub fn now() -> (u64, u64) {
    (wall(), monotonic_ms())
}

/// The monotonic clock. Once a turn: the standard library's `Instant` takes four times the instructions.
fn monotonic_ms() -> u64 {
    let now = monotonic();
    now.seconds * 1_000 + u64::from(now.nanoseconds / 1_000_000)
}

/// The same in microseconds, as systemd counts it.
#[must_use]
pub fn monotonic_us() -> u64 {
    let now = monotonic();
    now.seconds * 1_000_000 + u64::from(now.nanoseconds / 1_000)
}

#[inline(always)]
fn monotonic() -> Timespec {
    let mut now = Timespec { seconds: 0, nanoseconds: 0 };
    // There is such a clock. If it could not be read time would stand still.
    // SAFETY: `now` is what the function writes to, and outlives the call.
    unsafe { clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now
}

/// A time of the kernel's, none before its start: neither part is negative, and the second is below 10^9.
#[repr(C, align(8))]
struct Timespec {
    seconds: u64,
    /// On processors of 64 bits the lower half, the first one.
    nanoseconds: u32,
}

unsafe extern "C" {
    /// The C library's, for times of 64 bits. What `libc` declares for 32 bits is a way round by times that end in 2038.
    #[cfg_attr(target_pointer_width = "32", link_name = "__clock_gettime64")]
    fn clock_gettime(clock: libc::clockid_t, time: *mut Timespec) -> libc::c_int;
}

#[cfg(target_endian = "big")]
compile_error!("the upper half of `timespec` comes first");

fn wall() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
