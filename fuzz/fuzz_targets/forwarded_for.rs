//! The target `forwarded_for` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchbay_fuzz::forwarded_for::target(data));
