//! libFuzzer's way into `targets::framing`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::framing::check(bytes));
