//! Every compile-time capacity, the newtypes that index the fixed tables, and in `budget` what they cost.

mod beside;
mod budget;

pub use beside::{Beside, Sockets};
pub use budget::{Budget, Excess, Machine};

/// Backends of all pools together.
pub const MAX_BACKENDS: usize = 256;
/// Pools.
pub const MAX_POOLS: usize = 64;
/// Routes.
pub const MAX_ROUTES: usize = 64;
/// Listeners.
pub const MAX_LISTENERS: usize = 16;
/// Places for listeners that a reload may add, beside those the file has at the start.
pub const SPARE_LISTENERS: usize = 4;
/// The same for pools.
pub const SPARE_POOLS: usize = 8;
/// The same for backends: as many as there are, and at least so many.
pub const SPARE_BACKENDS: usize = 16;
/// Bytes that stay free for what a reload may bring beside objects, such as probes, names and texts, where the memory says how
/// many connections there are.
pub const RELOAD_BYTES: u64 = 256 * 1024;
/// The same in file descriptors.
pub const RELOAD_DESCRIPTORS: u64 = 2 * SPARE_BACKENDS as u64;
/// The same for routes.
pub const SPARE_ROUTES: usize = 16;
/// Bytes of an object's name.
pub const MAX_NAME: usize = 32;
/// Header fields one head may carry; `limits.headers` can ask for fewer.
pub const MAX_HEADERS: usize = 128;
/// Nodes that a backend has on HAProxy's ring for each unit of its weight.
pub const NODES_PER_WEIGHT: u16 = 16;
/// The weights of all backends on HAProxy's rings together: half a megabyte of nodes.
pub const MAX_RING_WEIGHT: u32 = 4_096;
/// Client connections at most where neither `limits.connections` nor `limits.memory` is given.
pub const DEFAULT_CONNECTIONS: usize = 1_000;
/// Connections; `limits.connections` and the budget ask for fewer.
pub const MAX_CONNECTIONS: usize = 16_000;

/// A buffer for heads and queued requests, in bytes.
pub const SMALL_BUFFER: usize = 2 * 1024;
/// A buffer while a body streams or a head outgrows the small one, in bytes: 16 kB and the head in front of them.
pub const LARGE_BUFFER: usize = 18 * 1024;
/// Bytes in front of a head that are left free when it is received, for what is added to it.
pub const FRONT_ROOM: usize = 128;
/// Bytes of a head at most; `limits.header-size` asks for fewer in a request's.
pub const MAX_HEADER_SIZE: usize = 16 * 1024;
/// One large buffer is counted for so many connections; when none is left, bodies stream through small ones.
pub const CONNECTIONS_PER_LARGE_BUFFER: usize = 8;
/// Large buffers there are at least, however few the connections.
pub const MIN_LARGE_BUFFERS: usize = 16;

/// Bytes of a message that are still to come, and come steadily, from which on they pass through a pipe.
pub const SPLICE_FROM: u64 = 16 * 1024;
/// Bytes of a pipe: what Linux gives one, unasked.
pub const PIPE_BYTES: usize = 64 * 1024;
/// One pipe is counted for so many connections; when none is free, bodies go by copying.
pub const CONNECTIONS_PER_PIPE: usize = 64;
/// Pipes there are at least, however few the connections.
pub const MIN_PIPES: usize = 2;
/// Pipes there are at most.
pub const MAX_PIPES: usize = 16;

/// Bytes of a token in the configuration: a cookie's name or value, a method.
pub const MAX_TOKEN: usize = 64;
/// Bytes of the attributes of an affinity cookie.
pub const MAX_COOKIE_ATTRIBUTES: usize = 256;
/// Bytes of a Host value: a DNS name, a colon and a port, with room.
pub const MAX_HOST: usize = 280;
/// Bytes of a request's id that is kept.
pub const MAX_REQUEST_ID: usize = 64;
/// Bytes of a UNIX socket's path: what the system's form of an address holds, and a zero.
pub const MAX_UNIX_PATH: usize = 107;
/// Bytes added to a head at most: Host, the X-Forwarded fields and the id, or the affinity cookie, and framing.
pub const MAX_ADDED: usize = 640;

/// Bytes of a text that a rule answers with, or of the value of a header field that it sets.
pub const MAX_TEXT: usize = 1024;
/// Bytes that one route's `set-header` lines, and the line of a request's id, may add to a head, beside Host.
pub const MAX_EDITS: usize = 184;
/// Bytes of /etc/passwd or /etc/group that are read.
pub const MAX_ACCOUNT_FILE: u64 = 256 * 1024;
/// Bytes of a body that replaces beelance's own.
pub const MAX_REPLY_FILE: u64 = 16 * 1024;
/// One connection of so many may be held in a tarpit.
pub const CONNECTIONS_PER_TARPIT: usize = 8;

