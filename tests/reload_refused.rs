//! What a reload refuses: nothing has changed then, and every reason is told with its line.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::client::Client;
use common::port::Port;
use common::process::{Beelance, listener_and};

/// What a reload with these lines more is refused for, without the file's name; and that all is as before.
#[track_caller]
fn refused(beelance: &Beelance, text: &str) -> Vec<String> {
    let mut refusals = beelance.reload(text).unwrap_err();
    let file = format!("{}:", beelance.config().display());
    assert_eq!(refusals.pop(), Some(format!("{file} the old configuration stays")));
    assert_eq!(beelance.connect().get("/").status, 200);
    refusals.into_iter().map(|line| line.strip_prefix(&file).unwrap_or(&line).to_owned()).collect()
}

#[test]
fn a_file_with_errors() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let mut client = beelance.connect();
    assert_eq!(client.get("/").status, 200);
    let text = listener_and(&[&backend]);
    let refusals = refused(&beelance, &(text.clone() + "pool.default.balanc = first\ntimeout.client = never\n"));
    assert_eq!(refusals.len(), 2, "{refusals:?}");
    assert!(refusals[0].starts_with("4: pool.default.balanc: unknown key"), "{refusals:?}");
    assert!(refusals[1].starts_with("5: timeout.client: `never`"), "{refusals:?}");
    std::fs::remove_file(beelance.config()).unwrap();
    beelance.signal(nix::sys::signal::Signal::SIGHUP);
    beelance.wait_log("it cannot be read", |lines| lines.iter().any(|l| l.contains("cannot be read")).then_some(()));
    assert_eq!(client.get("/").status, 200, "on the same connection all the time");
    assert_eq!(beelance.reload(&text), Ok("nothing differs".into()));
}

#[test]
fn what_the_tables_were_made_for() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "limits.memory = 128m\nlimits.connections = 200\n");
    let text = listener_and(&[&backend]);
    for (more, line, key, reason) in [
        ("limits.memory = 129m\nlimits.connections = 200\n", 4, "limits.memory", "`129m`: it is 128m since the start"),
        ("limits.memory = 128m\nlimits.connections = 201\n", 5, "limits.connections", "there are 200 since the start"),
        ("limits.memory = 128m\n", 4, "limits.connections", "there are 200 since the start"),
        ("limits.header-size = 4k\n", 6, "limits.header-size", "`4k`: it is 8k since the start"),
        ("limits.sndbuf = 64k\n", 6, "limits.sndbuf", "`64k`: it is none since the start"),
        ("splice = no\n", 6, "splice", "`no`: it is yes since the start"),
        ("limits.rate = 9/s\n", 6, "limits.rate", "the table of rates is made at the start"),
        ("route.r.rate = 9/s\nroute.r.pool = default\n", 6, "route.r.rate", "the table of rates is made at the start"),
        ("limits.per-client = 9\n", 6, "limits.per-client", "the table of clients is made at the start"),
        ("pool.default.stick = src\n", 6, "pool.default.stick", "the session map is made at the start"),
    ] {
        let base = if more.contains("limits.memory") { "" } else { "limits.memory = 128m\nlimits.connections = 200\n" };
        let refusals = refused(&beelance, &format!("{text}{base}{more}"));
        let begin = format!("{line}: {key}: {reason}");
        let is_right = |refusal: &&String| refusal.starts_with(&begin) && refusal.ends_with("restart needed");
        assert!(refusals.iter().any(|refusal| is_right(&refusal)), "{more}: {refusals:?}, not {begin}");
    }
}

#[test]
fn what_does_not_fit_into_the_tables_or_the_memory() {
    let backend = Backend::named("one");
    let beelance = Beelance::before(&[&backend], "");
    let text = listener_and(&[&backend]);
    let many =
        |count: usize| (0..count).map(|n| format!("backend.b{n} = 127.0.0.1:{}\n", 1000 + n)).collect::<String>();
    // 16 places to spare.
    let refusals = refused(&beelance, &(text.clone() + &many(17)));
    let reason = "20: backend.b16: no place is free for it: 17 were made at the start";
    assert!(refusals.len() == 1 && refusals[0].starts_with(reason), "{refusals:?}");
    let listeners: String = (0..5).map(|n| format!("listen.l{n} = 127.0.0.1:0\n")).collect();
    let refusals = refused(&beelance, &(text.clone() + &listeners));
    assert!(refusals[0].starts_with("8: listen.l4: no place is free for it: 5 were made"), "{refusals:?}");
    let tight = Beelance::before(&[&backend], "limits.memory = 5m\n");
    // More than is left for a reload: 400 kB of nodes on HAProxy's ring.
    let nodes = "limits.memory = 5m\npool.*.balance = hdr:Host\npool.*.hash = haproxy\nbackend.*.weight = 200\n";
    let refusals = refused(&tight, &(text + &many(16) + nodes));
    assert!(
        refusals[0].starts_with("20: limits.memory: needs ") && refusals[0].ends_with("restart needed"),
        "{refusals:?}"
    );
}

#[test]
fn an_address_that_is_taken() {
    let backend = Backend::named("one");
    let taken = Port::take();
    let _listener = taken.listener();
    let beelance = Beelance::before(&[&backend], "");
    let text = listener_and(&[&backend]);
    // The other one, which could be opened, is not.
    let free = Port::take();
    let more = format!("listen.a = {}\nlisten.b = {}\n", free.address, taken.address);
    let refusals = refused(&beelance, &(text + &more));
    // The C libraries have different words for it.
    let words = [" already", ""].map(|already| format!("listen.b: {}: Address{already} in use", taken.address));
    assert!(words.iter().any(|words| refusals[0].starts_with(words)), "{refusals:?}");
    assert!(Client::try_connect(free.address).is_err());
}
