//! What probes and agents said, and how long requests took at most, in the statistics: beside HAProxy's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::agent::Agent;
use common::backend::{Backend, Step, ok, send};
use common::client::get;
use common::ctl::{Place, ask, rows, value};
use common::eventually;
use common::haproxy::Haproxy;
use common::port::Port;
use common::process::{Beelance, listener_and};
use std::fmt::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Columns that are told of a probe or an agent, but how long it took; and what a server's state leaves as it is.
const COLUMNS: [&str; 20] = [
    "svname",
    "status",
    "check_status",
    "check_code",
    "last_chk",
    "check_desc",
    "check_rise",
    "check_fall",
    "check_health",
    "last_agt",
    "agent_status",
    "agent_code",
    "agent_desc",
    "agent_rise",
    "agent_health",
    "weight",
    "uweight",
    "slim",
    "act",
    "bck",
];

fn told(socket: &Place) -> Vec<Vec<String>> {
    let rows = rows(&ask(&socket.0, "show stat"));
    let servers = rows.into_iter().filter(|row| !matches!(row[1].1.as_str(), "FRONTEND" | "BACKEND"));
    servers
        .map(|row| {
            let value = |wanted| row.iter().find(|(name, _)| name == wanted).unwrap().1.clone();
            COLUMNS.iter().map(|column| value(*column)).collect()
        })
        .collect()
}

#[test]
fn what_probes_and_agents_said() {
    let (good, ill) = (Backend::named("good"), Backend::named("ill"));
    ill.set_health(503);
    let port = Port::take();
    let nobody = port.address;
    // What each says, and HAProxy's account of it.
    let cases = [
        ("up", "up\n", "via agent : up"),
        ("weighty", "up 50%\n", "via agent : up"),
        ("down", "down #too, \"tired\"\n", "via agent : down (too, \"tired\")"),
        ("fail", "fail\n", "via agent : fail"),
        ("drain", "drain\n", ""),
        ("maint", "maint\n", ""),
        ("nonsense", "nonsense\n", "agent reports an error : nonsense"),
        ("partly", "hello up # why\n", "via agent : up (hello)"),
        ("joined", "down#tired\n", "agent reports an error : down#tired"),
        ("return", "down\rup\n", "via agent : down"),
        ("cut", "down maxconn:3", "Ignoring incomplete line from agent"),
        ("zero", "down\0up\n", "Ignoring incomplete line from agent"),
    ];
    let agents = cases.map(|(name, line, _)| (name, Agent::saying(line)));
    let (ours, theirs) = (Place::new(), Place::new());
    let mut config = format!(
        "listen.web = 127.0.0.1:0\nlisten.web.pool = probed\nadmin.socket = {}\npool.*.check.uri = /healthz\n\
         pool.*.check.inter = 100ms\npool.*.check.timeout = 5s\nbackend.good = {}\nbackend.ill = {}\nbackend.gone = {nobody}\n\
         backend.good.pool = probed\nbackend.ill.pool = probed\nbackend.gone.pool = probed\n",
        ours.0.display(),
        good.address(),
        ill.address(),
    );
    let mut known = format!(
        "backend probed\n  timeout check 5s\n  option httpchk GET /healthz\n  server good {} check inter 100\n  server ill {} check inter 100\n  \
         server gone {nobody} check inter 100\n",
        good.address(),
        ill.address()
    );
    for (name, agent) in &agents {
        let (address, port) = (good.address(), agent.port());
        write!(
            config,
            "backend.{name} = {address}\nbackend.{name}.pool = {name}\npool.{name}.check.agent-port = {port}\n"
        )
        .unwrap();
        write!(
            known,
            "backend {name}\n  timeout check 5s\n  option httpchk GET /healthz\n  \
             server {name} {address} check inter 100 agent-check agent-inter 100 agent-port {port}\n"
        )
        .unwrap();
    }
    let _beelance = Beelance::start(&config);
    let _haproxy = Haproxy::start(Port::take(), |bind| {
        let socket = theirs.0.display();
        format!(
            "global\n  nbthread 1\n  stats socket {socket} level admin\nfrontend web\n  bind {bind}\n  default_backend probed\n{known}"
        )
    });
    eventually("HAProxy's socket is there", || UnixStream::connect(&theirs.0).ok());
    let [ours, theirs] = [&ours, &theirs].map(|socket| {
        eventually("all was asked, often enough", || {
            let told = told(socket);
            // While HAProxy asks, the result is the last one's in part; a star says so.
            let rests = told.iter().all(|row| [2, 10].iter().all(|&at| !row[at].starts_with('*')));
            let settled = told[..3].iter().map(|row| row[1].as_str()).eq(["UP", "DOWN", "DOWN"])
                && told[3..].iter().all(|row| row[10] != "INI" && (row[1] == "MAINT" || row[2] == "L7OK"))
                // What a line lacks HAProxy says from the second time on.
                && told[3..].iter().all(|row| row[10] != "L7TOUT" || !row[9].is_empty());
            (rests && settled).then_some(told)
        })
    });
    assert_eq!(ours.len(), 3 + cases.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        for ((column, ours_), theirs_) in COLUMNS.iter().zip(ours).zip(theirs) {
            assert_eq!(ours_, theirs_, "{column} of {}", ours[0]);
        }
    }
    for (row, (name, _, words)) in ours[3..].iter().zip(cases) {
        assert_eq!((row[0].as_str(), row[9].as_str()), (name, words));
    }
    assert_eq!(ours[2][4], "Connection refused");
}