/// Times a backend may set its session cookie in one response, where a pool writes its name before the value.
pub const MAX_PREFIXES: usize = 4;
/// Bytes these names may add to a response's head.
pub const PREFIX_BYTES: usize = MAX_PREFIXES * (MAX_TOKEN + 1);
/// Users the session map knows at once, where a pool has one.
pub const SESSIONS: usize = 16 * 1024;
/// Bytes of each of them.
pub const SESSION_BYTES: u64 = 16;
/// Clients whose rates are counted at once, and clients on routes with a rate of their own, where there is one.
pub const RATES: usize = 8 * 1024;
/// Bytes of each of them.
pub const RATE_BYTES: u64 = 32;
/// Milliseconds for which a client stays known that an affinity cookie brought back to its backend.
pub const KNOWN_MS: u64 = 30 * 60 * 1_000;
/// Lines about one server, name or pool that are told one behind the other; there may be 31.
pub const MESSAGE_BURST: u32 = 20;
/// The same about what is refused: all of them say the same.
pub const REFUSED_MESSAGE_BURST: u32 = 3;
/// Milliseconds after which there is room for one more.
pub const MESSAGE_LEAK_MS: u64 = 10_000;

/// Bytes of access-log lines that wait for one write.
pub const LOG_BUFFER: usize = 20 * 1024;
/// Bytes of the last messages, kept for who asks for them.
pub const LOG_RING: usize = 16 * 1024;
/// Bytes of a datagram to a syslog: what every receiver should take (RFC 5426 section 3.2).
pub const LOG_DATAGRAM: usize = 2 * 1024;
/// Bytes of one access-log line; a longer request line is cut, as HAProxy's `len 1024` does.
pub const LOG_LINE: usize = 1024;

/// Clients of the runtime socket at once; one more waits until one leaves.
pub const CLI_CLIENTS: usize = 4;
/// Bytes of a line they may send.
pub const CLI_LINE: usize = 2 * 1024;
/// Bytes of an answer that wait for one write.
pub const CLI_OUTPUT: usize = 8 * 1024;
/// Milliseconds such a client may say nothing (HAProxy `stats timeout`).
pub const CLI_IDLE_MS: u64 = 10_000;
/// Milliseconds that `beelance ctl top` waits for its figures.
pub const TOP_PATIENCE_MS: u16 = 60_000;
/// Clients of the admin listener at once; one more takes the place of one that sent no request, or takes nothing.
pub const ADMIN_CLIENTS: usize = 8;
/// Bytes of a request's head there.
pub const ADMIN_HEAD: usize = 4 * 1024;
/// Bytes of a response there that wait for one write.
pub const ADMIN_BUFFER: usize = 4 * 1024;
/// Each of these clients: both buffers, the task, and a decision that it is told.
pub const ADMIN_CLIENT_BYTES: u64 = (ADMIN_HEAD + ADMIN_BUFFER + 12 * 1024) as u64;
/// Milliseconds a client has there for a request's head, from when one is expected.
pub const ADMIN_HEAD_MS: u64 = 15_000;
/// Milliseconds it has to take a whole response.
pub const ADMIN_REPLY_MS: u64 = 30_000;
/// Milliseconds it may take nothing of one there while somebody waits for its place.
pub const ADMIN_STALL_MS: u64 = 1_000;

/// Nameservers that are asked, as many as the C library asks.
pub const MAX_NAMESERVERS: usize = 3;
/// Addresses of one name.
pub const MAX_ADDRESSES: usize = MAX_BACKENDS;

/// Bytes of an answer in a datagram (RFC 1035, 4.2.1).
pub const UDP_ANSWER: usize = 512;
/// Bytes of an answer over TCP: 256 addresses and more.
pub const TCP_ANSWER: usize = 8 * 1024;
/// Names that are looked up at once.
pub const LOOKUPS: usize = 4;
/// Milliseconds after which the next nameserver is asked as well.
pub const HEDGE_MS: u64 = 200;
/// Milliseconds a nameserver has for an answer, before it is asked again.
pub const LOOKUP_TRY_MS: u64 = 1_000;
/// How often a nameserver is asked (HAProxy `resolve_retries`).
pub const LOOKUP_TRIES: usize = 3;
/// Datagrams that are no answer to what was asked, and are taken for one nameserver's try.
pub const STRAY_DATAGRAMS: usize = 64;
/// Bytes of /etc/hosts and /etc/resolv.conf that are read.
pub const NAME_FILE_BYTES: u64 = 16 * 1024;
/// Milliseconds that the first connections wait for the first answers to come.
pub const FIRST_ANSWERS_MS: u64 = 1_000;
/// Milliseconds in which a server that takes a slot gets all of its weight, where its pool has no slowstart.
pub const JOIN_RAMP_MS: u64 = 10_000;

