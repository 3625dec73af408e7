//! What a budget holds, and that its lines are what it counts.

use super::*;
use crate::limits::{LOOKUP_SOCKETS, RATES, SESSIONS};

const BOARD: Machine = Machine {
    memory_total: Some(58_404 * 1024),
    cgroup: None,
    address_space: None,
    tcp_memory: Some(1254 * 4096),
    descriptors: Some(4096),
};

#[test]
fn the_default_is_half_of_the_least_bound() {
    assert_eq!(BOARD.default_memory(), 58_404 * 1024 / 2);
    assert_eq!(Machine { cgroup: Some(32 << 20), ..BOARD }.default_memory(), 16 << 20);
    assert_eq!(Machine { memory_total: Some(24 << 30), ..Machine::default() }.default_memory(), 48 << 20);
    assert_eq!(Machine::default().default_memory(), 48 << 20);
}

#[test]
fn a_computed_budget_fits_and_is_the_largest_that_does() {
    for (megabytes, sessions) in [(4, 0), (8, SESSIONS), (16, 0), (28, SESSIONS), (48, SESSIONS)] {
        let memory = megabytes << 20;
        let beside = Beside { sessions, ..Beside::default() };
        let budget = Budget::plan(memory, None, beside, &BOARD).unwrap();
        assert!(budget.total() <= memory, "{budget}");
        let more = Budget::plan(memory, Some(budget.connections + 1), beside, &BOARD);
        assert!(more.is_err() || budget.connections == MAX_CONNECTIONS, "{budget}");
    }
}

#[test]
fn a_board_of_64_megabytes_carries_a_thousand_connections() {
    let beside = Beside { sessions: SESSIONS, probes: 256, ..Beside::default() };
    assert!(Budget::plan(BOARD.default_memory(), None, beside, &BOARD).unwrap().connections >= 1000);
}

#[test]
fn the_lines_add_up() {
    let beside = Beside {
        sessions: SESSIONS,
        probes: 3,
        names: 6,
        objects: 5,
        nodes: 160,
        rates: RATES,
        crowd: true,
        ..Beside::default()
    };
    let text = Budget::plan(40 << 20, Some(500), beside, &Machine::default()).unwrap().to_string();
    let number = |word: &str| word.parse::<u64>().unwrap();
    let (mut part, mut all, mut process) = (0, 0, 0);
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [.., count, "x", size, "=", bytes, "bytes"] => {
                assert_eq!(number(count) * number(size), number(bytes), "{line}");
                part += number(bytes);
            }
            ["#", "the", "process", bytes, "bytes"] => {
                process = number(bytes);
                assert_eq!(part, process);
            }
            ["#", "together", bytes, "bytes"] => all = number(bytes),
            _ => {}
        }
    }
    assert!(process > 0 && part > process && part == all, "{text}");
}

#[test]
fn sockets_hold_what_is_said_of_them_or_all_that_the_system_has() {
    let total = |sockets, tcp_memory| {
        let beside = Beside { sockets, ..Beside::default() };
        let budget =
            Budget::plan(1 << 30, Some(100), beside, &Machine { tcp_memory, ..Machine::default() }).unwrap();
        budget.total()
    };
    let unsent = |bytes| Sockets { unsent: Some(bytes), ..Sockets::default() };
    let base = total(unsent(0), None);
    assert_eq!(total(unsent(20_000), None) - base, 100 * (20_000 + u64::from(MIN_UNSENT)));
    let bounded = Sockets { send: Some(8192), receive: Some(4096), unsent: Some(20_000) };
    assert_eq!(total(bounded, None) - base, 200 * 2 * (8192 + 4096));
    assert_eq!(total(bounded, Some(1 << 20)) - base, 1 << 20);
}

#[test]
fn clients_may_leave_more_unsent_where_there_is_room() {
    let unsent = |megabytes: u64, tcp_memory| {
        let machine = Machine { tcp_memory, ..Machine::default() };
        Budget::plan(megabytes << 20, Some(1000), Beside::default(), &machine).unwrap().unsent
    };
    assert_eq!([unsent(60, None), unsent(80, None), unsent(1000, None)], [16 << 10, 32 << 10, 128 << 10]);
    // Less than all of them could have: nobody gets more than another.
    assert_eq!(unsent(1000, Some(5 << 20)), 16 << 10);
}

#[test]
fn pipes_are_counted_with_their_descriptors() {
    let plan = |connections, splice| {
        let sockets = Sockets { unsent: Some(MIN_UNSENT), ..Sockets::default() };
        Budget::plan(64 << 20, Some(connections), Beside { splice, sockets, ..Beside::default() }, &BOARD).unwrap()
    };
    for (connections, pipes) in [(1, MIN_PIPES), (640, 10), (1500, MAX_PIPES)] {
        let (with, without) = (plan(connections, true), plan(connections, false));
        assert_eq!((with.pipes, without.pipes), (pipes, 0));
        assert_eq!(with.total() - without.total(), (pipes * PIPE_BYTES) as u64);
        assert_eq!(with.descriptors() - without.descriptors(), 2 * pipes as u64);
    }
}

#[test]
fn what_does_not_fit_is_refused_with_the_excess() {
    let refused = Budget::plan(8 << 20, Some(4000), Beside::default(), &BOARD).unwrap_err();
    let Excess::Memory { needed, memory } = refused else { panic!("{refused}") };
    assert!(needed > memory);
    assert!(refused.to_string().contains(&format!("{} more", needed - memory)));
    let few = Machine { descriptors: Some(100), ..BOARD };
    assert!(matches!(Budget::plan(16 << 20, Some(200), Beside::default(), &few), Err(Excess::Descriptors { .. })));
}

#[test]
fn probes_and_lookups_have_descriptors_of_their_own() {
    let few = Machine { descriptors: Some(400), ..BOARD };
    let connections = |probes, names| {
        let beside = Beside { probes, names, ..Beside::default() };
        Budget::plan(16 << 20, None, beside, &few).map(|budget| budget.connections)
    };
    let without = connections(0, 0).unwrap();
    assert_eq!(connections(64, 0), Ok(without - 64 / SOCKETS_PER_CONNECTION));
    assert!(connections(400, 0).is_err());
    let lost = |names: usize| names * LOOKUP_SOCKETS / SOCKETS_PER_CONNECTION;
    assert_eq!(connections(0, 1), Ok(without - lost(1)));
    assert_eq!(connections(0, 200), Ok(without - lost(LOOKUPS)));
}
