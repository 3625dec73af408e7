//! Ordinary clients that use two balancers in turn, one under attack and a twin that is not, and how long each answer took.
//!
//! Each request to the one is followed by the same request to the other. What disturbs the machine, the attackers'
//! own work included, disturbs both alike; what is left between the two is what the attack does to the balancer.

use super::client::Client;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How the ordinary clients use their connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// One for all requests.
    Keep,
    /// A new one for each.
    New,
}

/// Ordinary clients: this many threads send this many requests each, to each balancer.
#[derive(Clone, Copy, Debug)]
pub struct Ordinary<'a> {
    pub how: Use,
    pub clients: usize,
    pub requests: usize,
    /// More header lines.
    pub headers: &'a str,
}

/// The times of one round, sorted.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// The time that `part` of a hundred do not exceed.
    pub fn percentile(&self, part: usize) -> Duration {
        self.0[(self.0.len() * part / 100).min(self.0.len() - 1)]
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// One connection, and what answers on it.
struct Side {
    address: SocketAddr,
    client: Option<Client>,
    times: Vec<Duration>,
}

impl Side {
    /// Sends one request and reads its answer, which must be `200` with the body `one`.
    #[track_caller]
    fn ask(&mut self, ordinary: &Ordinary<'_>) {
        let begin = Instant::now();
        let client = self.client.get_or_insert_with(|| Client::connect(self.address));
        let close = if ordinary.how == Use::New { "Connection: close\r\n" } else { "" };
        client.ask("GET", "/", &format!("{close}{}", ordinary.headers));
        let response = client.response();
        self.times.push(begin.elapsed());
        assert_eq!((response.status, response.text()), (200, "one"), "an ordinary client's answer");
        if ordinary.how == Use::New {
            self.client = None;
        }
    }
}

/// One round: the times through `attacked` and through `twin`.
pub fn round(attacked: SocketAddr, twin: SocketAddr, ordinary: &Ordinary<'_>) -> (Times, Times) {
    let one = || {
        let mut sides = [attacked, twin].map(|address| Side { address, client: None, times: Vec::new() });
        // The connections are there before the time runs.
        for side in &mut sides {
            side.ask(ordinary);
            side.times.clear();
        }
        for _ in 0..ordinary.requests {
            sides.iter_mut().for_each(|side| side.ask(ordinary));
        }
        sides.map(|side| side.times)
    };
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..ordinary.clients).map(|_| scope.spawn(one)).collect();
        threads.into_iter().map(|thread| thread.join().expect("every answer")).collect::<Vec<_>>()
    });
    let (mut loaded, mut unloaded) = (Times::default(), Times::default());
    for [to_attacked, to_twin] in all {
        loaded.0.extend(to_attacked);
        unloaded.0.extend(to_twin);
    }
    loaded.0.sort_unstable();
    unloaded.0.sort_unstable();
    (loaded, unloaded)
}