/// The lowest priority class, which is served first (`route.N.priority`).
pub const MIN_CLASS: i8 = -10;
/// The highest, which is served last.
pub const MAX_CLASS: i8 = 10;
/// Classes there are.
pub const CLASSES: usize = 21;

/// Events taken from the kernel in one turn of the loop.
pub const EVENTS_PER_TURN: usize = 64;
/// Connections accepted on one listener before other work gets its turn.
pub const ACCEPTS_PER_TURN: usize = 16;
/// Steps of one exchange (a receive and a send each) before other work gets its turn.
pub const STEPS_PER_TURN: usize = 16;
/// Connections that run between two looks at the network, each woken by an event or by another one.
pub const RUNS_PER_TURN: usize = 256;
/// Bytes read and thrown away after an early reply, so that the client sees the reply before a reset.
pub const LINGER_BYTES: u64 = 256 * 1024;
/// Milliseconds the same may take.
pub const LINGER_MS: u64 = 2_000;
/// Milliseconds between a failed connection attempt and the next one to the same backend, at most (HAProxy's
/// turn-around: the lesser of one second and `timeout.connect`).
pub const TURN_AROUND_MS: u64 = 1_000;
/// Retries that do not help and are allowed in a window of the retry budget however few the requests: so that a quiet pool
/// can retry at all.
pub const RETRY_FLOOR: u64 = 10;
/// Slots of the retry budget's window.
pub const RETRY_SLOTS: usize = 10;
/// Milliseconds of one.
pub const RETRY_SLOT_MS: u64 = 1_000;
/// Milliseconds between two purges of idle backend connections (HAProxy `pool-purge-delay`).
pub const IDLE_PURGE_MS: u64 = 5_000;
/// Milliseconds since 1970 before which the wall clock was never set: the first of January 2026. Boards without a battery
/// begin in 1970.
pub const CLOCK_SET_MS: u64 = 1_767_225_600_000;
/// Milliseconds that another program may take to check the configuration, before an upgrade.
pub const UPGRADE_CHECK_MS: u64 = 20_000;
/// Milliseconds a listener rests after the system ran out of descriptors or memory.
pub const ACCEPT_REST_MS: u64 = 100;
/// Milliseconds between two looks for room for somebody who waits at a full desk.
pub const DESK_LOOK_MS: u64 = 500;

/// Milliseconds a client without a complete head is spared when connections have run out.
pub const HEAD_GRACE_MS: u64 = 50;
/// Milliseconds the same is true of one that was served and may be about to ask again.
pub const IDLE_GRACE_MS: u64 = 2_000;

/// Resident bytes of the program itself, code and constants: the bound on the binary.
pub const PROGRAM_BYTES: u64 = 1024 * 1024;
/// What the process holds beside everything that is counted: stacks, executor, control plane, the log's buffer.
pub const FIXED_BYTES: u64 = 384 * 1024;
/// An idle client connection, and the entries of a connection in all tables.
pub const CONNECTION_BYTES: u64 = if WIDE { 512 } else { 360 };
/// An entry of the table of clients that wait, of which there is a power of two.
pub const WAITER_BYTES: u64 = 24;
/// A worker with its exchange: what a connection has while it is busy.
pub const WORKER_BYTES: u64 = if WIDE { 4080 } else { 4112 };
/// A listener, backend, pool or route: its state, its entries in tables, what is counted of it, its part of the configuration; of
/// that which a reload may go back to; and of one that is being read.
pub const OBJECT_BYTES: u64 = if WIDE { 2048 } else { 1792 };
/// A probe, or a question to an agent, under way.
pub const PROBE_BYTES: u64 = 4 * 1024;
/// A name of backends, and what is known of it.
pub const NAME_BYTES: u64 = 256;
/// A lookup under way: one of the files, or a question to each nameserver and an answer over TCP.
pub const LOOKUP_BYTES: u64 = NAME_FILE_BYTES + 16 * 1024;
/// Sockets of a lookup: one for each nameserver, and one over TCP.
pub const LOOKUP_SOCKETS: usize = MAX_NAMESERVERS + 1;
/// A node on HAProxy's ring.
pub const NODE_BYTES: u64 = 8;
/// What Linux keeps for one idle TCP socket (measured on 32-bit ARM: 2.5 to 3.1 kB).
pub const SOCKET_BYTES: u64 = 3 * 1024;
/// Bytes that may wait unsent in a socket (`TCP_NOTSENT_LOWAT`): of a backend's, and the least of a client's.
pub const MIN_UNSENT: u32 = 16 * 1024;
/// The most of a client's, where `limits.memory` has room for it. More saves no processor time.
pub const MAX_UNSENT: u32 = 128 * 1024;

