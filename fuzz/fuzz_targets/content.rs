//! The JSON of a vault: refused, or kept to the byte by every later write, of itself and of a change.
#![no_main]

libfuzzer_sys::fuzz_target!(|json: &[u8]| vault_store::fuzzed::content(json));
