//! Where the kernel's limits are below the configuration: what to type about each.
//!
//! Owns which of them matter, and refuses to change any: they are the whole system's. Not among them are
//! `tcp_max_tw_buckets`, beyond which connections that are over are forgotten at once, which a small machine wants, and
//! `tcp_mem`, which the memory budget reckons with.

use super::machine;
use crate::config::Config;
use std::path::Path;

/// Files that others of the system have open.
const FILES_BESIDE: u64 = 256;

/// Lines for the operator.
pub(super) fn warnings(config: &Config) -> Vec<String> {
    let budget = &config.limits.budget;
    let wants = Wants {
        connections: budget.connections as u64,
        descriptors: budget.descriptors(),
        listens: config.listeners.iter().any(|listener| listener.address.inet().is_some()),
        connects: config.backends.iter().any(|backend| backend.path.is_none()),
    };
    below(Path::new("/proc/sys"), &wants)
}

/// What the configuration asks of the kernel.
struct Wants {
    connections: u64,
    descriptors: u64,
    /// There is a listener of TCP.
    listens: bool,
    /// There is a backend of TCP.
    connects: bool,
}

fn below(root: &Path, wants: &Wants) -> Vec<String> {
    let numbers = |name: &str| -> Vec<u64> {
        let text = machine::text(&root.join(name.replace('.', "/"))).unwrap_or_default();
        text.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect()
    };
    let number = |name: &str| numbers(name).first().copied();
    let mut lines = Vec::new();
    let mut warn = |name: &str, has: u64, needs: u64, wanted: &str, then: &str| {
        if has < needs {
            lines.push(format!(
                "{name} is {has}, {needs} would fit the configuration: {then}; sysctl -w {name}={wanted}"
            ));
        }
    };
    let connections = wants.connections;
    if let Some(has) = number("net.core.somaxconn") {
        let then = "of connections that come at once, more than that have to come again after a second";
        warn("net.core.somaxconn", has, connections, &connections.to_string(), then);
    }
    // With SYN cookies nobody is turned away however short this queue is.
    if let (true, Some(0), Some(has)) =
        (wants.listens, number("net.ipv4.tcp_syncookies"), number("net.ipv4.tcp_max_syn_backlog"))
    {
        let then = "there are no SYN cookies, so more handshakes than that at once are lost";
        warn("net.ipv4.tcp_max_syn_backlog", has, connections, &connections.to_string(), then);
    }
    if let (true, Some(has)) = (wants.listens, number("net.ipv4.tcp_max_orphans")) {
        let then = "a client whose connection is closed while more than that still take their last bytes loses them";
        warn("net.ipv4.tcp_max_orphans", has, connections, &connections.to_string(), then);
    }
    if let Some(has) = number("fs.file-max") {
        let needs = wants.descriptors + FILES_BESIDE;
        warn("fs.file-max", has, needs, &needs.to_string(), "the whole system has no more open files and sockets");
    }
    if let &[first, last] = numbers("net.ipv4.ip_local_port_range").as_slice()
        && wants.connects
    {
        let has = (last + 1).saturating_sub(first);
        let then = "connections to one backend have no more ports";
        warn("net.ipv4.ip_local_port_range", has, connections, "\"1024 65535\"", then);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const WANTS: Wants = Wants { connections: 1000, descriptors: 2100, listens: true, connects: true };

    /// The lines where one limit has this value and all others are what Linux 6.1 gives a board of 64 MB, or better.
    fn with(changes: &[(&str, &str)], wants: &Wants) -> Vec<String> {
        let board = [
            ("net.core.somaxconn", "4096\n"),
            ("net.ipv4.tcp_syncookies", "1\n"),
            ("net.ipv4.tcp_max_syn_backlog", "128\n"),
            ("net.ipv4.tcp_max_orphans", "4096\n"),
            ("fs.file-max", "5212\n"),
            ("net.ipv4.ip_local_port_range", "32768\t60999\n"),
        ];
        let name = std::thread::current().name().unwrap().replace(':', "-");
        let root = std::env::temp_dir().join(format!("beelance-kernel-{}-{name}", std::process::id()));
        for (name, value) in board {
            let path = root.join(name.replace('.', "/"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let changed = changes.iter().find(|(changed, _)| *changed == name);
            fs::write(path, changed.map_or(value, |(_, value)| value)).unwrap();
        }
        let lines = below(&root, wants);
        fs::remove_dir_all(root).unwrap();
        lines
    }

    #[test]
    fn each_limit_that_is_too_low_has_its_line() {
        assert_eq!(with(&[], &WANTS), Vec::<String>::new());
        let cases = [
            (vec![("net.core.somaxconn", "128")], "sysctl -w net.core.somaxconn=1000"),
            (vec![("net.ipv4.tcp_syncookies", "0")], "sysctl -w net.ipv4.tcp_max_syn_backlog=1000"),
            (vec![("net.ipv4.tcp_max_orphans", "512")], "sysctl -w net.ipv4.tcp_max_orphans=1000"),
            (vec![("fs.file-max", "2355")], "sysctl -w fs.file-max=2356"),
            (
                vec![("net.ipv4.ip_local_port_range", "60000 60998")],
                "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"",
            ),
        ];
        for (changes, line) in cases {
            let lines = with(&changes, &WANTS);
            assert!(lines.len() == 1 && lines[0].ends_with(line), "{changes:?}: {lines:?}");
        }
    }

    #[test]
    fn what_is_high_enough_what_cannot_be_read_and_what_is_not_needed_is_not_told() {
        let exactly =
            [("net.core.somaxconn", "1000"), ("fs.file-max", "2356"), ("net.ipv4.ip_local_port_range", "1 1000")];
        assert!(with(&exactly, &WANTS).is_empty());
        assert!(with(&[("net.core.somaxconn", "many"), ("net.ipv4.ip_local_port_range", "7")], &WANTS).is_empty());
        assert!(below(Path::new("/nonexistent"), &WANTS).is_empty());
        let local = Wants { listens: false, connects: false, ..WANTS };
        let low = [
            ("net.ipv4.tcp_syncookies", "0"),
            ("net.ipv4.tcp_max_orphans", "1"),
            ("net.ipv4.ip_local_port_range", "7 8"),
        ];
        assert!(with(&low, &local).is_empty());
    }
}
