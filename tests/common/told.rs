//! What `explain` tells, read; and chances for what is asked.

use super::client::Client;
use super::ctl::ask;
use std::net::SocketAddr;
use std::path::Path;

/// The words behind `step: ` on the first such line.
#[track_caller]
pub fn step<'t>(told: &'t str, step: &str) -> &'t str {
    let mut found = told.lines().filter_map(|line| line.strip_prefix(step)?.strip_prefix(": "));
    found.next().unwrap_or_else(|| panic!("no {step} in {told}"))
}

/// The words before each colon.
pub fn steps(told: &str) -> Vec<&str> {
    told.lines().filter_map(|line| line.split_once(": ")).map(|(step, _)| step).collect()
}

/// What the answer to this question says of the client.
#[track_caller]
pub fn client(socket: &Path, question: &str) -> String {
    step(&ask(socket, &format!("explain {question}")), "client").to_owned()
}

/// A connection from 127.0.0.N.
#[track_caller]
pub fn from(last: u64, address: SocketAddr) -> Client {
    Client::connect_from(format!("127.0.0.{last}").parse().unwrap(), address)
}

/// SplitMix64.
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}
