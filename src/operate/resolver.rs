//! The resolver: looks names up, again and again, and gives backends the addresses it finds.
//!
//! A few tasks share the names; each looks up its own, one after the other, when they are due. What is in /etc/hosts is
//! not asked for. A failure changes nothing: it is told, and so is its end.

use super::nameserver::{Failure, Found, Late, look_up, reaches};
use crate::config::{Backend, Config};
use crate::dns::{Change, Slot, Standing, choose, fill, hosts, nameservers, of_one_family};
use crate::limits::{BackendId, LOOKUPS, NAME_FILE_BYTES};
use crate::proxy::{Arrival, Proxy};
use crate::runtime::outside;
use async_io::Timer;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

const HOSTS: &str = "/etc/hosts";
const RESOLV_CONF: &str = "/etc/resolv.conf";

/// A name, and the backends that it says the addresses of.
struct Name {
    host: String,
    targets: Vec<Target>,
    standing: Standing,
    due_ms: u64,
}

enum Target {
    One(BackendId),
    Slots {
        /// Those behind it have the next ids.
        first: usize,
        slots: Box<[Slot]>,
        /// That there are more addresses than slots was said.
        full: bool,
    },
}

/// What came of a lookup: addresses, for how many seconds, who knows them.
type Known = (Vec<IpAddr>, u32, &'static str);

/// Where backends are whose addresses are in the file; `None` where a name has to be looked up, and of a UNIX socket.
pub(super) fn literal(backend: &Backend) -> Option<SocketAddr> {
    backend.host.parse().ok().map(|address| SocketAddr::new(address, backend.port))
}

/// Starts to look up what names there are.
pub(super) fn start(proxy: &'static Proxy) {
    let names = names(&proxy.config());
    proxy.expect_names(names.len());
    let late: Rc<Late> = Rc::default();
    let mut shares: [Vec<Name>; LOOKUPS] = Default::default();
    for (at, name) in names.into_iter().enumerate() {
        shares[at % LOOKUPS].push(name);
    }
    for names in shares.into_iter().filter(|names| !names.is_empty()) {
        proxy.event_loop().executor.spawn(work(proxy, names, Rc::clone(&late))).detach();
    }
}

/// The names of all backends, each once.
fn names(config: &Config) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    let mut index = 0;
    while let Some(backend) = config.backends.get(index) {
        let count = backend.slots.as_ref().map_or(1, |slots| slots.count);
        if backend.path.is_none() && literal(backend).is_none() {
            let target = match (&backend.slots, BackendId::new(index)) {
                (None, Some(id)) => Target::One(id),
                _ => Target::Slots { first: index, slots: vec![Slot::Free; count].into(), full: false },
            };
            let host = backend.host.as_str();
            match names.iter_mut().find(|name| name.host.eq_ignore_ascii_case(host)) {
                Some(name) => name.targets.push(target),
                None => names.push(Name {
                    host: host.to_owned(),
                    targets: vec![target],
                    standing: Standing::default(),
                    due_ms: 0,
                }),
            }
        }
        index += count;
    }
    names
}

/// Looks up its names for as long as the process lives.
async fn work(proxy: &'static Proxy, mut names: Vec<Name>, late: Rc<Late>) {
    for name in &mut names {
        round(proxy, name, Arrival::Start, &late).await;
        proxy.name_looked_up();
    }
    while let Some(next) = names.iter_mut().min_by_key(|name| name.due_ms) {
        let wait_ms = next.due_ms.saturating_sub(proxy.reactor.now_ms());
        Timer::after(Duration::from_millis(wait_ms)).await;
        round(proxy, next, Arrival::Change, &late).await;
    }
}

/// Looks a name up once, and does what follows.
async fn round(proxy: &'static Proxy, name: &mut Name, arrival: Arrival, late: &Late) {
    let hold_ms = proxy.config().names.hold_ms;
    let was_failing = name.standing.is_failing();
    let rest_ms = match name.find(proxy, late).await {
        Ok((addresses, ttl_s, by)) => {
            if was_failing {
                log::warn!("{} resolves again.", name.host);
            }
            name.give(proxy, &addresses, arrival, by);
            name.standing.answered(ttl_s, hold_ms)
        }
        Err(why) => {
            if !was_failing {
                let placed = name.now(proxy).is_some();
                let then =
                    if placed { "its last addresses are kept" } else { "its servers stay DOWN until it resolves" };
                log::warn!("{} does not resolve: {why}: {then}.", name.host);
            }
            name.standing.failed(hold_ms)
        }
    };
    name.due_ms = proxy.reactor.now_ms() + rest_ms;
}

