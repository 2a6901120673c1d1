//! Any bytes as a hive: nothing panics; what is read strictly is read the same leniently, and survives being written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use registry::regf;

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    // No fuzzer finds the checksum by itself.
    let mut summed = bytes.to_vec();
    if let Some((base, rest)) = summed.split_at_mut_checked(508)
        && let Some(place) = rest.first_chunk_mut()
    {
        let (words, _) = base.as_chunks();
        *place = words.iter().fold(0, |sum, word| sum ^ u32::from_le_bytes(*word)).to_le_bytes();
        check(&summed);
    }
});

fn check(bytes: &[u8]) {
    let lenient = regf::salvage(bytes);
    let Ok(hive) = regf::read(bytes) else { return };
    let (salvaged, losses) = lenient.expect("strict mode read it");
    assert!(losses.is_empty());
    assert_eq!(salvaged.root, hive.root);
    if let Ok(written) = regf::write(&hive.root, &hive.header) {
        assert_eq!(regf::read(&written).expect("we wrote it").root, hive.root);
    }
}
