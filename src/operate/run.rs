//! `beelance run` and `beelance check`: from a file to a loop that serves.

use super::inheritance::{ADMIN, Inheritance, SOCKET};
use super::level::Level;
use super::lines::{self, Lines};
use super::logs::Logs;
use super::messages::Serving;
use super::service::Service;
use super::upgrade::{self, Upgrade};
use super::{admin, confine, handover, kernel, machine, notify, resolver, signals, socket, watchdog};
use crate::config::{self, Address, Config};
use crate::limits::{Machine, SPARE_SEATS, SPARE_SOURCES};
use crate::proxy::{self, Proxy};
use crate::runtime::exec::Replaced;
use crate::runtime::{Loop, Reactor, SocketFile, Watchdog};
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

/// Why a command ended early. Its number is the exit code.
#[derive(Debug)]
pub enum Failure {
    /// The configuration is wrong or unreadable: 1.
    Config(String),
    /// The system refused something: 3.
    System(String),
}

impl Failure {
    /// The exit code.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Config(_) => 1,
            Self::System(_) => 3,
        }
    }

    /// What to tell the user.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Config(text) | Self::System(text) => text,
        }
    }

    fn system(what: &str) -> impl Fn(io::Error) -> Self {
        move |error| Self::System(format!("beelance: {what}: {error}"))
    }
}

/// Reads the file at `path`, and says what is odd about it on standard error.
fn load(path: &Path, machine: &Machine) -> Result<Config, Failure> {
    let config = config::load(path, machine).map_err(|errors| Failure::Config(errors.to_string()))?;
    for warning in &config.warnings {
        tell(&format!("warning: {warning}"));
    }
    Ok(config)
}

/// `beelance check`: prints the effective configuration and the memory budget.
///
/// # Errors
/// [`Failure::Config`].
pub fn check(path: &Path) -> Result<(), Failure> {
    // Of a program in a chroot that asks this one.
    drop(Inheritance::take());
    let config = load(path, &machine::read())?;
    print(format!("{}\n{}\n", config::effective(&config), config.limits.budget).as_bytes())
}

