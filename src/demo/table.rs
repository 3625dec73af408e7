//! The live table: a line for each server, one for all of them.

use super::shop::Stats;
use crate::runtime::lag::Lags;
use std::fmt;

/// One server's line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub name: String,
    /// Whether the balancer gives it requests.
    pub up: bool,
    /// Its process, while that runs.
    pub pid: Option<i32>,
    pub requests: u64,
    pub in_flight: u32,
    pub queued: u32,
    pub cache: Stats,
}

/// The whole table. [`fmt::Display`] renders it, every line with its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Table {
    pub rows: Vec<Row>,
    /// Requests that wait for any server.
    pub waiting: u32,
    /// How long the balancer made others wait.
    pub lags: Lags,
}

/// What the columns are. A terminal of 80 columns holds it.
pub(super) const HEADING: &str = "server  state     pid  requests  in flight  queued  cache hits  misses  hit %";

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADING}")?;
        let mut all = Row {
            name: "all".into(),
            up: false,
            pid: None,
            requests: 0,
            in_flight: 0,
            queued: self.waiting,
            cache: Stats::default(),
        };
        for row in &self.rows {
            all.requests += row.requests;
            all.in_flight += row.in_flight;
            all.queued += row.queued;
            all.cache.hits += row.cache.hits;
            all.cache.misses += row.cache.misses;
            let pid = row.pid.map_or_else(|| "gone".into(), |pid| pid.to_string());
            row.write(f, if row.up { "UP" } else { "DOWN" }, &pid)?;
        }
        let up = self.rows.iter().filter(|row| row.up).count();
        all.write(f, &format!("{up} UP"), "")?;
        writeln!(f, "lag {}", self.lags)
    }
}

impl Row {
    fn write(&self, f: &mut fmt::Formatter<'_>, state: &str, pid: &str) -> fmt::Result {
        let Self { name, requests, in_flight, queued, cache: Stats { hits, misses }, .. } = self;
        let rate = (hits * 100).checked_div(hits + misses).map_or_else(|| "-".into(), |rate| rate.to_string());
        writeln!(
            f,
            "{name:<7} {state:<5} {pid:>7} {requests:>9} {in_flight:>10} {queued:>7} {hits:>11} {misses:>7} {rate:>6}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_it_looks() {
        let row = |name: &str, up, pid, requests, cache| Row {
            name: name.into(),
            up,
            pid,
            requests,
            in_flight: 2,
            queued: 1,
            cache,
        };
        let rows = vec![
            row("shop1", true, Some(4711), 100, Stats { hits: 90, misses: 10 }),
            row("shop2", false, None, 0, Stats::default()),
        ];
        let expected = "\
server  state     pid  requests  in flight  queued  cache hits  misses  hit %
shop1   UP       4711       100          2       1          90      10     90
shop2   DOWN     gone         0          2       1           0       0      -
all     1 UP                100          4       7          90      10     90
lag 0 ms at most and 0.0 ms on average in the last ten seconds, 0 ms at most ever
";
        assert_eq!(Table { rows, waiting: 5, lags: Lags::default() }.to_string(), expected);
    }
}
