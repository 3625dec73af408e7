//! Backend connections between two requests: per backend a stack, the warmest on top, all in one fixed table.
//!
//! Every five seconds half of those that nobody needed meanwhile are closed, the coldest first (HAProxy's
//! `pool-purge-delay`); what a backend closes is closed here at once.

use super::Proxy;
use crate::limits::{BackendId, IDLE_PURGE_MS};
use crate::runtime::{NEVER, Reactor, Seat, Stream};

const NONE: u16 = u16::MAX;

struct Entry {
    stream: Option<Stream>,
    /// Towards the warmer one.
    warmer: u16,
    /// Towards the colder one; the next free entry when this one is free.
    colder: u16,
}

#[derive(Clone, Copy)]
struct Stack {
    warmest: u16,
    coldest: u16,
    length: u16,
    /// The fewest since the last purge: so many were not needed.
    fewest: u16,
    /// Counts the backend's addresses: only connections to the last one are kept.
    era: u16,
    /// A connection to it is its client's alone, and not kept here.
    private: bool,
}

impl Proxy {
    /// The seat of the task that owns idle backend connections.
    #[must_use]
    pub fn keeper(&self) -> u16 {
        self.idle.borrow().keeper
    }
}

/// All idle backend connections.
pub(super) struct Idle {
    /// As many as there ever were at once; there is room for all there can be.
    entries: Vec<Entry>,
    capacity: usize,
    free: u16,
    stacks: Box<[Stack]>,
    length: usize,
    reactor: &'static Reactor,
    /// The seat of the task that closes what ended.
    keeper: u16,
    /// When it purges next; [`NEVER`] while there is nothing to purge.
    purge_ms: u64,
}

impl Idle {
    /// For so many backends and connections, of all backends together.
    pub(super) fn new(reactor: &'static Reactor, backends: usize, capacity: usize) -> Self {
        let capacity = capacity.min(usize::from(NONE - 1));
        Self {
            entries: Vec::with_capacity(capacity),
            capacity,
            free: NONE,
            stacks: vec![
                Stack { warmest: NONE, coldest: NONE, length: 0, fewest: 0, era: 0, private: false };
                backends
            ]
            .into_boxed_slice(),
            length: 0,
            reactor,
            keeper: NONE,
            purge_ms: NEVER,
        }
    }

    /// Keeps a connection that is good for another request. When the table is full the coldest of the same backend
    /// makes room, or the connection is closed.
    pub(super) fn put(&mut self, backend: BackendId, stream: Stream) {
        if self.keeper == NONE || stream.era != self.era(backend) {
            return;
        }
        stream.set_owner(self.keeper);
        if !stream.is_quiet() {
            return;
        }
        if self.free == NONE && !self.make_another() {
            let coldest = self.stacks[backend.index()].coldest;
            if coldest == NONE {
                return;
            }
            self.take_out(backend, coldest);
        }
        if self.purge_ms == NEVER {
            self.purge_ms = self.reactor.now_ms() + IDLE_PURGE_MS;
            self.reactor.wake(self.keeper);
        }
        let index = self.free;
        let stack = &mut self.stacks[backend.index()];
        let warmest = std::mem::replace(&mut stack.warmest, index);
        if warmest == NONE {
            stack.coldest = index;
        } else {
            self.entries[usize::from(warmest)].warmer = index;
        }
        stack.length += 1;
        self.length += 1;
        let entry = &mut self.entries[usize::from(index)];
        self.free = entry.colder;
        *entry = Entry { stream: Some(stream), warmer: NONE, colder: warmest };
    }

    /// Makes an entry of those that were never used, if there is one.
    #[cold]
    fn make_another(&mut self) -> bool {
        let Some(index) = u16::try_from(self.entries.len()).ok().filter(|&index| usize::from(index) < self.capacity)
        else {
            return false;
        };
        self.entries.push(Entry { stream: None, warmer: NONE, colder: NONE });
        self.free = index;
        true
    }

    /// The warmest connection of a backend that is still good.
    pub(super) fn take(&mut self, backend: BackendId) -> Option<Stream> {
        loop {
            let stack = self.stacks[backend.index()];
            if stack.warmest == NONE {
                return None;
            }
            let stream = self.take_out(backend, stack.warmest);
            if let Some(stream) = stream.filter(Stream::is_quiet) {
                return Some(stream);
            }
        }
    }

