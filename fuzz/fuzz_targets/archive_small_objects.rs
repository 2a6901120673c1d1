//! Any bytes as a configuration, a lease, a mark or a confirmation: nothing panics, and what is read survives being written.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| archive::fuzz::small_objects(bytes));
