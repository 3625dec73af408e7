//! The resolver: looks names up, again and again, and gives backends the addresses it finds.
//!
//! A few tasks share the names; each looks up its own, one after the other, when they are due. What is in /etc/hosts is
//! not asked for. A failure changes nothing: it is told, and so is its end.

use super::nameserver::{Failure, Found, Late, look_up, reaches};
use super::probe::patience;
use crate::config::{Backend, Config};
use crate::dns::{Change, Slot, Standing, choose, fill, hosts, nameservers, of_one_family};
use crate::limits::{BackendId, FIRST_ANSWERS_MS, LOOKUPS, NAME_FILE_BYTES};
use crate::proxy::{About, Arrival, Proxy};
use crate::runtime::outside;
use async_io::Timer;
use futures_lite::future::or;
use smol::Task;
use std::cell::{Cell, RefCell};
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
    targets: RefCell<Vec<Target>>,
    standing: Cell<Standing>,
    due_ms: Cell<u64>,
    /// It was looked up.
    known: Cell<bool>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    One(BackendId),
    Slots {
        /// The backends.
        ids: Vec<BackendId>,
        slots: Vec<Slot>,
        /// That there are more addresses than slots was said.
        full: bool,
    },
}

impl Target {
    /// Whether it is about the same backends.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::One(one), Self::One(other)) => one == other,
            (Self::Slots { ids: one, .. }, Self::Slots { ids: other, .. }) => one == other,
            (Self::One(_) | Self::Slots { .. }, _) => false,
        }
    }
}

/// All names, and the tasks that look them up.
#[derive(Default)]
pub(super) struct Resolver {
    names: RefCell<Vec<Rc<Name>>>,
    tasks: RefCell<Vec<Task<()>>>,
    late: Rc<Late>,
}

/// What came of a lookup: addresses, for how many seconds, who knows them.
type Known = (Vec<IpAddr>, u32, &'static str);

/// Where backends are whose addresses are in the file; `None` where a name has to be looked up, and of a UNIX socket.
pub(super) fn literal(backend: &Backend) -> Option<SocketAddr> {
    backend.host.parse().ok().map(|address| SocketAddr::new(address, backend.port))
}

impl Resolver {
    /// Starts to look up what names there are.
    pub(super) fn start(&self, proxy: &'static Proxy) {
        let names: Vec<Rc<Name>> = names(&proxy.config()).into_iter().map(Rc::new).collect();
        proxy.expect_names(names.len());
        self.share_out(proxy, names, Arrival::Start);
    }

    /// Follows the configuration, which is another: names that are still wanted are as known as they were.
    pub(super) fn follow(&self, proxy: &'static Proxy) {
        let wanted = names(&proxy.config());
        let mut changed = wanted.len() != self.names.borrow().len();
        let names = wanted.into_iter().map(|name| {
            let there = self.names.borrow().iter().find(|there| there.host.eq_ignore_ascii_case(&name.host)).cloned();
            let Some(there) = there else {
                changed = true;
                return Rc::new(name);
            };
            let known = there.targets.take();
            let targets = name.targets.take().into_iter().map(|target| {
                let same = known.iter().find(|known| known.is_same(&target)).cloned();
                changed |= same.is_none();
                same.unwrap_or(target)
            });
            there.targets.replace(targets.collect());
            there
        });
        let names: Vec<Rc<Name>> = names.collect();
        if changed {
            names.iter().for_each(|name| name.due_ms.set(0));
            self.share_out(proxy, names, Arrival::Change);
        }
    }

    /// Where the servers are whose names a configuration has and the one of now has not, as far as that is found out soon: so
    /// nobody is refused because a name is new.
    pub(super) async fn find_out(&self, proxy: &Proxy, config: &Config) -> Vec<(String, IpAddr)> {
        let found = RefCell::new(Vec::new());
        let note = |host: &str, ip: Option<IpAddr>| found.borrow_mut().extend(ip.map(|ip| (host.to_owned(), ip)));
        let ask = async {
            for name in names(config) {
                let host = name.host.as_str();
                let there = self.names.borrow().iter().find(|there| there.host.eq_ignore_ascii_case(host)).cloned();
                match there.and_then(|there| there.now(proxy)) {
                    Some(ip) => note(host, Some(ip)),
                    // A failure is told when it is looked up the next time.
                    None => {
                        if let Ok((addresses, ..)) = name.find(proxy, &self.late).await {
                            note(host, choose(None, &addresses));
                        }
                    }
                }
            }
        };
        or(ask, patience(Duration::from_millis(FIRST_ANSWERS_MS))).await;
        found.into_inner()
    }

    /// Lets a few tasks look these names up; those that did so far end.
    fn share_out(&self, proxy: &'static Proxy, names: Vec<Rc<Name>>, arrival: Arrival) {
        let mut shares: [Vec<Rc<Name>>; LOOKUPS] = Default::default();
        for (at, name) in names.iter().enumerate() {
            shares[at % LOOKUPS].push(Rc::clone(name));
        }
        let shares = shares.into_iter().filter(|names| !names.is_empty());
        let executor = proxy.event_loop().executor;
        let tasks = shares.map(|names| executor.spawn(work(proxy, names, arrival, Rc::clone(&self.late))));
        self.tasks.replace(tasks.collect());
        self.names.replace(names);
    }
}

/// The names of all backends, each once.
fn names(config: &Config) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    let mut last: Option<&str> = None;
    for (id, backend) in config.backends() {
        let of = backend.slots.as_ref().map(|slots| slots.of.as_str());
        // The slots of one backend come one behind the other.
        let is_next = of.is_some() && of == last;
        last = of;
        if backend.path.is_some() || literal(backend).is_some() || is_next {
            continue;
        }
        let target = match of {
            None => Target::One(id),
            Some(of) => {
                let of_same = |it: &Backend| it.slots.as_ref().is_some_and(|slots| slots.of == of);
                let ids: Vec<BackendId> = config.backends().filter(|(_, it)| of_same(it)).map(|(id, _)| id).collect();
                Target::Slots { slots: vec![Slot::Free; ids.len()], ids, full: false }
            }
        };
        match names.iter().find(|name| name.host.eq_ignore_ascii_case(&backend.host)) {
            Some(name) => name.targets.borrow_mut().push(target),
            None => names.push(Name {
                host: backend.host.clone(),
                targets: RefCell::new(vec![target]),
                standing: Cell::default(),
                due_ms: Cell::default(),
                known: Cell::default(),
            }),
        }
    }
    names
}

