//! The target `schemas` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchbay_fuzz::schemas::target(data));
