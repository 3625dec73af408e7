//! The runtime socket beside HAProxy's: the same commands, the same answers; and what `beelance ctl` makes of them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::ctl::{Caller, Place, ask, config, ctl, haproxy, rows, value};
use common::eventually;
use common::process::Beelance;
use std::io::{Read, Write};
use std::path::Path;

/// Columns whose values are not compared.
const DIFFERS: [&str; 19] = [
    "slim",
    "lastchg",
    "iid",
    "rate",
    "req_rate",
    "bin",
    "bout",
    "lastsess",
    "conn_rate",
    "rtime",
    "ttime",
    "qtime",
    "ctime",
    "srv_icur",
    "idle_conn_cur",
    "safe_conn_cur",
    "used_conn_cur",
    "need_conn_est",
    "",
];

#[test]
fn every_answer_to_a_change_is_haproxys() {
    let backend = Backend::named("one");
    let (ours, theirs) = (Place::new(), Place::new());
    let _beelance = Beelance::start(&config(&backend, &ours.0, ""));
    let _haproxy = haproxy(&backend, &theirs.0, "admin");
    for line in [
        "set server",
        "set server x",
        "set server shop/zz state ready",
        "set server zz/s1 state ready",
        "set server shop/ state ready",
        "set server shop/s1 state",
        "set server shop/s1 state foo",
        "set server shop/s1 weight",
        "set server shop/s1 weight 257",
        "set server shop/s1 weight -1",
        "set server shop/s1 weight abc",
        "set server shop/s1 weight 3x",
        "set server shop/s1 state drain",
        "set server shop/s1 state ready",
        "set server shop/s1 state maint",
        "set server shop/s1 state ready",
        "set server shop/s1 health foo",
        "set server shop/s1 agent up",
        "set server shop/s1 addr",
        "set server shop/s1 addr foo",
        "set server shop/s2 addr 127.0.0.2",
        "set server shop/s2 addr 127.0.0.1 port 4",
        "set server shop/s2 addr 127.0.0.1 port 4",
        "set server shop/s2 addr 127.0.0.3 port 4",
        "get weight",
        "get weight shop",
        "get weight shop/zz",
        "get weight zz/zz",
        "get weight shop/s1",
        "get weight api/a1",
        "set weight api/a1",
        "set weight api/a1 200%",
        "get weight api/a1",
        "set weight api/a1 10000%",
        "get weight api/a1",
        "set weight api/a1 12",
        "get weight api/a1",
        "set weight shop/zz 1",
        "disable server",
        "disable server shop/zz",
        "disable server shop/s3",
        "enable server shop/s3",
        "enable agent shop/s3",
        "enable health shop/s3",
        "disable agent shop/s3",
        "disable health shop/s3",
        "set maxconn server shop/s1",
        "set maxconn server shop/s1 abc",
        "set maxconn server shop/s1 5x",
        "set maxconn server shop/s1 5",
        "clear counters",
        "clear counters all",
        "show stat zz 4 -1",
        "show servers state zz",
        "show servers conn zz",
        "show table zz",
        "show cli level",
        "get weight api/a1; get weight shop/zz",
        "operator; disable server shop/s1",
        "user; show cli level",
    ] {
        assert_eq!(ask(&ours.0, line), ask(&theirs.0, line), "{line:?}");
    }
}

#[test]
fn levels_forbid_what_haproxys_forbid() {
    let backend = Backend::named("one");
    for level in ["user", "operator"] {
        let (ours, theirs) = (Place::new(), Place::new());
        let _beelance = Beelance::start(&config(&backend, &ours.0, &format!("admin.socket.level = {level}\n")));
        let _haproxy = haproxy(&backend, &theirs.0, level);
        for line in [
            "disable server shop/s1",
            "set server api/a1 state ready",
            "set weight api/a1 1",
            "clear counters",
            "clear counters all",
            "get weight api/a1",
            "show cli level",
            "set maxconn server shop/s1 1",
            "set maxconn frontend web 1",
            "set maxconn global 1",
            "set server api/a1 addr 127.0.0.1",
            "disable health shop/s1",
            "enable agent shop/s1",
            "add server shop/x 127.0.0.1:1",
            "del server shop/s1",
            "shutdown session 0x1",
            "shutdown sessions server shop/s1",
            "show sess 0x1",
            "show backend",
            "show servers state zz",
            "operator",
        ] {
            assert_eq!(ask(&ours.0, line), ask(&theirs.0, line), "{level}: {line}");
        }
    }
}

