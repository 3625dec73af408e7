//! libFuzzer's way into `targets::head`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::head::check(bytes));
