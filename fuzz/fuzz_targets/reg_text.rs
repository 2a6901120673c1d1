//! Any bytes as `.reg` text: nothing panics, and the tree survives being written, unless that is refused.

#![no_main]

use libfuzzer_sys::fuzz_target;
use registry::{Encoding, KeyPath, reg_text};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = reg_text::read(bytes) else { return };
    let tree = text.into_tree();
    if let Ok(written) = reg_text::write(&tree, &KeyPath::default(), Encoding::Utf16Le) {
        assert_eq!(reg_text::read(&written).expect("we wrote it").into_tree(), tree);
    }
});
