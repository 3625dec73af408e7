//! Another program in place of this one, with the same process id (SIGUSR2): for whoever watches over the process nothing ends.
//!
//! ```text
//!   SIGUSR2 --> `PROGRAM check -c FILE` --exit 0--> fork
//!                      |                              |-- parent: executes PROGRAM, which takes the listeners over
//!                      `--else: refused               `-- child: finishes the connections there are, then ends
//! ```
//!
//! What fails leaves everything as it was. The child has the data plane alone: no probes, no names, no signals. The new program
//! goes on with what is known of servers and users (`handover`); statistics begin anew.

use super::handover;
use super::inheritance::{NOTIFY, PROGRAM, ROOT, STATE, UPGRADES, WATCHDOG};
use super::lines::Lines;
use super::notify;
use super::service::Service;
use crate::limits::UPGRADE_CHECK_MS;
use crate::proxy::Proxy;
use crate::runtime::exec::{Program, Replaced};
use crate::runtime::{NEVER, Seat, Watchdog, alone, outside};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::cell::{Cell, RefCell};
use std::env;
use std::ffi::OsStr;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::task::{Poll, Waker};

/// What [`Loop::run`] returns when the program is to be replaced.
pub(super) const REPLACE: i32 = -1;

/// The program and its configuration, and how far an upgrade is.
pub struct Upgrade {
    program: PathBuf,
    file: PathBuf,
    upgrades: u64,
    state: RefCell<State>,
    /// Who waits for what becomes of it, and what did.
    asker: RefCell<Option<Waker>>,
    outcome: RefCell<Option<Result<String, String>>>,
    /// The seat of the task that watches over the check.
    guard: Cell<u16>,
}

enum State {
    Idle,
    /// The program is asked what it thinks of the configuration.
    Checking(Pid, PathBuf),
    /// It is about to be executed.
    Checked(PathBuf),
}

impl Upgrade {
    /// Of this program, which has been others so many times. Only before it goes into a chroot: then both paths are known.
    ///
    /// # Errors
    /// The system does not tell what program this is.
    pub(super) fn new(file: &Path, upgrades: u64) -> io::Result<Self> {
        let program = match env::var_os(PROGRAM).filter(|_| upgrades > 0) {
            Some(program) => program.into(),
            None => env::current_exe()?,
        };
        Ok(Self {
            program,
            file: std::path::absolute(file)?,
            upgrades,
            state: RefCell::new(State::Idle),
            guard: Cell::default(),
            asker: RefCell::default(),
            outcome: RefCell::default(),
        })
    }

    /// Begins an upgrade to the program at `path`, which is this one's unless given.
    ///
    /// # Errors
    /// Why not, for a message.
    pub fn begin(&'static self, proxy: &'static Proxy, path: Option<&Path>) -> Result<(), String> {
        let path = path.unwrap_or(&self.program);
        if proxy.is_stopping() {
            return Err("it is stopping".to_owned());
        }
        if !matches!(*self.state.borrow(), State::Idle) {
            return Err("another one is under way".to_owned());
        }
        if !path.is_absolute() {
            return Err(format!("{}: expected a path that starts with /", path.display()));
        }
        let seat = Seat::take(proxy.reactor).ok_or_else(|| "all tasks are taken".to_owned())?;
        let words = ["check", "-c"].map(OsStr::new);
        let arguments = [path.as_os_str(), words[0], words[1], self.file.as_os_str()];
        let root = root();
        let checked = Program::new(path, &arguments, &[], root.as_slice()).and_then(Program::run_beside);
        let pid = checked.map_err(|error| format!("{}: {error}", path.display()))?;
        *self.state.borrow_mut() = State::Checking(pid, path.to_owned());
        self.guard.set(seat.index());
        proxy.event_loop().executor.spawn(self.guard(proxy, seat, pid)).detach();
        log::info!("upgrade: {} checks {} first", path.display(), self.file.display());
        Ok(())
    }

