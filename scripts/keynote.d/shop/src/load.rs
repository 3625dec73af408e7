//! The users. So many are on the site at once; who leaves makes room for a new one.
//!
//! A user asks for a page, waits for it, thinks, and asks for the next one, on a new connection: he thinks for longer than
//! servers keep one. He keeps cookies as a browser does, and leaves after some pages; the next one comes without any. That
//! is a closed crowd: nobody asks again before he was answered, so an overloaded shop gets slow instead of drowning. An open
//! one would be harder on whoever is slow.

use crate::http::{Response, ask_once};
use crate::parameters::Parameters;
use crate::random::Random;
use crate::steps::Plan;
use crate::tally::{Seen, Tally};
use async_io::{Timer, block_on};
use futures_lite::future::or;
use smol::LocalExecutor;
use std::cell::{Cell, RefCell};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// New users of a step come within this time.
const ARRIVAL: Duration = Duration::from_secs(1);

/// What all users share.
struct World {
    parameters: Parameters,
    target: SocketAddr,
    servers: usize,
    step: RefCell<Tally>,
    whole: Whole,
    is_over: Cell<bool>,
    here: Cell<usize>,
}

/// The whole run, for what must come out exactly.
#[derive(Default)]
struct Whole {
    pages: Cell<u64>,
    misses: Cell<u64>,
    errors: Cell<u64>,
    /// Users who got a page.
    users: Cell<u64>,
    /// Pairs of a user and a server he got a page from.
    pairs: Cell<u64>,
}

/// Follows the plan, a line of JSON for each step and one for the whole.
pub(crate) fn run(parameters: Parameters, target: SocketAddr, servers: usize, seed: u64, mut plan: Plan) {
    let executor: &LocalExecutor<'static> = Box::leak(Box::new(LocalExecutor::new()));
    let world = Rc::new(World {
        parameters,
        target,
        servers,
        step: RefCell::default(),
        whole: Whole::default(),
        is_over: Cell::new(false),
        here: Cell::new(0),
    });
    let seeds = Random::new(seed);
    block_on(executor.run(async {
        let mut reached = None;
        while let Some(step) = plan.next(reached) {
            while world.here.get() < step.users {
                world.here.set(world.here.get() + 1);
                executor.spawn(stay(Rc::clone(&world), Random::new(seeds.next()))).detach();
            }
            Timer::after(step.settle).await;
            world.step.take();
            let start = Instant::now();
            Timer::after(step.measure).await;
            let (mut tally, seconds) = (world.step.take(), start.elapsed().as_secs_f64());
            let percent = world.parameters.goal_percentile;
            reached = Some(tally.percentile(percent).unwrap_or(Duration::MAX));
            let (users, fine, figures) = (step.users, step.is_fine, tally.json(percent));
            tell(&format!("{{\"users\":{users},\"seconds\":{seconds:.3},\"fine\":{fine},{figures}}}"));
        }
        world.is_over.set(true);
        // Whoever waits for a page gets it, so that what is counted at both ends is the same.
        while world.here.get() > 0 {
            Timer::after(Duration::from_millis(10)).await;
        }
    }));
    let Whole { pages, misses, errors, users, pairs } = &world.whole;
    let [pages, misses, errors, users, pairs] = [pages, misses, errors, users, pairs].map(Cell::get);
    tell(&format!(
        "{{\"whole\":true,\"pages\":{pages},\"misses\":{misses},\"errors\":{errors},\"users\":{users},\"pairs\":{pairs}}}"
    ));
}

fn tell(line: &str) {
    println!("{line}");
    // Whoever reads it is gone: so is the reason to go on.
    if io::stdout().flush().is_err() {
        std::process::exit(1);
    }
}

/// One place on the site, and who has it, one after the other.
async fn stay(world: Rc<World>, random: Random) {
    Timer::after(ARRIVAL.mul_f64(random.unit())).await;
    while !world.is_over.get() {
        visit(&world, &random).await;
    }
    world.here.set(world.here.get() - 1);
}

