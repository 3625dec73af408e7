//! The data path of beelance, and what it rests on.
//!
//! The modules, in reading order. A request is read by [`http`], placed by [`balance`] as [`config`] says, and carried
//! by [`proxy`] over sockets that [`runtime`] watches. A crate of its own, as it is compiled for speed, and what is not
//! here for size.

pub mod limits;
pub mod fault;
pub mod sort;
pub mod table;
pub mod http;
pub mod dns;
pub mod balance;
pub mod config;
pub mod runtime;
pub mod proxy;
