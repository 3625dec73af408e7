//! libFuzzer's way into `targets::proxy`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::proxy::check(bytes));
