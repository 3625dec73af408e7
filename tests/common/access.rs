//! One line of the access log, taken apart: HAProxy's HTTP format behind a syslog prefix.

/// The fields of `%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr "%r"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `Mon dd hh:mm:ss`, the day padded with a blank.
    pub stamp: String,
    pub host: String,
    pub pid: u32,
    pub client: String,
    /// Between the brackets: `22/Nov/2026:23:17:01.123`.
    pub accepted: String,
    pub listener: String,
    pub pool: String,
    pub backend: String,
    /// TR Tw Tc Tr Ta in milliseconds, -1 for a phase not reached.
    pub timers: [i64; 5],
    /// -1 when there was no reply.
    pub status: i16,
    pub bytes: u64,
    /// The captured request and response cookie.
    pub cookies: [String; 2],
    pub state: String,
    /// actconn, feconn, beconn, srvconn, retries.
    pub counts: [u32; 5],
    pub redispatched: bool,
    /// The backend's queue, the pool's queue.
    pub queues: [u32; 2],
    /// Between the braces, where the listener has ids.
    pub id: Option<String>,
    /// Without the quotes; `<BADREQ>` when there was none.
    pub request: String,
}

impl Line {
    /// The line's fields when it is an access line, whatever else standard error carries.
    pub fn find(line: &str) -> Option<Self> {
        let (prefix, rest) = line.split_once("]: ")?;
        let (prefix, pid) = prefix.split_once(" beelance[")?;
        let (stamp, host) = (prefix.get(..15)?, prefix.get(15..)?.strip_prefix(' ')?);
        let (fields, request) = rest.split_once(" \"")?;
        let mut fields = fields.split(' ');
        let client = fields.next()?.to_owned();
        let accepted = fields.next()?.strip_prefix('[')?.strip_suffix(']')?.to_owned();
        let listener = fields.next()?.to_owned();
        let (pool, backend) = fields.next()?.split_once('/')?;
        let timers = numbers(fields.next()?)?;
        let status = fields.next()?.parse().ok()?;
        let bytes = fields.next()?.parse().ok()?;
        let cookies = [fields.next()?.to_owned(), fields.next()?.to_owned()];
        let state = fields.next()?.to_owned();
        let counts = fields.next()?;
        let redispatched = counts.contains("/+");
        let counts = numbers(&counts.replace("/+", "/"))?;
        let queues = numbers(fields.next()?)?;
        let id = match fields.next() {
            Some(captured) => Some(captured.strip_prefix('{')?.strip_suffix('}')?.to_owned()),
            None => None,
        };
        if fields.next().is_some() {
            return None;
        }
        Some(Self {
            stamp: stamp.to_owned(),
            host: host.to_owned(),
            pid: pid.parse().ok()?,
            client,
            accepted,
            listener,
            pool: pool.to_owned(),
            backend: backend.to_owned(),
            timers,
            status,
            bytes,
            cookies,
            state,
            counts,
            redispatched,
            queues,
            id,
            request: request.strip_suffix('"')?.to_owned(),
        })
    }
}

fn numbers<T: std::str::FromStr, const N: usize>(text: &str) -> Option<[T; N]> {
    let read: Option<Vec<T>> = text.split('/').map(|n| n.parse().ok()).collect();
    read?.try_into().ok()
}
