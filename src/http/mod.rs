//! HTTP/1.1 without sockets: heads, body framing, rewriting and beelance's own replies.
//!
//! Owns every rule of RFC 9110 and RFC 9112 that beelance follows. Knows no socket and no clock: bytes go in, decisions
//! and rewritten bytes come out.

pub mod body;
pub mod chunk;
pub mod cookie;
pub mod date;
pub mod edits;
pub mod fields;
mod framing;
mod host;
pub mod key;
pub mod plain;
pub mod proxy_protocol;
pub mod redirect;
pub mod reply;
pub mod request;
pub mod request_id;
pub mod response;
pub mod route;
pub mod scan;
mod target;
pub mod trust;
pub mod upgrade;
