//! The thread: its loop and reactor, clock and deadlines, sockets, buffers and splices.
//!
//! Owns every `unsafe` block and every use of `nix` on the data path. Knows no HTTP and no configuration.
//!
//! ```text
//!   Loop::run --> executor (tasks) --> Stream::recv/send, Seat::until
//!      |                                      |
//!      +--> Reactor::turn: epoll_wait, clock, deadlines --> wakes seats
//! ```

mod alarm;
pub mod alone;
mod bounds;
pub mod buffer;
mod calls;
pub mod clock;
#[cfg(test)]
mod counting;
mod current;
pub mod deadlines;
mod endpoint;
mod event_loop;
pub mod exec;
pub mod inherited;
mod label;
pub mod lag;
mod listener;
pub mod memory_file;
#[cfg(target_env = "musl")]
mod names;
pub mod outside;
pub mod privileges;
mod process;
mod reactor;
mod seat;
mod socket;
mod spent;
mod splice;
pub mod terminal;
mod unix;
mod waker;
mod watchdog;
mod words;
mod zeroed;

pub use buffer::{Buffer, Buffers, LinePlace, Need};
#[cfg(test)]
pub(crate) use counting::Heap;
pub use current::Current;
pub use endpoint::Endpoint;
pub use event_loop::Loop;
pub use label::Seen;
pub use listener::{Bind, Listener};
pub use process::Child;
pub use reactor::Reactor;
pub use seat::{Elapsed, NEVER, Seat};
pub use socket::{Received, Stream, is_exhaustion};
pub use spent::cpu_ms;
pub use splice::{Pipe, Spliced};
pub use unix::{SocketFile, connect_unix};
pub use watchdog::Watchdog;
pub use words::{append, copy};
