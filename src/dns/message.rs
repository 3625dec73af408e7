//! A question to a nameserver, and what an answer to it says (RFC 1035, RFC 3596).
//!
//! Every byte of an answer is hostile. What does not answer this very question, or is cut or crooked, is no answer: the
//! question stays open.

use super::labels::{same, skip};
use crate::limits::MAX_ADDRESSES;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a head.
const HEAD: usize = 12;
/// Bytes of a question: a head, a name, type and class.
const MAX_QUESTION: usize = HEAD + 255 + 4;
/// Aliases that lead from a name to its addresses.
const MAX_ALIASES: usize = 8;

const CNAME: u16 = 5;
const INTERNET: u16 = 1;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Family {
    /// A records.
    V4,
    /// AAAA records.
    #[default]
    V6,
}

impl Family {
    const fn record(self) -> u16 {
        match self {
            Self::V4 => 1,
            Self::V6 => 28,
        }
    }
}

/// What a nameserver says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The name has these, at least one, for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// It has none of this family.
    NoAddress,
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// The nameserver does not know, for this reason (RCODE).
    Failed(u8),
    /// The answer is too long for a datagram.
    Truncated,
}

/// A question.
pub struct Question {
    bytes: heapless::Vec<u8, MAX_QUESTION>,
    family: Family,
}

impl Question {
    /// Asks for the addresses of `host`, recursion desired. `None` when it is no host name.
    #[must_use]
    pub fn new(id: u16, host: &str, family: Family) -> Option<Self> {
        let mut bytes = heapless::Vec::new();
        bytes.extend_from_slice(&id.to_be_bytes()).ok()?;
        bytes.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]).ok()?;
        for label in host.strip_suffix('.').unwrap_or(host).split('.') {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
            bytes.push(length).ok()?;
            bytes.extend_from_slice(label.as_bytes()).ok()?;
        }
        bytes.push(0).ok()?;
        for word in [family.record(), INTERNET] {
            bytes.extend_from_slice(&word.to_be_bytes()).ok()?;
        }
        Some(Self { bytes, family })
    }

    /// What is sent.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What `message` says; `None` when it does not answer this question.
    #[must_use]
    pub fn read(&self, message: &[u8]) -> Option<Answer> {
        let asked = self.bytes.get(HEAD..)?;
        let echoed = message.get(HEAD..self.bytes.len())?;
        let (flags, code) = (*message.get(2)?, *message.get(3)? & 0x0f);
        // A response, to a plain query, with one question.
        let is_response = flags & 0xf8 == 0x80 && word(message, 4)? == 1;
        // Lengths of labels are no letters.
        if message.get(..2)? != &self.bytes[..2] || !is_response || !echoed.eq_ignore_ascii_case(asked) {
            return None;
        }
        match code {
            _ if flags & 2 != 0 => Some(Answer::Truncated),
            0 => self.addresses(message),
            3 => Some(Answer::NoSuchName),
            code => Some(Answer::Failed(code)),
        }
    }

    /// Follows the aliases from the name that was asked for to addresses.
    fn addresses(&self, message: &[u8]) -> Option<Answer> {
        let mut name = HEAD;
        let mut ttl_s = u32::MAX;
        let mut addresses = Vec::new();
        for _ in 0..=MAX_ALIASES {
            let mut alias = None;
            let mut at = self.bytes.len();
            for _ in 0..word(message, 6)? {
                let record = Record::at(message, at)?;
                at = record.end;
                if record.class != INTERNET || !same(message, record.owner, name) {
                    continue;
                }
                if record.kind == self.family.record() {
                    ttl_s = ttl_s.min(record.ttl_s);
                    let address = self.address(message.get(record.data..record.end)?)?;
                    let usable = !address.is_unspecified() && !address.is_multicast();
                    if usable && addresses.len() < MAX_ADDRESSES && !addresses.contains(&address) {
                        addresses.push(address);
                    }
                } else if record.kind == CNAME {
                    alias = alias.or(Some(record));
                }
            }
            let Some(alias) = alias.filter(|_| addresses.is_empty()) else { break };
            (name, ttl_s) = (alias.data, ttl_s.min(alias.ttl_s));
        }
        Some(if addresses.is_empty() { Answer::NoAddress } else { Answer::Addresses(addresses, ttl_s) })
    }

    fn address(&self, data: &[u8]) -> Option<IpAddr> {
        match self.family {
            Family::V4 => <[u8; 4]>::try_from(data).ok().map(|bytes| Ipv4Addr::from(bytes).into()),
            Family::V6 => <[u8; 16]>::try_from(data).ok().map(|bytes| Ipv6Addr::from(bytes).into()),
        }
    }
}

/// A resource record; its places in the message.
#[derive(Clone, Copy)]
struct Record {
    owner: usize,
    kind: u16,
    class: u16,
    ttl_s: u32,
    data: usize,
    end: usize,
}

impl Record {
    fn at(message: &[u8], owner: usize) -> Option<Self> {
        let fixed = skip(message, owner)?;
        let data = fixed + 10;
        let end = data + usize::from(word(message, fixed + 8)?);
        let ttl_s = u32::from(word(message, fixed + 4)?) << 16 | u32::from(word(message, fixed + 6)?);
        // RFC 2181, 8: one with the highest bit set is none.
        let ttl_s = if ttl_s >> 31 == 0 { ttl_s } else { 0 };
        let record = Self { owner, kind: word(message, fixed)?, class: word(message, fixed + 2)?, ttl_s, data, end };
        (end <= message.len()).then_some(record)
    }
}

/// The 16 bits at `at`.
fn word(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_be_bytes)
}

#[cfg(test)]
mod tests;
