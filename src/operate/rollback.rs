//! `reload.rollback`: for a while after a reload it is seen whether it made things worse; then the previous configuration comes
//! back.
//!
//! Owns what counts as worse beside failed requests: a pool that had a server up and has none left. The rest is decided in
//! [`crate::balance::Trial`].

use super::service::Service;
use crate::balance::{Trial, Verdict};
use crate::config::{Config, arrange};
use crate::limits::FIRST_ANSWERS_MS;
use crate::proxy::Proxy;
use async_io::Timer;
use std::rc::Rc;
use std::time::Duration;

/// Looks in the time of a trial.
const LOOKS: u64 = 20;
/// The time between two of them, at most.
const LOOK_MS: u64 = 500;

/// A reload that may be taken back.
pub(super) struct Watched {
    previous: Rc<Config>,
    trial: Trial,
    /// The pools that had a server up.
    alive: Vec<String>,
    look: Duration,
    /// How long a pool may be without a server: names of new ones may have to be looked up.
    grace_ms: u64,
}

impl Watched {
    /// Before a reload that is to be watched for `window_ms`.
    pub(super) fn before(proxy: &Proxy, window_ms: u64) -> Self {
        let previous = proxy.config();
        let alive = previous.pools().filter(|(id, _)| proxy.serves(*id)).map(|(_, pool)| pool.name.clone()).collect();
        let look = Duration::from_millis((window_ms / LOOKS).clamp(1, LOOK_MS));
        let grace_ms = FIRST_ANSWERS_MS.min(window_ms / 2);
        Self { trial: proxy.begin_trial_of_all(window_ms), previous, alive, look, grace_ms }
    }

    /// Why it is to be taken back; `None` inside when it stays.
    fn verdict(&self, proxy: &Proxy, dead_ms: &mut Option<u64>) -> Option<Option<String>> {
        let config = proxy.config();
        let mut dead = config.pools().filter(|(id, pool)| self.alive.contains(&pool.name) && !proxy.serves(*id));
        match dead.next() {
            Some((_, pool)) => {
                let now_ms = proxy.reactor.now_ms();
                if now_ms >= *dead_ms.get_or_insert(now_ms) + self.grace_ms {
                    return Some(Some(format!("pool {} has no server left", pool.name)));
                }
            }
            None => *dead_ms = None,
        }
        match proxy.verdict(&self.trial) {
            Verdict::Open => None,
            Verdict::Good => Some(None),
            Verdict::Bad(share) => {
                Some(Some(format!("{} of {} requests failed ({} %)", share.failed, share.requests, share.percent())))
            }
        }
    }
}

impl Service {
    /// Watches the reload that was just made, if it is to be watched; the one before stays.
    pub(super) fn watch_reload(&'static self, watched: Option<Watched>) {
        let executor = self.proxy.event_loop().executor;
        self.watched.replace(watched.map(|watched| executor.spawn(self.decide(watched))));
    }

    async fn decide(&'static self, watched: Watched) {
        let mut dead_ms = None;
        loop {
            Timer::after(watched.look).await;
            if self.proxy.is_stopping() {
                return log::info!("reload: its trial is over: beelance is about to end");
            }
            match watched.verdict(self.proxy, &mut dead_ms) {
                None => {}
                Some(None) => return log::info!("reload: its trial is over: the reload stays"),
                Some(Some(why)) => return self.go_back(&watched, &why),
            }
        }
    }

    fn go_back(&self, watched: &Watched, why: &str) {
        let arranged = self.proxy.with_standing(|standing| {
            let config = arrange(&watched.previous, standing);
            config.map_err(|lacking| format!("no place is free for {}.{}", lacking.kind, lacking.name))
        });
        let ready = arranged.and_then(|config| Ok((self.sockets(&config, true)?, config)));
        match ready {
            Ok((sockets, config)) => {
                self.follow(Rc::new(config), sockets, &[]);
                log::error!("reload: {why} since: the previous configuration is back, the file is another");
            }
            Err(problem) => {
                log::error!("reload: {why} since, but the previous configuration cannot come back: {problem}")
            }
        }
    }
}
