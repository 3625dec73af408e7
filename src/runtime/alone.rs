//! A child that goes on with the connections of a process whose parent half is another program by now.
//!
//! The epoll set is the child's alone then: the program that took the parent's place has no descriptor of it, and every socket in it
//! is known by the same number and file as before. What was the parent's, or the control plane's, is taken out of the child's
//! hands, but no number becomes free: somebody might still use it.

#![allow(unsafe_code, reason = "descriptors are numbers here, whoever owns them")]

use super::reactor::Reactor;
use nix::errno::Errno;
use nix::libc;
use nix::sys::epoll::EpollEvent;
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::socket::{getsockopt, sockopt};
use nix::unistd::alarm;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Descriptors that are looked at: more than tables of ours have room for.
const MOST: u64 = 1 << 17;
/// Its name among the processes.
const NAME: &std::ffi::CStr = c"beelance-ending";

/// Makes this process, a child of fork(2), live for the connections in `reactor` only, for at most about `seconds`. `kept` are sockets
/// that it needs as well, `given_up` what it must not hold; sockets of tasks are, but those whose owner is `keeper`. `nowhere` stands in for what it lost.
pub fn stand_alone(
    reactor: &Reactor,
    kept: &[RawFd],
    given_up: &[RawFd],
    keeper: u16,
    nowhere: &OwnedFd,
    seconds: u32,
) {
    // Whatever happens: not even a loop that hangs outlives this. It cannot be told by a signal, all of them are its parent's.
    alarm::set(seconds);
    let _ = prctl::set_name(NAME);
    // Who is connected to one must not wait for an answer of nobody.
    let of_tasks = reactor.sockets().filter(|seen| seen.of_task && seen.seat != keeper);
    let lost: Vec<RawFd> = of_tasks.map(|seen| seen.number()).collect();
    reactor.forget_tasks();
    let lose = |number: RawFd| {
        // SAFETY: both are open; who owns the number finds a pipe without an end there, and is never run again.
        unsafe { libc::dup3(nowhere.as_raw_fd(), number, libc::O_CLOEXEC) };
    };
    given_up.iter().copied().for_each(lose);
    #[allow(clippy::useless_conversion, reason = "rlim_t has 32 bits on some targets")]
    let most = getrlimit(Resource::RLIMIT_NOFILE).map_or(MOST, |(soft, _)| u64::from(soft).min(MOST));
    for number in (3..RawFd::try_from(most).unwrap_or(RawFd::MAX)).filter(|number| !kept.contains(number)) {
        // SAFETY: for the calls below only, the first of which finds out whether it is an open socket.
        let socket = unsafe { BorrowedFd::borrow_raw(number) };
        let Ok(listens) = getsockopt(&socket, sockopt::AcceptConn) else { continue };
        // What is in the set is told by the refusal to add it again.
        let ours = reactor.epoll().add(socket, EpollEvent::empty()) == Err(Errno::EEXIST);
        if !ours || listens || lost.contains(&number) {
            // Its file lives on in the parent: closed here, it would stay in the set for ever.
            let _ = reactor.epoll().delete(socket);
            lose(number);
        }
    }
}

/// Ends the child. Nothing of the parent's is run, no file removed.
pub fn end() -> ! {
    // SAFETY: it ends the process.
    unsafe { libc::_exit(0) }
}
