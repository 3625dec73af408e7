//! `/metrics`: Prometheus' text format, HAProxy's names for what it has, `beelance_*` for the rest.
//!
//! Streamed: a family at a time, an object at a time, each read when it is written. What is alike in all rows is in the table of
//! [`super::fields`]; what has a label of its own is here.

use super::answer::{Asked, stream};
use super::fields::{FIELDS, Field, OfBackend, OfListener};
use super::out::{Gone, Out};
use super::serve::Desk;
use crate::balance::Admin;
use crate::config::Config;
use crate::limits::{BackendId, ListenerId, PoolId};
use crate::operate::text::Text;
use crate::proxy::{BackendStats, Finding, Proxy};
use std::rc::Rc;

/// What one metric is at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Number(u64),
    /// Milliseconds, told in seconds.
    Millis(u64),
    /// It never was: -1.
    Never,
    /// There is none: no line.
    Nothing,
}

impl OfBackend<'_> {
    /// Whether it is probed.
    pub(super) fn is_checked(&self) -> bool {
        self.stats.checked.finding != Finding::Nothing
    }
}

const STATES: [&str; 5] = ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];
const CODES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];
/// HAProxy's, in its order; of them those there can be here.
const FINDINGS: [Finding; 8] = [
    Finding::SocketError,
    Finding::Connected,
    Finding::ConnectTimeout,
    Finding::NotConnected,
    Finding::Silent,
    Finding::Malformed,
    Finding::Good,
    Finding::Wrong,
];

/// HAProxy's state of a server: a place in [`STATES`].
fn state(stats: &BackendStats) -> usize {
    match stats.admin {
        Admin::Maint => 2,
        Admin::Drain => 3,
        Admin::Ready => usize::from(stats.healthy),
    }
}

/// Objects by kind, for what is written of each.
pub(super) struct Scrape<'o, 's> {
    pub proxy: &'static Proxy,
    pub config: Rc<Config>,
    pub out: &'o mut Out<'s>,
}

/// Writes all of it.
pub(super) async fn serve(desk: &Desk, out: &mut Out<'_>, asked: &Asked<'_>) -> Result<(), Gone> {
    stream(out, asked, 200, "text/plain; version=0.0.4; charset=utf-8").await?;
    if out.head_only {
        return out.end().await;
    }
    let mut scrape = Scrape { proxy: desk.proxy, config: desk.proxy.config(), out };
    desk.proxy.refresh_statistics();
    Box::pin(scrape.process(desk)).await?;
    for field in FIELDS {
        scrape.field(field).await?;
    }
    scrape.responses().await?;
    scrape.states().await?;
    scrape.own().await?;
    out.end().await
}

/// `# HELP` and `# TYPE`.
pub(super) fn head(out: &mut Text<'_>, prefix: &str, name: &str, counter: bool, help: &str) {
    for part in ["# HELP ", prefix, name, " ", help, ".\n# TYPE ", prefix, name] {
        out.bytes(part.as_bytes());
    }
    out.bytes(if counter { b" counter\n" } else { b" gauge\n" });
}

/// `prefix name{label="value",...} number`; nothing for no value.
pub(super) fn line(out: &mut Text<'_>, prefix: &str, name: &str, labels: &[(&str, &str)], value: Value) {
    if value == Value::Nothing {
        return;
    }
    out.bytes(prefix.as_bytes());
    out.bytes(name.as_bytes());
    for (at, (label, text)) in labels.iter().enumerate() {
        // Names have no character that would have to be escaped.
        for part in [if at == 0 { "{" } else { "," }, label, "=\"", text, "\""] {
            out.bytes(part.as_bytes());
        }
    }
    out.bytes(if labels.is_empty() { b" " } else { b"} " });
    match value {
        Value::Number(number) => out.long(number),
        Value::Millis(ms) => {
            out.long(ms / 1000);
            out.byte(b'.');
            out.three(u32::try_from(ms % 1000).unwrap_or(0));
        }
        Value::Never => out.bytes(b"-1"),
        Value::Nothing => {}
    }
    out.byte(b'\n');
}

