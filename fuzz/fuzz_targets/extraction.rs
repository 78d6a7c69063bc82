//! The target `extraction` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchbay_fuzz::extraction::target(data));
