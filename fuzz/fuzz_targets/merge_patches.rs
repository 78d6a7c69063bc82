//! The target `merge_patches` for libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| patchbay_fuzz::merge_patches::target(data));
