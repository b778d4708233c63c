#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tests::parsers::plain_text(bytes));
