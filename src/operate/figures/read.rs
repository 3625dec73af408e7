//! Where each figure comes from.
//!
//! What the proxy tells is inlined into each arm here, so that an arm computes what it uses.

use super::{FINDINGS, Figure as F, Figures, NEVER, NOTHING, Object, Part, STATES, of};
use super::{number_of_backend, number_of_listener, number_of_pool};
use crate::balance::{Admin, Observe};
use crate::config::{Config, Mode};
use crate::limits::{BackendId, ListenerId, PoolId};
use crate::proxy::{Failures, Finding, Many, Proxy, Traffic, Work};

impl Figures {
    /// Sets the figures of one part.
    pub(super) fn read_part(&mut self, proxy: &Proxy, config: &Config, object: Object, part: Part) {
        match object {
            Object::Listener(id) => self.read_listener(proxy, config, id, part),
            Object::Pool(id) => self.read_pool(proxy, config, id, part),
            Object::Backend(id) => self.read_backend(proxy, config, id, part),
        }
    }

    fn read_listener(&mut self, proxy: &Proxy, config: &Config, id: ListenerId, part: Part) {
        self.traits |= of::LISTENER | mode(config.listeners[id.index()].mode);
        match part {
            Part::Names => self.set(F::Zero, &[0, 1, 0, number_of_listener(id.index()), 0]),
            Part::Work => self.set_many(&proxy.listener_figures(id).connections, proxy.listener_maxconn(id) as u64),
            Part::Traffic => {
                let it = proxy.listener_figures(id);
                self.set(F::Requests, &[it.requests.total, it.requests.rate, it.requests.most_rate]);
                self.set_common(&it.traffic, &it.failures);
                self.set(F::DeniedConnections, &it.refused);
            }
            Part::Times => {}
            Part::State => self.set(F::State, &[u64::from(!proxy.is_stopping())]),
        }
    }

    fn read_pool(&mut self, proxy: &Proxy, config: &Config, id: PoolId, part: Part) {
        let settings = &config.pools[id.index()];
        self.traits |= of::POOL | of::PROBED | mode(settings.mode);
        match part {
            Part::Names => self.set(F::Zero, &[0, 1, 1, number_of_pool(id.index()), 0]),
            Part::Work => {
                let it = proxy.pool_figures(id).work;
                let limit = match settings.maxconn {
                    0 => config.limits.budget.connections as u64,
                    maxconn => maxconn.into(),
                };
                self.set(F::Queue, &it.queue);
                self.set_many(&it.requests, limit);
            }
            Part::Traffic => {
                let it = proxy.pool_figures(id).work;
                self.set(F::Balanced, &[it.traffic.exchanges().saturating_sub(it.loyalty.hits)]);
                self.set_work(&it, settings.keeps_users());
            }
            Part::Times => self.set_times(&proxy.pool_figures(id).work),
            Part::State => self.set_state_of_pool(proxy, config, id),
        }
    }

    fn set_state_of_pool(&mut self, proxy: &Proxy, config: &Config, id: PoolId) {
        let (it, settings) = (proxy.pool_figures(id), &config.pools[id.index()]);
        let (active, backups) = it.usable;
        self.set(F::Weight, &[it.weight.into(), it.weight.into()]);
        self.set(F::Active, &[active as u64, backups as u64]);
        self.set(F::Downs, &[it.downs]);
        self.set(F::SinceMs, &[it.since_ms, it.down_ms]);
        if settings.stick.is_some() {
            self.set(F::Sessions, &[it.sessions]);
        }
        self.set(F::State, &[u64::from(it.usable != (0, 0))]);
        let balancer = proxy.balancer.borrow();
        let mut states = [0; STATES.len()];
        for &member in &settings.backends {
            states[state(balancer.admin(member), balancer.is_healthy(member))] += 1;
        }
        self.set(F::ServersDown, &states);
    }

    fn read_backend(&mut self, proxy: &Proxy, config: &Config, id: BackendId, part: Part) {
        let settings = &config.backends[id.index()];
        let pool = settings.pool.index();
        self.traits |= of::BACKEND | mode(config.pools[pool].mode);
        match part {
            Part::Names => self.set(F::Zero, &[0, 1, 2, number_of_pool(pool), number_of_backend(config, id)]),
            Part::Work => {
                let it = proxy.backend_figures(id);
                self.set(F::Queue, &it.work.queue);
                self.set(F::QueueLimit, &[unless_zero(settings.maxqueue.into())]);
                self.set_many(&it.work.requests, unless_zero(it.maxconn.into()));
            }
            Part::Traffic => {
                let it = proxy.backend_figures(id).work;
                self.set(F::Balanced, &[it.requests.total.saturating_sub(it.loyalty.hits)]);
                self.set_work(&it, true);
            }
            Part::Times => self.set_times(&proxy.backend_figures(id).work),
            Part::State => self.set_state_of_backend(proxy, config, id),
        }
    }

