//! The configuration: the flat `key = value` file, as written (`RawConfig`) and resolved ([`Config`]).
//!
//! Owns the key table ([`keys`]), the grammar and every message about a file. Refuses to touch the network: names of
//! hosts stay names here; `operate` asks for their addresses.

mod account;
mod address;
mod admin;
mod again;
mod arrange;
mod balance;
mod effective;
mod error;
pub mod keys;
mod listener;
mod logs;
mod member;
mod mode;
mod monitor;
mod names;
mod order;
mod pool;
mod power;
mod raw;
mod resolve;
mod route;
mod rules;
mod settings;
mod socket;
mod stick;
pub mod value;
mod warning;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod tests;

pub use account::{Account, Identity};
pub use address::Address;
pub use admin::AdminListener;
pub use again::{again, load_again};
pub use arrange::{Lacking, Object, Room, Standing, arrange};
pub use effective::effective;
pub use error::Errors;
pub use logs::{AccessLog, LogForm, Logs};
pub use member::{NoRoom, is_cookie_value, wrong_in_name};
pub use mode::Mode;
pub use monitor::Monitor;
pub use names::{Names, Slots};
pub use order::Order;
pub use power::Power;
pub use rules::{Custom, Deed, Maintenance};
pub use socket::{RuntimeSocket, SOCKET_LEVELS};
pub use stick::Stick;

use crate::balance::{Algorithm, CookieRules, PassiveSpec, Rate, RetryOn};
use crate::http::edits::Edits;
use crate::http::key::Key;
use crate::http::proxy_protocol::ProxyVersion;
use crate::http::redirect::Redirect;
use crate::http::route::{Cidr, Route};
use crate::http::trust::Trust;
use crate::limits::{BackendId, Budget, ListenerId, Machine, PoolId};
use crate::runtime::outside;
use raw::{MAX_FILE, RawConfig};
use settings::Settings;
use std::io::{self, Read};
use std::path::Path;

/// Reads the file at `path`; see [`parse`].
///
/// # Errors
/// Everything that is wrong with it, or that it cannot be read.
pub fn load(path: &Path, machine: &Machine) -> Result<Config, Errors> {
    let (name, bytes) = read_file(path)?;
    parse(&name, &bytes, machine)
}

/// The name of the file at `path` in messages, and its bytes.
fn read_file(path: &Path) -> Result<(String, Vec<u8>), Errors> {
    let name = path.display().to_string();
    let refused = match read_at_most(path, MAX_FILE) {
        Ok(bytes) if bytes.len() as u64 <= MAX_FILE => return Ok((name, bytes)),
        Ok(_) => format!("longer than {MAX_FILE} bytes: this is no configuration; name another with -c FILE"),
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            format!("cannot be read: {why}: write it, or name another with -c FILE")
        }
        Err(why) if why.kind() == io::ErrorKind::IsADirectory => {
            format!("cannot be read: {why}: name a file in it with -c FILE")
        }
        Err(why) => format!("cannot be read: {why}: make it readable, or name another with -c FILE"),
    };
    let mut errors = Errors::new(&name);
    errors.push(0, "", refused);
    Err(errors)
}

/// What is at `path`, which is not opened.
fn metadata(path: &Path) -> io::Result<std::fs::Metadata> {
    outside::look(path)?.metadata()
}

/// The bytes of a file, and one more where it has more than `most`.
fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    outside::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Reads the bytes of a file that messages call `file_name`, for a machine with these bounds.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(file_name: &str, bytes: &[u8], machine: &Machine) -> Result<Config, Errors> {
    let mut errors = Errors::new(file_name);
    let raw = RawConfig::read(bytes, &mut errors);
    let settings = Settings::read(&raw, &mut errors);
    let config = resolve::resolve(file_name, &settings, machine, &mut errors);
    errors.unless_any(config)
}

