//! Any bytes as a pack, and as the index of one: nothing panics, and what is read survives being written.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| archive::fuzz::pack(bytes));
