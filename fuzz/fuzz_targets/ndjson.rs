#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| refire_fuzz::lines(bytes));
