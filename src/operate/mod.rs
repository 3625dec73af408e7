//! What an operator touches: starting and stopping, probes, the access log, what the machine has.
//!
//! Stands on top of everything. The control plane runs here, as ordinary tasks on `async-io`; the data path never does.

pub mod access_log;
mod agent;
pub mod confine;
mod kernel;
pub mod lines;
pub mod machine;
mod messages;
mod nameserver;
mod probe;
mod reload;
mod resolver;
mod run;
mod service;
mod signals;
mod sink;
pub mod text;
mod watches;

pub use run::{Failure, Running, check, run, start};
pub use service::Service;
