//! What a request asks the balancer for, and what it is told.

use crate::limits::{BackendId, PoolId};

/// A request that wants a slot.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// The seat of its task, which is woken when it has an answer.
    pub waiter: u16,
    /// The pool it was routed to.
    pub pool: PoolId,
    /// What it is hashed by, where its pool does that and it has it.
    pub key: Option<u32>,
    /// The backend it is bound to.
    pub sticky: Option<BackendId>,
    /// One that just failed it.
    pub avoid: Option<BackendId>,
    /// Whether it may go elsewhere when the queue of its backend is full.
    pub may_move: bool,
    /// Whose it is: clients with requests waiting take turns.
    pub client: u64,
    /// Its priority class, `MIN_CLASS..=MAX_CLASS`; the lower the sooner.
    pub class: i8,
}

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It holds a slot of this backend.
    Go(BackendId),
    /// It waits for a slot of this backend, behind so many others.
    WaitForBackend(BackendId, u32),
    /// It waits for a slot of any backend of its pool, behind so many others.
    WaitForPool(u32),
    /// It gets none.
    Refused(Refused),
}

/// Why a request gets no backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No backend of the pool is up.
    NoBackend,
    /// The one it is bound to has its queue full, and it may not go elsewhere.
    QueueFull,
}

/// What a pool has for a request that is bound to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// A slot.
    Slot,
    /// A place to wait, behind so many others.
    Queue(u32),
    /// No backend that takes requests.
    Nobody,
}

/// The end of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It holds a slot of this backend now.
    Granted(BackendId),
    /// No backend is left.
    Refused,
}
