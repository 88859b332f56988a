//! `fuzz::dtmf` for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzz::dtmf::run(bytes));