impl Name {
    /// An address that one of its backends has.
    fn now(&self, proxy: &Proxy) -> Option<IpAddr> {
        self.targets.iter().find_map(|target| match target {
            Target::One(id) => proxy.ip(*id),
            Target::Slots { first, slots, .. } => {
                (*first..first + slots.len()).filter_map(BackendId::new).find_map(|id| proxy.ip(id))
            }
        })
    }

    async fn find(&self, proxy: &Proxy, late: &Late) -> Result<Known, Failure> {
        let addresses = hosts(&read(HOSTS), &self.host);
        if !addresses.is_empty() {
            return Ok((addresses, u32::MAX, HOSTS));
        }
        let config = proxy.config();
        let system = match &config.names.nameservers {
            Some(_) => heapless::Vec::new(),
            None => nameservers(&read(RESOLV_CONF)),
        };
        let servers = config.names.nameservers.as_deref().unwrap_or(&system);
        let Found { v4, v6, ttl_s } = look_up(&self.host, servers, late).await?;
        // Not known is not none: a server that lost half of its answer moves nobody to the other half.
        let lost = self.now(proxy).map(|now| if now.is_ipv4() { v4.is_none() } else { v6.is_none() });
        if lost == Some(true) {
            return Err(Failure::Silent);
        }
        let (v4, v6) = (v4.unwrap_or_default(), v6.unwrap_or_default());
        Ok((of_one_family(config.names.prefer, v4, v6, reaches), ttl_s, "DNS"))
    }

    /// Gives its backends these addresses.
    fn give(&mut self, proxy: &Proxy, addresses: &[IpAddr], arrival: Arrival, by: &str) {
        let port = |id: BackendId| proxy.config().backends[id.index()].port;
        for target in &mut self.targets {
            match target {
                Target::One(id) => {
                    let address = choose(proxy.ip(*id), addresses).map(|address| SocketAddr::new(address, port(*id)));
                    proxy.set_address(*id, address, arrival, by);
                }
                Target::Slots { first, slots, full } => {
                    let first = *first;
                    let serving = |id| proxy.balancer.borrow().status(id).serving;
                    let change = |at, change| {
                        let Some(id) = BackendId::new(first + at) else { return };
                        let (address, arrival) = match (change, arrival) {
                            (Change::Join(address), Arrival::Start) => (Some(address), Arrival::Start),
                            (Change::Join(address), _) => (Some(address), Arrival::Join),
                            (Change::Back(address), _) => (Some(address), Arrival::Change),
                            (Change::Leave, _) => (None, Arrival::Change),
                        };
                        let old = serving(id);
                        if old > 0 && matches!(change, Change::Join(_)) {
                            log::warn!(
                                "{} takes another IP; requests under way at its last one: {old}.",
                                proxy.name(id)
                            );
                        }
                        let address = address.map(|address| SocketAddr::new(address, port(id)));
                        proxy.set_address(id, address, arrival, by);
                    };
                    let busy = |at| BackendId::new(first + at).is_some_and(|id| serving(id) > 0);
                    let beyond = fill(slots, addresses, change, busy);
                    if beyond > 0 && !*full {
                        let (count, host) = (slots.len(), &self.host);
                        log::warn!("{host} has more addresses than the {count} slots take: {beyond} get no requests.");
                    }
                    *full = beyond > 0;
                }
            }
        }
    }
}

/// What a file of the system's says, as far as it is read; nothing where there is none.
fn read(path: &str) -> String {
    let mut bytes = Vec::new();
    // What could be read before an error counts.
    let _ = outside::open(Path::new(path)).and_then(|file| file.take(NAME_FILE_BYTES).read_to_end(&mut bytes));
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}