const FRONTEND: &str = "haproxy_frontend_";
const BACKEND: &str = "haproxy_backend_";
const SERVER: &str = "haproxy_server_";

impl Scrape<'_, '_> {
    pub(super) fn backends(&self) -> impl Iterator<Item = BackendId> + use<> {
        self.config.order.backends.clone().into_iter()
    }

    pub(super) fn pools(&self) -> impl Iterator<Item = PoolId> + use<> {
        self.config.order.pools.clone().into_iter()
    }

    pub(super) fn listeners(&self) -> impl Iterator<Item = ListenerId> + use<> {
        self.config.order.listeners.clone().into_iter()
    }

    /// A metric of the process, alone or with a label for each value.
    pub(super) async fn single(
        &mut self,
        prefix: &str,
        name: &str,
        help: &str,
        values: &[(&str, &str, Value)],
    ) -> Result<(), Gone> {
        let counter = name.ends_with("_total");
        self.out
            .write(|out| {
                head(out, prefix, name, counter, help);
                for &(label, text, value) in values {
                    let labels = [(label, text)];
                    line(out, prefix, name, if label.is_empty() { &[] } else { &labels }, value);
                }
            })
            .await
    }

    async fn field(&mut self, field: &Field) -> Result<(), Gone> {
        if let Some(value) = field.of_listener {
            self.out.write(|out| head(out, FRONTEND, field.name, field.counter, field.help)).await?;
            for id in self.listeners() {
                let Self { proxy, config, out } = self;
                let listener = &config.listeners[id.index()];
                let value = value(&OfListener { config, stats: proxy.listener_stats(id) });
                out.write(|out| line(out, FRONTEND, field.name, &[("proxy", &listener.name)], value)).await?;
            }
        }
        if let Some(value) = field.of_pool {
            self.out.write(|out| head(out, BACKEND, field.name, field.counter, field.help)).await?;
            for id in self.pools() {
                let Self { proxy, config, out } = self;
                let value = value(&proxy.pool_stats(id));
                let labels = [("proxy", config.pools[id.index()].name.as_str())];
                out.write(|out| line(out, BACKEND, field.name, &labels, value)).await?;
            }
        }
        if let Some(value) = field.of_backend {
            self.out.write(|out| head(out, SERVER, field.name, field.counter, field.help)).await?;
            for id in self.backends() {
                let config = Rc::clone(&self.config);
                let backend = &config.backends[id.index()];
                let value = value(&OfBackend { backend, stats: self.proxy.backend_stats(id) });
                let labels = [("proxy", config.pools[backend.pool.index()].name.as_str()), ("server", &backend.name)];
                self.out.write(|out| line(out, SERVER, field.name, &labels, value)).await?;
            }
        }
        Ok(())
    }