/// A server whose probes go so, one after the other, until it no longer answers.
fn probed(outcomes: &'static [bool]) -> Backend {
    let done = AtomicUsize::new(0);
    Backend::start(move |_| match outcomes.get(done.fetch_add(1, Ordering::Relaxed)) {
        Some(false) => send("HTTP/1.1 500 Ill\r\nContent-Length: 0\r\n\r\n"),
        Some(true) => ok(b""),
        None => vec![Step::Hang],
    })
}

#[test]
fn how_far_a_server_is_on_its_way_to_another_state() {
    // How its probes go until it is on its way, where it stays while the next one waits; and what its agent says, if it has one.
    let scenes: [(&str, &[bool], &str); 4] = [
        ("falls", &[true, true, true, false], ""),
        ("rises", &[false, true], ""),
        ("falls-by-agent", &[true, true, true, false], "up\n"),
        ("rises-by-agent", &[false, true], "down\n"),
    ];
    let (ours, theirs) = (Place::new(), Place::new());
    let mut config = format!(
        "listen.web = 127.0.0.1:0\nlisten.web.pool = falls\nadmin.socket = {}\npool.*.check.uri = /\npool.*.check.inter = 50ms\n\
         pool.*.check.timeout = 1h\n",
        ours.0.display()
    );
    let mut known = String::new();
    let (mut kept, mut agents) = (Vec::new(), Vec::new());
    for (name, outcomes, says) in scenes {
        let [mine, its] = [(); 2].map(|()| probed(outcomes));
        write!(config, "backend.{name} = {}\nbackend.{name}.pool = {name}\n", mine.address()).unwrap();
        write!(
            known,
            "backend {name}\n  timeout check 1h\n  option httpchk GET /\n  server {name} {} check inter 50",
            its.address()
        )
        .unwrap();
        if !says.is_empty() {
            let agent = Agent::saying(says);
            writeln!(config, "pool.{name}.check.agent-port = {}", agent.port()).unwrap();
            write!(known, " agent-check agent-inter 50 agent-port {}", agent.port()).unwrap();
            agents.push(agent);
        }
        known.push('\n');
        kept.extend([mine, its]);
    }
    let _beelance = Beelance::start(&config);
    let _haproxy = Haproxy::start(Port::take(), |bind| {
        let socket = theirs.0.display();
        format!(
            "global\n  nbthread 1\n  stats socket {socket} level admin\nfrontend web\n  bind {bind}\n  default_backend falls\n{known}"
        )
    });
    eventually("HAProxy's socket is there", || UnixStream::connect(&theirs.0).ok());
    for (state, expected) in [
        ("ready", ["UP 2/3", "DOWN 1/2", "UP 2/3", "DOWN (agent)"]),
        ("drain", ["DRAIN 2/3", "DOWN 1/2", "DRAIN (agent)", "DOWN (agent)"]),
        ("ready", ["UP 2/3", "DOWN 1/2", "UP 2/3", "DOWN (agent)"]),
    ] {
        for socket in [&ours, &theirs] {
            for (name, ..) in scenes {
                assert_eq!(ask(&socket.0, &format!("set server {name}/{name} state {state}")), "\n");
            }
            eventually(&format!("{state}: {expected:?} at {}", socket.0.display()), || {
                told(socket).iter().map(|row| row[1].as_str()).eq(expected).then_some(())
            });
        }
    }
}

