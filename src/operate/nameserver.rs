//! Asking nameservers: over UDP, over TCP for what a datagram cannot hold, the next one as well when one is slow.
//!
//! A whole answer of any of them counts, whatever the others say; that there is no such name counts when nobody knows
//! better. Each time a nameserver is asked about a name that is on a new socket, hence from a port that cannot be guessed;
//! each question has an id from the system's entropy. Tries share both: who is slower than a try is heard all the same.

use super::probe::patience;
use crate::dns::{Answer, Family, Question};
use crate::limits::{HEDGE_MS, LOOKUP_TRIES, LOOKUP_TRY_MS, MAX_NAMESERVERS, STRAY_DATAGRAMS, TCP_ANSWER, UDP_ANSWER};
use async_io::{Async, Timer};
use futures_lite::future::or;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// Which nameservers were late when they were asked last, by their places: nobody waits for them again.
pub(super) type Late = Cell<u8>;

/// What a name has. `None`: that is not known.
pub(super) struct Found {
    pub v4: Option<Vec<IpAddr>>,
    pub v6: Option<Vec<IpAddr>>,
    /// Seconds for which it is good.
    pub ttl_s: u32,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    NoSuchName,
    NoAddress,
    /// The RCODE.
    Code(u8),
    Silent,
    System(io::Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoSuchName => f.write_str("no such name (NXDOMAIN)"),
            Self::NoAddress => f.write_str("the name has no address"),
            Self::Code(2) => f.write_str("the nameserver failed (SERVFAIL)"),
            Self::Code(5) => f.write_str("the nameserver refused (REFUSED)"),
            Self::Code(code) => write!(f, "the nameserver failed (RCODE {code})"),
            Self::Silent => f.write_str("no answer"),
            Self::System(error) => error.fmt(f),
        }
    }
}

type Asking<'a> = Pin<Box<dyn Future<Output = Result<Found, Failure>> + 'a>>;

/// Asks `servers`, in their order, for the addresses of `host`.
pub(super) async fn look_up(host: &str, servers: &[SocketAddr], late: &Late) -> Result<Found, Failure> {
    let mut asking: heapless::Vec<(usize, Asking<'_>), MAX_NAMESERVERS> = heapless::Vec::new();
    let mut rest = servers.iter().enumerate();
    let (mut partly, mut failure) = (None, Failure::Silent);
    loop {
        let newest = rest.next();
        if let Some((place, server)) = newest {
            // There is a place for each that may be configured.
            let _ = asking.push((place, Box::pin(ask(*server, host))));
        } else if asking.is_empty() {
            return partly.ok_or(failure);
        }
        let newest = newest.map_or(0, |(place, _)| place);
        let patience_ms = if late.get() >> newest & 1 == 1 { 0 } else { HEDGE_MS };
        let hedge = async {
            match rest.len() {
                0 => Timer::never().await,
                _ => Timer::after(Duration::from_millis(patience_ms)).await,
            };
            None
        };
        let first = poll_fn(|cx| {
            let ended = asking.iter_mut().enumerate().find_map(|(at, (_, ask))| match ask.as_mut().poll(cx) {
                Poll::Ready(result) => Some((at, result)),
                Poll::Pending => None,
            });
            ended.map_or(Poll::Pending, |ended| Poll::Ready(Some(ended)))
        });
        let Some((at, result)) = or(first, hedge).await else {
            late.set(late.get() | 1 << newest);
            continue;
        };
        let (place, _) = asking.swap_remove(at);
        match result {
            Ok(found) if found.v4.is_some() && found.v6.is_some() => {
                late.set(late.get() & !(1 << place));
                return Ok(found);
            }
            Ok(found) => partly = partly.or(Some(found)),
            // What somebody said says more than silence.
            Err(why) if matches!(failure, Failure::Silent | Failure::System(_)) => failure = why,
            Err(_) => {}
        }
    }
}

/// Asks one nameserver for both families.
async fn ask(server: SocketAddr, host: &str) -> Result<Found, Failure> {
    let question = |family| {
        // A new state hashes with keys that nobody outside knows.
        let [low, high, ..] = RandomState::new().hash_one(0).to_le_bytes();
        Question::new(u16::from_le_bytes([low, high]), host, family)
    };
    let [Some(v4), Some(v6)] = [Family::V4, Family::V6].map(question) else { return Err(Failure::NoSuchName) };
    let mut open = [(v4, None), (v6, None)];
    let socket = connect(server).map_err(Failure::System)?;
    let mut problem = None;
    for _ in 0..LOOKUP_TRIES {
        let late = async {
            patience(Duration::from_millis(LOOKUP_TRY_MS)).await;
            End::Try(None)
        };
        match or(try_once(&socket, server, &mut open), late).await {
            End::Try(why) => problem = why.or(problem),
            End::Nameserver(error) => {
                problem = Some(error);
                break;
            }
        }
        if open.iter().all(|(_, answer)| answer.is_some()) || open.iter().any(|(_, answer)| has_addresses(answer)) {
            break;
        }
    }
    let [(_, v4), (_, v6)] = open;
    let is_whole = [&v4, &v6].iter().all(|answer| !matches!(answer, None | Some(Answer::Truncated)));
    judge(v4, v6).map_err(|why| match (why, problem) {
        // That there is no address of one family says nothing of the other.
        (Failure::Silent | Failure::NoAddress, Some(error)) if !is_whole => Failure::System(error),
        (why, _) => why,
    })
}

/// What ended.
enum End {
    /// A try: all is answered, or it is no use to wait on.
    Try(Option<io::Error>),
    /// The nameserver cannot be reached. What it said before counts.
    Nameserver(io::Error),
}

fn has_addresses(answer: &Option<Answer>) -> bool {
    matches!(answer, Some(Answer::Addresses(..)))
}

/// A socket that hears nobody but `server`.
fn connect(server: SocketAddr) -> io::Result<Async<UdpSocket>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(server)?;
    Async::new(socket)
}