/// Everything `beelance run` needs to know, complete and immutable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// By id, as the three below. Those of the file, and their order: [`Config::listeners`] and so on.
    pub listeners: Vec<Listener>,
    /// Those the file names.
    pub pools: Vec<Pool>,
    /// Those the file declares, slots among them.
    pub backends: Vec<Backend>,
    /// Those the file names.
    pub routes: Vec<Routed>,
    /// What the file has.
    pub order: Order,
    /// What a reload removed, and no other object replaced yet, the oldest first.
    pub gone: Order,
    /// Whether there are routes, or targets that a listener answers itself.
    pub chooses: bool,
    /// `reply.*`, in the order of the file.
    pub replies: Vec<Custom>,
    /// `timeout.*`.
    pub timeouts: Timeouts,
    /// `limits.*`.
    pub limits: Limits,
    /// `limits.*`, as far as they are about single clients.
    pub clients: ClientLimits,
    /// `resolver.*`.
    pub names: Names,
    /// `admin.*`, as far as it is about the listener; without one there is nothing of it.
    pub admin: Option<AdminListener>,
    /// `log.level`.
    pub log_level: log::LevelFilter,
    /// `log.access` and where else lines go.
    pub logs: Logs,
    /// `admin.socket`.
    pub socket: Option<RuntimeSocket>,
    /// `user`, `group` and `chroot`.
    pub identity: Identity,
    /// `watchdog`.
    pub watchdog: Option<String>,
    /// `drain-timeout`, in milliseconds.
    pub drain_timeout_ms: u64,
    /// `reload.rollback`, in milliseconds.
    pub rollback_ms: Option<u64>,
    /// `power.*`.
    pub power: Power,
    /// What is legal and probably not meant, as `FILE:LINE: key: reason` where there is a line.
    pub warnings: Vec<String>,
}

/// `listen.N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// N.
    pub name: String,
    /// Where to listen; port 0 lets the system choose.
    pub address: Address,
    /// The permissions of a UNIX socket's file.
    pub perm: u32,
    /// `[::]:P` takes IPv4 too, unless a listener holds `0.0.0.0:P`.
    pub only_v6: bool,
    /// What connections carry.
    pub mode: Mode,
    /// For what no route takes.
    pub pool: PoolId,
    /// Every connection begins with a PROXY header.
    pub accept_proxy: bool,
    /// Whose X-Forwarded fields, and id, are kept.
    pub trust: Vec<Trust>,
    /// The field that carries a request's id.
    pub request_id: Option<String>,
    /// What it answers itself.
    pub monitor: Option<Monitor>,
}

/// `backend.N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backend {
    /// N.
    pub name: String,
    /// The path of its UNIX socket; without one it has a host and a port.
    pub path: Option<String>,
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
    /// The pool it belongs to.
    pub pool: PoolId,
    /// 0..=256; 0 takes no new users.
    pub weight: u16,
    /// Requests it works on at once; 0 = unlimited.
    pub maxconn: u32,
    /// Between which two numbers that is searched instead.
    pub auto: Option<(u16, u16)>,
    /// Requests bound to it that may wait; 0 = unlimited.
    pub maxqueue: u32,
    /// Used only when no other backend of the pool is up.
    pub backup: bool,
    /// The value of the affinity cookie that leads here.
    pub cookie: String,
    /// It follows from the host's address and its pool's `cookie.dynamic-key` instead.
    pub dynamic_cookie: bool,
    /// The PROXY header that its connections begin with.
    pub send_proxy: Option<ProxyVersion>,
    /// Of what it is a slot: an address of its host's fills it.
    pub slots: Option<Slots>,
    /// Where GET and HEAD are sent instead of to it.
    pub redirect: Option<Redirect>,
    /// It is not the file's: an operator added it.
    pub added: bool,
}

/// `pool.N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// N.
    pub name: String,
    /// What its listeners' connections carry.
    pub mode: Mode,
    /// Its backends, in the order of the file.
    pub backends: Vec<BackendId>,
    /// How a request without affinity is placed.
    pub balance: Algorithm,
    /// What its placement is hashed by.
    pub key: Option<Key>,
    /// Requests its backends work on at once, together; 0 = unlimited.
    pub maxconn: u32,
    /// Requests that may wait; 0 = unlimited.
    pub maxqueue: u32,
    /// The pool that takes what this one has no room for.
    pub overflow: Option<PoolId>,
    /// Whether one of its backends redirects.
    pub redirects: bool,
    /// How long a backend that came up again takes to get all it may have, in milliseconds; 0 = at once.
    pub slowstart_ms: u64,
    /// The affinity cookie.
    pub cookie: Option<Cookie>,
    /// How users are remembered without a cookie.
    pub stick: Option<Stick>,
    /// Milliseconds a request waits for its user's own backend; as long as for any when not given.
    pub stick_wait_ms: Option<u64>,
    /// When a request may go on a backend connection that served another one before.
    pub reuse: Reuse,
    /// Attempts after the first failed one.
    pub retries: u32,
    /// Whether the last attempt may go to another backend.
    pub redispatch: bool,
    /// What is tried again.
    pub retry_on: RetryOn,
    /// The most retries that do not help, in percent of the requests.
    pub retry_budget: u32,
    /// When the traffic ejects a backend.
    pub passive: PassiveSpec,
    /// Whether X-Forwarded-For and X-Forwarded-Proto are added.
    pub forwardfor: bool,
    /// The probes of its backends.
    pub check: Option<Check>,
    /// The agents of its backends.
    pub agent: Option<Agent>,
}

