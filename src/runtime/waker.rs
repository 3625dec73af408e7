//! What wakes the loop from outside: another thread, or a task.

use nix::sys::eventfd::{EfdFlags, EventFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Wake;

const AWAKE: u8 = 0;
const WOKEN: u8 = 1;
const ASLEEP: u8 = 2;

/// Wakes the loop from any thread: a store while it is awake, a write to the eventfd only while it sleeps.
///
/// ```text
///   AWAKE --wake--> WOKEN --take_woken--> AWAKE
///   AWAKE --fall_asleep--> ASLEEP --wake (eventfd)--> WOKEN
///                          ASLEEP, WOKEN --wake_up--> AWAKE
/// ```
pub(super) struct LoopWaker {
    state: AtomicU8,
    /// What its sleep ends by.
    pub(super) eventfd: EventFd,
}

impl LoopWaker {
    /// Of a loop that is awake.
    pub(super) fn new() -> nix::Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        Ok(Self { state: AtomicU8::new(AWAKE), eventfd: EventFd::from_flags(flags)? })
    }

    /// Whether somebody woke the loop since this was last asked.
    pub(super) fn take_woken(&self) -> bool {
        // Mostly nobody did, and a look is cheaper than an exchange.
        self.state.load(Ordering::Acquire) == WOKEN && self.state.swap(AWAKE, Ordering::AcqRel) == WOKEN
    }

    /// Announces that the loop goes to sleep; `false` when it must not, because it was woken meanwhile.
    pub(super) fn fall_asleep(&self) -> bool {
        self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Announces that it sleeps no longer; whether somebody woke it meanwhile.
    pub(super) fn wake_up(&self) -> bool {
        self.state.swap(AWAKE, Ordering::AcqRel) == WOKEN
    }
}

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(WOKEN, Ordering::AcqRel) == ASLEEP {
            // It can only fail when the counter is full, and then the edge is there already.
            let _ = self.eventfd.write(1);
        }
    }
}
