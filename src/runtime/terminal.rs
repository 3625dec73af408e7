//! A terminal: its keys one by one, its size, and the same as before when it is given back.
//!
//! For commands that show something to a person; they have no loop. What ends a process is read here beside the keys, so that the
//! terminal is not left behind in a state of ours.

#![allow(unsafe_code, reason = "the size of a window is asked with an ioctl")]

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, BorrowedFd};

/// What many serial lines do not tell.
const COLUMNS: usize = 80;
const LINES: usize = 24;

/// Signals that end a process, and that of a window with another size.
const SIGNALS: [Signal; 4] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGWINCH];

/// Ctrl-C, which is an ordinary key here.
pub const CTRL_C: u8 = 3;

/// What happened at a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A key.
    Key(u8),
    /// The window has another size.
    Resized,
    /// The process is to end, or the terminal is gone.
    Ended,
    /// What was waited for beside the terminal can be read.
    Ready,
    /// Nothing, for so long.
    Nothing,
}

/// The terminal of this process, which gives keys one by one until the value is dropped.
pub struct Terminal {
    before: Termios,
    signals: SignalFd,
}

impl Terminal {
    /// The one at standard input and output; nothing where one of them is none.
    ///
    /// # Errors
    /// The system's.
    pub fn open() -> io::Result<Option<Self>> {
        if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(io::stdin())?;
        let mut mask = SigSet::empty();
        SIGNALS.into_iter().for_each(|signal| mask.add(signal));
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        let mut keys = before.clone();
        keys.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
        keys.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        keys.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(io::stdin(), SetArg::TCSADRAIN, &keys)?;
        Ok(Some(Self { before, signals }))
    }

    /// Its columns and lines.
    #[must_use]
    pub fn size(&self) -> [usize; 2] {
        let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the call writes one `winsize`, which outlives it.
        let told = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
        let told = told == 0 && size.ws_col > 0 && size.ws_row > 0;
        if told { [size.ws_col.into(), size.ws_row.into()] } else { [COLUMNS, LINES] }
    }

    /// Waits until something happens, there or `beside` it, `wait_ms` at most. Of several keys that are there it is the one
    /// that `ends`, if any of them does.
    #[must_use]
    pub fn wait(&self, beside: Option<BorrowedFd<'_>>, wait_ms: u16, ends: fn(u8) -> bool) -> Happened {
        let stdin = io::stdin();
        let all = [stdin.as_fd(), self.signals.as_fd(), beside.unwrap_or(stdin.as_fd())];
        let mut polled = all.map(|it| PollFd::new(it, PollFlags::POLLIN));
        match poll(&mut polled, PollTimeout::from(wait_ms)) {
            Ok(0) => return Happened::Nothing,
            Ok(_) => {}
            Err(_) => return Happened::Ended,
        }
        if let Ok(Some(signal)) = self.signals.read_signal() {
            let resized = signal.ssi_signo == Signal::SIGWINCH as u32;
            return if resized { Happened::Resized } else { Happened::Ended };
        }
        if polled[0].any() == Some(false) {
            return Happened::Ready;
        }
        let mut keys = [0; 64];
        match nix::unistd::read(stdin.as_fd(), &mut keys) {
            Ok(count @ 1..) => Happened::Key(keys[..count].iter().copied().find(|&key| ends(key)).unwrap_or(keys[0])),
            Ok(_) | Err(_) => Happened::Ended,
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &self.before);
    }
}
