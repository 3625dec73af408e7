//! What a client of the control plane may do, over the runtime socket and the admin listener alike.

use crate::config::SOCKET_LEVELS;

/// Each may do what those before it may (HAProxy `level`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Look at what is no secret.
    User,
    /// Look at everything and clear the highest values; over HTTP, change states and weights of servers.
    Operator,
    /// Change everything.
    Admin,
}

impl Level {
    /// The one at this place of [`SOCKET_LEVELS`].
    pub(super) fn at(place: usize) -> Self {
        match place {
            0 => Self::User,
            1 => Self::Operator,
            _ => Self::Admin,
        }
    }

    pub(super) fn name(self) -> &'static str {
        SOCKET_LEVELS[self as usize]
    }
}
