//! Any bytes as a hive: nothing panics; what is read strictly is read the same leniently, and survives being written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use registry::regf;

fuzz_target!(|bytes: &[u8]| {
    let lenient = regf::salvage(bytes);
    let Ok(hive) = regf::read(bytes) else { return };
    let (salvaged, losses) = lenient.expect("strict mode read it");
    assert!(losses.is_empty());
    assert_eq!(salvaged.root, hive.root);
    if let Ok(written) = regf::write(&hive.root, &hive.header) {
        assert_eq!(regf::read(&written).expect("we wrote it").root, hive.root);
    }
});
