//! Cuts the content of a file into the chunks that are stored once each.
//!
//! What a file is cut by is decided by its first bytes, never by its name: database files into extents on the grid of their pages
//! ([`pages`]), everything else by content ([`content`]). One pass, at most [`WINDOW`] bytes kept back. The same bytes make the same
//! chunks, however they are handed in; a hole of the file system is as good as zeros.

mod content;
mod pages;
mod probe;
#[cfg(test)]
mod tests;

use pages::Pages;

/// Bytes of an extent: eight pages of 8 KiB.
pub(crate) const EXTENT: usize = 64 << 10;
/// The most bytes of a chunk, and what a decision looks at at most.
pub(crate) const WINDOW: usize = 256 << 10;
/// Files of fewer bytes are one chunk.
const SMALL: usize = 128 << 10;

static ZEROS: [u8; EXTENT] = [0; EXTENT];

/// A part of a file. The parts follow each other without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunk<'a> {
    /// So many bytes of zeros, at least one. No hole follows a hole.
    Hole(u64),
    /// 1 to [`WINDOW`] bytes, not all of them zeros.
    Data(&'a [u8]),
    /// [`EXTENT`] bytes, not all of them zeros: eight pages of a database file, changed one by one.
    Extent(&'a [u8]),
}

/// Cuts one file after another.
///
/// After an error of a sink it stands within a file: drop it.
#[derive(Debug)]
pub(crate) struct Chunker {
    /// Unknown until enough of the file was seen.
    class: Option<Class>,
    /// What is handed in and not cut yet; never more than [`WINDOW`].
    pending: Vec<u8>,
    /// So many pending bytes it takes to decide; with fewer nobody needs to ask.
    wanted: usize,
    /// Where the next block of the file begins.
    position: u64,
    /// Zeros that no chunk was made of yet.
    hole: u64,
}

/// What a file is cut by.
#[derive(Debug)]
enum Class {
    Pages(Pages),
    Content,
}

/// The next bytes that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    len: usize,
    is_extent: bool,
}

/// So many bytes, or the last ones of the file, have to be seen first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wanted(usize);

impl Chunker {
    /// Stands before the first byte of a file. Its memory is asked for here, and never again.
    pub(crate) fn new() -> Self {
        Self { class: None, pending: Vec::with_capacity(WINDOW), wanted: 0, position: 0, hole: 0 }
    }