    fn set_state_of_backend(&mut self, proxy: &Proxy, config: &Config, id: BackendId) {
        let (it, settings) = (proxy.backend_figures(id), &config.backends[id.index()]);
        let pool = &config.pools[settings.pool.index()];
        if pool.passive.observe != Observe::None {
            self.traits |= of::OBSERVED;
        }
        // Whether or not it takes anybody.
        self.set(F::Weight, &[it.weight.into(), it.weight.into(), it.throttle.map_or(NOTHING, u64::from)]);
        self.set(F::Active, &[u64::from(!settings.backup), u64::from(settings.backup)]);
        self.set(F::CheckFailures, &[it.check_failures]);
        self.set(F::Downs, &[it.downs, it.ejections, it.since_ms, it.down_ms, it.idle_connections]);
        self.set(F::State, &[state(it.admin, it.healthy) as u64]);
        if let Some(check) = &pool.check {
            self.traits |= of::PROBED | if it.admin == Admin::Maint { 0 } else { of::CHECKED };
            // Before the first probe it is up, and goes down with the first failure; or it is down, where that is known.
            let begun = if it.healthy { check.rise } else { 0 };
            let level = if it.checked.finding == Finding::Nothing { begun } else { it.checked.level };
            self.set(F::Rise, &[check.rise.into(), check.fall.into(), level.into()]);
        }
        let checked = &it.checked;
        if let Some(place) = FINDINGS.iter().position(|&known| known == checked.finding) {
            let status = if checked.status == 0 { NOTHING } else { checked.status.into() };
            self.set(F::Found, &[place as u64, status, checked.duration_ms]);
        }
        if pool.agent.is_some() && settings.path.is_none() && !proxy.agent_rests(id) {
            self.traits |= of::AGENT;
            self.set(F::AgentLevel, &[proxy.said(id).agent_up.into()]);
            if let Some(heard) = proxy.heard(id) {
                // HAProxy's code of an answer that it understood.
                let says = matches!(heard.agent.finding, Finding::Good | Finding::Wrong);
                let took_ms = if heard.agent.finding == Finding::Nothing { NOTHING } else { heard.agent.duration_ms };
                self.set(F::AgentStatus, &[if says { 0 } else { NOTHING }, took_ms]);
            }
        }
    }

    fn set_many(&mut self, it: &Many, limit: u64) {
        self.set(F::Now, &[it.now, it.most, it.total, it.rate, it.most_rate, limit]);
    }

    fn set_common(&mut self, traffic: &Traffic, it: &Failures) {
        self.set(F::Received, &[traffic.received, traffic.sent]);
        self.set(F::Status1, &traffic.statuses[1..]);
        self.set(F::OtherStatus, &traffic.statuses[..1]);
        self.set(F::Denied, &[it.denied, it.limited, it.malformed, it.answered, it.connect, it.response]);
        self.set(F::Retries, &[it.retries, it.unpaid, it.redispatches]);
        self.set(F::ClientAborts, &[it.client_aborts, it.server_aborts, it.waited]);
    }

    /// Of the traffic of a backend, or of a pool; where it keeps users, where they were led. Inlined, as what it is given is.
    #[inline(always)]
    fn set_work(&mut self, it: &Work, keeps_users: bool) {
        self.set(F::Requests, &[it.traffic.exchanges()]);
        self.set_common(&it.traffic, &it.failures);
        self.set(F::Connects, &it.links);
        if keeps_users {
            self.set(F::Hits, &[it.loyalty.hits, it.loyalty.moved, it.loyalty.new]);
        }
    }

    #[inline(always)]
    fn set_times(&mut self, it: &Work) {
        let times_ms = [it.averages_ms, it.times_ms, it.most_ms.map(u64::from)];
        self.set(F::QueueAverage, times_ms.as_flattened());
        self.set(F::Unused, &[it.idle_ms.unwrap_or(NEVER)]);
    }
}

fn unless_zero(number: u64) -> u64 {
    if number == 0 { NOTHING } else { number }
}

fn mode(mode: Mode) -> u8 {
    if mode == Mode::Http { of::HTTP } else { 0 }
}

/// A place in [`STATES`].
fn state(admin: Admin, healthy: bool) -> usize {
    match admin {
        Admin::Maint => 2,
        Admin::Drain => 3,
        Admin::Ready => usize::from(healthy),
    }
}
