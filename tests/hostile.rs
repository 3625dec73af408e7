//! Seeded mutations of valid requests: the process lives, serves on, and passes nothing that is malformed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::{Backend, ok_to};
use common::client::Client;
use common::process::Beelance;
use common::{eventually, scale};
use std::time::{SystemTime, UNIX_EPOCH};

/// Short, because many of these requests never come to their end.
const HURRIED: &str = "timeout.client = 100ms\ntimeout.http-request = 100ms\ntimeout.http-keep-alive = 20ms\n\
                       timeout.server = 2s\npool.*.cookie = SRV\npool.*.check.uri = /healthz\n\
                       pool.*.check.inter = 100ms\npool.*.check.timeout = 5s\nlog.level = off\n";

const SEEDS: [&str; 7] = [
    "GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.0\r\nUser-Agent: x\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello world",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-T: 1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; SRV=s1; b=2\r\nConnection: close, x-hop\r\nX-Hop: 1\r\n\r\n",
    "POST /one HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcHEAD /two HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "PUT http://a:80/x HTTP/1.1\r\nHost: a:80\r\nExpect: 100-continue\r\nContent-Length: 2\r\nX-Forwarded-For: 1.2.3.4\r\nTE: trailers\r\nUpgrade: h2c\r\nConnection: upgrade, te\r\n\r\nok",
];

/// Bytes that mean something to a parser.
const TELLING: [&[u8]; 14] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b":",
    b" ",
    b"\t",
    b",",
    b"0",
    b"\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"\x0b",
    b";",
];

/// Xorshift: the same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap()
    }

    fn request(&mut self) -> Vec<u8> {
        let mut bytes = SEEDS[self.below(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..=self.below(3) {
            let at = self.below(bytes.len());
            match self.below(6) {
                // The highest bit stays: what is behind it is text to some and not to others, and the backend wants text.
                0 => bytes[at] ^= 1 << self.below(7),
                1 => bytes.truncate(at.max(1)),
                2 => drop(bytes.splice(at..at, TELLING[self.below(TELLING.len())].iter().copied())),
                3 => drop(bytes.drain(at..(at + 1 + self.below(8)).min(bytes.len()))),
                4 => {
                    let piece = bytes[at..(at + 1 + self.below(40)).min(bytes.len())].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                _ => bytes[at] = TELLING[self.below(10)][0],
            }
            if bytes.is_empty() {
                bytes.push(b'x');
            }
        }
        bytes
    }
}

/// `BEELANCE_SEED`, or one of its own.
fn seed() -> u64 {
    let given = std::env::var("BEELANCE_SEED").ok().and_then(|seed| seed.parse().ok());
    let nanos = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos();
    let seed = given.unwrap_or_else(|| u64::from(nanos()) | 1);
    println!("BEELANCE_SEED={seed}");
    seed
}

/// Every reply begins as one; what a request to HEAD or half a request gets may have any length.
#[track_caller]
fn assert_reply(reply: &[u8], request: &[u8], seed: u64) {
    let sound = reply.is_empty() || reply.starts_with(b"HTTP/1.1 ") || reply.starts_with(b"HTTP/1.0 ");
    let (reply, request) = (String::from_utf8_lossy(reply), String::from_utf8_lossy(request));
    assert!(sound, "seed {seed}: {reply:?} to {request:?}");
}

#[test]
fn mutated_requests() {
    const THREADS: usize = 8;
    let seed = seed();
    let backends = ["one", "two"].map(|name| Backend::start(move |request| ok_to(request, name.as_bytes())));
    let mut beelance = Beelance::before(&backends.each_ref(), HURRIED);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let beelance = &beelance;
            scope.spawn(move || {
                let mut random = Random(seed.wrapping_mul(2 * thread as u64 + 1) | 1);
                for number in 0..scale(2000).div_ceil(THREADS) {
                    let request = random.request();
                    let mut client = beelance.connect();
                    match random.below(4) {
                        // In pieces, so that every state of every scanner sees an end of input.
                        0 => {
                            for piece in request.chunks(1 + random.below(9)) {
                                if client.try_send(piece).is_err() {
                                    break;
                                }
                            }
                        }
                        _ => drop(client.try_send(&request)),
                    }
                    match number % 10 {
                        0 => client.reset(),
                        1 => {
                            client.half_close();
                            assert_reply(&client.until_end(), &request, seed);
                        }
                        _ => assert_reply(&client.until_end(), &request, seed),
                    }
                }
            });
        }
    });
    assert!(beelance.is_running(), "seed {seed}");
    for _ in 0..4 {
        // The deadlines are so short that one may pass before the request is out: such a client comes again.
        eventually(&format!("it serves on, seed {seed}"), || {
            let mut client = Client::try_connect(beelance.web()).ok()?;
            client.try_send("GET /after HTTP/1.1\r\nHost: a\r\n\r\n").ok()?;
            client.try_response(false).ok().filter(|response| response.status == 200)
        });
    }
    // Nothing is left behind: no request in flight, and soon no connection.
    for backend in &backends {
        backend.wait_in_flight(0);
    }
    assert!(backends.iter().any(|backend| backend.count() > 10), "seed {seed}: hardly anything came through");
}