#[test]
fn the_statistics_have_haproxys_columns_and_values() {
    const REQUESTS: u64 = 12;
    let backend = Backend::named("one");
    let (ours, theirs) = (Place::new(), Place::new());
    let beelance = Beelance::start(&config(&backend, &ours.0, ""));
    let haproxy = haproxy(&backend, &theirs.0, "admin");
    for address in [beelance.address("web"), haproxy.address()] {
        let mut client = common::client::Client::connect(address);
        for _ in 0..REQUESTS {
            assert_eq!(client.get("/").text(), "one");
        }
    }
    // An exchange is counted when it is over, a moment after its last byte.
    for path in [&ours.0, &theirs.0] {
        eventually("all are counted", || {
            (value(path, "web", "FRONTEND", "hrsp_2xx") == REQUESTS.to_string()).then_some(())
        });
    }
    let [ours, theirs] = [&ours.0, &theirs.0].map(|path| ask(path, "show stat"));
    let (header, known) = (ours.lines().next().unwrap(), theirs.lines().next().unwrap());
    assert!(known.starts_with(header), "{header}\n{known}");
    let (ours, theirs) = (rows(&ours), rows(&theirs));
    assert_eq!(ours.len(), theirs.len());
    // What depends on time, on the order of ids, on limits, and where one counts what the other does not: bytes are
    // those on the wire here, and those of a message as HAProxy keeps it there.
    let differs = |name: &str| DIFFERS.contains(&name) || name.ends_with("_max");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let row = format!("{} {}", ours[0].1, ours[1].1);
        // HAProxy was asked by one connection more whether it listens.
        let counted = |name: &str| {
            ours[1].1 != "FRONTEND" || !matches!(name, "stot" | "conn_tot" | "smax" | "ereq" | "hrsp_4xx" | "req_tot")
        };
        for ((name, ours), (_, theirs)) in
            ours.iter().zip(theirs).filter(|((name, _), _)| !differs(name) && counted(name))
        {
            assert_eq!(ours, theirs, "{name} of {row}");
        }
    }
}

/// What help and the process say is in HAProxy's words where HAProxy has it.
#[test]
fn help_and_info_are_haproxys() {
    // What HAProxy has not, or takes otherwise.
    const OURS: [&str; 13] = [
        "clear table",
        "explain",
        "reload",
        "set server",
        "set table",
        "show errors",
        "show info",
        "show log",
        "show report",
        "show stat",
        "show table",
        "upgrade",
        "wait",
    ];
    let backend = Backend::named("one");
    let (ours, theirs) = (Place::new(), Place::new());
    let _beelance = Beelance::start(&config(&backend, &ours.0, ""));
    let _haproxy = haproxy(&backend, &theirs.0, "admin");
    let known = ask(&theirs.0, "help");
    let told = ask(&ours.0, "help");
    assert_eq!(told.lines().next(), known.lines().next());
    let mut shared = 0;
    for line in
        told.lines().skip(1).filter(|line| !line.is_empty() && !OURS.iter().any(|it| line.trim().starts_with(it)))
    {
        assert!(known.lines().any(|theirs| theirs == line), "{line:?} in {known}");
        shared += 1;
    }
    assert!(shared >= 25, "{shared} commands");
    // Who may less is told of less; who asks for one is told of it.
    let of_user = ask(&ours.0, "user; help");
    assert!(of_user.contains("\n  show stat ") && !of_user.contains("set server"), "{of_user}");
    // Other commands have more words like these there.
    for words in ["help disable", "help get weight", "help nonsense"] {
        let first = |path: &Path| ask(path, words).lines().next().map(str::to_owned);
        assert_eq!(first(&ours.0), first(&theirs.0), "{words}");
    }
    assert!(ask(&ours.0, "help get weight").lines().nth(1).is_some_and(|line| line.starts_with("  get weight ")));
    let names = |path: &Path| -> Vec<String> {
        ask(path, "show info").lines().filter_map(|line| Some(line.split_once(": ")?.0.to_owned())).collect()
    };
    let (told, known) = (names(&ours.0), names(&theirs.0));
    let own = told.iter().position(|name| name == "Memmax_bytes").unwrap();
    assert!(own >= 30, "{told:?}");
    // Which HAProxy has where its file says so.
    for name in told[..own].iter().filter(|name| *name != "description") {
        assert!(known.contains(name), "HAProxy has no {name}");
    }
}

