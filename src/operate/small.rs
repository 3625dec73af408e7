//! A proxy for unit tests, so small that a process can have many.

use super::resolver::literal;
use crate::config;
use crate::limits::{Machine, SPARE_SEATS, SPARE_SOURCES};
use crate::proxy::Proxy;
use crate::runtime::{Loop, Reactor};
use std::rc::Rc;

/// With these lines of a file.
pub(in crate::operate) fn proxy(text: &str) -> &'static Proxy {
    let text = format!("{text}limits.connections = 4\n");
    let config =
        config::parse("file", text.as_bytes(), &Machine::default()).unwrap_or_else(|errors| panic!("{errors}"));
    let addresses: Vec<_> = config.backends.iter().map(literal).collect();
    let budget = &config.limits.budget;
    let reactor = Reactor::new(budget.sockets() + SPARE_SOURCES, budget.connections + SPARE_SEATS).unwrap();
    let event_loop: &'static Loop = Box::leak(Box::new(Loop::new(Box::leak(Box::new(reactor)))));
    Box::leak(Box::new(Proxy::new(Rc::new(config), event_loop, &addresses)))
}
