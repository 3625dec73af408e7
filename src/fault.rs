//! The one error type of a request: whose fault it is, which status it gets, how the log calls it.
//!
//! The termination states are HAProxy's (configuration manual, section 8.5): the first letter says who ended the
//! exchange, the second in which phase it was.

use crate::http::request::Refusal;

/// What ended an exchange before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The client closed or reset its connection.
    ClientGone,
    /// The client neither sent nor took a byte in time.
    ClientSilent,
    /// The request breaks a rule or passes a limit.
    Refused(Refusal),
    /// No slot became free in time.
    QueueTimeout,
    /// The queue of the backend the request is bound to is full.
    QueueFull,
    /// No backend of the pool is up.
    NoBackend,
    /// No attempt to connect succeeded.
    ConnectFailed,
    /// The last attempt to connect was not decided in time.
    ConnectTimeout,
    /// The backend closed or reset the connection before its response was complete.
    BackendGone,
    /// The backend neither sent nor took a byte in time.
    BackendSilent,
    /// The backend's response breaks a rule or passes a limit.
    BackendMalformed(&'static str),
    /// The response's status is one to try again for; nothing of it went to the client.
    Retried(u16),
    /// A fixed table of ours is full.
    Exhausted,
    /// Nothing went wrong: beelance is the one to answer, with this status.
    Answered(u16),
    /// Somebody asked whether beelance serves; this is the answer.
    Monitored(u16),
    /// The head was not complete, or nothing had passed, when its place was needed for somebody else.
    Shed,
    /// The client asks more often than it may; it may again in so many seconds.
    TooFast(u16),
    /// The client did too much wrong; it may ask again in so many seconds.
    Barred(u16),
    /// A rule refuses it, with this status.
    Denied(u16),
    /// The backend it was given sends it elsewhere.
    Redirected,
}

/// Where an exchange is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The request's head is on its way in.
    #[default]
    Request,
    /// Held in the tarpit.
    Tarpit,
    /// Waiting for a slot.
    Queue,
    /// Connecting to a backend.
    Connect,
    /// Waiting for the response's head.
    Headers,
    /// The response's body is on its way.
    Data,
}

impl Phase {
    /// The second letter of the termination state.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Request => 'R',
            Self::Tarpit => 'T',
            Self::Queue => 'Q',
            Self::Connect => 'C',
            Self::Headers => 'H',
            Self::Data => 'D',
        }
    }
}

