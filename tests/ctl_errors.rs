//! Every error of the runtime socket is told as one, so that `beelance ctl` ends with 1 and no script believes it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::ctl::{Place, ask, config, ctl};
use common::process::Beelance;
use std::path::Path;

/// Commands that are wrong, and what is said of each.
const WRONG: &[(&str, &str)] = &[
    ("nonsense", "Unknown command. Please enter one"),
    ("set nonsense", "Unknown command, but maybe one"),
    ("user; disable server shop/s1", "Permission denied"),
    ("operator; clear counters all", "Permission denied"),
    ("add server", "Require 'backend/server'."),
    ("add server zz/n 127.0.0.1:1", "No such backend."),
    ("add server shop/s1 127.0.0.1:1", "Already exists a server with the same name in backend."),
    ("add server shop/n", "'server' expects <name> and <addr>[:<port>] as arguments."),
    ("add server shop/n 127.0.0.1:1 foo", "unknown keyword 'foo'"),
    ("clear table", "No such table"),
    ("clear table zz", "No such table\n"),
    ("clear table api", "No such table: pool.api.stick is not set\n"),
    ("show table api", "No such table: pool.api.stick is not set\n"),
    ("set table api key anna data.server_id 1", "No such table: pool.api.stick is not set\n"),
    ("clear table shop anna", "Required key parameter"),
    ("set table shop key 9.9 data.server_id 1", "Invalid key"),
    ("set table shop key 192.0.2.1 data.gpc0 1", "Data type not stored in this table"),
    ("set table shop key 192.0.2.1 data.server_id 4", "No such server."),
    ("del server", "Require 'backend/server'."),
    ("del server shop/zz", "No such server."),
    ("del server shop/s1", "Only servers in maintenance mode can be deleted."),
    ("disable server", "Require 'backend/server'."),
    ("enable server zz/s1", "No such backend."),
    ("enable agent shop/s1", "Agent was not configured on this server, cannot enable."),
    ("enable health shop/s1", "Health check was not configured on this server, cannot enable."),
    ("explain", "Usage: explain"),
    ("explain connection src", "Usage: explain"),
    ("get weight zz/zz", "No such backend."),
    ("get weight shop/zz", "No such server."),
    ("reload now", "'reload' takes no arguments."),
    ("upgrade /bin/a program", "'upgrade' takes the path of one program."),
    ("set maxconn global", "Expects an integer value."),
    ("set maxconn global x", "Integer value expected."),
    ("set maxconn global -1", "Value out of range."),
    ("set maxconn global 1000000", "Value out of range: the tables and the memory budget have"),
    ("set maxconn frontend", "A frontend name is expected."),
    ("set maxconn frontend zz 5", "No such frontend."),
    ("set maxconn frontend web x", "Integer value expected."),
    ("set maxconn server shop/s1", "Require <maxconn>."),
    ("set maxconn server shop/s1 x", "maxconn string empty or preceded by garbage"),
    ("set maxconn server shop/s1 5x", "Trailing garbage in maxconn string"),
    ("set maxconn server shop/s1 -1", "maxconn is a whole number from 0 to 4294967295."),
    ("set server shop/s1", "usage: set server <backend>/<server> addr | agent | health | state | weight"),
    ("set server shop/s1 state foo", "'set server <srv> state' expects 'ready', 'drain' and 'maint'."),
    ("set server shop/s1 health foo", "'set server <srv> health' expects 'up', 'stopping', or 'down'."),
    ("set server shop/s1 agent up", "agent checks are not enabled on this server."),
    ("set server agent/g1 agent foo", "'set server <srv> agent' expects 'up' or 'down'."),
    ("set server shop/s1 addr", "set server <b>/<s> addr requires an address and optionally a port."),
    ("set server shop/s1 addr foo", "Invalid addr 'foo' by 'stats socket command'"),
    ("set server shop/s1 addr 127.0.0.1 port 0", "a port is a whole number from 1 to 65535."),
    (
        "set server unix/u1 addr 127.0.0.1",
        "Update for the current server address type is only supported through configuration file.",
    ),
    ("set server shop/s1 weight", "Require <weight> or <weight%>."),
    ("set server shop/s1 weight x", "Empty weight string empty or preceded by garbage"),
    ("set server shop/s1 weight -1%", "Relative weight must be positive."),
    ("set server shop/s1 weight 257", "Absolute weight can only be between 0 and 256 inclusive."),
    ("set weight shop/s1 3x", "Trailing garbage in weight string"),
    ("set severity-output loud", "one of 'none', 'number', 'string' is a required argument"),
    ("set timeout", "Unknown timeout name, use 'cli'."),
    ("set timeout client 5s", "'set timeout' only supports 'cli'."),
    ("set timeout cli never", "Invalid timeout value."),
    ("show report shop/zz", "No such server."),
    ("show stat zz 4 -1", "No such proxy."),
    ("show stat 0 4 -1", "No such proxy."),
    ("show stat domain resolvers", "Invalid statistics domain."),
    ("show stat json", "'typed', 'json' and 'desc' are not supported."),
    ("show stat shop 4 -1 up typed", "'typed', 'json' and 'desc' are not supported."),
    ("show info desc", "'typed', 'json' and 'desc' are not supported."),
    ("show servers conn zz", "Can't find backend."),
    ("show servers state zz", "Can't find backend."),
    ("show sess 0x1", "Session not found."),
    ("shutdown session", "Session pointer expected (use 'show sess')."),
    ("shutdown session 0x1", "No such session (use 'show sess')."),
    ("shutdown sessions server shop/zz", "No such server."),
    ("wait", "Expects a duration in milliseconds."),
    ("wait x", "Invalid duration."),
    ("wait 1s srv-removable", "Missing server name (<backend>/<server>)."),
    ("wait 1s srv-removable shop/zz", "Failed. No such server."),
    ("wait 1s srv-removable shop/s1", "Failed. Only servers in maintenance mode can be deleted."),
    ("wait 1s foo", "Usage: wait {-h|<duration>}"),
];

