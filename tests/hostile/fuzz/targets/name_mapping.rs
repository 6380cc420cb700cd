#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::name_mapping(bytes));
