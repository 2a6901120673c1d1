//! Any bytes as a frame of a pack: nothing panics, and what is read survives being written.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| archive::fuzz::frame(bytes));
