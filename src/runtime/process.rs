//! Child processes by fork(2) that live no longer than their parent.
//!
//! For the demo only. There is no exec: under user-mode emulation a program cannot start itself again, but it can fork.

#![allow(unsafe_code, reason = "fork and signal dispositions have no safe form")]

use nix::sys::prctl;
use nix::sys::signal::{SigHandler, Signal, kill, signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};
use std::cell::Cell;
use std::io;

/// A child process; killed when dropped, and by the kernel when this process dies in any other way.
pub struct Child {
    pid: Pid,
    ended: Cell<bool>,
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

impl Child {
    /// Runs `body` in a process of its own; what it returns is the exit code.
    ///
    /// Only while this process has one thread, so before the first use of async-io: another thread might hold a lock at
    /// that moment, which nobody would ever release in the child.
    ///
    /// # Errors
    /// The system's: no memory, too many processes.
    pub fn fork(body: impl FnOnce() -> u8) -> io::Result<Self> {
        let parent = getpid();
        // SAFETY: there is one thread (see above), so the child inherits no lock in the middle of its use.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self { pid: child, ended: Cell::new(false) }),
            ForkResult::Child => {
                let code = if follow(parent).is_ok() { body() } else { 1 };
                std::process::exit(code.into())
            }
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Whether it still runs. Notices, and takes off the process table, one that has ended.
    pub fn is_running(&self) -> bool {
        if !self.ended.get() {
            let alive = matches!(waitpid(self.pid, Some(WaitPidFlag::WNOHANG)), Ok(WaitStatus::StillAlive));
            self.ended.set(!alive);
        }
        !self.ended.get()
    }

    /// Kills it and waits for its end.
    pub fn end(&self) {
        // The id of one that has ended may be somebody else's by now.
        if self.is_running() {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.pid, None);
            self.ended.set(true);
        }
    }
}

/// In the child: dies with `parent`, and leaves to it the signals that a terminal sends to all.
fn follow(parent: Pid) -> nix::Result<()> {
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    if getppid() != parent {
        // It died before it could matter.
        return Err(nix::errno::Errno::ESRCH);
    }
    for sent_to_all in [Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: no handler is installed, the signal is ignored.
        unsafe { signal(sent_to_all, SigHandler::SigIgn) }?;
    }
    Ok(())
}
