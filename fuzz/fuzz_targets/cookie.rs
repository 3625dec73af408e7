//! libFuzzer's way into `targets::cookie`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::cookie::check(bytes));