impl Pool {
    /// Whether users stay on their backend.
    #[must_use]
    pub fn keeps_users(&self) -> bool {
        self.cookie.is_some() || self.stick.is_some()
    }
}

/// `route.N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routed {
    /// Its name and conditions.
    pub route: Route,
    /// Only on these listeners; on all when there are none.
    pub listeners: Vec<ListenerId>,
    /// What becomes of the request.
    pub deed: Deed,
    /// The pool that takes it, where that is the deed; else the first.
    pub pool: PoolId,
    /// How it is edited on its way there.
    pub edits: Option<Box<Edits>>,
    /// Whether it is refused for a while.
    pub maintenance: Maintenance,
    /// The request's priority class, -10..=10; the lower the sooner.
    pub priority: i8,
    /// What one client may ask here.
    pub rate: Option<Rate>,
}

/// `pool.N.cookie`: HAProxy's `cookie NAME insert indirect nocache`, or `cookie NAME prefix`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// Its name, a token.
    pub name: String,
    /// What follows the value in Set-Cookie: `; path=/` and the attributes asked for (`; HttpOnly; Secure; ...`).
    pub attributes: String,
    /// Whose it is, when it is set, how long it is good.
    pub rules: CookieRules,
    /// The secret that makes the values.
    pub dynamic_key: Option<String>,
}

/// `pool.N.reuse` (HAProxy `http-reuse`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Every request opens a connection of its own.
    Never,
    /// Requests that may be replayed share connections; others open one.
    Safe,
    /// All requests share connections.
    Always,
}

/// `pool.N.check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What a probe does.
    pub kind: CheckKind,
    /// Milliseconds between two probes of a backend that is fully up.
    pub inter_ms: u64,
    /// The same while it is on its way up or down, or was never probed.
    pub fastinter_ms: u64,
    /// The same while it is fully down.
    pub downinter_ms: u64,
    /// Milliseconds one probe may take.
    pub timeout_ms: u64,
    /// Successes that bring a backend up.
    pub rise: u32,
    /// Failures that take a backend down.
    pub fall: u32,
}

/// `pool.N.check.agent-port`: what is asked of a program beside each backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its TCP port, never 0.
    pub port: u16,
    /// Milliseconds between two questions.
    pub inter_ms: u64,
    /// Milliseconds one answer may take.
    pub timeout_ms: u64,
}

/// What one probe sends, and what it takes for health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// The connection is accepted.
    Tcp,
    /// A request is answered as expected.
    Http {
        /// Its method.
        method: String,
        /// Its target.
        uri: String,
        /// The Host header; without one the request is HTTP/1.0.
        host: Option<String>,
        /// What counts as health.
        expect: Expect,
    },
}

/// `pool.N.check.expect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// A status in one of these inclusive ranges.
    Status(Vec<(u16, u16)>),
    /// A body that contains this text.
    Text(String),
}

/// `timeout.*`, all in milliseconds, none ever infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// The client neither sends nor takes a byte.
    pub client_ms: u64,
    /// A whole request head.
    pub http_request_ms: u64,
    /// The first byte of the next request.
    pub http_keep_alive_ms: u64,
    /// One connection attempt to a backend.
    pub connect_ms: u64,
    /// Waiting for a slot.
    pub queue_ms: u64,
    /// The backend neither sends nor takes a byte.
    pub server_ms: u64,
    /// Nobody sends or takes a byte behind an upgrade, or in a connection without HTTP.
    pub tunnel_ms: u64,
}

/// `limits.*` and the budget that follows from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a head, request line and header fields together.
    pub header_size: usize,
    /// Header fields of a head.
    pub headers: usize,
    /// Bytes of a request body; beyond it 413.
    pub body: Option<u64>,
    /// Connections and buffers.
    pub budget: Budget,
}

/// What one client may do, as [`Config::clients`] has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientLimits {
    /// Requests.
    pub rate: Option<Rate>,
    /// Errors it causes.
    pub errors: Option<Rate>,
    /// Connections.
    pub connections: Option<u16>,
    /// For whom none of this holds.
    pub exempt: Vec<Cidr>,
    /// Connections kept for those who are known.
    pub reserve: usize,
}

impl ClientLimits {
    /// Whether something is counted by time.
    #[must_use]
    pub fn need_rates(&self, routes: &[Routed]) -> bool {
        self.errors.is_some() || self.rate.is_some() || self.reserve > 0 || routes.iter().any(|it| it.rate.is_some())
    }
}
