//! The admin listener: the dashboard, metrics, statistics and states of health over HTTP/1.1.
//!
//! ```text
//!   serve: accept --> a place of eight --> client: head, guard, answer, again
//! ```
//!
//! Stands beside the data path and shares nothing with it but the loop and the reader of heads: an operator gets an answer
//! where all connections are taken. Its clients are few, their buffers are made at the start, and what is long is streamed
//! through one of them, a buffer at a time and giving way after each, so that nobody's request waits for a scrape. Owns who
//! may ask what ([`guard`]); refuses to know how a figure comes about.

mod answer;
mod client;
mod explain;
mod fields;
mod guard;
mod health;
mod metrics;
mod orders;
mod out;
mod own;
mod page;
mod serve;
mod status;

pub(super) use serve::start;

use super::level::Level;