/// Whether addresses have 64 bits: most of what the tables hold is made of them.
const WIDE: bool = usize::BITS == 64;

/// Descriptors beside the connections', the probes' and the listeners': the loop's, the control plane's, the log's, and some
/// that whoever starts beelance leaves open.
pub const SPARE_DESCRIPTORS: u64 = 20 + 1 + CLI_CLIENTS as u64;

/// Tasks beside the connections' that sit: listeners, those that a reload closes and opens, the purge of idle connections, the
/// drain, the runtime socket, the admin listener, and the clients of both.
pub const SPARE_SEATS: usize = 48 + 1 + CLI_CLIENTS + 1 + ADMIN_CLIENTS;
/// Entries of the reactor's table beside the connections': one for each listener, and each that a reload is about to open;
/// the runtime socket, the admin listener, and the clients of both.
pub const SPARE_SOURCES: usize = 2 * MAX_LISTENERS + 1 + CLI_CLIENTS + 1 + ADMIN_CLIENTS;

/// A client connection and the backend connection it may use.
pub const SOCKETS_PER_CONNECTION: usize = 2;

const _: () = assert!(MAX_BACKENDS <= 1 << u8::BITS, "BackendId is one byte");
const _: () = assert!(MAX_POOLS <= 1 << u8::BITS, "PoolId is one byte");
const _: () = assert!(MAX_ROUTES <= 1 << u8::BITS, "RouteId is one byte");
const _: () = assert!(MAX_CLASS.abs_diff(MIN_CLASS) as usize + 1 == CLASSES, "one round for each class");
const _: () = assert!(MAX_LISTENERS <= 1 << u8::BITS, "ListenerId is one byte");
const _: () = assert!(
    MAX_CONNECTIONS * SOCKETS_PER_CONNECTION + SPARE_SOURCES < u16::MAX as usize,
    "table indices are two bytes"
);
const _: () = assert!(FRONT_ROOM + MAX_HEADER_SIZE <= LARGE_BUFFER, "a whole head is in one buffer");
const _: () = assert!(LARGE_BUFFER <= u16::MAX as usize, "offsets into a buffer are two bytes");
const _: () = assert!(
    2 * MAX_TOKEN + MAX_COOKIE_ATTRIBUTES + 212 <= MAX_ADDED,
    "Set-Cookie, its dates, Cache-Control and framing"
);
const _: () = assert!(PREFIX_BYTES * 4 <= SMALL_BUFFER, "a head still fits beside what is kept free for it");
const _: () = assert!(
    MAX_HOST + 8 + 58 + 25 + 36 + 38 + 8 + MAX_EDITS <= MAX_ADDED,
    "Host, X-Forwarded-For, X-Forwarded-Proto, Max-Forwards, framing, and what a route sets with the id"
);
const _: () = assert!(MAX_TOKEN + MAX_REQUEST_ID + 4 <= MAX_EDITS, "the id has its place in that");
const _: () = assert!(MAX_NAMESERVERS <= 8, "one bit for each in the resolver");
const _: () = assert!(TCP_ANSWER <= u16::MAX as usize, "its length is two bytes");
const _: () = assert!(LOG_LINE * 4 <= LOG_BUFFER, "a line always fits once older ones are written");

/// One backend: its place in [`crate::config::Config::backends`] and in every table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub u8);

/// One pool: its place in [`crate::config::Config::pools`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId(pub u8);

/// One route: its place in [`crate::config::Config::routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId(pub u8);

/// One listener: its place in [`crate::config::Config::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerId(pub u8);

macro_rules! index {
    ($($id:ident),*) => {$(
        impl $id {
            /// The id of the `index`th object, when there can be so many.
            #[must_use]
            pub fn new(index: usize) -> Option<Self> {
                u8::try_from(index).ok().map(Self)
            }

            /// The place in a table.
            #[must_use]
            pub fn index(self) -> usize {
                usize::from(self.0)
            }
        }
    )*};
}
index!(BackendId, PoolId, ListenerId, RouteId);
