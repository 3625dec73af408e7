//! The doors: which socket is open for each listener, and which listeners are leaving.
//!
//! A door is opened and closed while beelance runs; the socket behind it can be another listener's afterwards, and no connection
//! that waits in its backlog is lost. The connections of a listener that leaves end as all do at a stop: idle ones at once,
//! others behind their exchange.

use super::Proxy;
use super::accept::accept;
use super::connection::Connection;
use crate::limits::ListenerId;
use crate::runtime::Listener;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// All doors.
pub(super) struct Doors {
    /// The socket of each listener.
    open: Box<[RefCell<Option<Rc<Listener>>>]>,
    /// Whether each listener is leaving.
    leaving: Box<[Cell<bool>]>,
    /// Whether any is, or all are: looked at by every request.
    any_leaving: Cell<bool>,
    /// Tasks that accept.
    pub(super) listening: Cell<usize>,
    stopping: Cell<bool>,
    /// Idle connections may have one more request when it stops.
    patient: Cell<bool>,
}

impl Doors {
    /// For so many listeners, all closed.
    pub(super) fn new(listeners: usize) -> Self {
        Self {
            open: (0..listeners).map(|_| RefCell::default()).collect(),
            leaving: vec![Cell::new(false); listeners].into(),
            any_leaving: Cell::new(false),
            listening: Cell::new(0),
            stopping: Cell::new(false),
            patient: Cell::new(false),
        }
    }

    /// Whether nobody accepts.
    pub(super) fn are_closed(&self) -> bool {
        self.listening.get() == 0
    }
}

impl Proxy {
    /// Accepts on `socket` for a listener, in place of the socket it had; not any more once it was told to stop.
    pub fn open(&'static self, id: ListenerId, socket: Rc<Listener>) {
        if self.is_open(id, &socket) || self.is_stopping() {
            return;
        }
        self.doors.leaving[id.index()].set(false);
        self.doors.open[id.index()].replace(Some(Rc::clone(&socket)));
        self.event_loop.executor.spawn(accept(self, socket, id)).detach();
    }

    /// The listener leaves: it accepts no more, and its connections end. Its socket closes, unless somebody else has it.
    pub fn close(&self, id: ListenerId) {
        self.doors.open[id.index()].take();
        self.reactor.wake_all();
    }

    /// Nothing more comes of a listener that was closed, and nobody opened again: its connections end.
    pub(super) fn leave_door(&self, id: ListenerId) {
        if self.doors.open[id.index()].borrow().is_none() {
            self.doors.leaving[id.index()].set(true);
            self.doors.any_leaving.set(true);
            self.reactor.wake_all();
        }
    }

    /// The socket that is open for a listener.
    #[must_use]
    pub fn socket(&self, id: ListenerId) -> Option<Rc<Listener>> {
        self.doors.open.get(id.index())?.borrow().clone()
    }

    /// Whether `socket` is still this listener's.
    pub(super) fn is_open(&self, id: ListenerId, socket: &Rc<Listener>) -> bool {
        self.doors.open[id.index()].borrow().as_ref().is_some_and(|open| Rc::ptr_eq(open, socket))
    }

    /// Stops accepting; connections close when their exchange is over, idle ones at once.
    pub fn stop(&self) {
        self.doors.stopping.set(true);
        self.doors.any_leaving.set(true);
        self.doors.open.iter().for_each(|open| drop(open.take()));
        self.reactor.wake_all();
    }

    /// Ends its connections likewise, but for idle ones, which close behind their next response: who sends a request at this
    /// moment gets one. Its sockets are another process's: nothing of them is touched.
    pub fn retire(&self) {
        self.doors.patient.set(true);
        self.doors.stopping.set(true);
        self.doors.any_leaving.set(true);
        self.reactor.wake_all();
    }

    /// Whether [`Proxy::stop`] was called.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.doors.stopping.get()
    }
}

impl Connection {
    /// Whether it is to end: beelance stops, or its listener leaves.
    #[inline(always)]
    pub(super) fn is_ending(&self) -> bool {
        let doors = &self.proxy.doors;
        doors.any_leaving.get() && (doors.stopping.get() || doors.leaving[self.listener.index()].get())
    }
    /// Whether it is to end although it is idle.
    #[inline(always)]
    pub(super) fn is_to_leave(&self) -> bool {
        self.is_ending() && !self.proxy.doors.patient.get()
    }
}
