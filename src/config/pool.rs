//! The pools: balance, affinity cookie, probes.
//!
//! Owns how the keys of `pool.N` come together. Refuses to know how a pool is named first: that is `resolve`'s.

use super::keys::Id;
use super::resolve::Resolver;
use super::value::{Value, scaled};
use super::{Agent, Backend, Check, CheckKind, Cookie, Expect, Listener, Mode, Pool, Reuse, Stick};
use crate::balance::{CookieMode, CookieRules, Lifetime, Observe, PassiveSpec, RetryOn};
use crate::limits::BackendId;

impl Resolver<'_, '_> {
    /// Every pool, with its backends.
    pub(super) fn pools(&self, backends: &[Backend], listeners: &[Listener]) -> Vec<Pool> {
        let pool = |(index, (_, name)): (usize, &(u32, String))| {
            let settings = self.settings;
            let number = |id| settings.small(id, name).unwrap_or_default();
            let (cookie, stick) = (self.cookie(name), self.stick(name));
            let members = backends.iter().enumerate().filter(|(_, backend)| backend.pool.index() == index);
            let (balance, key) = self.placement(name);
            let mode = Mode::of_pool(index, listeners);
            let mut pool = Pool {
                name: name.clone(),
                mode,
                backends: members.clone().filter_map(|(place, _)| BackendId::new(place)).collect(),
                maxconn: number(Id::PoolMaxconn),
                maxqueue: number(Id::PoolMaxqueue),
                overflow: self.known_pool(Id::Overflow, name),
                redirects: members.clone().any(|(_, backend)| backend.redirect.is_some()),
                slowstart_ms: settings.number(Id::Slowstart, name).unwrap_or_default(),
                balance,
                key,
                stick_wait_ms: settings.number(Id::StickWait, name).filter(|_| cookie.is_some() || stick.is_some()),
                cookie,
                stick,
                reuse: match number(Id::Reuse) {
                    0 => Reuse::Never,
                    1 => Reuse::Safe,
                    _ => Reuse::Always,
                },
                retries: number(Id::Retries),
                redispatch: settings.yes(Id::Redispatch, name),
                retry_on: match settings.value(Id::RetryOn, name) {
                    Value::RetryOn(retry_on) => retry_on,
                    _ => RetryOn::default(),
                },
                retry_budget: number(Id::RetryBudget),
                passive: self.passive(name),
                forwardfor: settings.yes(Id::Forwardfor, name),
                check: self.check(name),
                agent: self.agent(name),
            };
            if mode == Mode::Tcp {
                pool.forget_http();
            }
            pool
        };
        self.pools.iter().enumerate().map(pool).collect()
    }

    /// What overflows into what: no pool without backends, and no circle.
    pub(super) fn overflows(&mut self, pools: &[Pool]) {
        let settings = self.settings;
        let next = |pool: &Pool| pool.overflow.and_then(|id| pools.get(id.index()));
        for pool in pools.iter().filter(|pool| pool.mode == Mode::Http) {
            let Some(setting) = settings.find(Id::Overflow, &pool.name) else { continue };
            let Value::Text(wanted) = &setting.value else { continue };
            let mut way = vec![pool.name.as_str()];
            let mut at = next(pool);
            while let Some(here) = at.filter(|here| !way.contains(&here.name.as_str())) {
                way.push(&here.name);
                at = next(here);
            }
            let reason = if at.is_some_and(|here| here.name == pool.name) {
                format!("a circle: {} -> {}", way.join(" -> "), pool.name)
            } else if next(pool).is_none_or(|next| next.backends.is_empty()) {
                Self::has_no_backend(wanted, pools)
            } else {
                continue;
            };
            self.errors.push(setting.line, &Id::Overflow.key().of(&pool.name), reason);
        }
    }

    fn cookie(&self, pool: &str) -> Option<Cookie> {
        let settings = self.settings;
        let rules = match settings.number(Id::CookieMode, pool) {
            Some(1) => CookieRules { mode: CookieMode::Prefix, ..CookieRules::default() },
            _ => CookieRules {
                mode: CookieMode::Insert,
                preserve: settings.yes(Id::CookiePreserve, pool),
                postonly: settings.yes(Id::CookiePostonly, pool),
                lifetime: Lifetime {
                    idle_ms: settings.number(Id::CookieMaxidle, pool),
                    life_ms: settings.number(Id::CookieMaxlife, pool),
                },
            },
        };
        let attributes = match rules.mode {
            CookieMode::Insert => self.attributes(pool),
            CookieMode::Prefix => String::new(),
        };
        let dynamic_key = settings.text(Id::CookieDynamicKey, pool);
        settings.text(Id::Cookie, pool).map(|name| Cookie { name, attributes, rules, dynamic_key })
    }