    /// What becomes of the upgrade that was just begun: that the program is about to take over, or why not.
    ///
    /// # Errors
    /// Why not, as in the log.
    pub(super) async fn outcome(&self) -> Result<String, String> {
        poll_fn(|cx| match self.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                self.asker.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        })
        .await
    }

    /// Tells whoever waits for it.
    fn tell(&self, outcome: Result<String, String>) {
        if let Some(asker) = self.asker.take() {
            self.outcome.replace(Some(outcome));
            asker.wake();
        }
    }

    /// Ends a check that takes too long. When it went well, lets the program be replaced: when the others have had their turn, and
    /// whoever asked has the answer.
    async fn guard(&'static self, proxy: &'static Proxy, seat: Seat, checking: Pid) {
        let deadline_ms = proxy.reactor.now_ms() + UPGRADE_CHECK_MS;
        let is_it = || matches!(*self.state.borrow(), State::Checking(pid, _) if pid == checking);
        if seat.until(deadline_ms, || (!is_it()).then_some(())).await.is_err() && is_it() {
            // It is a child that nobody has waited for: the id is nobody else's.
            let _ = kill(checking, Signal::SIGKILL);
            let _ = seat.until(NEVER, || (!is_it()).then_some(())).await;
        }
        if matches!(*self.state.borrow(), State::Checked(_)) {
            seat.next_turn().await;
            seat.next_turn().await;
            // Who was told to stop meanwhile stops: the next program would not know of it.
            if proxy.is_stopping() {
                return log::error!("upgrade: failed: it is stopping");
            }
            proxy.event_loop().end(REPLACE);
        }
    }

    /// Takes children that have ended off the process table, and does what follows.
    pub(super) fn reap(&self, proxy: &'static Proxy) {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
                Ok(status) => self.ended(proxy, status),
                Err(_) => {}
            }
        }
    }

    fn ended(&self, proxy: &'static Proxy, status: WaitStatus) {
        let Some(pid) = status.pid() else { return };
        let mut state = self.state.borrow_mut();
        let path = match &*state {
            State::Checking(checking, path) if *checking == pid => path.clone(),
            State::Idle | State::Checking(..) | State::Checked(_) => {
                return log::info!("upgrade: the connections of before are over (process {pid})");
            }
        };
        *state = State::Idle;
        proxy.reactor.wake(self.guard.get());
        let refused = match status {
            WaitStatus::Exited(_, 0) if proxy.is_stopping() => "it is stopping".to_owned(),
            WaitStatus::Exited(_, 0) => {
                self.tell(Ok(format!("{} takes the place of this one", path.display())));
                *state = State::Checked(path);
                return;
            }
            WaitStatus::Exited(_, code) => {
                let (path, file) = (path.display(), self.file.display());
                format!("`{path} check -c {file}` ends with exit code {code}: this one goes on")
            }
            WaitStatus::Signaled(_, signal, _) => {
                format!("`{} check` was ended by {signal}: this one goes on", path.display())
            }
            _ => return,
        };
        log::error!("upgrade: refused: {refused}");
        self.tell(Err(refused));
    }

    /// Executes the program that was checked, between two turns of the loop. Returns in the child, or when it failed.
    pub(super) fn carry_out(&self, service: &Service, watchdog: Option<&Watchdog>) -> Replaced {
        let State::Checked(path) = self.state.replace(State::Idle) else {
            return Replaced::Failed(io::Error::other("no program was checked"));
        };
        if service.proxy.is_stopping() {
            return Replaced::Failed(io::Error::other("it is stopping"));
        }
        notify::reloading("another program takes the place of this one");
        let proxy = service.proxy;
        // The child writes it.
        proxy.tell_what_is_left_out();
        let config = proxy.config();
        let sockets = config.listeners().filter_map(|(id, listener)| Some((listener, proxy.socket(id)?)));
        // They stay open: the proxy has them as well.
        let numbers = sockets.map(|(listener, socket)| (listener.name.clone(), socket.descriptor().as_raw_fd()));
        let mut descriptors: Vec<(String, RawFd)> = numbers.collect();
        descriptors.extend(service.controls.borrow().iter().map(|&(name, socket)| (name.to_owned(), socket)));
        descriptors.extend(root());
        descriptors.extend(watchdog.map(|device| (WATCHDOG.to_owned(), device.as_fd().as_raw_fd())));
        descriptors.extend(notify::socket().map(|socket| (NOTIFY.to_owned(), socket.as_raw_fd())));
        let state = handover::save(proxy);
        let state = state.inspect_err(|error| log::warn!("upgrade: servers and users start anew: {error}"));
        descriptors.extend(state.iter().map(|file| (STATE.to_owned(), file.as_raw_fd())));
        let variables = [(PROGRAM, path.display().to_string()), (UPGRADES, (self.upgrades + 1).to_string())];
        let arguments = [path.as_os_str(), OsStr::new("run"), OsStr::new("-c"), self.file.as_os_str()];
        match Program::new(&path, &arguments, &variables, &descriptors) {
            Ok(program) => program.replace(),
            Err(error) => Replaced::Failed(error),
        }
    }
}

fn root() -> Option<(String, RawFd)> {
    outside::root().map(|root| (ROOT.to_owned(), root.as_raw_fd()))
}

/// In the child: finishes the connections there are, and ends.
pub(super) fn finish(service: &Service, lines: &[Lines], watchdog: Option<&Watchdog>, nowhere: &OwnedFd) -> ! {
    let proxy = service.proxy;
    let reactor = proxy.reactor;
    let drain_ms = proxy.config().drain_timeout_ms;
    let given_up: Vec<RawFd> = watchdog.map(|device| device.as_fd().as_raw_fd()).into_iter().collect();
    let seconds = u32::try_from(drain_ms / 1_000).unwrap_or(u32::MAX).saturating_add(10);
    let kept: Vec<RawFd> = lines.iter().map(Lines::descriptor).collect();
    alone::stand_alone(reactor, &kept, &given_up, proxy.keeper(), nowhere, seconds);
    let deadline_ms = reactor.now_ms() + drain_ms;
    let seat = Seat::take_for_loop(reactor);
    // So that the loop wakes.
    seat.as_ref().inspect(|seat| seat.arm(deadline_ms));
    proxy.retire();
    let flush = || lines.iter().for_each(|lines| lines.flush(reactor));
    let is_over = || proxy.connections() == 0 || reactor.now_ms() >= deadline_ms;
    let ended = proxy.serve_alone(&flush, &is_over);
    if let Err(error) = ended {
        log::error!("upgrade: the connections of before: epoll: {error}");
    } else if proxy.connections() > 0 {
        log::warn!("drain-timeout: {} connections of before the upgrade end", proxy.connections());
    }
    proxy.tell_what_is_left_out();
    flush();
    alone::end()
}
