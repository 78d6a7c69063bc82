//! The target `hours` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchbay_fuzz::hours::target(data));