    fn stick(&self, pool: &str) -> Option<Stick> {
        let Value::StickKey(key) = self.settings.value(Id::Stick, pool) else { return None };
        Some(Stick { key, expire_ms: self.settings.number(Id::StickExpire, pool).unwrap_or_default() })
    }

    /// What follows the value in Set-Cookie.
    fn attributes(&self, pool: &str) -> String {
        let mut attributes = "; path=/".to_owned();
        for (id, attribute) in [(Id::CookieHttponly, "; HttpOnly"), (Id::CookieSecure, "; Secure")] {
            attributes.push_str(if self.settings.yes(id, pool) { attribute } else { "" });
        }
        if let Some(more) = self.settings.text(Id::CookieAttr, pool) {
            attributes.push_str("; ");
            attributes.push_str(&more);
        }
        attributes
    }

    fn passive(&self, pool: &str) -> PassiveSpec {
        let number = |id| self.settings.small(id, pool).unwrap_or_default();
        PassiveSpec {
            observe: match number(Id::Observe) {
                0 => return PassiveSpec::default(),
                1 => Observe::Connect,
                _ => Observe::Http,
            },
            error_limit: number(Id::ErrorLimit),
            eject_max: number(Id::EjectMax),
            eject_ms: self.settings.number(Id::EjectTime, pool).unwrap_or_default(),
        }
    }

    /// The agents, unless there are none.
    fn agent(&self, pool: &str) -> Option<Agent> {
        let port = u16::try_from(self.settings.number(Id::CheckAgentPort, pool)?).ok()?;
        let inter_ms = self.settings.number(Id::CheckInter, pool).unwrap_or_default();
        let timeout_ms = self.settings.number(Id::CheckTimeout, pool).unwrap_or(inter_ms);
        Some(Agent { port, inter_ms, timeout_ms })
    }

    /// The probes, unless there are none.
    fn check(&self, pool: &str) -> Option<Check> {
        const ASKS: [Id; 4] = [Id::CheckMethod, Id::CheckUri, Id::CheckHost, Id::CheckExpect];
        #[rustfmt::skip]
        const PACE: [Id; 7] = [
            Id::CheckInter, Id::CheckFastinter, Id::CheckDowninter, Id::CheckTimeout, Id::CheckRise, Id::CheckFall,
            Id::CheckAgentPort,
        ];
        let settings = self.settings;
        let any = |ids: &[Id]| ids.iter().any(|&id| settings.is_set(id, pool));
        let kind = match settings.number(Id::Check, pool) {
            Some(0) => return None,
            Some(1) => CheckKind::Tcp,
            None if !any(&ASKS) => {
                if !any(&PACE) {
                    return None;
                }
                CheckKind::Tcp
            }
            Some(_) | None => CheckKind::Http {
                method: settings.text(Id::CheckMethod, pool).unwrap_or_default(),
                uri: settings.text(Id::CheckUri, pool).unwrap_or_default(),
                host: settings.text(Id::CheckHost, pool),
                expect: match settings.value(Id::CheckExpect, pool) {
                    Value::Expect(expect) => expect,
                    _ => Expect::Status(Vec::new()),
                },
            },
        };
        let inter_ms = settings.number(Id::CheckInter, pool).unwrap_or_default();
        let or_inter = |id| settings.number(id, pool).unwrap_or(inter_ms);
        Some(Check {
            kind,
            inter_ms,
            fastinter_ms: or_inter(Id::CheckFastinter),
            downinter_ms: or_inter(Id::CheckDowninter),
            timeout_ms: or_inter(Id::CheckTimeout),
            rise: settings.small(Id::CheckRise, pool).unwrap_or_default(),
            fall: settings.small(Id::CheckFall, pool).unwrap_or_default(),
        })
    }
}

/// What is tried again.
pub(super) fn retry_on(words: &[String]) -> Option<RetryOn> {
    let mut retry_on = RetryOn::default();
    words.iter().all(|word| retry_on.add(word)).then_some(retry_on)
}

/// What a probe takes for health.
pub(super) fn expect(text: &str) -> Option<Expect> {
    if let Some(text) = text.strip_prefix("string:") {
        return (!text.is_empty()).then(|| Expect::Text(text.to_owned()));
    }
    let status = |text: &str| {
        let status = scaled(text.trim_ascii(), &[("", 1)]).and_then(|status| u16::try_from(status).ok())?;
        (100..=599).contains(&status).then_some(status)
    };
    let range = |item: &str| {
        let (first, last) = item.split_once('-').unwrap_or((item, item));
        let (first, last) = (status(first)?, status(last)?);
        (first <= last).then_some((first, last))
    };
    text.split(',').map(range).collect::<Option<Vec<_>>>().map(Expect::Status)
}