impl Fault {
    /// The first letter of the termination state.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::ClientGone => 'C',
            Self::ClientSilent => 'c',
            Self::Refused(_) | Self::Denied(_) | Self::BackendMalformed(_) | Self::TooFast(_) | Self::Barred(_) => 'P',
            Self::QueueTimeout | Self::ConnectTimeout | Self::BackendSilent => 's',
            Self::QueueFull | Self::NoBackend | Self::ConnectFailed | Self::BackendGone | Self::Retried(_) => 'S',
            Self::Exhausted | Self::Shed => 'R',
            Self::Answered(_) | Self::Monitored(_) | Self::Redirected => 'L',
        }
    }

    /// The status the client gets, or would get if it were still there.
    #[must_use]
    pub fn status(self, phase: Phase) -> u16 {
        match self {
            Self::Refused(refusal) => refusal.status,
            Self::ClientSilent => 408,
            Self::ClientGone => match phase {
                Phase::Queue | Phase::Connect => 503,
                Phase::Tarpit => 500,
                Phase::Request | Phase::Headers | Phase::Data => 400,
            },
            Self::QueueTimeout
            | Self::QueueFull
            | Self::NoBackend
            | Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::Exhausted
            | Self::Shed => 503,
            Self::BackendGone | Self::BackendMalformed(_) => 502,
            Self::BackendSilent => 504,
            Self::TooFast(_) | Self::Barred(_) => 429,
            Self::Answered(status) | Self::Monitored(status) | Self::Denied(status) | Self::Retried(status) => status,
            Self::Redirected => 302,
        }
    }

    /// Whether the client's connection can carry a reply.
    #[must_use]
    pub fn leaves_client(self) -> bool {
        match self {
            Self::ClientGone => false,
            Self::ClientSilent
            | Self::Refused(_)
            | Self::QueueTimeout
            | Self::QueueFull
            | Self::NoBackend
            | Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::BackendGone
            | Self::BackendSilent
            | Self::BackendMalformed(_)
            | Self::Retried(_)
            | Self::Exhausted
            | Self::Shed
            | Self::TooFast(_)
            | Self::Barred(_)
            | Self::Denied(_)
            | Self::Redirected
            | Self::Monitored(_)
            | Self::Answered(_) => true,
        }
    }

    /// Whether the client's next request can still be told from the rest of this one, when its body was read.
    #[must_use]
    pub fn keeps_framing(self) -> bool {
        match self {
            Self::ClientGone | Self::ClientSilent | Self::Refused(_) | Self::Shed => false,
            // Its next connection costs less than its next request.
            Self::Barred(_) => false,
            Self::QueueTimeout
            | Self::QueueFull
            | Self::NoBackend
            | Self::ConnectFailed
            | Self::ConnectTimeout
            | Self::BackendGone
            | Self::BackendSilent
            | Self::BackendMalformed(_)
            | Self::Retried(_)
            | Self::Exhausted
            | Self::TooFast(_)
            | Self::Denied(_)
            | Self::Redirected
            | Self::Monitored(_)
            | Self::Answered(_) => true,
        }
    }

    /// Seconds after which the client may try again, where that is known.
    #[must_use]
    pub fn retry_after_s(self) -> Option<u16> {
        let (Self::TooFast(after_s) | Self::Barred(after_s)) = self else { return None };
        Some(after_s)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_as_haproxy_writes_them() {
        let refused = Fault::Refused(Refusal { status: 431, reason: "" });
        let cases = [
            (Fault::ClientGone, Phase::Request, "CR", 400),
            (Fault::ClientSilent, Phase::Request, "cR", 408),
            (refused, Phase::Request, "PR", 431),
            (Fault::Answered(405), Phase::Request, "LR", 405),
            (Fault::Denied(403), Phase::Request, "PR", 403),
            (Fault::Denied(500), Phase::Tarpit, "PT", 500),
            (Fault::ClientGone, Phase::Tarpit, "CT", 500),
            (Fault::Redirected, Phase::Connect, "LC", 302),
            (Fault::ClientGone, Phase::Queue, "CQ", 503),
            (Fault::QueueTimeout, Phase::Queue, "sQ", 503),
            (Fault::QueueFull, Phase::Queue, "SQ", 503),
            (Fault::NoBackend, Phase::Connect, "SC", 503),
            (Fault::ConnectFailed, Phase::Connect, "SC", 503),
            (Fault::ConnectTimeout, Phase::Connect, "sC", 503),
            (Fault::ClientGone, Phase::Connect, "CC", 503),
            (Fault::Exhausted, Phase::Connect, "RC", 503),
            (Fault::Shed, Phase::Request, "RR", 503),
            (Fault::Shed, Phase::Queue, "RQ", 503),
            (Fault::Shed, Phase::Connect, "RC", 503),
            (Fault::Shed, Phase::Data, "RD", 503),
            (Fault::TooFast(1), Phase::Request, "PR", 429),
            (Fault::Barred(1), Phase::Request, "PR", 429),
            (Fault::ClientGone, Phase::Headers, "CH", 400),
            (Fault::BackendGone, Phase::Headers, "SH", 502),
            (Fault::BackendSilent, Phase::Headers, "sH", 504),
            (Fault::BackendMalformed(""), Phase::Headers, "PH", 502),
            (Fault::ClientGone, Phase::Data, "CD", 400),
            (Fault::ClientSilent, Phase::Data, "cD", 408),
            (Fault::BackendGone, Phase::Data, "SD", 502),
            (Fault::BackendSilent, Phase::Data, "sD", 504),
        ];
        for (fault, phase, state, status) in cases {
            assert_eq!(format!("{}{}", fault.letter(), phase.letter()), state);
            assert_eq!(fault.status(phase), status, "{state}");
        }
    }
}
