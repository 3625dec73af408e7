//! One case: what a backend sends, and what a client gets of it.

use crate::common::client::Framing;

/// What the backend does behind its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    Stay,
    Close,
    Reset,
}

/// What the client gets.
#[derive(Clone, Copy, Debug)]
pub enum Wants {
    /// The final head to the letter but for a Date that was added, then its body to its end.
    Whole(&'static str, Framing, &'static str),
    /// 502, a reply of beelance's own.
    Refused,
    /// A head with this framing, not more than this of the body, and an end that shows that it is not all.
    Cut(Framing, &'static str),
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    pub name: &'static str,
    /// The RFC and its section.
    pub section: &'static str,
    /// The request; its target is replaced by one of the case's own.
    pub ask: &'static str,
    pub reply: &'static [u8],
    pub then: Then,
    /// The 1xx heads that come before, to the letter.
    pub interim: &'static [&'static str],
    pub wants: Wants,
    /// Whether the client's connection takes another request. Not asked when the reply is beelance's own: that says it.
    pub keeps: bool,
    /// Whether the backend's connection takes another request.
    pub reuses: bool,
    /// Whether the bytes may also come one by one.
    pub dribbles: bool,
    /// The termination state in the log.
    pub state: &'static str,
}

pub const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
pub const HEAD: &str = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
pub const GET_10: &str = "GET / HTTP/1.0\r\n\r\n";
pub const HEAD_10: &str = "HEAD / HTTP/1.0\r\n\r\n";
/// An HTTP/1.0 client that would keep its connection.
pub const KEEP_10: &str = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";

/// A response that is passed on whole; both connections stay.
pub const fn whole(
    (name, section): (&'static str, &'static str),
    ask: &'static str,
    reply: &'static [u8],
    wants: (&'static str, Framing, &'static str),
) -> Case {
    Case {
        name,
        section,
        ask,
        reply,
        then: Then::Stay,
        interim: &[],
        wants: Wants::Whole(wants.0, wants.1, wants.2),
        keeps: true,
        reuses: true,
        dribbles: true,
        state: "----",
    }
}

/// A response that is refused.
pub const fn refused((name, section): (&'static str, &'static str), reply: &'static [u8]) -> Case {
    Case {
        wants: Wants::Refused,
        reuses: false,
        state: "PH--",
        ..whole((name, section), GET, reply, ("", Framing::None, ""))
    }
}

/// A response that breaks off behind its head: `wants` is the framing that the client sees and what it gets at most.
pub const fn cut(
    (name, section): (&'static str, &'static str),
    ask: &'static str,
    reply: &'static [u8],
    wants: (Framing, &'static str),
) -> Case {
    Case {
        wants: Wants::Cut(wants.0, wants.1),
        keeps: false,
        reuses: false,
        then: Then::Close,
        state: "SD--",
        ..whole((name, section), ask, reply, ("", Framing::None, ""))
    }
}

impl Case {
    /// The backend ends its connection behind its bytes. A reset would overtake bytes that go one by one.
    pub const fn then(self, then: Then) -> Self {
        let dribbles = self.dribbles && !matches!(then, Then::Reset);
        Self { then, reuses: false, dribbles, ..self }
    }

    /// The backend's connection takes no other request.
    pub const fn drops(self) -> Self {
        Self { reuses: false, ..self }
    }

    /// The client's connection takes no other request.
    pub const fn closes(self) -> Self {
        Self { keeps: false, ..self }
    }

    /// These 1xx come first.
    pub const fn interim(self, interim: &'static [&'static str]) -> Self {
        Self { interim, ..self }
    }

    /// The bytes have to come together: who sends them one by one could be asked again in between.
    pub const fn at_once(self) -> Self {
        Self { dribbles: false, ..self }
    }

    pub const fn state(self, state: &'static str) -> Self {
        Self { state, ..self }
    }
}
