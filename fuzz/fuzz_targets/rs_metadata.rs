//! `fuzz::rs_metadata` for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::rs_metadata::run(bytes));
