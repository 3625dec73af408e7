//! One line of HAProxy's TCP format, its own or beelance's behind a syslog prefix, taken apart.

use super::process::Beelance;

/// The fields of `%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpLine {
    pub client: String,
    /// Between the brackets: `22/Nov/2026:23:17:01.123`.
    pub accepted: String,
    pub listener: String,
    pub pool: String,
    pub backend: String,
    /// Tw Tc Tt in milliseconds, -1 for a phase not reached.
    pub timers: [i64; 3],
    pub bytes: u64,
    pub state: String,
    /// actconn, feconn, beconn, srvconn, retries.
    pub counts: [u32; 5],
    pub redispatched: bool,
    /// The backend's queue, the pool's queue.
    pub queues: [u32; 2],
}

impl TcpLine {
    /// The line's fields when it is one.
    pub fn find(line: &str) -> Option<Self> {
        // Behind beelance's prefix; HAProxy's own has none here.
        let mut fields = line.split_once("]: ").map_or(line, |(_, rest)| rest).split(' ');
        let client = fields.next()?.to_owned();
        let accepted = fields.next()?.strip_prefix('[')?.strip_suffix(']')?.to_owned();
        let listener = fields.next()?.to_owned();
        let (pool, backend) = fields.next()?.split_once('/')?;
        let timers = numbers(fields.next()?)?;
        let bytes = fields.next()?.parse().ok()?;
        let state = fields.next()?.to_owned();
        let counts = fields.next()?;
        let redispatched = counts.contains("/+");
        let counts = numbers(&counts.replace("/+", "/"))?;
        let queues = numbers(fields.next()?)?;
        let (pool, backend) = (pool.to_owned(), backend.to_owned());
        let line =
            Self { client, accepted, listener, pool, backend, timers, bytes, state, counts, redispatched, queues };
        fields.next().is_none().then_some(line)
    }
}

impl Beelance {
    /// The first so many lines of connections, once there are that many.
    #[track_caller]
    pub fn tcp_lines(&self, count: usize) -> Vec<TcpLine> {
        self.wait_log(&format!("{count} lines of connections"), |lines| {
            let found: Vec<TcpLine> = lines.iter().filter_map(|line| TcpLine::find(line)).collect();
            (found.len() >= count).then_some(found)
        })
    }

    /// The line of the connection from `client`.
    #[track_caller]
    pub fn tcp_line_of(&self, client: &str) -> TcpLine {
        self.wait_log(&format!("a line of the connection from {client}"), |lines| {
            lines.iter().filter_map(|line| TcpLine::find(line)).find(|line| line.client == client)
        })
    }
}

fn numbers<T: std::str::FromStr, const N: usize>(text: &str) -> Option<[T; N]> {
    let read: Option<Vec<T>> = text.split('/').map(|n| n.parse().ok()).collect();
    read?.try_into().ok()
}