/// Looks up its names for as long as it lives; those that nobody asked for yet first.
async fn work(proxy: &'static Proxy, names: Vec<Rc<Name>>, arrival: Arrival, late: Rc<Late>) {
    for name in names.iter().filter(|name| !name.known.get()) {
        round(proxy, name, arrival, &late).await;
        name.known.set(true);
        proxy.name_looked_up();
    }
    while let Some(next) = names.iter().min_by_key(|name| name.due_ms.get()) {
        let wait_ms = next.due_ms.get().saturating_sub(proxy.reactor.now_ms());
        Timer::after(Duration::from_millis(wait_ms)).await;
        round(proxy, next, Arrival::Change, &late).await;
    }
}

/// Looks a name up once, and does what follows.
async fn round(proxy: &'static Proxy, name: &Name, arrival: Arrival, late: &Late) {
    let hold_ms = proxy.config().names.hold_ms;
    let mut standing = name.standing.get();
    let was_failing = standing.is_failing();
    let rest_ms = match name.find(proxy, late).await {
        Ok((addresses, ttl_s, by)) => {
            if was_failing && proxy.may_tell(name.about()) {
                log::warn!("{} resolves again.", name.host);
            }
            name.give(proxy, &addresses, arrival, by);
            standing.answered(ttl_s, hold_ms)
        }
        Err(why) => {
            if !was_failing && proxy.may_tell(name.about()) {
                let placed = name.now(proxy).is_some();
                let then =
                    if placed { "its last addresses are kept" } else { "its servers stay DOWN until it resolves" };
                log::warn!("{} does not resolve: {why}: {then}.", name.host);
            }
            standing.failed(hold_ms)
        }
    };
    name.standing.set(standing);
    name.due_ms.set(proxy.reactor.now_ms() + rest_ms);
}

impl Name {
    /// An address that one of its backends has.
    fn now(&self, proxy: &Proxy) -> Option<IpAddr> {
        self.targets.borrow().iter().find_map(|target| match target {
            Target::One(id) => proxy.ip(*id),
            Target::Slots { ids, .. } => ids.iter().find_map(|&id| proxy.ip(id)),
        })
    }

    /// What messages about it are about.
    fn about(&self) -> About {
        About::address(match &self.targets.borrow()[0] {
            Target::One(id) => *id,
            Target::Slots { ids, .. } => ids[0],
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
    fn give(&self, proxy: &Proxy, addresses: &[IpAddr], arrival: Arrival, by: &str) {
        let port = |id: BackendId| proxy.config().backends[id.index()].port;
        for target in self.targets.borrow_mut().iter_mut() {
            match target {
                Target::One(id) => {
                    let address = choose(proxy.ip(*id), addresses).map(|address| SocketAddr::new(address, port(*id)));
                    proxy.set_address(*id, address, arrival, by);
                }
                Target::Slots { ids, slots, full } => {
                    let serving = |id| proxy.balancer.borrow().status(id).serving;
                    let change = |at: usize, change| {
                        let id = ids[at];
                        let (address, arrival) = match (change, arrival) {
                            (Change::Join(address), Arrival::Start) => (Some(address), Arrival::Start),
                            (Change::Join(address), _) => (Some(address), Arrival::Join),
                            (Change::Back(address), _) => (Some(address), Arrival::Change),
                            (Change::Leave, _) => (None, Arrival::Change),
                        };
                        let old = serving(id);
                        if old > 0 && matches!(change, Change::Join(_)) && proxy.may_tell(About::address(id)) {
                            log::warn!(
                                "{} takes another IP; requests under way at its last one: {old}.",
                                proxy.name(id)
                            );
                        }
                        let address = address.map(|address| SocketAddr::new(address, port(id)));
                        proxy.set_address(id, address, arrival, by);
                    };
                    let busy = |at: usize| serving(ids[at]) > 0;
                    let beyond = fill(slots, addresses, change, busy);
                    if beyond > 0 && !*full && proxy.may_tell(About::address(ids[0])) {
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
