//! Metrics of the process: those that HAProxy has too, and those that only beelance has.

use super::metrics::{Scrape, Value, head, line};
use super::out::Gone;
use super::serve::Desk;
use crate::limits::SESSIONS;
use crate::proxy::Loyalty;
use Value::{Millis, Nothing, Number};
use std::rc::Rc;

const PROCESS: &str = "haproxy_process_";
const OWN: &str = "beelance_";

impl Scrape<'_, '_> {
    /// `haproxy_process_*`
    pub(super) async fn process(&mut self, desk: &Desk) -> Result<(), Gone> {
        let (proxy, budget) = (self.proxy, self.config.limits.budget);
        let (now_ms, clock) = (proxy.reactor.now_ms(), proxy.reactor.clock());
        let began_ms = clock.wall_ms(0);
        let lost = desk.lines.iter().map(|lines| lines.lost()).sum();
        let connections = self.listeners().map(|id| proxy.listener_stats(id).connections.total).sum();
        let rows = [
            ("nbthread", "Threads that carry requests", Number(1)),
            ("nbproc", "Processes", Number(1)),
            ("uptime_seconds", "Seconds since the start", Number(now_ms / 1000)),
            (
                "start_time_seconds",
                "When it started; nothing while the clock is not set",
                if began_ms >= crate::limits::CLOCK_SET_MS { Number(began_ms / 1000) } else { Nothing },
            ),
            ("max_memory_bytes", "limits.memory", Number(budget.memory)),
            ("max_fds", "File descriptors that may be open", Number(budget.descriptors())),
            ("max_connections", "limits.connections", Number(budget.connections as u64)),
            ("current_connections", "Client connections", Number(proxy.connections() as u64)),
            ("connections_total", "Client connections so far", Number(connections)),
            ("requests_total", "Requests so far", Number(proxy.requests())),
            ("stopping", "Whether it was told to stop", Number(proxy.is_stopping().into())),
            ("listeners", "Listeners", Number(self.config.order.listeners.len() as u64)),
            ("dropped_logs_total", "Lines of the log that were lost", Number(lost)),
        ];
        for (name, help, value) in rows {
            if value != Nothing {
                self.single(PROCESS, name, help, &[("", "", value)]).await?;
            }
        }
        let version = [("version", env!("CARGO_PKG_VERSION"), Number(1))];
        self.single(OWN, "build_info", "The version", &version).await
    }

    /// `beelance_*`
    pub(super) async fn own(&mut self) -> Result<(), Gone> {
        let (proxy, budget) = (self.proxy, self.config.limits.budget);
        let (lags, usage) = (proxy.reactor.lags(), proxy.usage());
        let lag = [
            ("of", "average", Millis(lags.average_us / 1000)),
            ("of", "most", Millis(lags.recent_ms)),
            ("of", "ever", Millis(lags.most_ms)),
        ];
        self.single(
            OWN,
            "loop_lag_seconds",
            "How long others waited for the loop, in the last ten seconds and ever",
            &lag,
        )
        .await?;
        let count = |count: usize| Number(count as u64);
        let used = [("size", "small", count(usage.small_buffers)), ("size", "large", count(usage.large_buffers))];
        self.single(OWN, "buffers_in_use", "Buffers that hold bytes", &used).await?;
        let there = [("size", "small", count(budget.small_buffers)), ("size", "large", count(budget.large_buffers))];
        self.single(OWN, "buffers", "Buffers there are", &there).await?;
        let pipes = [("", "", count(usage.pipes))];
        self.single(OWN, "pipes_in_use", "Pipes that bodies pass through", &pipes).await?;
        if let Some(bytes) = super::status::resident() {
            self.single(
                OWN,
                "memory_resident_bytes",
                "Memory of the process that is in use",
                &[("", "", Number(bytes))],
            )
            .await?;
        }
        if self.config.limits.budget.beside.sessions > 0 {
            self.single(OWN, "session_map_capacity", "Users it can know", &[("", "", count(SESSIONS))]).await?;
        }
        let config = Rc::clone(&self.config);
        self.out.write(|out| head(out, OWN, "session_map_entries", false, "Users the session map knows")).await?;
        for id in self.pools().filter(|id| config.pools[id.index()].stick.is_some()) {
            let (name, known) = (config.pools[id.index()].name.as_str(), proxy.pool_stats(id).sessions);
            self.out.write(|out| line(out, OWN, "session_map_entries", &[("proxy", name)], Number(known))).await?;
        }
        const AFFINITY: &str = "affinity_requests_total";
        const HELP: &str =
            "Requests of pools that keep users: of those who went to their server, elsewhere, and of new ones";
        self.out.write(|out| head(out, OWN, AFFINITY, true, HELP)).await?;
        for id in self.pools().filter(|id| config.pools[id.index()].keeps_users()) {
            let Loyalty { hits, moved, new } = proxy.pool_stats(id).loyalty;
            let name = config.pools[id.index()].name.as_str();
            self.out
                .write(|out| {
                    for (result, number) in [("hit", hits), ("moved", moved), ("new", new)] {
                        line(out, OWN, AFFINITY, &[("proxy", name), ("result", result)], Number(number));
                    }
                })
                .await?;
        }
        for (name, help, of) in [
            ("queue_waits_total", "Requests that waited for a slot", 0),
            ("retries_refused_total", "Retries that the budget refused", 1),
        ] {
            self.out.write(|out| head(out, OWN, name, true, help)).await?;
            for id in self.pools() {
                let failures = proxy.pool_stats(id).failures;
                let value = Number([failures.waited, failures.unpaid][of]);
                let labels = [("proxy", config.pools[id.index()].name.as_str())];
                self.out.write(|out| line(out, OWN, name, &labels, value)).await?;
            }
        }
        self.out.write(|out| head(out, OWN, "requests_limited_total", true, "Requests that came too fast")).await?;
        for id in self.listeners() {
            let value = Number(proxy.listener_stats(id).failures.limited);
            let labels = [("proxy", config.listeners[id.index()].name.as_str())];
            self.out.write(|out| line(out, OWN, "requests_limited_total", &labels, value)).await?;
        }
        self.times().await
    }

    /// Sums of times, whose growth by the requests' is the average of any period.
    async fn times(&mut self) -> Result<(), Gone> {
        const TIMES: &str = "server_seconds_total";
        let config = Rc::clone(&self.config);
        self.out.write(|out| head(out, OWN, TIMES, true, "Seconds that all requests spent in each phase")).await?;
        for id in self.backends() {
            let backend = &config.backends[id.index()];
            let (pool, times_ms) = (&config.pools[backend.pool.index()].name, self.proxy.backend_stats(id).times_ms);
            self.out
                .write(|out| {
                    for (phase, ms) in ["queue", "connect", "response", "total"].into_iter().zip(times_ms) {
                        let labels = [("proxy", pool.as_str()), ("server", &backend.name), ("phase", phase)];
                        line(out, OWN, TIMES, &labels, Millis(ms));
                    }
                })
                .await?;
        }
        self.out
            .write(|out| head(out, OWN, "server_ejections_total", true, "How often the traffic ejected it"))
            .await?;
        for id in self.backends() {
            let backend = &config.backends[id.index()];
            let value = Number(self.proxy.backend_stats(id).ejections);
            let labels =
                [("proxy", config.pools[backend.pool.index()].name.as_str()), ("server", backend.name.as_str())];
            self.out.write(|out| line(out, OWN, "server_ejections_total", &labels, value)).await?;
        }
        Ok(())
    }
}
