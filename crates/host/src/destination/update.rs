//! Bringing a staged copy up to date by writing only what differs.

use std::io;

use crate::os::fd::OwnedFd;
use crate::os::fs::{FallocateFlags, fallocate, ftruncate};
use crate::os::io::{Errno, pread, retry_on_intr};
use backup_core::copy::read_once;
use backup_core::ports::destination::{DestinationError, StageError, StagedContent};
use backup_core::ports::site_files::OpenFile;

use super::stage::write_all_at;

/// What is compared and written at once.
const PIECE: usize = 64 << 10;

/// An update of one staged file, which no other snapshot shares.
#[derive(Debug)]
pub(super) struct Update<'a> {
    to: &'a OwnedFd,
    /// How long the staged file is by now.
    len: u64,
    /// Up to where it is as the source is.
    done: u64,
    piece: Vec<u8>,
}

impl<'a> Update<'a> {
    pub(super) fn new(to: &'a OwnedFd, len: u64) -> Self {
        Self { to, len, done: 0, piece: vec![0; PIECE] }
    }

    /// Reads the source once and makes the staged file the same. After an error the staged file is part old, part new.
    pub(super) fn run(
        &mut self,
        from: &dyn OpenFile,
        buffer: &mut [u8],
        failed: impl Fn(io::Error) -> DestinationError,
    ) -> Result<StagedContent, StageError> {
        let before = from.stat()?;
        let write = |result: Result<(), Errno>| result.map_err(|error| StageError::Write(failed(error.into())));
        let (size, hash) = read_once(from, buffer, true, |offset, block| {
            write(self.clear(offset).and_then(|()| self.compare(block)))
        })?;
        write(self.clear(size))?;
        if self.len != size {
            write(ftruncate(self.to, size))?;
        }
        let after = Some(from.stat()?);
        Ok(StagedContent { hash: Some(hash), before: Some(before), after, ..StagedContent::unread(size) })
    }

    fn compare(&mut self, block: &[u8]) -> Result<(), Errno> {
        for piece in block.chunks(PIECE) {
            if !self.holds(piece)? {
                write_all_at(self.to, self.done, piece)?;
            }
            self.done += piece.len() as u64;
            self.len = self.len.max(self.done);
        }
        Ok(())
    }

    fn holds(&mut self, piece: &[u8]) -> Result<bool, Errno> {
        if self.done >= self.len {
            return Ok(false);
        }
        let mut staged = std::mem::take(&mut self.piece);
        let count = retry_on_intr(|| pread(self.to, &mut staged[..piece.len()], self.done));
        let same = count.map(|count| staged[..count] == *piece);
        self.piece = staged;
        same
    }

    /// Makes the staged file a hole up to `end`, as the source is. What lies beyond its length is one already.
    fn clear(&mut self, end: u64) -> Result<(), Errno> {
        let until = end.min(self.len);
        if self.done < until {
            let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            match fallocate(self.to, punch, self.done, until - self.done) {
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeros(until)?,
                punched => punched?,
            }
        }
        self.done = self.done.max(end);
        Ok(())
    }

    fn write_zeros(&mut self, until: u64) -> Result<(), Errno> {
        let zeros = vec![0; PIECE];
        while self.done < until {
            let count = usize::try_from(until - self.done).unwrap_or(PIECE).min(PIECE);
            write_all_at(self.to, self.done, &zeros[..count])?;
            self.done += count as u64;
        }
        Ok(())
    }
}
