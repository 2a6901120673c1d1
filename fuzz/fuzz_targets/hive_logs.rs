//! Any bytes as a hive with two logs: nothing panics, and no more memory is taken than the logs pay for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use registry::regf;

fuzz_target!(|parts: (Vec<u8>, Vec<u8>, Vec<u8>)| {
    let (hive, one, other) = parts;
    if let Ok(recovered) = regf::recover(&hive, &[&one, &other]) {
        assert!(recovered.hive.len() <= hive.len() + one.len() + other.len());
        drop(regf::salvage(&recovered.hive));
    }
});
