//! Telling those who watch over the process that its loop turns: a device, and systemd.
//!
//! Nobody but a task of the loop tells them, so a loop that hangs goes untold, whatever else still runs. They are told at the end
//! of an interval that is theirs, and cost no other wake-up.

use super::notify;
use crate::config::Config;
use crate::runtime::{Loop, Reactor, Seat, Watchdog};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// The device of `watchdog`, or the one that was handed over; `None` without that key, or where it is not to be had.
pub(super) fn open(config: &Config, inherited: Option<OwnedFd>) -> Option<&'static Watchdog> {
    let Some(path) = &config.watchdog else {
        // The program before had one, and this one is not to feed it.
        end(inherited.map(Watchdog::from).as_ref());
        return None;
    };
    let opened = inherited.map_or_else(|| Watchdog::open(Path::new(path)), |device| Ok(device.into()));
    let device =
        opened.inspect_err(|error| log::warn!("watchdog: {path}: {error}{}: going on without", hint(error))).ok()?;
    match device.timeout_s() {
        Some(seconds) => log::info!("watchdog: {path} is fed, and resets the board {seconds} s after the last time"),
        None => log::info!("watchdog: {path} is fed, and does not tell its time-out"),
    }
    Some(Box::leak(Box::new(device)))
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ResourceBusy => ": another process feeds it, such as BusyBox' watchdog",
        io::ErrorKind::NotFound => ": the kernel has no driver for it, or the name is another",
        io::ErrorKind::PermissionDenied => ": only root may open it",
        _ => "",
    }
}

/// Starts to feed `device`, and to tell systemd if it asks for that.
pub(super) fn start(event_loop: &'static Loop, device: Option<&'static Watchdog>) {
    let reactor = event_loop.reactor;
    if let Some(device) = device {
        let mut failing = false;
        let feed = move || match device.feed() {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                log::error!("watchdog: it cannot be fed: {error}");
            }
            Err(_) => {}
        };
        event_loop.executor.spawn(each(reactor, device.interval_ms(), feed)).detach();
    }
    if let Some(interval_ms) = notify::interval_ms() {
        event_loop.executor.spawn(each(reactor, interval_ms, || notify::say("WATCHDOG=1"))).detach();
    }
}

/// The process ends as it should: the board is not to be reset.
pub(super) fn end(device: Option<&Watchdog>) {
    if let Some(Err(error)) = device.map(Watchdog::end) {
        log::error!("watchdog: it cannot be ended: {error}");
    }
}

/// Calls `tell` now, and whenever `interval_ms` is over.
async fn each(reactor: &'static Reactor, interval_ms: u64, mut tell: impl FnMut()) {
    let Some(seat) = Seat::take(reactor) else { return log::error!("watchdog: no seat") };
    loop {
        tell();
        let _ = seat.until(reactor.now_ms() + interval_ms, || None::<()>).await;
    }
}
