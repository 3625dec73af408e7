//! The request cases: what a client sends, what the RFCs say about it, what beelance does with it. One file a noun.
//!
//! `tests/messages.rs` holds beelance to every case; `tests/compare` sends the same cases through HAProxy and nginx.
#![allow(dead_code, reason = "each test is a crate of its own and uses a part of this")]
#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

pub mod check;
pub mod chunks;
pub mod content_length;
pub mod fields;
pub mod forwarded;
pub mod hop_by_hop;
pub mod host;
pub mod limits;
pub mod max_forwards;
pub mod pipelining;
pub mod request_line;
pub mod table;
pub mod target;
pub mod transfer_encoding;
pub mod upgrade;
pub mod version;

use crate::common::lane::Ending;
use std::fmt;

/// What a case is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RFC 9110 and RFC 9112 allow it.
    Valid,
    /// Two readers could see its end, or its host, in different places.
    Framing,
    /// The grammar does not allow it.
    Syntax,
    /// The grammar allows it; a limit, or what a proxy has to do, decides.
    Policy,
}

/// A request as a backend has to receive it, without the chunks of its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// `{listener}` stands for the address of the listener.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

/// What beelance does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Passes it on unchanged but for the edits that docs/http.md lists.
    Forward(Vec<Passed>),
    /// Passes it on in another form, which has only one reading.
    Normalise(Vec<Passed>),
    /// Answers with this status and closes.
    Refuse(u16),
    /// Answers it itself.
    Own(u16),
    /// Closes, with or without a reply: the client left in the middle.
    Drop,
}

/// The configuration a case is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// The defaults.
    Plain,
    /// The client's address is in `listen.N.trust`.
    Trusted,
    /// `pool.N.forwardfor = no`
    NoForwardFor,
    /// `limits.body = 1000`, `limits.headers = 20`, `limits.header-size = 4k`
    Small,
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file it stands in.
    pub noun: &'static str,
    pub name: String,
    /// `9112 6.3`
    pub rfc: &'static str,
    pub kind: Kind,
    /// Why beelance is right, in one sentence.
    pub why: &'static str,
    pub sent: Vec<u8>,
    pub expected: Expected,
    /// Whether the connection is kept behind it, and the next request answered.
    pub keeps: bool,
    /// Whether the head may have been passed on before the body turns out to be none.
    pub late: bool,
    /// The status of every reply, the next request's included.
    pub replies: Vec<u16>,
    pub setting: Setting,
    pub ending: Ending,
}

impl Case {
    /// The connection closes behind the reply.
    pub fn closes(&mut self) -> &mut Self {
        if self.keeps {
            self.keeps = false;
            self.replies.pop();
        }
        self
    }

    /// What follows the messages is refused with this status.
    pub fn then(&mut self, status: u16) -> &mut Self {
        self.closes();
        self.replies.push(status);
        self
    }

    /// It is about another section, for another reason, than the rest of its group.
    pub fn says(&mut self, rfc: &'static str, why: &'static str) -> &mut Self {
        (self.rfc, self.why) = (rfc, why);
        self
    }

    /// Whether what is passed on has no end: the client leaves before its own.
    pub fn passes_in_part(&self) -> bool {
        self.ending == Ending::Leave
    }

    /// `RFC 9112 section 6.3`
    pub fn section(&self) -> String {
        let (rfc, section) = self.rfc.split_once(' ').unwrap();
        format!("RFC {rfc} section {section}")
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.noun, self.name, self.section())
    }
}

/// All cases, in the order of the documentation.
pub fn all() -> Vec<Case> {
    let tables = [
        request_line::cases(),
        version::cases(),
        target::cases(),
        host::cases(),
        fields::cases(),
        content_length::cases(),
        transfer_encoding::cases(),
        chunks::cases(),
        hop_by_hop::cases(),
        upgrade::cases(),
        forwarded::cases(),
        max_forwards::cases(),
        pipelining::cases(),
        limits::cases(),
    ];
    tables.concat()
}
