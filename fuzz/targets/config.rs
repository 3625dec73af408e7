//! A configuration file of any bytes: refused with words that a terminal can show, or printed so that it loads again.

use beelance::config::{Config, effective, parse};
use beelance::limits::Machine;

/// The machine does not matter, but it must be the same everywhere.
const BOARD: Machine = Machine {
    memory_total: Some(58_404 * 1024),
    cgroup: None,
    address_space: None,
    tcp_memory: Some(1254 * 4096),
    descriptors: Some(4096),
};

/// A file.
pub fn check(bytes: &[u8]) {
    match parse("f", bytes, &BOARD) {
        Ok(config) => {
            showable(&config.warnings.join("\n"));
            let printed = effective(&config);
            showable(&printed);
            let again = parse("effective", printed.as_bytes(), &BOARD);
            let again = again.unwrap_or_else(|errors| panic!("{printed}\n{errors}"));
            assert_eq!(effective(&again), printed);
            // Warnings hold line numbers.
            assert_eq!(Config { warnings: Vec::new(), ..again }, Config { warnings: Vec::new(), ..config });
        }
        Err(errors) => {
            let text = errors.to_string();
            assert!(!text.is_empty(), "refused without a word");
            showable(&text);
        }
    }
}

/// No byte of a file makes a terminal do anything.
fn showable(text: &str) {
    let bad = text.chars().find(|&char| char.is_control() && char != '\n' && char != '\t');
    assert_eq!(bad, None, "{text:?}");
}
