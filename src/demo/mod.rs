//! `beelance demo`: four shop servers, a slow session database behind them, the balancer in front, a live table
//! and the dashboard.
//!
//! ```text
//!   curl --> beelance --> shop1..shop4 (a process each, a private session cache) --> database (50 ms a lookup)
//! ```
//!
//! The balancer runs from a configuration that is text, as a user's is. Start reading at [`run`]; the servers share
//! nothing with the balancer but this binary.

mod cache;
mod database;
mod http;
mod page;
mod port;
mod screen;
mod servers;
mod shop;
mod table;

use crate::config::{self, Config};
use crate::limits::PoolId;
use crate::operate::inheritance::Inheritance;
use crate::operate::{Failure, Running, machine, start};
use crate::proxy::Proxy;
use async_io::Timer;
use nix::sys::signal::{Signal, kill};
use nix::unistd::getpid;
use port::Port;
use screen::Screen;
use servers::Servers;
use shop::Stats;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::rc::Rc;
use std::time::Duration;
use table::{Row, Table};

/// The port when none is asked for.
const USUAL: u16 = 8080;
/// The port of the dashboard, if it is free.
const DASHBOARD: u16 = 8081;
/// Who knows it may change servers on the dashboard: everybody on this machine.
const TOKEN: &str = "bees-on-the-board";
/// How often the table is made.
const REFRESH: Duration = Duration::from_secs(1);
/// How long a server may take to tell its numbers.
const POLL: Duration = Duration::from_millis(200);

/// Runs the demo on `port` (0: any; none: the usual one, or any) until a signal ends it; the exit code.
///
/// # Errors
/// [`Failure::System`]: the port is taken, or there is no room for five processes.
pub fn run(port: Option<u16>) -> Result<u8, Failure> {
    // Who chooses one port has a reason: another demo, a test.
    let dashboard = Port::choose(port.map(|_| 0), DASHBOARD)?;
    let port = Port::choose(port, USUAL)?;
    // First of all: a process with threads must not fork.
    let servers = Servers::start().map_err(|error| Failure::System(format!("beelance: demo: {error}")))?;
    let servers = Rc::new(servers);
    let text = configuration(&servers, port.number, dashboard.number);
    let table = Rc::new(RefCell::new(Table::default()));
    let begin = |proxy: &'static Proxy| {
        // Whether anybody reads it shows when the table is written.
        let _ = tell(&story(&servers, &port, &dashboard, &text));
        let watched = watch(proxy, Rc::clone(&servers), Rc::clone(&table));
        proxy.event_loop().executor.spawn(watched).detach();
    };
    let start = |config| start(config, None, machine::read(), Inheritance::default(), begin);
    let result = parse(&text).and_then(start).and_then(Running::serve);
    if !table.borrow().rows.is_empty() {
        Screen::leave(&table.borrow().to_string());
    }
    servers.end();
    result
}

/// The file that `beelance run` would be given.
fn configuration(servers: &Servers, port: u16, dashboard: u16) -> String {
    let mut text =
        format!("listen.shop            = 127.0.0.1:{port}\nadmin.listen           = 127.0.0.1:{dashboard}\n");
    let _ = writeln!(text, "admin.token.operator   = {TOKEN}");
    for server in &servers.shops {
        let _ = writeln!(text, "backend.{:<14} = {}", server.name, server.address);
    }
    text + "\
backend.*.maxconn      = 20
pool.*.cookie          = SRV
pool.*.check.uri       = /healthz
pool.*.check.inter     = 1s
pool.*.check.fall      = 2
log.level              = warn
"
}

fn parse(text: &str) -> Result<Config, Failure> {
    config::parse("demo", text.as_bytes(), &machine::read()).map_err(|errors| Failure::Config(errors.to_string()))
}

/// What runs here and what to type.
fn story(servers: &Servers, port: &Port, dashboard: &Port, configuration: &str) -> String {
    let number = port.number;
    let taken = if port.is_substitute { "Port 8080 is taken, so another one was chosen.\n" } else { "" };
    let url = format!("http://127.0.0.1:{number}");
    let kill: Vec<_> = servers.shops.iter().map(|shop| format!("{} {}", shop.name, shop.child.pid())).collect();
    let (kill, database) = (kill.join(", "), servers.database.child.pid());
    let victim = servers.shops.first().map_or(0, |shop| shop.child.pid());
    let (checkout, watch) = (shop::CHECKOUT, dashboard.number);
    let file: String = configuration.lines().map(|line| format!("    {line}\n")).collect();
    format!(
        "{taken}
Four shop servers, each with a session cache of its own. What that does not
know costs a look into the session database: 50 ms. beelance stands before them
and runs this file:

{file}
Its dashboard; `Operator` and the token {TOKEN} let you drain a server.
    http://127.0.0.1:{watch}/
A customer with a cookie jar: always the same server, which knows the session.
    curl -si -b jar -c jar {url}/
25 customers who keep their cookies, four pages each: hits.
    time for i in $(seq 25); do curl -so /dev/null -b '' '{url}/[1-4]'; done
25 without a jar, scattered over all servers, session cookie or not: misses.
    time for i in $(seq 25); do curl -so /dev/null -b SHOP=$RANDOM$i '{url}/[1-4]'; done
200 at once for one server, at the database each: 20 in flight, 180 wait.
    curl -Zso /dev/null --parallel-max 200 -b SRV=shop1 '{url}{checkout}?[1-3000]'
A server dies: its customers move once, and get a new cookie.
    kill {victim}
Processes: {kill}, database {database}.
Ctrl-C ends all.

"
    )
}

fn tell(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Keeps the table, and shows it.
async fn watch(proxy: &'static Proxy, servers: Rc<Servers>, table: Rc<RefCell<Table>>) {
    let mut screen = Screen::new();
    let mut caches = vec![Stats::default(); servers.shops.len()];
    loop {
        let now = tabulate(proxy, &servers, &caches);
        let shown = screen.show(&now.to_string());
        table.replace(now);
        if shown.is_err() {
            // The terminal or the reader is gone: nobody would see the end of this otherwise.
            let _ = kill(getpid(), Signal::SIGTERM);
            return;
        }
        Timer::after(REFRESH).await;
        for (server, cache) in servers.shops.iter().zip(&mut caches) {
            let answer = http::fetch(server.address, "/stats", POLL).await;
            // Who does not answer keeps the numbers it had.
            *cache = answer.ok().and_then(|text| Stats::parse(&text)).unwrap_or(*cache);
        }
    }
}

fn tabulate(proxy: &Proxy, servers: &Servers, caches: &[Stats]) -> Table {
    let balancer = proxy.balancer.borrow();
    let pool = PoolId(0);
    let rows = balancer.members(pool).iter().zip(&servers.shops).zip(caches).map(|((&id, server), &cache)| {
        let status = balancer.status(id);
        Row {
            name: server.name.to_owned(),
            up: status.up,
            pid: server.child.is_running().then(|| server.child.pid()),
            requests: status.total,
            in_flight: status.serving,
            queued: status.queued,
            cache,
        }
    });
    Table { rows: rows.collect(), waiting: balancer.queued(pool), lags: proxy.reactor.lags() }
}
