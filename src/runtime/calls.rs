//! The three system calls of every request: receive, send, wait for events.
//!
//! In the C library they are places where a thread can be cancelled; what musl does for that, and no thread here is ever
//! cancelled, takes 45 instructions a call on ARM, and six calls are made for a request. So there they go to the kernel
//! directly. Elsewhere they are the C library's.

#![allow(unsafe_code, reason = "a way into the kernel")]

use nix::errno::Errno;
use nix::libc;
use nix::sys::epoll::{Epoll, EpollEvent};
use std::os::fd::{AsRawFd, OwnedFd};

/// Receives into `space`; how many bytes, none at the end.
pub(super) fn receive(socket: &OwnedFd, space: &mut [u8]) -> nix::Result<usize> {
    // SAFETY: `space` can be written, and outlives the call.
    unsafe { kernel::recv(socket.as_raw_fd(), space.as_mut_ptr().cast(), space.len(), 0) }
}

/// Sends what it can of `bytes`; how many. With `MSG_MORE` they need not go before something follows them.
pub(super) fn send(socket: &OwnedFd, bytes: &[u8], flags: libc::c_int) -> nix::Result<usize> {
    // SAFETY: `bytes` can be read, and outlive the call.
    unsafe { kernel::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) }
}

/// Waits for `timeout_ms` at most, or for ever when that is below zero; how many events there are.
pub(super) fn wait(epoll: &Epoll, events: &mut [EpollEvent], timeout_ms: libc::c_int) -> nix::Result<usize> {
    let most = libc::c_int::try_from(events.len()).unwrap_or(libc::c_int::MAX);
    // SAFETY: `events` can be written, outlive the call, and are what the kernel writes: nix says so by their layout.
    unsafe { kernel::epoll_wait(epoll.0.as_raw_fd(), events.as_mut_ptr().cast(), most, timeout_ms) }
}

#[cfg(target_arch = "arm")]
#[allow(clippy::cast_sign_loss, reason = "the kernel takes the bits")]
mod kernel {
    use super::{Errno, libc};
    use std::arch::asm;
    use std::ffi::{c_int, c_void};

    const EPOLL_WAIT: usize = 252;
    const SEND: usize = 289;
    const RECV: usize = 291;

    /// # Safety
    /// `length` bytes from `space` on can be written.
    #[inline]
    pub(super) unsafe fn recv(socket: c_int, space: *mut c_void, length: usize, flags: c_int) -> nix::Result<usize> {
        // SAFETY: as the caller says.
        unsafe { call(RECV, [socket as usize, space.addr(), length, flags as usize]) }
    }

    /// # Safety
    /// `length` bytes from `bytes` on can be read.
    #[inline]
    pub(super) unsafe fn send(socket: c_int, bytes: *const c_void, length: usize, flags: c_int) -> nix::Result<usize> {
        // SAFETY: as the caller says.
        unsafe { call(SEND, [socket as usize, bytes.addr(), length, flags as usize]) }
    }

    /// # Safety
    /// So many events from `events` on can be written.
    #[inline]
    pub(super) unsafe fn epoll_wait(
        epoll: c_int,
        events: *mut libc::epoll_event,
        most: c_int,
        timeout_ms: c_int,
    ) -> nix::Result<usize> {
        // SAFETY: as the caller says.
        unsafe { call(EPOLL_WAIT, [epoll as usize, events.addr(), most as usize, timeout_ms as usize]) }
    }

    /// # Safety
    /// What the call reads and writes can be read and written.
    #[inline]
    unsafe fn call(number: usize, [a, b, c, d]: [usize; 4]) -> nix::Result<usize> {
        let result: isize;
        // SAFETY: the kernel changes nothing but the first register and what the caller says. The number goes by a register
        // that must not be named, as Thumb code may keep its frame there: it is as it was in the end.
        unsafe {
            asm!(
                "mov {kept}, r7",
                "mov r7, {number}",
                "svc 0",
                "mov r7, {kept}",
                kept = out(reg) _,
                number = in(reg) number,
                inlateout("r0") a => result,
                in("r1") b,
                in("r2") c,
                in("r3") d,
                options(nostack, preserves_flags),
            );
        }
        // No call takes or gives more than half of all there is; the errors are above that.
        usize::try_from(result).map_err(|_| Errno::from_raw(result.wrapping_neg().try_into().unwrap_or(libc::EIO)))
    }
}

#[cfg(not(target_arch = "arm"))]
mod kernel {
    use super::{Errno, libc};
    use std::ffi::{c_int, c_void};

    /// # Safety
    /// `length` bytes from `space` on can be written.
    pub(super) unsafe fn recv(socket: c_int, space: *mut c_void, length: usize, flags: c_int) -> nix::Result<usize> {
        // SAFETY: as the caller says.
        checked(unsafe { libc::recv(socket, space, length, flags) })
    }

    /// # Safety
    /// `length` bytes from `bytes` on can be read.
    pub(super) unsafe fn send(socket: c_int, bytes: *const c_void, length: usize, flags: c_int) -> nix::Result<usize> {
        // SAFETY: as the caller says.
        checked(unsafe { libc::send(socket, bytes, length, flags) })
    }

    /// # Safety
    /// So many events from `events` on can be written.
    pub(super) unsafe fn epoll_wait(
        epoll: c_int,
        events: *mut libc::epoll_event,
        most: c_int,
        timeout_ms: c_int,
    ) -> nix::Result<usize> {
        // SAFETY: as the caller says.
        checked(unsafe { libc::epoll_wait(epoll, events, most, timeout_ms) })
    }

    fn checked<T: TryInto<usize>>(result: T) -> nix::Result<usize> {
        result.try_into().map_err(|_| Errno::last())
    }
}
