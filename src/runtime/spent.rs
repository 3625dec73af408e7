//! What this process took of the processor so far.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// Milliseconds in the program and in the system for it, all threads together; 0 where the system does not say.
#[must_use]
pub fn cpu_ms() -> u64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF);
    let both = usage.map(|usage| usage.user_time().num_milliseconds() + usage.system_time().num_milliseconds());
    both.ok().and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn work_takes_time() {
        let before = super::cpu_ms();
        let mut sum = 0u64;
        // It is bound to end: the clock that is watched is the processor's own.
        while super::cpu_ms() < before + 20 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(sum > 0);
    }
}