/// Prints `text` on standard output.
///
/// # Errors
/// [`Failure::System`] when it does not take it. A reader that has seen enough, and closes the pipe, is no failure.
pub fn print(text: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::system("standard output")(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a line to standard error; where that takes none, there is nobody to tell.
pub fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// `beelance run`: serves until a signal ends it; the exit code.
///
/// # Errors
/// [`Failure`] before it serves.
pub fn run(path: &Path) -> Result<u8, Failure> {
    let (inheritance, machine) = (Inheritance::take(), machine::read());
    let config = load(path, &machine)?;
    for line in kernel::warnings(&config).iter().filter(|_| !inheritance.is_upgrade()) {
        tell(&format!("beelance: {line}"));
    }
    start(config, Some(path), machine, inheritance, |_| ())?.serve()
}

/// A balancer that listens, and is about to serve.
pub struct Running {
    proxy: &'static Proxy,
    lines: &'static [Lines],
    serving: Serving,
    watchdog: Option<&'static Watchdog>,
    upgrade: Option<&'static Upgrade>,
    service: &'static Service,
    /// Of the control plane's sockets: removed at the end.
    _files: Vec<SocketFile>,
}

impl Running {
    /// Serves until a signal ends it; the exit code.
    ///
    /// # Errors
    /// [`Failure::System`] when the loop fails.
    pub fn serve(self) -> Result<u8, Failure> {
        self.serving.begin();
        notify::ready("serving");
        loop {
            let after_turn = || self.lines.iter().for_each(|lines| lines.flush(self.proxy.reactor));
            let code = self.proxy.serve(&after_turn).map_err(Failure::system("epoll"))?;
            let Some(upgrade) = self.upgrade.filter(|_| code == upgrade::REPLACE) else {
                watchdog::end(self.watchdog);
                return Ok(u8::try_from(code).unwrap_or(0));
            };
            match upgrade.carry_out(self.service, self.watchdog) {
                Replaced::Child(nowhere) => upgrade::finish(self.service, self.lines, self.watchdog, &nowhere),
                Replaced::Failed(error) => log::error!("upgrade: failed: {error}: this one goes on"),
            }
            if !self.proxy.is_stopping() {
                notify::ready("serving");
            }
        }
    }
}

/// Starts a balancer: everything up to the loop. It was planned for `machine`; `file`: where its configuration can be read
/// again; `inheritance`: what listens already. `also` may add tasks of its own.
///
/// # Errors
/// [`Failure::System`]: a port in use, no permission.
pub fn start(
    config: Config,
    file: Option<&Path>,
    machine: Machine,
    mut inheritance: Inheritance,
    also: impl FnOnce(&'static Proxy),
) -> Result<Running, Failure> {
    let config = Rc::new(config);
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.unwrap_or_else(|| "localhost".into());
    let (logs, serving) = Logs::open(&config, &host).map_err(Failure::system("log"))?;
    if let Err(error) = machine::raise_descriptors() {
        log::warn!("the limit of file descriptors stays as it is: {error}");
    }
    // Where there are none it cannot be refused.
    let _ = machine::refuse_huge_pages();
    let signals = signals::block().map_err(Failure::system("signals"))?;
    let addresses: Vec<_> = config.backends.iter().map(resolver::literal).collect();
    let budget = &config.limits.budget;
    let reactor = Reactor::new(budget.sockets() + SPARE_SOURCES, budget.connections + SPARE_SEATS);
    let reactor: &'static Reactor = Box::leak(Box::new(reactor.map_err(Failure::system("epoll"))?));
    let event_loop: &'static Loop = Box::leak(Box::new(Loop::new(reactor)));
    let proxy: &'static Proxy = Box::leak(Box::new(Proxy::new(Rc::clone(&config), event_loop, &addresses)));
    let lines = logs.lines;
    let upgrade = file.map(|file| Upgrade::new(file, inheritance.upgrades)).transpose();
    let upgrade = upgrade.unwrap_or_else(|error| {
        log::warn!("upgrades in place are not possible: {error}");
        None
    });
    let upgrade = upgrade.map(|upgrade| &*Box::leak(Box::new(upgrade)));
    let service: &'static Service =
        Box::leak(Box::new(Service::new(proxy, file.map(Path::to_owned), machine, logs, upgrade)));

    notify::connect(inheritance.notify.take());
    let watchdog = watchdog::open(&config, inheritance.watchdog.take());
    let state = inheritance.state.take();
    service.inheritance.replace(inheritance);
    let sockets = service.sockets(&config, false);
    let refused = |why| Failure::System(format!("beelance: {why}"));
    let sockets = sockets.map_err(refused).inspect_err(|_| watchdog::end(watchdog))?;
    let mut files = Vec::new();
    let mut control = |name, address: &Address, mode| {
        let bound = service.control(name, address, mode, &mut files);
        bound.map_err(refused).inspect_err(|_| watchdog::end(watchdog))
    };
    let bound_socket = match &config.socket {
        Some(settings) => {
            let bound = control(SOCKET, &Address::Unix(settings.path.clone()), settings.mode)?;
            Some((bound, Level::at(settings.level)))
        }
        None => None,
    };
    let bound_admin = match &config.admin {
        Some(settings) => Some(control(ADMIN, &settings.address, settings.perm)?),
        None => None,
    };
    service.inheritance.take().close();
    // From here on there may be more threads: they inherit what is left.
    confine::give_up(&config.identity, file).inspect_err(|_| watchdog::end(watchdog))?;
    let mut stdout = io::stdout().lock();
    for ((_, listener), (_, socket)) in config.listeners().zip(&sockets) {
        let _ = writeln!(stdout, "listening on {} ({})", socket.endpoint(), listener.name);
    }
    if let Some(bound) = bound_admin {
        let _ = writeln!(stdout, "listening on {} (admin.listen)", bound.endpoint());
        admin::start(proxy, lines, bound, host);
    }
    let _ = stdout.flush();
    if let Some(state) = state {
        handover::go_on(proxy, state);
    }
    service.start(sockets);
    if let Some((bound, level)) = bound_socket {
        socket::start(service, bound, level);
    }
    event_loop.executor.spawn(proxy::purge_idle(proxy)).detach();
    event_loop.executor.spawn(proxy::begin_trials(proxy)).detach();
    event_loop.executor.spawn(proxy::warm_up(proxy)).detach();
    event_loop.executor.spawn(signals::watch(signals, service)).detach();
    for lines in lines {
        event_loop.executor.spawn(lines::keep(lines, reactor)).detach();
    }
    watchdog::start(event_loop, watchdog);
    also(proxy);
    Ok(Running { proxy, lines, serving, watchdog, upgrade, service, _files: files })
}

/// What may help where it is refused to listen on `address`.
pub(super) fn hint(address: &Address, why: io::ErrorKind) -> &'static str {
    match (address, why) {
        (Address::Inet(_), io::ErrorKind::AddrInUse) => ": another process listens there; stop it, or change the port",
        (Address::Inet(_), io::ErrorKind::PermissionDenied) => ": a port below 1024 needs root or CAP_NET_BIND_SERVICE",
        (Address::Inet(_), io::ErrorKind::AddrNotAvailable) => ": the address is not one of this machine's",
        (Address::Unix(_), io::ErrorKind::AddrInUse) => ": another process listens there; stop it, or change the path",
        (Address::Unix(_), io::ErrorKind::AlreadyExists) => {
            ": what is there is no socket; remove it, or change the path"
        }
        (Address::Unix(_), io::ErrorKind::NotFound) => ": the folder does not exist; make it",
        (Address::Unix(_), io::ErrorKind::PermissionDenied) => ": the folder must be writable to make a file there",
        _ => "",
    }
}
