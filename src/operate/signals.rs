//! Signals: the first one that stops lets the exchanges finish, the second does not; SIGHUP reloads.

use super::notify;
use super::service::Service;
use crate::proxy::Proxy;
use crate::runtime::{Loop, Seat};
use async_io::Async;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::io;

const STOPPING: [Signal; 3] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1];
const OTHERS: [Signal; 3] = [RELOAD, Signal::SIGUSR2, Signal::SIGCHLD];
const RELOAD: Signal = Signal::SIGHUP;

/// Blocks the signals that [`watch`] reads. Must come before any other thread exists, so that it inherits the mask.
///
/// # Errors
/// The system's.
pub(super) fn block() -> io::Result<SignalFd> {
    let mut mask = SigSet::empty();
    STOPPING.into_iter().chain(OTHERS).for_each(|signal| mask.add(signal));
    mask.thread_block()?;
    Ok(SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?)
}

/// Reads signals until one ends the process's loop.
pub(super) async fn watch(signals: SignalFd, service: &'static Service) {
    let (proxy, upgrade) = (service.proxy, service.upgrade);
    let event_loop = proxy.event_loop();
    let signals = match Async::new_nonblocking(signals) {
        Ok(signals) => signals,
        Err(error) => return log::error!("signals: {error}"),
    };
    // One that ended before there was anybody to look.
    upgrade.inspect(|upgrade| upgrade.reap(proxy));
    loop {
        let read = signals.read_with(|signals| signals.read_signal()?.ok_or(io::ErrorKind::WouldBlock.into())).await;
        let Ok(info) = read else { return log::error!("signals: cannot be read") };
        match i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()) {
            Some(signal) if STOPPING.contains(&signal) && proxy.is_stopping() => {
                log::warn!("{signal} again: ending with {} connections open", proxy.connections());
                return end(event_loop, proxy);
            }
            Some(signal) if STOPPING.contains(&signal) => {
                log::info!("{signal}: finishing {} connections", proxy.connections());
                notify::stopping("finishing the connections there are");
                proxy.stop();
                event_loop.executor.spawn(drain(event_loop, proxy)).detach();
            }
            // Who is about to end has no use for it.
            Some(RELOAD) if proxy.is_stopping() => {}
            // Names may have to be looked up, and the next signal must not wait for that.
            Some(RELOAD) => event_loop.executor.spawn(service.reload_told()).detach(),
            Some(Signal::SIGCHLD) => drop(upgrade.inspect(|upgrade| upgrade.reap(proxy))),
            Some(signal) => {
                let begun = upgrade.map_or(Err("not in a demo".to_owned()), |upgrade| upgrade.begin(proxy, None));
                if let Err(why) = begun {
                    log::error!("{signal}: upgrade: refused: {why}");
                }
            }
            None => {}
        }
    }
}

/// Ends the loop when the last listener is closed and the last connection has ended, or `drain-timeout` has passed.
async fn drain(event_loop: &'static Loop, proxy: &'static Proxy) {
    let Some(seat) = Seat::take(proxy.reactor) else { return end(event_loop, proxy) };
    proxy.watch_connections(seat.index());
    let deadline_ms = proxy.reactor.now_ms() + proxy.config().drain_timeout_ms;
    // A listener's file is removed when it closes.
    let over = || proxy.is_over().then_some(());
    if seat.until(deadline_ms, over).await.is_err() {
        log::warn!("drain-timeout: ending with {} connections open", proxy.connections());
    }
    end(event_loop, proxy);
}

/// Ends the loop, and says what is still held: after a whole drain, nothing.
fn end(event_loop: &Loop, proxy: &Proxy) {
    log::info!("lag of the loop: {}", proxy.reactor.lags());
    proxy.tell_what_is_left_out();
    log::info!("ended: {} requests; in use: {}", proxy.requests_ever(), proxy.usage());
    event_loop.end(0);
}
