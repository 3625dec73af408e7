//! A pipe in a watchdog device's place.

use super::DEADLINE;
use super::process::temporary;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// The end that reads; the file goes with its value.
pub struct Device {
    path: PathBuf,
    reader: File,
}

impl Device {
    pub fn new() -> Self {
        let path = temporary("watchdog");
        mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        // Whoever writes finds a reader.
        let reader = open(&path, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
        Self { path, reader: reader.into() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The line of the configuration.
    pub fn key(&self) -> String {
        format!("watchdog = {}\n", self.path.display())
    }

    /// Stops to read; the file stays.
    pub fn leave(mut self) {
        self.path = PathBuf::new();
    }

    /// What was written, as soon as something is; nothing when it is closed.
    #[track_caller]
    fn next(&self) -> Vec<u8> {
        let deadline = PollTimeout::try_from(DEADLINE).unwrap();
        let ready = poll(&mut [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)], deadline).unwrap();
        assert!(ready > 0, "not fed within {DEADLINE:?}");
        let mut bytes = [0; 256];
        let count = (&self.reader).read(&mut bytes).unwrap();
        bytes[..count].to_vec()
    }

    /// Waits until it was fed so often, and nothing but fed.
    #[track_caller]
    pub fn feeds(&self, count: usize) {
        let mut fed = 0;
        while fed < count {
            let bytes = self.next();
            assert!(!bytes.is_empty() && bytes.iter().all(|&byte| byte == 0), "fed, not {bytes:?}");
            fed += bytes.len();
        }
    }

    /// Waits until it is closed; all that was written until then.
    #[track_caller]
    fn rest(&self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.next() {
                bytes if bytes.is_empty() => return all,
                bytes => all.extend(bytes),
            }
        }
    }

    /// Waits until it is closed, behind the letter that says it is on purpose.
    #[track_caller]
    pub fn ends_on_purpose(&self) {
        let rest = self.rest();
        assert_eq!(rest.last(), Some(&b'V'));
        assert_eq!(rest.iter().filter(|&&byte| byte != 0).count(), 1, "{rest:?}");
    }

    /// Waits until it is closed, without that letter.
    #[track_caller]
    pub fn ends_without_a_word(&self) {
        let rest = self.rest();
        assert!(rest.iter().all(|&byte| byte == 0), "{rest:?}");
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
