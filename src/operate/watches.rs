//! Who watches the backends: the tasks of probes and agents, one of each for a backend whose pool asks for it.
//!
//! They follow the configuration: a task whose backend and task stay the same goes on, with all that it knows.

use super::{agent, probe};
use crate::balance::{Admin, Authority};
use crate::config::{Agent, Check, Pool};
use crate::limits::BackendId;
use crate::proxy::{Finding, Proxy};
use smol::Task;
use std::cell::RefCell;
use std::time::Duration;

/// Who watches one backend.
#[derive(Default)]
struct Watch {
    /// Whose place it is: the backend's name, and its pool's.
    who: [String; 2],
    /// What it does, whether the backend is a slot, and the task.
    probe: Option<(Check, bool, Task<()>)>,
    agent: Option<(Agent, Task<()>)>,
}

/// All of them, by backend.
#[derive(Default)]
pub(super) struct Watches(RefCell<Vec<Watch>>);

impl Watches {
    /// Starts what the configuration asks for and is not there, spread evenly over an interval, and ends what it does not.
    pub(super) fn follow(&self, proxy: &'static Proxy) {
        let config = proxy.config();
        let mut watches = self.0.borrow_mut();
        watches.resize_with(proxy.room.backends, Watch::default);
        for (watch, id) in watches.iter_mut().zip((0..).map_while(BackendId::new)) {
            if !config.order.backends.contains(&id) {
                *watch = Watch::default();
            }
        }
        for (_, pool) in config.pools() {
            for (at, &id) in pool.backends.iter().enumerate() {
                let backend = &config.backends[id.index()];
                let who = [backend.name.clone(), pool.name.clone()];
                let watch = &mut watches[id.index()];
                if watch.who != who {
                    *watch = Watch { who, ..Watch::default() };
                }
                watch.follow(proxy, id, pool, at, backend.slots.is_some());
            }
        }
    }
}

impl Watch {
    fn follow(&mut self, proxy: &'static Proxy, id: BackendId, pool: &Pool, at: usize, is_slot: bool) {
        let wait = |inter_ms: u64| Duration::from_millis(inter_ms / pool.backends.len().max(1) as u64 * at as u64);
        let executor = proxy.event_loop().executor;
        match (&self.probe, &pool.check) {
            (Some((check, slot, _)), Some(wanted)) if (check, *slot) == (wanted, is_slot) => {}
            (_, Some(wanted)) => {
                // The last task ends here; the next one begins with what it found out.
                let watch = probe::watch(proxy, id, wanted.clone(), wait(wanted.inter_ms));
                self.probe = Some((wanted.clone(), is_slot, executor.spawn(watch)));
            }
            (Some(_), None) => {
                self.probe = None;
                proxy.tell_freely(id);
                proxy.set_up(id, true, "it is no longer probed");
            }
            (None, None) => {}
        }
        match (&self.agent, pool.agent) {
            (Some((agent, _)), Some(wanted)) if *agent == wanted => {}
            (_, Some(wanted)) => {
                let listen = agent::listen_to(proxy, id, wanted, wait(wanted.inter_ms));
                self.agent = Some((wanted, executor.spawn(listen)));
            }
            (Some(_), None) => {
                self.agent = None;
                proxy.answered(id, Finding::Nothing, 0, "");
                proxy.tell_freely(id);
                proxy.set_agent_up(id, true, "agent says nothing any more");
                proxy.set_admin(id, Authority::Agent, Admin::Ready);
                proxy.unheed(id);
            }
            (None, None) => {}
        }
    }
}
