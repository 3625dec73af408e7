//! libFuzzer's way into `targets::dns`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::dns::check(bytes));