#[test]
fn the_state_of_servers_is_haproxys() {
    let backend = Backend::named("one");
    let (ours, theirs) = (Place::new(), Place::new());
    let _beelance = Beelance::start(&config(&backend, &ours.0, ""));
    let _haproxy = haproxy(&backend, &theirs.0, "admin");
    for path in [&ours.0, &theirs.0] {
        ask(path, "set server shop/s2 state maint; set server api/a1 weight 7; set server api/a1 state drain");
    }
    for (what, skips) in [("show servers state", [0, 9]), ("show servers conn", [1, 1]), ("show backend", [9, 9])] {
        let fields = |path: &Path| -> Vec<Vec<String>> {
            let text = ask(path, what);
            let line = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let lines = text.lines().map(line);
            // Ids of pools are ours; the time since the last change differs.
            let cut = lines.map(|mut fields| {
                if fields.len() > 10 && fields[0] != "#" {
                    skips.iter().for_each(|&at| fields[at].clear());
                }
                fields
            });
            cut.collect()
        };
        assert_eq!(fields(&ours.0), fields(&theirs.0), "{what}");
    }
}

#[test]
fn a_prompt_keeps_the_connection() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let _beelance = Beelance::start(&config(&backend, &socket.0, ""));
    let mut caller = Caller::new(&socket.0);
    caller.send("prompt");
    assert_eq!(caller.until("> "), "\n> ");
    for (line, answer) in [
        ("get weight api/a1", "5 (initial 5)\n\n> "),
        ("", "\n> "),
        ("set timeout cli 60", "\n> "),
        ("get weight zz/zz; show version", "No such backend.\n\n> "),
    ] {
        caller.send(line);
        assert_eq!(caller.until("> "), answer, "{line}");
    }
    assert_eq!(caller.until("> "), concat!(env!("CARGO_PKG_VERSION"), "\n\n> "));
    caller.send("nonsense");
    assert!(caller.until("\n\n> ").starts_with("Unknown command. Please enter one of the following commands only:\n"));
    caller.send("set nonsense");
    let answer = caller.until("\n\n> ");
    assert!(
        answer.starts_with("Unknown command, but maybe one of the following ones is a better match:\n"),
        "{answer}"
    );
    assert!(answer.contains("  set server <bk>/<srv> [opts]            : change a server's"), "{answer}");
    caller.send("quit");
    assert_eq!(caller.rest(), "");
}

#[test]
fn clients_without_end_keep_nobody_out_for_ever() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let _beelance = Beelance::start(&config(&backend, &socket.0, ""));
    // Every place is taken; one waits, and is served when another leaves.
    let mut callers: Vec<Caller> = (0..4).map(|_| Caller::new(&socket.0)).collect();
    callers.iter_mut().for_each(|caller| caller.send("prompt"));
    for caller in &mut callers {
        assert_eq!(caller.until("> "), "\n> ");
    }
    let mut late = Caller::new(&socket.0);
    late.send("show version");
    drop(callers.pop());
    assert_eq!(late.rest(), concat!(env!("CARGO_PKG_VERSION"), "\n\n"));
    // A line without end is too long.
    let mut long = callers.pop().unwrap();
    let _ = long.0.write_all(&[b'x'; 4096]);
    // A close with bytes unread may come as a reset.
    let _ = long.0.read_to_end(&mut Vec::new());
    assert_eq!(ask(&socket.0, "show version"), concat!(env!("CARGO_PKG_VERSION"), "\n\n"));
}

