//! Cells, each of which may be claimed once.

use super::layout::{BIN_HEADER, BLOCK, HBIN, NOWHERE, u32_at};

/// The bins of a hive, and which eighths of them are spoken for.
pub(super) struct Cells<'h> {
    bins: &'h [u8],
    taken: Vec<u64>,
}

type Why = &'static str;

impl<'h> Cells<'h> {
    pub(super) fn new(bins: &'h [u8]) -> Self {
        Self { bins, taken: vec![0; bins.len().div_ceil(8 * 64)] }
    }

    /// Keeps the headers of bins from being claimed. Tells each place that should have one and has none.
    pub(super) fn take_bins(&mut self, mut fault: impl FnMut(usize, Why) -> bool) {
        let mut at = 0;
        while at < self.bins.len() {
            match self.bin_size(at) {
                Ok(size) => {
                    self.mark(at, BIN_HEADER);
                    at += size;
                }
                Err(why) => {
                    if !fault(at, why) {
                        return;
                    }
                    at += BLOCK;
                }
            }
        }
    }

    fn bin_size(&self, at: usize) -> Result<usize, Why> {
        let header = self.bins.get(at..at + BIN_HEADER).ok_or("the hive ends within the header of a bin")?;
        let size = u32_at(header, 8).unwrap_or_default() as usize;
        if !header.starts_with(HBIN) {
            return Err("expected the signature `hbin`");
        }
        if u32_at(header, 4) != u32::try_from(at).ok() {
            return Err("the bin says that it is elsewhere");
        }
        if size == 0 || !size.is_multiple_of(BLOCK) || size > self.bins.len() - at {
            return Err("the size of the bin is not right");
        }
        Ok(size)
    }

    /// The content of the cell at `offset`, which is nobody else's from now on.
    pub(super) fn claim(&mut self, offset: u32) -> Result<&'h [u8], Why> {
        let cell = self.peek(offset)?;
        let at = offset as usize;
        if self.is_taken(at, cell.len() + 4) {
            return Err("the cell is used twice, or overlaps with another");
        }
        self.mark(at, cell.len() + 4);
        Ok(cell)
    }

    /// The content of the cell at `offset`, claimed or not.
    pub(super) fn peek(&self, offset: u32) -> Result<&'h [u8], Why> {
        let at = offset as usize;
        if offset == NOWHERE {
            return Err("the offset of a cell leads nowhere");
        }
        if !at.is_multiple_of(8) {
            return Err("the offset of a cell is no multiple of eight");
        }
        let size = u32_at(self.bins, at).ok_or("the offset of a cell lies outside the hive")?.cast_signed();
        let length = size.unsigned_abs() as usize;
        if size >= 0 {
            return Err("the cell is not in use");
        }
        if !length.is_multiple_of(8) {
            return Err("the size of the cell is no multiple of eight");
        }
        self.bins[at..].get(4..length).ok_or("the cell reaches beyond the end of the hive")
    }

    /// Looks for a cell in use that `matches`, claimed or not.
    pub(super) fn find(&self, mut matches: impl FnMut(&[u8]) -> bool) -> Option<u32> {
        let offsets = (BIN_HEADER..self.bins.len()).step_by(8).map_while(|at| u32::try_from(at).ok());
        offsets.into_iter().find(|&offset| self.peek(offset).is_ok_and(&mut matches))
    }

    fn mark(&mut self, at: usize, length: usize) {
        for (word, mask) in words(at, length) {
            self.taken[word] |= mask;
        }
    }

    fn is_taken(&self, at: usize, length: usize) -> bool {
        words(at, length).any(|(word, mask)| self.taken[word] & mask != 0)
    }
}

/// Each word of the bitmap that the eighths of a cell lie in, with their bits.
fn words(at: usize, length: usize) -> impl Iterator<Item = (usize, u64)> {
    let (first, end) = (at / 8, (at + length).div_ceil(8));
    (first / 64..end.div_ceil(64)).map(move |word| {
        let low = first.saturating_sub(word * 64).min(64);
        let high = (end - word * 64).min(64);
        let below = |bits: usize| if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
        (word, below(high) & !below(low))
    })
}
