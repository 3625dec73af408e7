//! Names of servers: the questions to nameservers, what answers them, and what follows for backends.
//!
//! Owns the bytes of messages (RFC 1035), the two files that the C library reads as well, and the decisions: when a name
//! is asked for again, which of its addresses a backend has, which address fills which slot. Knows no socket and no clock.

mod choose;
mod files;
mod fill;
mod labels;
mod message;
mod standing;

pub use choose::{choose, of_one_family};
pub use files::{hosts, nameservers};
pub use fill::{Change, Slot, fill};
pub use message::{Answer, Family, Question};
pub use standing::Standing;
