//! libFuzzer's way into `targets::config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::config::check(bytes));
