//! What pools and backends are made from.

use super::Algorithm;
use super::passive::PassiveSpec;
use crate::limits::PoolId;

/// What a backend is made from.
#[derive(Clone, Debug)]
pub struct BackendSpec {
    /// The pool it belongs to.
    pub pool: PoolId,
    /// 0..=256; 0 takes only requests bound to it.
    pub weight: u16,
    /// Requests it works on at once; 0 = unlimited.
    pub maxconn: u32,
    /// Between which two numbers that is searched instead.
    pub auto: Option<(u16, u16)>,
    /// Requests bound to it that may wait; 0 = unlimited.
    pub maxqueue: u32,
    /// Used only while no other backend of the pool is usable.
    pub backup: bool,
    /// The value of the affinity cookie.
    pub cookie: Box<str>,
    /// Its name's number (`Hash::Beelance`), by which keys find it.
    pub seed: u32,
    /// Whether it starts up.
    pub up: bool,
}

/// What a pool is made from.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoolSpec {
    /// How a request without affinity is placed.
    pub algorithm: Algorithm,
    /// Requests its backends work on at once, together; 0 = unlimited.
    pub maxconn: u32,
    /// Requests that may wait, bound ones and free ones together; 0 = unlimited.
    pub maxqueue: u32,
    /// What the traffic says about its backends.
    pub passive: PassiveSpec,
    /// How long a backend that came up again takes to get all of its weight and maxconn, in milliseconds.
    pub slowstart_ms: u64,
}
