//! Cuts where the content says so (FastCDC in its form of 2020), so that bytes put in or taken out move the cuts and do not change
//! the chunks. Which cuts these are is a part of the format in all but name: other ones would store everything again.

use fastcdc::v2020::{self, MASKS};

use super::{WINDOW, Wanted};

const SMALLEST: usize = 16 << 10;
const AVERAGE: usize = 64 << 10;
const LARGEST: usize = WINDOW;

/// So many zeros make one chunk, and what follows them has no say in it.
pub(super) const ZEROS: usize = LARGEST;

// Normalisation level 1: one bit more than the average's 16 before it, one less after it.
const MASK_BEFORE: u64 = MASKS[17];
const MASK_AFTER: u64 = MASKS[15];

/// Bytes of the chunk with which `bytes` begin.
pub(super) fn cut(bytes: &[u8], is_last: bool) -> Result<usize, Wanted> {
    let (_, len) =
        v2020::cut(bytes, SMALLEST, AVERAGE, LARGEST, MASK_BEFORE, MASK_AFTER, MASK_BEFORE << 1, MASK_AFTER << 1);
    #[cfg(test)]
    super::tests::looked_at(len);
    // A cut before the end stays where it is whatever follows; the end itself is one only at the end of the file.
    if len < bytes.len() || len == LARGEST || is_last { Ok(len) } else { Err(Wanted(LARGEST)) }
}
