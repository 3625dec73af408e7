//! beelance: an HTTP/1.1 load balancer for boards with one slow core and 64 MB of RAM.
//!
//! The modules, in reading order. A request is read by [`http`], placed by [`balance`] as [`config`] says, and carried
//! by [`proxy`] over sockets that [`runtime`] watches; [`operate`] is what an operator touches.

pub use beelance_engine::{balance, config, dns, fault, http, limits, proxy, runtime};

pub mod operate;
pub mod demo;
