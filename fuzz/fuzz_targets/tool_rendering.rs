//! The target `tool_rendering` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchbay_fuzz::tool_rendering::target(data));