    /// Takes the block of the file that begins at `offset`, and hands on the chunks that are certain now. What lies between the block
    /// before and this one is a hole.
    ///
    /// # Errors
    /// Those of `sink`.
    ///
    /// # Panics
    /// If the block begins before the end of the one before.
    pub(crate) fn push<E>(
        &mut self,
        offset: u64,
        block: &[u8],
        sink: &mut impl FnMut(Chunk<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let gap = offset.checked_sub(self.position).expect("blocks are handed in in their order");
        self.skip(gap, sink)?;
        self.position = offset + block.len() as u64;
        self.feed(block, sink)
    }

    /// Ends a file of `size` bytes and hands on its last chunks. The next block is one of another file.
    ///
    /// # Errors
    /// Those of `sink`.
    pub(crate) fn finish<E>(&mut self, size: u64, sink: &mut impl FnMut(Chunk<'_>) -> Result<(), E>) -> Result<(), E> {
        self.skip(size.saturating_sub(self.position), sink)?;
        let mut rest = &self.pending[..];
        while !rest.is_empty() {
            let piece = cut(&mut self.class, rest, true).expect("the last bytes of a file are always cut");
            rest = hand_on(&mut self.hole, rest, piece, sink)?;
        }
        let hole = self.hole;
        self.pending.clear();
        *self = Self { pending: std::mem::take(&mut self.pending), class: None, wanted: 0, position: 0, hole: 0 };
        if hole > 0 { sink(Chunk::Hole(hole)) } else { Ok(()) }
    }

    /// Cuts `gap` zeros like any others, without looking at them one by one.
    fn skip<E>(&mut self, mut gap: u64, sink: &mut impl FnMut(Chunk<'_>) -> Result<(), E>) -> Result<(), E> {
        while gap > 0 {
            // A look at the pending bytes pays only for more than these.
            let period = if gap >= WINDOW as u64 { self.class.as_ref().map(Class::zeros) } else { None };
            if let Some(period) = period.filter(|_| is_zero(&self.pending)) {
                let zeros = self.pending.len() as u64 + gap;
                let left = zeros % period as u64;
                self.hole += zeros - left;
                self.pending.clear();
                self.pending.resize(left as usize, 0);
                return Ok(());
            }
            let zeros = &ZEROS[..gap.min(EXTENT as u64) as usize];
            gap -= zeros.len() as u64;
            self.feed(zeros, sink)?;
        }
        Ok(())
    }

    fn feed<E>(&mut self, block: &[u8], sink: &mut impl FnMut(Chunk<'_>) -> Result<(), E>) -> Result<(), E> {
        // Pending bytes up to `done` are cut; the last `taken` ones are the first ones of the block.
        let (mut done, mut taken) = (0, 0);
        while self.pending.len() - done > taken {
            let rest = &self.pending[done..];
            if rest.len() < self.wanted {
                let more = (self.wanted - rest.len()).min(block.len() - taken);
                self.pending.drain(..done);
                done = 0;
                if more == 0 {
                    return Ok(());
                }
                self.pending.extend_from_slice(&block[taken..taken + more]);
                taken += more;
                continue;
            }
            match cut(&mut self.class, rest, false) {
                Ok(piece) => {
                    hand_on(&mut self.hole, rest, piece, sink)?;
                    done += piece.len;
                }
                Err(Wanted(wanted)) => self.wanted = wanted,
            }
        }
        let mut rest = &block[taken - (self.pending.len() - done)..];
        self.pending.clear();
        loop {
            match cut(&mut self.class, rest, false) {
                Ok(piece) => rest = hand_on(&mut self.hole, rest, piece, sink)?,
                Err(Wanted(wanted)) => {
                    self.wanted = wanted;
                    self.pending.extend_from_slice(rest);
                    return Ok(());
                }
            }
        }
    }
}

impl Class {
    /// The class of a file that begins with `window`.
    fn of(window: &[u8]) -> Self {
        if probe::is_sqlite(window) {
            return Self::Pages(Pages::of_sqlite());
        }
        probe::find_extent(window).map_or(Self::Content, |first| Self::Pages(Pages::of_sql_server(first)))
    }

    /// So many zeros make a chunk or a few, after which all is as it was.
    fn zeros(&self) -> usize {
        match self {
            Self::Pages(_) => EXTENT,
            Self::Content => content::ZEROS,
        }
    }
}

/// The piece with which `bytes` begin. With `is_last` they are all that is left of the file, and it has one.
fn cut(class: &mut Option<Class>, bytes: &[u8], is_last: bool) -> Result<Piece, Wanted> {
    let class = match class {
        Some(class) => class,
        None if !is_last && bytes.len() < WINDOW => return Err(Wanted(WINDOW)),
        None if bytes.len() < SMALL => return Ok(Piece::data(bytes.len())),
        None => class.insert(Class::of(&bytes[..bytes.len().min(WINDOW)])),
    };
    match class {
        Class::Pages(pages) => pages.cut(bytes, is_last),
        Class::Content => content::cut(bytes, is_last).map(Piece::data),
    }
}

impl Piece {
    fn data(len: usize) -> Self {
        Self { len, is_extent: false }
    }
}

/// Makes a chunk of the piece with which `bytes` begin, and returns what follows it.
fn hand_on<'a, E>(
    hole: &mut u64,
    bytes: &'a [u8],
    piece: Piece,
    sink: &mut impl FnMut(Chunk<'_>) -> Result<(), E>,
) -> Result<&'a [u8], E> {
    let (content, rest) = bytes.split_at(piece.len);
    if is_zero(content) {
        *hole += piece.len as u64;
        return Ok(rest);
    }
    if *hole > 0 {
        sink(Chunk::Hole(std::mem::take(hole)))?;
    }
    sink(if piece.is_extent { Chunk::Extent(content) } else { Chunk::Data(content) })?;
    Ok(rest)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(EXTENT).all(|part| part == &ZEROS[..part.len()])
}
