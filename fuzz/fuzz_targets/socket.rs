//! The private socket's first bytes: nobody begins without authentication, a header asks for no more than it may, and
//! nothing that passes the gate makes D-Bus stumble.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| private_socket::fuzzed::first_bytes(bytes));
