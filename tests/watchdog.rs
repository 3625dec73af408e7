//! The watchdog: fed for as long as the loop turns, told when it ends on purpose, and nothing else.
//!
//! A pipe stands in for the device: what is written to it is what the driver would see, and where the driver would be asked for
//! its time-out there is no answer. A driver, and a board that it resets, are in the emulated board's tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test may block"
)]

mod common;

use common::backend::Backend;
use common::device::Device;
use common::process::{Beelance, listener_and, temporary};
use nix::sys::signal::Signal;

#[test]
fn it_is_fed_until_a_clean_end_which_it_is_told() {
    for (signals, held) in [(1, false), (2, true)] {
        let (backend, device) = (Backend::named("s1"), Device::new());
        let mut beelance = Beelance::start(&(listener_and(&[&backend]) + &device.key()));
        // With nothing to do, and while it serves.
        device.feeds(2);
        let mut client = beelance.connect();
        assert_eq!(client.get("/").status, 200);
        if held {
            backend.hold();
            client.ask("GET", "/", "");
            backend.wait_in_flight(1);
        }
        device.feeds(2);
        beelance.signal(Signal::SIGTERM);
        if held {
            beelance.wait_log("it drains", |lines| lines.iter().any(|line| line.contains("finishing 1")).then_some(()));
            device.feeds(2);
        }
        for _ in 1..signals {
            beelance.signal(Signal::SIGTERM);
        }
        assert_eq!(beelance.exit_code(), Some(0));
        device.ends_on_purpose();
    }
}

#[test]
fn a_process_that_is_killed_does_not_end_it() {
    let (backend, device) = (Backend::named("s1"), Device::new());
    let mut beelance = Beelance::start(&(listener_and(&[&backend]) + &device.key()));
    device.feeds(1);
    beelance.signal(Signal::SIGKILL);
    assert_eq!(beelance.exit_code(), None);
    device.ends_without_a_word();
}

#[test]
fn what_cannot_be_had_is_told_once_and_gone_without() {
    let backend = Backend::named("s1");
    // No such device; a pipe that nobody reads from.
    let nobody = Device::new();
    let path = nobody.path().to_owned();
    nobody.leave();
    for path in [temporary("watchdog"), path] {
        let key = format!("watchdog = {}\n", path.display());
        let mut beelance = Beelance::start(&(listener_and(&[&backend]) + &key));
        assert_eq!(beelance.connect().get("/").status, 200);
        beelance.signal(Signal::SIGTERM);
        assert_eq!(beelance.exit_code(), Some(0));
        beelance.ended();
        let told: Vec<String> = beelance.log().into_iter().filter(|line| line.contains("watchdog")).collect();
        assert!(told.len() == 1 && told[0].contains("going on without"), "{told:?}");
        let _ = std::fs::remove_file(path);
    }
}
