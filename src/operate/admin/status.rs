//! `/api/v1/status`: everything the dashboard shows, as JSON.
//!
//! Numbers and names only: nothing in it has to be escaped. Times are in milliseconds.

use super::Level;
use crate::config::Config;
use crate::limits::BackendId;
use crate::operate::figures::of::{ALL, BACKEND, LISTENER, POOL};
use crate::operate::figures::{Figure as F, Figures, NOTHING, Object};
use crate::operate::lines::Lines;
use crate::operate::own::{Own, Reading};
use crate::operate::text::Text;
use crate::proxy::Proxy;

/// What an object's numbers are called here, and of which kinds of objects they are told.
#[rustfmt::skip]
static NUMBERS: &[(&str, u8, F)] = &[
    ("now", ALL, F::Now), ("most", ALL, F::Most), ("total", ALL, F::Total), ("rate", ALL, F::Rate),
    ("received", ALL, F::Received), ("sent", ALL, F::Sent),
    ("s1", ALL, F::Status1), ("s2", ALL, F::Status2), ("s3", ALL, F::Status3), ("s4", ALL, F::Status4), ("s5", ALL, F::Status5),
    ("denied", ALL, F::Denied), ("limited", ALL, F::Limited), ("malformed", ALL, F::Malformed),
    ("connect", ALL, F::Unconnected), ("response", ALL, F::Unanswered), ("retries", ALL, F::Retries),
    ("redispatches", ALL, F::Redispatches), ("waited", ALL, F::Waited),
    ("clientAborts", ALL, F::ClientAborts), ("serverAborts", ALL, F::ServerAborts),
    ("requestRate", LISTENER, F::RequestRate), ("requests", LISTENER, F::Requests),
    ("hits", POOL | BACKEND, F::Hits), ("moved", POOL | BACKEND, F::Moved), ("newcomers", POOL | BACKEND, F::New),
    ("queueMs", POOL | BACKEND, F::QueueAverage), ("connectMs", POOL | BACKEND, F::ConnectAverage),
    ("responseMs", POOL | BACKEND, F::ResponseAverage), ("totalMs", POOL | BACKEND, F::TotalAverage),
    ("queue", POOL | BACKEND, F::Queue), ("mostQueue", POOL | BACKEND, F::MostQueue),
    ("sessions", POOL, F::Sessions), ("active", POOL, F::Active), ("backups", POOL, F::Backups),
    ("maxconn", BACKEND, F::Limit), ("weight", BACKEND, F::SetWeight), ("sinceMs", BACKEND, F::SinceMs),
    ("downs", BACKEND, F::Downs), ("ejections", BACKEND, F::Ejections), ("idle", BACKEND, F::IdleConnections),
    ("checkStatus", BACKEND, F::CheckStatus), ("checkMs", BACKEND, F::CheckMs), ("backup", BACKEND, F::Backups),
];

/// The same of the process.
#[rustfmt::skip]
static OWN: &[(&str, Reading)] = &[
    ("uptimeMs", |it| it.uptime_ms), ("stopping", |it| it.stopping), ("connections", |it| it.connections),
    ("maxConnections", |it| it.most_connections), ("requests", |it| it.requests), ("memoryLimit", |it| it.memory_limit),
    ("lagMs", |it| it.lag_ms), ("lagUs", |it| it.average_lag_us), ("lagEverMs", |it| it.most_lag_ms),
    ("smallBuffers", |it| it.small_buffers[0]), ("smallInUse", |it| it.small_buffers[1]),
    ("largeBuffers", |it| it.large_buffers[0]), ("largeInUse", |it| it.large_buffers[1]),
];

/// Where a page is.
#[derive(Clone, Copy)]
enum Place {
    Head,
    Listener(usize),
    Pool(usize),
    /// In a pool.
    Server(usize, usize),
    End,
}

/// How far a page is.
pub(super) struct Page<'a> {
    host: &'a str,
    level: Level,
    lines: &'a [Lines],
    place: Place,
}

