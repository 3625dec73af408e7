//! What connections and requests hold at the moment. When all of them have ended it is nothing: a count that stays is a
//! leak.

use super::Proxy;
use crate::limits::{BackendId, PoolId};
use std::fmt;

/// Counts of what is held; [`fmt::Display`] prints them as one line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Client connections.
    pub connections: usize,
    /// Slots of all backends.
    pub slots: u32,
    /// Requests that wait for one.
    pub queued: u32,
    /// Small buffers.
    pub small_buffers: usize,
    /// Large buffers.
    pub large_buffers: usize,
    /// Pipes.
    pub pipes: usize,
}

impl Proxy {
    /// What is held at the moment.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let balancer = self.balancer.borrow();
        let backends = (0..self.config().backends.len()).filter_map(BackendId::new).map(|id| balancer.status(id));
        let (slots, bound) = backends.fold((0, 0), |(slots, bound), it| (slots + it.serving, bound + it.queued));
        let free: u32 = (0..self.config().pools.len()).filter_map(PoolId::new).map(|id| balancer.queued(id)).sum();
        let (small_buffers, large_buffers) = self.buffers.in_use();
        Usage {
            connections: self.connections(),
            slots,
            queued: bound + free,
            small_buffers,
            large_buffers,
            pipes: self.buffers.pipes_in_use(),
        }
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, slots, queued, small_buffers, large_buffers, pipes } = self;
        write!(
            f,
            "{connections} connections, {slots} slots, {queued} queued, {small_buffers} small and {large_buffers} large buffers, {pipes} pipes"
        )
    }
}