/// Texts of the source that no command of this configuration is answered with, and why.
const ELSEWHERE: &[(&str, &str)] = &[("A demo cannot be upgraded.", "this is no demo")];

/// The texts of errors in the source of the socket's commands, each up to its first figure.
fn texts() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/operate/socket");
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let source = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap();
        for begin in ["Error(", "Err(", "ok_or(", "fail(&[", "false => ", "true => "] {
            for rest in source.split(begin).skip(1) {
                let Some(text) = rest.trim_start().strip_prefix('"') else { continue };
                texts.push(text.split(['"', '\\']).next().unwrap().to_owned());
            }
        }
    }
    texts
}

#[test]
fn a_script_believes_no_error() {
    let backend = Backend::named("one");
    let socket = Place::new();
    let more = "pool.shop.stick = src\nbackend.u1 = unix:/nowhere\nbackend.u1.pool = unix\n\
        backend.g1 = 127.0.0.1:9\nbackend.g1.pool = agent\npool.agent.check.agent-port = 9\n";
    let _beelance = Beelance::start(&config(&backend, &socket.0, more));
    for (command, text) in WRONG {
        let answer = ask(&socket.0, &format!("set severity-output number; {command}"));
        let told = answer.trim_start_matches('\n');
        assert!(told.starts_with(&format!("[3]: {text}")), "{command}: {answer}");
    }
    let told = ctl(&socket.0, &["set", "server", "shop/s1", "addr", "foo"]);
    assert_eq!((told.code, told.stderr.as_str()), (Some(1), "Invalid addr 'foo' by 'stats socket command'\n"));
    assert_eq!(told.stdout, "");
    // Nothing of it has changed anything.
    let same = ask(&socket.0, "get weight shop/s1; show cli level");
    assert_eq!(same, "1 (initial 1)\n\nadmin\n\n");
}

#[test]
fn no_error_of_the_source_is_left_out() {
    let texts = texts();
    assert!(texts.len() > 40, "{texts:?}");
    let known = |text: &str| WRONG.iter().chain(ELSEWHERE).any(|texts| texts.0 == text || texts.1.contains(text));
    let missing: Vec<&String> = texts.iter().filter(|text| !known(text)).collect();
    assert!(missing.is_empty(), "without a command above that is answered so: {missing:?}");
}
