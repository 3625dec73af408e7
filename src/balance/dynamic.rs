//! The value of an affinity cookie that follows from a server's address and a secret: HAProxy's `cookie ... dynamic`.
//!
//! XXH64 over the secret, the address and the port in four bytes, as sixteen hexadecimal digits. Every balancer with the
//! same secret leads a user to the same server, whatever the servers are called there.

use core::net::{IpAddr, SocketAddr};
use std::fmt::Write;

/// The cookie's value for a server.
#[must_use]
pub fn value(secret: &[u8], server: SocketAddr) -> heapless::String<16> {
    let mut bytes = secret.to_vec();
    match server.ip() {
        IpAddr::V4(address) => bytes.extend_from_slice(&address.octets()),
        IpAddr::V6(address) => bytes.extend_from_slice(&address.octets()),
    }
    bytes.extend_from_slice(&u32::from(server.port()).to_be_bytes());
    let mut text = heapless::String::new();
    // Sixteen digits fit.
    let _ = write!(text, "{:016x}", xxh64(&bytes));
    text
}

const PRIMES: [u64; 5] =
    [0x9e37_79b1_85eb_ca87, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9, 0x85eb_ca77_c2b2_ae63, 0x27d4_eb2f_1656_67c5];

fn round(lane: u64, input: u64) -> u64 {
    lane.wrapping_add(input.wrapping_mul(PRIMES[1])).rotate_left(31).wrapping_mul(PRIMES[0])
}

/// XXH64 with seed 0.
fn xxh64(bytes: &[u8]) -> u64 {
    let word = |bytes: &[u8]| bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    let mut lanes = [PRIMES[0].wrapping_add(PRIMES[1]), PRIMES[1], 0, 0u64.wrapping_sub(PRIMES[0])];
    let stripes = bytes.chunks_exact(32);
    let rest = stripes.remainder();
    for stripe in stripes {
        for (lane, input) in lanes.iter_mut().zip(stripe.chunks_exact(8)) {
            *lane = round(*lane, word(input));
        }
    }
    let mut hash = PRIMES[4];
    if bytes.len() >= 32 {
        let turned = lanes.iter().zip([1, 7, 12, 18]).map(|(lane, by)| lane.rotate_left(by));
        hash = turned.fold(0, u64::wrapping_add);
        for lane in lanes {
            hash = (hash ^ round(0, lane)).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
        }
    }
    hash = hash.wrapping_add(bytes.len() as u64);
    let eights = rest.chunks_exact(8);
    let (fours, mut ones) = eights.remainder().split_at(eights.remainder().len() & 4);
    for input in eights {
        hash = (hash ^ round(0, word(input))).rotate_left(27).wrapping_mul(PRIMES[0]).wrapping_add(PRIMES[3]);
    }
    if !fours.is_empty() {
        hash ^= word(fours).wrapping_mul(PRIMES[0]);
        hash = hash.rotate_left(23).wrapping_mul(PRIMES[1]).wrapping_add(PRIMES[2]);
    }
    while let [byte, more @ ..] = ones {
        hash = (hash ^ u64::from(*byte).wrapping_mul(PRIMES[4])).rotate_left(11).wrapping_mul(PRIMES[0]);
        ones = more;
    }
    hash = (hash ^ hash >> 33).wrapping_mul(PRIMES[1]);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIMES[2]);
    hash ^ hash >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_hashes() {
        let cases = [
            ("", 0xef46_db37_51d8_e999),
            ("a", 0xd24e_c4f1_a98c_6e5b),
            ("abc", 0x44bc_2cf5_ad77_0999),
            ("Nobody inspects the spammish repetition", 0xfbce_a83c_8a37_8bf1),
            ("0123456789abcdefghijklmnopqrstuv", 0xbf7c_9dbe_16b5_c6e2),
        ];
        for (text, hash) in cases {
            assert_eq!(xxh64(text.as_bytes()), hash, "{text}");
        }
    }

    #[test]
    fn what_haproxy_2_6_gives() {
        let cases = [
            ("secret", "127.0.0.1:40127", "dec75405f36de1f5"),
            ("a-much-longer-secret-than-one-stripe", "[::1]:57669", "d13553f547cfe0c0"),
        ];
        for (secret, server, cookie) in cases {
            assert_eq!(value(secret.as_bytes(), server.parse().unwrap()), cookie, "{server}");
        }
    }

    #[test]
    fn small_hashes_have_sixteen_digits_too() {
        let values = (1..=256).map(|port| value(b"secret", SocketAddr::from(([127, 0, 0, 1], port))));
        let (short, long): (Vec<_>, Vec<_>) = values.partition(|value| value.starts_with('0'));
        assert!(!short.is_empty() && short.iter().chain(&long).all(|value| value.len() == 16), "{short:?}");
    }

    #[test]
    fn address_port_and_secret_count() {
        let of = |secret: &str, server: &str| value(secret.as_bytes(), server.parse().unwrap());
        let all = [
            of("key", "192.168.1.11:8080"),
            of("kez", "192.168.1.11:8080"),
            of("key", "192.168.1.12:8080"),
            of("key", "192.168.1.11:8081"),
            of("key", "[2001:db8::1]:8080"),
            of("key", "[2001:db8::2]:8080"),
        ];
        for (index, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 16);
            assert!(all[..index].iter().all(|other| other != one), "{all:?}");
        }
    }
}
