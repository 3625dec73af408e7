//! Words of HAProxy's and nginx's files, and what they are called here.
//!
//! Owns what is said to who writes one of them. Refuses to read their syntax.

/// A key, or the beginning of one, without the name of an object; and what to write instead: a line, or a sentence.
static WORDS: [(&str, &str); 45] = [
    ("acl", ROUTE),
    ("backend.backend", POOL),
    ("backend.check", CHECK),
    ("backend.downinter", CHECK),
    ("backend.fall", CHECK),
    ("backend.fastinter", CHECK),
    ("backend.inter", CHECK),
    ("backend.max_conns", "`backend.NAME.maxconn = N`"),
    ("backend.rise", CHECK),
    ("backend.server", SERVER),
    ("backend.slowstart", "`pool.NAME.slowstart = TIME`"),
    ("backend.ssl", NO_TLS),
    ("backend.tls", NO_TLS),
    ("bind", LISTEN),
    ("daemon", "it stays in the foreground: leave it to whoever starts it"),
    ("default_backend", POOL),
    ("defaults", SECTION),
    ("frontend", LISTEN),
    ("global", SECTION),
    ("http", SECTION),
    ("limits.maxconn", MAXCONN),
    ("listen.backend", POOL),
    ("listen.default_backend", POOL),
    ("listen.maxconn", MAXCONN),
    ("listen.ssl", NO_TLS),
    ("listen.tls", NO_TLS),
    ("location", ROUTE),
    ("log.file", LOG),
    ("maxconn", MAXCONN),
    ("pidfile", "it stays in the foreground: leave it to whoever starts it"),
    ("pool.server", SERVER),
    ("proxy_pass", "`route.NAME.pool = POOL`"),
    ("route.backend", "`route.NAME.pool = POOL`"),
    ("server", SERVER),
    ("server_name", "`route.NAME.host = HOSTS`"),
    ("ssl", NO_TLS),
    ("stats", "`admin.listen = ADDRESS:PORT`, `admin.socket = PATH`"),
    ("timeout.check", CHECK),
    ("timeout.http", "`timeout.http-request = TIME`"),
    ("tls", NO_TLS),
    ("upstream", SERVER),
    ("use-backend", ROUTE),
    ("use_backend", ROUTE),
    ("worker_connections", MAXCONN),
    ("worker_processes", "there is one thread: leave it out"),
];

const CHECK: &str = "`pool.NAME.check.` and `uri`, `inter`, `timeout`, `rise` or `fall`: probes are the pool's";
const LISTEN: &str = "`listen.NAME = ADDRESS:PORT`";
const LOG: &str = "`log.access = stderr` or `log.access = syslog:/dev/log`";
const MAXCONN: &str = "`limits.connections = N` for all clients, `backend.NAME.maxconn = N` for a server";
const NO_TLS: &str = "there is no TLS here: let a terminator in front decrypt it";
const POOL: &str = "`listen.NAME.pool = POOL`, `backend.NAME.pool = POOL` or `route.NAME.pool = POOL`";
const ROUTE: &str = "`route.NAME.path = /x/*` or another condition, and `route.NAME.pool = POOL`";
const SECTION: &str = "there are no sections: one `key = value` a line";
const SERVER: &str = "`backend.NAME = HOST:PORT`, and `backend.NAME.pool = POOL`";

/// What to say of such a word.
pub(in crate::config) fn said_here(key: &str) -> Option<String> {
    let is_it = |word: &str| key.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    let (_, said) = WORDS.iter().find(|(word, _)| is_it(word))?;
    Some(if said.starts_with('`') { format!("here it is {said}") } else { (*said).to_owned() })
}
