#![no_main]

// Parquet's reader may panic over damaged pages. The engine catches that: only what it lets through is a finding.
libfuzzer_sys::fuzz_target!(
    init: std::panic::set_hook(Box::new(|_| {})),
    |bytes: &[u8]| hostile::data_file(bytes)
);
