//! What the kernel counts of a running beelance.

use super::process::Beelance;
use std::time::Duration;

/// Time a thread had a core, and time it waited for one.
#[derive(Clone, Copy, Debug)]
pub struct Scheduled {
    pub ran: Duration,
    pub waited: Duration,
}

impl Beelance {
    /// Resident bytes of the process (of the emulator with it, when there is one).
    pub fn resident(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The most there ever were.
    pub fn peak_resident(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    /// Resident bytes that are no part of a file.
    pub fn resident_of_its_own(&self) -> u64 {
        self.status_bytes("RssAnon:")
    }

    fn status_bytes(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Processor time so far, in ticks of 10 ms (of the emulator with it).
    pub fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name in parentheses may hold blanks; the eleventh and twelfth field behind it are user and system.
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
        fields.map(|field| field.parse::<u64>().unwrap()).sum()
    }

    /// How its first thread shared the machine so far; nothing where the kernel does not say.
    pub fn scheduled(&self) -> Scheduled {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", self.pid())).unwrap_or_default();
        let mut numbers = text.split_whitespace().map_while(|word| word.parse().ok()).map(Duration::from_nanos);
        Scheduled { ran: numbers.next().unwrap_or_default(), waited: numbers.next().unwrap_or_default() }
    }

    /// How often its threads went to sleep so far: each was woken as often.
    pub fn wakeups(&self) -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let of = |task: std::io::Result<std::fs::DirEntry>| -> Option<u64> {
            let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
            line.trim().parse().ok()
        };
        tasks.filter_map(of).sum()
    }

    /// File descriptors that are open.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }
}