#[test]
fn the_longest_times_are_kept_and_cleared() {
    const HELD: Duration = Duration::from_millis(50);
    let (backend, socket) = (Backend::named("one"), Place::new());
    let more = format!("admin.socket = {}\nadmin.listen = 127.0.0.1:0\nbackend.s1.maxconn = 1\n", socket.0.display());
    let beelance = Beelance::start(&(listener_and(&[&backend]) + &more));
    let most = |column: &str| value(&socket.0, "default", "s1", column).parse::<u64>().unwrap();
    let pool = |column| value(&socket.0, "default", "BACKEND", column);
    let mut clients = [beelance.connect(), beelance.connect()];
    backend.hold();
    clients[0].ask("GET", "/", "");
    backend.wait_in_flight(1);
    clients[1].ask("GET", "/", "");
    eventually("one waits", || (pool("qcur") == "1").then_some(()));
    // How long it waits is the matter.
    std::thread::sleep(HELD);
    backend.open();
    clients.iter_mut().for_each(|client| assert_eq!(client.response().text(), "one"));
    eventually("both are counted", || (most("hrsp_2xx") == 2).then_some(()));
    let held = u64::try_from(HELD.as_millis()).unwrap();
    let [queue, connect, response, total] = ["qtime_max", "ctime_max", "rtime_max", "ttime_max"].map(most);
    assert!(queue >= held && response >= held && total >= queue.max(response), "{queue} {connect} {response} {total}");
    assert_eq!(pool("ttime_max"), total.to_string());
    let metrics = get(beelance.address("admin.listen"), "/metrics");
    let (seconds, thousandths) = (total / 1000, total % 1000);
    let line = format!(
        "haproxy_server_max_total_time_seconds{{proxy=\"default\",server=\"s1\"}} {seconds}.{thousandths:03}\n"
    );
    assert!(metrics.text().contains(&line), "{line}");
    // A quick one leaves them, an operator does not.
    assert_eq!(clients[0].get("/").text(), "one");
    eventually("it is counted", || (most("hrsp_2xx") == 3).then_some(()));
    assert_eq!(["qtime_max", "rtime_max"].map(most), [queue, response]);
    assert_eq!(ask(&socket.0, "clear counters"), "\n");
    assert_eq!(["qtime_max", "ctime_max", "rtime_max", "ttime_max"].map(most), [0; 4]);
    assert_eq!(most("hrsp_2xx"), 3);
}

/// Whether a pool is down, how often it went, and whether it says that it was: of its line in `show stat`.
fn pool_state(socket: &Place, pool: &str) -> [String; 3] {
    ["status", "chkdown", "act"].map(|column| value(&socket.0, pool, "BACKEND", column))
}

