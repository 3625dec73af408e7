//! A nameserver's answer of any bytes: addresses that are in it, or nothing.
//!
//! The input is a message but for its first twelve bytes and the question, which are those of an answer to one; its first
//! byte says which family was asked for.

use beelance::dns::{Answer, Family, Question};
use beelance::limits::MAX_ADDRESSES;
use std::net::IpAddr;

/// What follows a question for `alias.test`, after how many records that is said to be.
pub fn check(bytes: &[u8]) {
    let [family, high, low, records @ ..] = bytes else { return };
    let (family, length) = if family % 2 == 0 { (Family::V4, 4) } else { (Family::V6, 16) };
    let question = Question::new(0x1234, "alias.test", family).expect("a name");
    let asked = question.bytes();
    let head = [&asked[..2], &[0x81, 0x80, 0, 1, *high, *low, 0, 0, 0, 0]].concat();
    let message = [&head, &asked[12..], records].concat();
    match question.read(&message) {
        Some(Answer::Addresses(addresses, ttl_s)) => {
            assert!((1..=MAX_ADDRESSES).contains(&addresses.len()) && ttl_s < 1 << 31, "{addresses:?} {ttl_s}");
            for (at, address) in addresses.iter().enumerate() {
                let octets = match address {
                    IpAddr::V4(v4) => v4.octets().to_vec(),
                    IpAddr::V6(v6) => v6.octets().to_vec(),
                };
                assert_eq!(octets.len(), length, "of the family that was asked for");
                assert!(records.windows(length).any(|window| window == octets), "{address} is not in the answer");
                assert!(!address.is_unspecified() && !address.is_multicast() && !addresses[..at].contains(address));
            }
        }
        Some(Answer::NoAddress) | None => {}
        Some(answer @ (Answer::NoSuchName | Answer::Failed(_) | Answer::Truncated)) => {
            panic!("the head says nothing of {answer:?}")
        }
    }
    // Whatever its head says.
    let _ = question.read(bytes);
}
