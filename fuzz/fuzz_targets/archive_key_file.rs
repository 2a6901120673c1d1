//! Any bytes as a key file, an identity or a recipient: nothing panics, and what is read survives being written.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| archive::fuzz::key_file(bytes));