#[test]
fn what_precedes_a_wait_is_sent_before_it() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let _beelance = Beelance::start(&config(&backend, &socket.0, ""));
    let mut caller = Caller::new(&socket.0);
    caller.send("get weight api/a1; wait 1h; show version");
    assert_eq!(caller.until("\n\n"), "5 (initial 5)\n\n");
}

#[test]
fn the_log_is_shown_once_whole_and_in_order() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let _beelance = Beelance::start(&config(&backend, &socket.0, ""));
    // Lines enough that the first ones leave the memory.
    for round in 0..200 {
        ask(&socket.0, &format!("add server shop/n{round} 127.0.0.1:9; del server shop/n{round}"));
    }
    let mut caller = Caller::new(&socket.0);
    caller.send("prompt");
    caller.until("> ");
    for _ in 0..2 {
        caller.send("show log");
        let told = caller.until("\n\n> ");
        let numbers: Vec<u32> = told
            .lines()
            .filter_map(|line| line.split_once("Server shop/n")?.1.strip_suffix(" was removed.")?.parse().ok())
            .collect();
        let last = u32::try_from(numbers.len()).unwrap();
        assert!((20..200).contains(&last), "{told}");
        assert_eq!(numbers, (200 - last..200).collect::<Vec<_>>());
    }
}

#[test]
fn ctl_says_what_is_wrong_by_its_exit_code() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let beelance = Beelance::start(&config(&backend, &socket.0, ""));
    let fine = ctl(&socket.0, &["get", "weight", "api/a1"]);
    assert_eq!((fine.code, fine.stdout.as_str()), (Some(0), "5 (initial 5)\n"));
    let fine = ctl(&socket.0, &["set server shop/s1 weight -1", ";", "show", "version"]);
    assert_eq!((fine.code, fine.stdout.as_str()), (Some(1), ""), "{}", fine.stderr);
    for (words, error) in [
        (&["get", "weight", "zz/zz"][..], "No such backend.\n"),
        (&["disable", "server", "shop/zz"][..], "No such server.\n"),
    ] {
        let wrong = ctl(&socket.0, words);
        assert_eq!((wrong.code, wrong.stderr.as_str()), (Some(1), error), "{words:?}");
    }
    let unknown = ctl(&socket.0, &["nonsense"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.starts_with("Unknown command."), "{}", unknown.stderr);
    assert_eq!(ctl(&socket.0, &[]).code, Some(2));
    drop(beelance);
    let gone = ctl(&socket.0, &["show", "info"]);
    assert_eq!(gone.code, Some(3), "{}", gone.stderr);
}

#[test]
fn the_session_map_is_shown_changed_and_cleared() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let beelance = Beelance::start(&config(&backend, &socket.0, "pool.shop.stick = hdr:X-User\n"));
    let used = |count: u32| format!("# table: shop, type: string, size:16384, used:{count}\n\n");
    assert_eq!(ask(&socket.0, "show table"), used(0));
    assert_eq!(ask(&socket.0, "set table shop key anna data.server_id 3"), "\n");
    assert_eq!(ask(&socket.0, "show table shop"), used(1));
    let mut client = common::client::Client::connect(beelance.address("web"));
    client.ask("GET", "/", "X-User: anna\r\n");
    assert_eq!(client.response().text(), "one");
    assert_eq!(value(&socket.0, "shop", "s3", "stot"), "1");
    assert_eq!(ask(&socket.0, "clear table shop key anna"), "\n");
    assert_eq!(ask(&socket.0, "show table shop"), used(0));
    assert_eq!(ask(&socket.0, "clear table zz"), "No such table\n\n");
    assert_eq!(ask(&socket.0, "set table shop key anna data.server_id 4"), "No such server.\n\n", "there are three");
}