/// One user's visit.
async fn visit(world: &World, random: &Random) {
    let (mut jar, mut served_by) = (Jar::default(), 0u64);
    let add = |counter: &Cell<u64>, count: u64| counter.set(counter.get() + count);
    loop {
        let start = Instant::now();
        let kind = choose(&world.parameters, random.unit());
        let (path, cookies) = (format!("/{kind}"), jar.line());
        let answer = or(ask_once(world.target, &path, &cookies), async {
            Timer::after(world.parameters.session_patience).await;
            Err(io::ErrorKind::TimedOut.into())
        });
        let answer = answer.await.ok().filter(|response| response.status == 200);
        let page = answer.as_ref().and_then(|response| read(&response.body, world.servers));
        let seen = Seen { took: start.elapsed(), page };
        world.step.borrow_mut().add(&seen);
        add(&world.whole.errors, u64::from(page.is_none()));
        if let (Some(response), Some((server, is_hit))) = (answer, page) {
            jar.keep(&response);
            add(&world.whole.pages, 1);
            add(&world.whole.misses, u64::from(!is_hit));
            add(&world.whole.users, u64::from(served_by == 0));
            add(&world.whole.pairs, u64::from(served_by & (1 << server) == 0));
            served_by |= 1 << server;
        }
        if world.is_over.get() || random.unit() * world.parameters.session_pages < 1.0 {
            return;
        }
        Timer::after(random.exponential(world.parameters.session_think)).await;
    }
}

/// The number of the server that made a page, and whether it knew the session: the page's first line.
fn read(body: &str, servers: usize) -> Option<(u32, bool)> {
    let (name, how) = body.lines().next()?.split_once(' ')?;
    let number = name.strip_prefix('s')?.parse().ok().filter(|&number| (number as usize) < servers.min(64))?;
    Some((number, how == "hit"))
}

/// Which kind of page it is this time.
fn choose(parameters: &Parameters, unit: f64) -> usize {
    let mut left = unit * parameters.pages.iter().map(|page| page.share).sum::<f64>();
    let chosen = parameters.pages.iter().position(|page| {
        left -= page.share;
        left < 0.0
    });
    chosen.unwrap_or(0)
}

/// A user's cookies.
#[derive(Default)]
struct Jar(Vec<(String, String)>);

impl Jar {
    /// Keeps what a response sets: a name has one value.
    fn keep(&mut self, response: &Response) {
        for cookie in &response.set_cookies {
            let Some((name, value)) = cookie.split(';').next().and_then(|pair| pair.split_once('=')) else { continue };
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            match self.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = value,
                None => self.0.push((name, value)),
            }
        }
    }

    /// What goes into the field Cookie.
    fn line(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jar_keeps_the_last_value() {
        let mut jar = Jar::default();
        let set = |cookies: &[&str]| Response {
            set_cookies: cookies.iter().map(|&cookie| cookie.to_owned()).collect(),
            ..Response::default()
        };
        assert_eq!(jar.line(), "");
        jar.keep(&set(&["SHOP=1; path=/", "SRV=a; path=/"]));
        jar.keep(&set(&["SRV=b; path=/"]));
        assert_eq!(jar.line(), "SHOP=1; SRV=b");
    }

    #[test]
    fn pages_say_who_made_them() {
        assert_eq!(read("s7 hit", 8), Some((7, true)));
        assert_eq!(read("s7 miss\n<h1>", 8), Some((7, false)));
        assert_eq!([read("s8 hit", 8), read("x", 8), read("s1", 8)], [None; 3]);
    }

    #[test]
    fn the_mix_is_that_of_the_file() {
        let parameters = Parameters::parse(include_str!("../../parameters")).unwrap();
        let mut counts = [0u32; 3];
        (0..1000).for_each(|step| counts[choose(&parameters, f64::from(step) / 1000.0)] += 1);
        for (count, page) in counts.iter().zip(&parameters.pages) {
            assert!((f64::from(*count) / 10.0 - page.share).abs() < 0.2, "{counts:?}");
        }
    }
}