#[test]
fn a_pool_goes_down_for_whatever_reason_nobody_takes_users() {
    let (backend, ours, theirs) = (Backend::named("one"), Place::new(), Place::new());
    let address = backend.address();
    let config = format!(
        "listen.web = 127.0.0.1:0\nlisten.web.pool = shop\nadmin.socket = {}\nbackend.s1 = {address}\n\
         backend.s1.pool = shop\nbackend.s2 = {address}\nbackend.s2.pool = shop\nbackend.late = {address}\n\
         backend.late.pool = later\nbackend.late.weight = 0\n",
        ours.0.display()
    );
    let beelance = Beelance::start(&config);
    let _haproxy = Haproxy::start(Port::take(), |bind| {
        let socket = theirs.0.display();
        format!(
            "global\n  nbthread 1\n  stats socket {socket} level admin\nfrontend web\n  bind {bind}\n  default_backend shop\n\
             backend shop\n  server s1 {address}\n  server s2 {address}\nbackend later\n  server late {address} weight 0\n"
        )
    });
    eventually("HAProxy's socket is there", || UnixStream::connect(&theirs.0).ok());
    let mut downs = 0;
    for (order, [status, chkdown, act]) in [
        ("", ["UP", "0", "2"]),
        ("set server shop/s2 state maint", ["UP", "0", "1"]),
        ("disable server shop/s1", ["DOWN", "1", "0"]),
        ("enable server shop/s2", ["UP", "1", "1"]),
        ("set server shop/s2 state drain", ["DOWN", "2", "0"]),
        ("set server shop/s2 weight 0", ["DOWN", "2", "0"]),
        ("set server shop/s2 state ready", ["DOWN", "2", "0"]),
        ("set server shop/s2 weight 1", ["UP", "2", "1"]),
        ("set server shop/s2 weight 0", ["DOWN", "3", "0"]),
        ("set server shop/s1 state ready", ["UP", "3", "1"]),
    ] {
        for socket in [&ours, &theirs] {
            if !order.is_empty() {
                assert_eq!(ask(&socket.0, order), "\n", "{order}");
            }
            assert_eq!(pool_state(socket, "shop"), [status, chkdown, act], "{order:?} at {}", socket.0.display());
        }
        downs = chkdown.parse().unwrap();
    }
    beelance.wait_log("each time is told", |lines| {
        let told = lines.iter().filter(|line| line.contains("pool shop has no server available!")).count();
        assert!(told <= downs, "{lines:?}");
        (told == downs).then_some(())
    });
    // One that begins so did not go there.
    for socket in [&ours, &theirs] {
        assert_eq!(pool_state(socket, "later"), ["DOWN", "0", "0"]);
        assert_eq!(ask(&socket.0, "set server later/late weight 1"), "\n");
        assert_eq!(pool_state(socket, "later"), ["UP", "0", "1"]);
    }
}

#[test]
fn a_reload_that_brings_a_server_ends_the_time_down() {
    let (backend, socket) = (Backend::named("one"), Place::new());
    let config = |more: &str| {
        let (address, socket) = (backend.address(), socket.0.display());
        format!("listen.web = 127.0.0.1:0\nadmin.socket = {socket}\nbackend.s1 = {address}\n{more}")
    };
    let beelance = Beelance::start(&config(""));
    let down_s = || value(&socket.0, "default", "BACKEND", "downtime").parse::<u64>().unwrap();
    assert_eq!(ask(&socket.0, "disable server default/s1"), "\n");
    eventually("it is down for a while", || (down_s() > 0).then_some(()));
    beelance.reload(&config(&format!("backend.s2 = {}\n", backend.address()))).unwrap();
    let at_last = down_s();
    assert_eq!(value(&socket.0, "default", "BACKEND", "status"), "UP");
    eventually("time passes", || {
        let since = value(&socket.0, "default", "BACKEND", "lastchg").parse::<u64>().unwrap();
        (since > 1).then_some(())
    });
    assert_eq!((down_s(), pool_state(&socket, "default")), (at_last, ["UP", "1", "1"].map(String::from)));
}