impl<'a> Page<'a> {
    pub(super) fn new(host: &'a str, level: Level, lines: &'a [Lines]) -> Self {
        Self { host, level, lines, place: Place::Head }
    }

    /// Writes the next piece; whether there is another.
    pub(super) fn piece(&mut self, proxy: &Proxy, out: &mut Text<'_>) -> bool {
        let config = proxy.config();
        let order = &config.order;
        self.place = match self.place {
            Place::Head => {
                self.write_head(proxy, out);
                Place::Listener(0)
            }
            Place::Listener(at) => match order.listeners.get(at) {
                Some(&id) => {
                    write_object(out, proxy, &config, at, Object::Listener(id));
                    out.byte(b'}');
                    Place::Listener(at + 1)
                }
                None => {
                    out.bytes(b"],\"pools\":[");
                    Place::Pool(0)
                }
            },
            Place::Pool(at) => match order.pools.get(at) {
                Some(&id) => {
                    write_object(out, proxy, &config, at, Object::Pool(id));
                    out.bytes(b",\"servers\":[");
                    Place::Server(at, 0)
                }
                None => Place::End,
            },
            Place::Server(pool, at) => match member(&config, pool, at) {
                Some(id) => {
                    write_object(out, proxy, &config, at, Object::Backend(id));
                    out.byte(b'}');
                    Place::Server(pool, at + 1)
                }
                None => {
                    out.bytes(b"]}");
                    Place::Pool(pool + 1)
                }
            },
            Place::End => {
                out.bytes(b"]}\n");
                return false;
            }
        };
        true
    }

    fn write_head(&self, proxy: &Proxy, out: &mut Text<'_>) {
        let own = Own::of(proxy, self.lines);
        out.bytes(b"{\"level\":");
        write_quoted(out, self.level.name());
        write_text(out, "version", env!("CARGO_PKG_VERSION"));
        write_text(out, "host", self.host);
        for (name, value) in OWN {
            write_number(out, name, value(&own));
        }
        if own.memory != NOTHING {
            write_number(out, "memory", own.memory);
        }
        out.bytes(b",\"listeners\":[");
    }
}

fn member(config: &Config, pool: usize, at: usize) -> Option<BackendId> {
    let id = config.order.pools.get(pool)?;
    config.pools[id.index()].backends.get(at).copied()
}

/// All members of an object but its servers, without the brace at the end; it is the `at`th of a list.
fn write_object(out: &mut Text<'_>, proxy: &Proxy, config: &Config, at: usize, object: Object) {
    let figures = Figures::of(proxy, config, object);
    let [pool, server] = object.names(config);
    let is_server = matches!(object, Object::Backend(_));
    out.bytes(if at == 0 { b"{\"name\":" } else { b",{\"name\":" });
    write_quoted(out, if is_server { server } else { pool });
    for &(name, which, figure) in NUMBERS {
        let value = figures.get(figure);
        if figures.are(which) {
            write_number(out, name, if value == NOTHING { 0 } else { value });
        }
    }
    match object {
        Object::Listener(_) => write_text(out, "mode", figures.mode()),
        Object::Pool(id) => write_number(out, "keepsUsers", config.pools[id.index()].keeps_users().into()),
        Object::Backend(_) => {
            write_text(out, "state", figures.word(F::State, &["down", "up", "maint", "drain"]));
            write_text(out, "check", figures.finding().code());
            if figures.get(F::Throttle) != NOTHING {
                write_number(out, "throttle", figures.get(F::Throttle));
            }
        }
    }
}

/// `,"name":number`
fn write_number(out: &mut Text<'_>, name: &str, number: u64) {
    out.byte(b',');
    write_quoted(out, name);
    out.byte(b':');
    out.long(number);
}

/// `,"name":"text"`
fn write_text(out: &mut Text<'_>, name: &str, value: &str) {
    out.byte(b',');
    write_quoted(out, name);
    out.byte(b':');
    write_quoted(out, value);
}

fn write_quoted(out: &mut Text<'_>, text: &str) {
    out.byte(b'"');
    out.bytes(text.as_bytes());
    out.byte(b'"');
}