    /// Closes one connection, of whichever backend, so that another can be opened; whether there was one.
    pub(super) fn close_one(&mut self) -> bool {
        let longest = (0..self.stacks.len()).max_by_key(|&index| self.stacks[index].length);
        let Some(backend) = longest.and_then(BackendId::new) else { return false };
        let coldest = self.stacks[backend.index()].coldest;
        coldest != NONE && self.take_out(backend, coldest).is_some()
    }

    /// Idle connections to a backend.
    pub(super) fn count(&self, backend: BackendId) -> u16 {
        self.stacks[backend.index()].length
    }

    /// What is noted in a connection to a backend's address of now.
    pub(super) fn era(&self, backend: BackendId) -> u16 {
        self.stacks[backend.index()].era
    }

    /// Whether a connection to this backend is its client's alone.
    pub(super) fn is_private(&self, backend: BackendId) -> bool {
        self.stacks[backend.index()].private
    }

    /// Says so, or that it is not.
    pub(super) fn set_private(&mut self, backend: BackendId, private: bool) {
        self.stacks[backend.index()].private = private;
    }

    /// The backend has another address: all its connections are closed, those in use when they are given back.
    pub(super) fn renew(&mut self, backend: BackendId) {
        self.close_all(backend);
        let stack = &mut self.stacks[backend.index()];
        stack.era = stack.era.wrapping_add(1);
    }

    /// Closes all connections of a backend.
    pub(super) fn close_all(&mut self, backend: BackendId) {
        while self.stacks[backend.index()].coldest != NONE {
            self.take_out(backend, self.stacks[backend.index()].coldest);
        }
    }

    fn backends(&self) -> impl Iterator<Item = BackendId> + use<> {
        (0..self.stacks.len()).filter_map(BackendId::new)
    }

    /// Closes what the backends closed.
    fn sweep(&mut self) {
        for backend in self.backends() {
            let mut index = self.stacks[backend.index()].warmest;
            while index != NONE {
                let entry = &self.entries[usize::from(index)];
                let colder = entry.colder;
                if !entry.stream.as_ref().is_some_and(Stream::is_quiet) {
                    self.take_out(backend, index);
                }
                index = colder;
            }
        }
    }

    /// Closes half of what was not needed since the last purge.
    fn purge(&mut self) {
        for backend in self.backends() {
            for _ in 0..self.stacks[backend.index()].fewest.div_ceil(2) {
                self.take_out(backend, self.stacks[backend.index()].coldest);
            }
            let stack = &mut self.stacks[backend.index()];
            stack.fewest = stack.length;
        }
    }

    fn take_out(&mut self, backend: BackendId, index: u16) -> Option<Stream> {
        let entry = self.entries.get_mut(usize::from(index))?;
        let stream = entry.stream.take()?;
        let (warmer, colder) = (entry.warmer, entry.colder);
        entry.colder = std::mem::replace(&mut self.free, index);
        let stack = &mut self.stacks[backend.index()];
        match warmer {
            NONE => stack.warmest = colder,
            warmer => self.entries[usize::from(warmer)].colder = colder,
        }
        match colder {
            NONE => stack.coldest = warmer,
            colder => self.entries[usize::from(colder)].warmer = warmer,
        }
        stack.length -= 1;
        stack.fewest = stack.fewest.min(stack.length);
        self.length -= 1;
        Some(stream)
    }
}

/// The task that keeps the idle connections: it closes what ended, and purges while there are any.
pub async fn purge_idle(proxy: &'static Proxy) {
    let Some(seat) = Seat::take(proxy.reactor) else { return };
    proxy.idle.borrow_mut().keeper = seat.index();
    loop {
        let purge_ms = proxy.idle.borrow().purge_ms;
        let _ = seat.pause(purge_ms).await;
        let mut idle = proxy.idle.borrow_mut();
        idle.sweep();
        let now_ms = proxy.reactor.now_ms();
        if idle.purge_ms <= now_ms {
            idle.purge();
            idle.purge_ms = if idle.length > 0 { now_ms + IDLE_PURGE_MS } else { NEVER };
        }
    }
}
