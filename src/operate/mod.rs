//! What an operator touches: starting and stopping, probes, the access log, what the machine has.
//!
//! Stands on top of everything. The control plane runs here, as ordinary tasks on `async-io`; the data path never does.

mod accept;
pub mod access_log;
mod admin;
mod agent;
pub mod confine;
mod ctl;
mod energy;
mod explain;
mod figures;
mod handover;
pub mod header;
pub mod inheritance;
mod kernel;
mod level;
pub mod lines;
mod logs;
pub mod machine;
mod membership;
mod messages;
mod named;
mod nameserver;
mod notify;
mod own;
mod probe;
mod reload;
mod resolver;
mod ring;
mod rollback;
mod run;
mod service;
mod signals;
#[cfg(test)]
mod small;
mod socket;
mod sink;
pub mod text;
mod top;
pub mod upgrade;
mod watchdog;
mod watches;

pub use ctl::ctl;
pub use messages::last;
pub use run::{Failure, Running, check, print, run, start, tell};
pub use service::Service;
pub use top::top;
