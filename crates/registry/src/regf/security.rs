//! The security descriptor of keys that have none of their own.

use std::sync::{Arc, LazyLock};

/// Owner BUILTIN\Administrators, group SYSTEM; full control for both, inherited by what is made below.
///
/// Owner and group stand before the list, where Windows itself puts the list first: a descriptor of just these bytes
/// is one of ours, and is read back as none.
const DEFAULT: [u8; 100] = {
    let mut bytes = [0; 100];
    let mut at = 0;
    let parts: [&[u8]; 8] = [
        &[1, 0, 0x04, 0x80, 20, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0],
        &ADMINISTRATORS,
        &SYSTEM,
        // An access list of two entries.
        &[2, 0, 52, 0, 2, 0, 0, 0],
        // Full control, for containers below too.
        &[0, 2, 24, 0, 0x3f, 0, 0x0f, 0],
        &ADMINISTRATORS,
        &[0, 2, 20, 0, 0x3f, 0, 0x0f, 0],
        &SYSTEM,
    ];
    let mut part = 0;
    while part < parts.len() {
        let mut byte = 0;
        while byte < parts[part].len() {
            bytes[at] = parts[part][byte];
            at += 1;
            byte += 1;
        }
        part += 1;
    }
    assert!(at == bytes.len());
    bytes
};

const ADMINISTRATORS: [u8; 16] = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 32, 2, 0, 0];
const SYSTEM: [u8; 12] = [1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0];

static SHARED: LazyLock<Arc<[u8]>> = LazyLock::new(|| Arc::new(DEFAULT));

/// The descriptor that keys without one get when they are written to a hive: administrators and the system may do
/// everything, nobody else anything.
pub fn default_security() -> Arc<[u8]> {
    Arc::clone(&SHARED)
}

pub(super) fn is_default_security(descriptor: &[u8]) -> bool {
    descriptor == DEFAULT
}
