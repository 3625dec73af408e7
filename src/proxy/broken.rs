//! What ends one direction of an exchange before its message is over. What becomes of the exchange then is not decided here.

use crate::http::body::Malformed;

/// What ended a direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The source closed or failed before the message was complete.
    Source,
    /// The sink closed or failed.
    Sink,
    /// The message's framing is broken.
    Malformed(&'static str),
    /// The payload is longer than allowed.
    TooLong,
    /// No buffer is free.
    NoBuffer,
}

impl From<Malformed> for Broken {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.0)
    }
}