    /// `http_responses_total`, by the first digit of the status.
    async fn responses(&mut self) -> Result<(), Gone> {
        const NAME: &str = "http_responses_total";
        const HELP: &str = "Responses by the first digit of their status";
        let config = Rc::clone(&self.config);
        let write = |out: &mut Text<'_>, prefix: &str, names: &[(&str, &str)], statuses: [u64; 6]| {
            for (at, code) in CODES.iter().enumerate() {
                let mut labels: heapless::Vec<(&str, &str), 3> = heapless::Vec::new();
                let _ = labels.extend_from_slice(names);
                let _ = labels.push(("code", code));
                line(out, prefix, NAME, &labels, Value::Number(statuses[(at + 1) % 6]));
            }
        };
        self.out.write(|out| head(out, FRONTEND, NAME, true, HELP)).await?;
        for id in self.listeners() {
            let statuses = self.proxy.listener_stats(id).traffic.statuses;
            let names = [("proxy", config.listeners[id.index()].name.as_str())];
            self.out.write(|out| write(out, FRONTEND, &names, statuses)).await?;
        }
        self.out.write(|out| head(out, BACKEND, NAME, true, HELP)).await?;
        for id in self.pools() {
            let statuses = self.proxy.pool_stats(id).traffic.statuses;
            let names = [("proxy", config.pools[id.index()].name.as_str())];
            self.out.write(|out| write(out, BACKEND, &names, statuses)).await?;
        }
        self.out.write(|out| head(out, SERVER, NAME, true, HELP)).await?;
        for id in self.backends() {
            let statuses = self.proxy.backend_stats(id).traffic.statuses;
            let backend = &config.backends[id.index()];
            let names = [("proxy", config.pools[backend.pool.index()].name.as_str()), ("server", &backend.name)];
            self.out.write(|out| write(out, SERVER, &names, statuses)).await?;
        }
        Ok(())
    }

    /// States: a line for each there could be, 1 for the one there is.
    async fn states(&mut self) -> Result<(), Gone> {
        const NAME: &str = "status";
        let config = Rc::clone(&self.config);
        let up = |out: &mut Text<'_>, prefix: &str, name: &str, up: bool| {
            for (at, state) in STATES.iter().enumerate().take(2) {
                line(
                    out,
                    prefix,
                    NAME,
                    &[("proxy", name), ("state", state)],
                    Value::Number((at == usize::from(up)).into()),
                );
            }
        };
        let stopping = self.proxy.is_stopping();
        self.out.write(|out| head(out, FRONTEND, NAME, false, "Whether it accepts connections")).await?;
        for id in self.listeners() {
            self.out.write(|out| up(out, FRONTEND, &config.listeners[id.index()].name, !stopping)).await?;
        }
        self.out.write(|out| head(out, BACKEND, NAME, false, "Whether it has a server")).await?;
        for id in self.pools() {
            let usable = self.proxy.pool_stats(id).usable != (0, 0);
            self.out.write(|out| up(out, BACKEND, &config.pools[id.index()].name, usable)).await?;
        }
        self.out.write(|out| head(out, SERVER, NAME, false, "Its state")).await?;
        for id in self.backends() {
            let now = state(&self.proxy.backend_stats(id));
            let backend = &config.backends[id.index()];
            let pool = config.pools[backend.pool.index()].name.as_str();
            self.out
                .write(|out| {
                    for (at, state) in STATES.iter().enumerate() {
                        let labels = [("proxy", pool), ("server", &backend.name), ("state", state)];
                        line(out, SERVER, NAME, &labels, Value::Number((at == now).into()));
                    }
                })
                .await?;
        }
        self.out.write(|out| head(out, BACKEND, "agg_server_status", false, "Servers in each state")).await?;
        for id in self.pools() {
            let mut counts = [0; STATES.len()];
            for &member in &config.pools[id.index()].backends {
                counts[state(&self.proxy.backend_stats(member))] += 1;
            }
            let name = config.pools[id.index()].name.as_str();
            self.out
                .write(|out| {
                    for (state, count) in STATES.iter().zip(counts) {
                        line(
                            out,
                            BACKEND,
                            "agg_server_status",
                            &[("proxy", name), ("state", state)],
                            Value::Number(count),
                        );
                    }
                })
                .await?;
        }
        self.out.write(|out| head(out, SERVER, "check_status", false, "What the last probe found")).await?;
        for id in self.backends() {
            let finding = self.proxy.backend_stats(id).checked.finding;
            if finding == Finding::Nothing {
                continue;
            }
            let backend = &config.backends[id.index()];
            let pool = config.pools[backend.pool.index()].name.as_str();
            self.out
                .write(|out| {
                    for known in FINDINGS {
                        let labels = [("proxy", pool), ("server", &backend.name), ("state", known.code())];
                        line(out, SERVER, "check_status", &labels, Value::Number((known == finding).into()));
                    }
                })
                .await?;
        }
        Ok(())
    }
}