/// Whether there is a way to `address`; nothing is sent.
pub(super) fn reaches(address: IpAddr) -> bool {
    connect(SocketAddr::new(address, 1)).is_ok()
}

/// Sends what is not answered, and reads until it is. An answer that does not come by TCP either stays truncated.
async fn try_once(socket: &Async<UdpSocket>, server: SocketAddr, open: &mut [(Question, Option<Answer>); 2]) -> End {
    for (question, answer) in open.iter() {
        if answer.is_none()
            && let Err(error) = socket.send(question.bytes()).await
        {
            return End::Nameserver(error);
        }
    }
    let (mut strays, mut problem) = (0, None);
    while open.iter().any(|(_, answer)| answer.is_none()) {
        let mut datagram = [0; UDP_ANSWER];
        let length = match socket.recv(&mut datagram).await {
            Ok(length) => length,
            Err(error) => return End::Nameserver(error),
        };
        let message = &datagram[..length];
        let mut unanswered = open.iter_mut().filter(|(_, answer)| answer.is_none());
        match unanswered.find_map(|open| open.0.read(message).map(|read| (read, open))) {
            Some((Answer::Truncated, open)) => match ask_by_tcp(server, &open.0).await {
                Ok(answer) => open.1 = Some(answer),
                Err(error) => (open.1, problem) = (Some(Answer::Truncated), Some(error)),
            },
            Some((read, open)) => open.1 = Some(read),
            None => strays += 1,
        }
        if strays == STRAY_DATAGRAMS {
            problem = Some(io::Error::other("what it sends are no answers"));
            break;
        }
    }
    End::Try(problem)
}

/// Asks where answers may be long (RFC 1035, 4.2.2).
async fn ask_by_tcp(server: SocketAddr, question: &Question) -> io::Result<Answer> {
    let mut stream = Async::<TcpStream>::connect(server).await?;
    let length = u16::try_from(question.bytes().len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), question.bytes()].concat()).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let length = usize::from(u16::from_be_bytes(length));
    if length > TCP_ANSWER {
        return Err(io::Error::other("the answer is too long"));
    }
    let mut message = vec![0; length];
    stream.read_exact(&mut message).await?;
    match question.read(&message) {
        None | Some(Answer::Truncated) => Err(io::Error::other("what it sends is no answer")),
        Some(answer) => Ok(answer),
    }
}

/// What two answers say together.
fn judge(v4: Option<Answer>, v6: Option<Answer>) -> Result<Found, Failure> {
    let mut ttl_s = u32::MAX;
    let mut failure = None;
    let mut take = |answer| match answer {
        Some(Answer::Addresses(addresses, seconds)) => {
            ttl_s = ttl_s.min(seconds);
            Some(addresses)
        }
        Some(Answer::NoAddress) => {
            failure.get_or_insert(Failure::NoAddress);
            Some(Vec::new())
        }
        Some(Answer::NoSuchName) => {
            failure = Some(Failure::NoSuchName);
            Some(Vec::new())
        }
        Some(Answer::Failed(code)) => {
            failure.get_or_insert(Failure::Code(code));
            None
        }
        Some(Answer::Truncated) | None => None,
    };
    let (v4, v6) = (take(v4), take(v6));
    if [&v4, &v6].into_iter().flatten().all(Vec::is_empty) {
        return Err(failure.unwrap_or(Failure::Silent));
    }
    Ok(Found { v4, v6, ttl_s })
}
