//! The way of a request through the world: placed, waiting, in flight, tried again, over.

use super::super::cases::FREE;
use super::*;

impl World {
    pub(super) fn arrive(&mut self) {
        let Some(seat) = self.seats.iter().position(|(state, _)| *state == State::Idle) else { return };
        let waiter = u16::try_from(seat).unwrap();
        // One client in two is the same, greedy one; who keeps to a server keeps to one of his own.
        let client = if self.chance.one_in(2) { 0 } else { 1 + self.chance.below(20) };
        let servers = u64::try_from(self.servers.len()).unwrap();
        let home = BackendId(u8::try_from(client % servers).unwrap());
        let wish = Wish {
            key: (!self.chance.one_in(4)).then(|| u32::try_from(self.chance.below(1 << 32)).unwrap()),
            waiter,
            pool: POOL,
            sticky: self.chance.one_in(2).then_some(home),
            avoid: self.chance.one_in(20).then_some(home),
            may_move: !self.chance.one_in(4),
            client,
            class: [0, 0, 0, -3, 7][usize::try_from(self.chance.below(5)).unwrap()],
        };
        self.counts.requests += 1;
        self.budget.count(self.now_ms);
        self.retries[seat] = 0;
        self.place(wish);
    }

    fn place(&mut self, wish: Wish) {
        let bound = wish.sticky.filter(|&id| self.balancer.is_up(id));
        let wanted = self.wanted(&wish);
        let foretold = self.balancer.foretell(&wish);
        let placement = self.balancer.place(wish);
        self.balancer.check_foretold(&foretold, &wish, placement);
        match placement {
            Placement::Go(id) => {
                let kept = bound.is_none_or(|home| id == home || self.balancer.status(home).queued > 0);
                assert!(kept, "{bound:?} is up with nobody waiting, and its user went to {id:?}");
                assert!(bound.is_some() || wanted.is_none_or(|wanted| id == wanted), "{id:?}, and not {wanted:?}");
                self.fly(wish.waiter, id);
            }
            Placement::WaitForBackend(id, _) => {
                assert_eq!(Some(id), bound);
                self.wait(wish.waiter, bound);
            }
            Placement::WaitForPool(_) => self.wait(wish.waiter, None),
            Placement::Refused(_) => {
                self.seats[usize::from(wish.waiter)].0 = State::Idle;
                self.counts.refused += 1;
            }
        }
    }

    fn wait(&mut self, waiter: u16, bound: Option<BackendId>) {
        let (state, ticket) = &mut self.seats[usize::from(waiter)];
        *state = State::Waiting;
        *ticket += 1;
        let ticket = *ticket;
        self.waiting.insert(waiter, bound);
        let after_ms = self.chance.below(PATIENCE_MS);
        self.plan(after_ms, Event::GiveUp(waiter, ticket));
        if bound.is_some() && self.chance.one_in(2) {
            let after_ms = self.chance.below(200);
            self.plan(after_ms, Event::Enough(waiter, ticket));
        }
    }

    fn fly(&mut self, waiter: u16, id: BackendId) {
        self.given[id.index()] += 1;
        self.flying[id.index()] += 1;
        let (state, ticket) = &mut self.seats[usize::from(waiter)];
        *state = State::Flying(id);
        *ticket += 1;
        let ticket = *ticket;
        let server = &self.servers[id.index()];
        let load = u64::from(self.balancer.status(id).serving);
        let takes_ms = server.alone_ms * load.max(server.knee) / server.knee;
        self.plan(takes_ms, Event::Done(waiter, ticket));
    }

    /// A request is answered, or was failed by its server and is tried elsewhere as far as the budget goes.
    pub(super) fn done(&mut self, seat: u16, woken: &mut Vec<u16>) {
        let State::Flying(id) = self.seats[usize::from(seat)].0 else { panic!("{seat} was not in flight") };
        let (took_ms, fails) = (self.servers[id.index()].alone_ms, self.servers[id.index()].fails);
        let failed = self.chance.below(100) < fails;
        let seen = if failed {
            Seen::NotConnected
        } else {
            [Seen::Connected, Seen::Answered(200)][usize::from(took_ms % 2 == 0)]
        };
        if self.balancer.saw(id, seen, self.now_ms, |waiter| woken.push(waiter)) {
            self.counts.ejections += u64::from(failed);
            if let Some(due_ms) = self.balancer.next_trial_ms() {
                self.plan(due_ms.saturating_sub(self.now_ms), Event::Trial);
            }
        }
        if !failed {
            let began_ms = self.now_ms.saturating_sub(took_ms);
            self.balancer.answered(id, began_ms, self.now_ms, |waiter| woken.push(waiter));
        }
        self.flying[id.index()] -= 1;
        self.seats[usize::from(seat)].0 = State::Idle;
        self.balancer.release(id, |waiter| woken.push(waiter));
        if !failed {
            self.counts.served += 1;
        } else if self.retries[usize::from(seat)] < 3 && self.budget.allows(self.now_ms) {
            self.budget.pay(self.now_ms);
            self.retries[usize::from(seat)] += 1;
            self.counts.retries += 1;
            let key = self.chance.one_in(2).then(|| u32::try_from(self.chance.below(1 << 32)).unwrap());
            self.place(Wish { waiter: seat, key, avoid: Some(id), client: u64::from(seat % 20), ..FREE });
        } else {
            self.counts.failed += 1;
        }
    }

    pub(super) fn agent(&mut self, id: BackendId, report: Report, woken: &mut Vec<u16>) {
        let mut wake = |waiter| woken.push(waiter);
        if let Some(weight) = report.weight {
            self.balancer.set_weight(id, weight.of(self.servers[id.index()].weight), &mut wake);
        }
        if let Some(maxconn) = report.maxconn {
            self.balancer.set_maxconn(id, maxconn, &mut wake);
        }
        if let Some(admin) = report.admin {
            self.balancer.set_admin(id, Authority::Agent, admin, &mut wake);
        }
        if let Some(up) = report.up {
            self.balancer.set_agent_up(id, up, &mut wake);
        }
    }

    pub(super) fn wake(&mut self, waiter: u16) {
        assert_eq!(self.seats[usize::from(waiter)].0, State::Waiting, "{waiter} was woken and did not wait");
        let (bound, late) = (self.waiting.remove(&waiter).flatten(), self.late.remove(&waiter));
        match self.balancer.answer(waiter).expect("woken without an answer") {
            Answer::Granted(id) => {
                let left = self.balancer.left(waiter);
                assert_eq!(left, bound.filter(|&home| home != id), "he is told whether he left a home that is up");
                assert!(left.is_none() || late, "{bound:?} is up, and its user went to {id:?}");
                // Nobody came meanwhile who is bound to it.
                assert!(
                    left.is_none() || self.balancer.status(id).queued == 0,
                    "late at {id:?}, which has users of its own"
                );
                self.counts.unbound += u64::from(left.is_some());
                self.fly(waiter, id);
            }
            Answer::Refused => {
                self.seats[usize::from(waiter)].0 = State::Idle;
                self.counts.refused += 1;
            }
        }
    }
}
