//! The table of what the metrics tell of the process: those that HAProxy has too, and those that only beelance has.

use super::fields::first_label;
use crate::operate::figures::Unit::{self, Millis, Number};
use crate::operate::own::{Reading, VERSION};

/// One line; those of one name stand together, the help with the first.
pub(super) struct Single {
    pub prefix: &'static str,
    pub name: &'static str,
    pub help: &'static str,
    /// How a label is written, and its value; empty for none.
    pub label: [&'static str; 2],
    pub unit: Unit,
    pub value: Reading,
}

const fn process(name: &'static str, help: &'static str, value: Reading) -> Single {
    Single { prefix: "haproxy_process_", name, help, label: ["", ""], unit: Number, value }
}

const fn own(name: &'static str, help: &'static str, value: Reading) -> Single {
    Single { prefix: "beelance_", name, help, label: ["", ""], unit: Number, value }
}

const fn with(label: [&'static str; 2], single: Single) -> Single {
    Single { label, ..single }
}

const fn millis(single: Single) -> Single {
    Single { unit: Millis, ..single }
}

const LAG: &str = "How long others waited for the loop, in the last ten seconds and ever";

const ENERGY: &str = "power.board and power.server times the time since the start that they were up";

/// In the order in which they are told, before the objects.
#[rustfmt::skip]
pub(super) static SINGLES: &[Single] = &[
    process("nbthread", "Threads that carry requests", |_| 1),
    process("nbproc", "Processes", |_| 1),
    process("uptime_seconds", "Seconds since the start", |it| it.uptime_ms / 1000),
    process("start_time_seconds", "When it started; nothing while the clock is not set", |it| it.started_s),
    process("max_memory_bytes", "limits.memory", |it| it.memory_limit),
    process("max_fds", "File descriptors that may be open", |it| it.descriptors),
    process("max_connections", "limits.connections", |it| it.most_connections),
    process("current_connections", "Client connections", |it| it.connections),
    process("connections_total", "Client connections so far", |it| it.all_connections),
    process("hard_max_connections", "The same at the start", |it| it.planned_connections),
    process("max_sockets", "Sockets that may be open", |it| it.descriptors),
    process("current_connection_rate", "Client connections of the last second", |it| it.rate[0]),
    process("max_connection_rate", "The most of them in a second", |it| it.rate[1]),
    process("current_session_rate", "Client connections of the last second", |it| it.rate[0]),
    process("max_session_rate", "The most of them in a second", |it| it.rate[1]),
    process("pool_allocated_bytes", "Memory of the process that is in use", |it| it.memory),
    process("pool_used_bytes", "Memory of the process that is in use", |it| it.memory),
    with([first_label!("version"), VERSION], process("build_info", "The version", |_| 1)),
    process("requests_total", "Requests so far", |it| it.requests),
    process("stopping", "Whether it was told to stop", |it| it.stopping),
    process("listeners", "Listeners", |it| it.listeners),
    process("dropped_logs_total", "Lines of the log that were lost", |it| it.lost_lines),
    with([first_label!("version"), env!("CARGO_PKG_VERSION")], own("build_info", "The version", |_| 1)),
    millis(with([first_label!("of"), "average"], own("loop_lag_seconds", LAG, |it| it.average_lag_us / 1000))),
    millis(with([first_label!("of"), "most"], own("loop_lag_seconds", LAG, |it| it.lag_ms))),
    millis(with([first_label!("of"), "ever"], own("loop_lag_seconds", LAG, |it| it.most_lag_ms))),
    with([first_label!("size"), "small"], own("buffers_in_use", "Buffers that hold bytes", |it| it.small_buffers[1])),
    with([first_label!("size"), "large"], own("buffers_in_use", "Buffers that hold bytes", |it| it.large_buffers[1])),
    with([first_label!("size"), "small"], own("buffers", "Buffers there are", |it| it.small_buffers[0])),
    with([first_label!("size"), "large"], own("buffers", "Buffers there are", |it| it.large_buffers[0])),
    own("messages_suppressed_total", "Lines that others can cause and that were left out, as there had been many alike", |it| it.left_out),
    own("pipes_in_use", "Pipes that bodies pass through", |it| it.pipes[1]),
    own("memory_resident_bytes", "Memory of the process that is in use", |it| it.memory),
    own("session_map_capacity", "Users it can know", |it| it.sessions),
    millis(own("cpu_seconds_total", "Processor time of beelance", |it| it.cpu_ms)),
    millis(with([first_label!("of"), "board"], own("energy_joules_total", ENERGY, |it| it.energy_mj[0]))),
    millis(with([first_label!("of"), "servers"], own("energy_joules_total", ENERGY, |it| it.energy_mj[1]))),
    with([first_label!("of"), "board"], own("energy_joules_per_million_requests", "The same by requests", |it| it.million_j[0])),
    with([first_label!("of"), "servers"], own("energy_joules_per_million_requests", "The same by requests", |it| it.million_j[1])),
];
