//! Any bytes as a document of VSS: nothing panics, and what is read of a writer survives being written.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vss::documents::{BackupDocument, WriterDocument};

fuzz_target!(|bytes: &[u8]| {
    drop(BackupDocument::parse(bytes));
    let Ok(document) = WriterDocument::parse(bytes) else { return };
    // References may name characters that XML cannot hold; they are replaced when they are written for the first time.
    let written = document.to_xml();
    assert_eq!(WriterDocument::parse(&written).expect("we wrote it").to_xml(), written);
});
