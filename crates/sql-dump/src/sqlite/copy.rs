//! A copy on its way: prepared, pinned, finished.

use std::sync::Mutex;

use async_trait::async_trait;
use backup_core::copy::BLOCK;
use backup_core::path::RelPath;
use backup_core::ports::database::{DatabaseCopy, DatabaseDump, DatabaseError, DumpedFile, SetupOption};
use backup_core::ports::destination::{DestinationError, StagedFile};

use super::blocks::BlockHashes;
use super::connection::{BRIEFLY, Journal, PATIENTLY, Reader, refusal};
use super::locate::Files;
use super::pages::{self, State};
use super::pump::{Wanted, pump};
use crate::blocking::blocking;

/// Bytes compared, and written, at once where a copy is brought up to date.
const PIECE: usize = 4096;

/// A copy of a SQLite database.
#[derive(Debug)]
pub(super) struct SqliteCopy {
    files: Files,
    wanted: Wanted,
    // `None` while a call works on it, and for good when that call's future was dropped.
    work: Mutex<Option<Work>>,
}

#[derive(Debug)]
struct Work {
    files: Files,
    wanted: Wanted,
    reader: Reader,
    place: RelPath,
    staged: Box<dyn StagedFile>,
    /// What the staged file holds; empty where that is not known.
    staged_blocks: BlockHashes,
    /// The committed state that it holds, if it holds one.
    staged_state: Option<State>,
    pin: Pin,
}

/// What `finish` still has to do.
#[derive(Debug)]
enum Pin {
    None,
    /// Copy what the open read transaction sees.
    Held,
    /// Nothing: the staged file holds the moment.
    Copied(DatabaseDump),
}

impl SqliteCopy {
    /// Opens the database and, where it keeps a rollback journal, copies its pages while writers go on.
    pub(super) fn prepare(
        files: Files,
        (place, staged): (RelPath, Box<dyn StagedFile>),
        wanted: Wanted,
    ) -> Result<Self, DatabaseError> {
        let reader = Reader::open(&files, PATIENTLY, &wanted)?;
        let (staged_blocks, pin) = (BlockHashes::default(), Pin::None);
        let (copied, wants) = (files.clone(), wanted.clone());
        let mut work =
            Work { files: copied, wanted: wants, reader, place, staged, staged_blocks, staged_state: None, pin };
        work.prepare()?;
        Ok(Self { files, wanted, work: Mutex::new(Some(work)) })
    }

    fn take(&mut self) -> Option<Work> {
        self.work.get_mut().unwrap_or_else(|poisoned| poisoned.into_inner()).take()
    }

    fn given_up(&self, action: &'static str) -> DatabaseError {
        self.files.failed(action, "an earlier call was broken off")
    }
}

#[async_trait]
impl DatabaseCopy for SqliteCopy {
    async fn pin(&mut self) -> Result<(), DatabaseError> {
        let mut work = self.take().ok_or_else(|| self.given_up("pin"))?;
        let pin = move || {
            let pinned = work.pin();
            Ok((work, pinned))
        };
        let waiting = self.wanted.waiting();
        let (work, pinned) = blocking("pin", self.files.site(), pin).await?;
        waiting.over();
        self.work = Mutex::new(Some(work));
        pinned
    }

    async fn finish(mut self: Box<Self>) -> Result<DatabaseDump, DatabaseError> {
        let work = self.take().ok_or_else(|| self.given_up("finish the copy of"))?;
        let waiting = self.wanted.waiting();
        let site = self.files.site().clone();
        let dump = blocking("finish the copy of", &site, move || work.finish()).await;
        waiting.over();
        dump
    }
}

impl Work {
    fn prepare(&mut self) -> Result<(), DatabaseError> {
        if self.reader.begin(&self.files)? == Journal::Rollback {
            let state = self.sql("read", |reader| State::read(reader.connection()))?;
            self.sql("read", Reader::end)?;
            self.copy_in_short_reads(&state)?;
            // Only while nothing has been committed since is this one state, and no mixture; `pin` sees to that.
            self.staged_state = Some(state);
        }
        self.sql("read", Reader::end)
    }

    /// Copies all pages, a block in each read transaction, so that writers get their turn between any two.
    fn copy_in_short_reads(&mut self, state: &State) -> Result<(), DatabaseError> {
        let files = &self.files;
        let refused = |error| refusal(files, "read", error);
        let mut range = self.reader.connection().prepare(pages::RANGE).map_err(refused)?;
        let (mut next, step) = (1, state.pages_in_block());
        let blocks = &mut self.staged_blocks;
        let fill = |block: &mut Vec<u8>| {
            // What is added while the copy goes on is left for `pin`, or a growing file would never end.
            if next <= state.pages {
                let last = state.pages.min(next + step - 1);
                let mut rows = range.query([next, last]).map_err(refused)?;
                pages::fill(&mut rows, block).map_err(refused)?;
                // A block in the middle that is not full comes from a file laid out anew: all else is left for `pin` as well.
                next = if block.len() == BLOCK { last + 1 } else { state.pages + 1 };
                if !block.is_empty() {
                    blocks.push(block);
                }
            }
            Ok(())
        };
        let staged = &mut self.staged;
        let write = |offset, block: &[u8]| staged.write_at(offset, block).map_err(DatabaseError::from);
        let size = pump(&self.wanted, fill, || (), write)?;
        self.go_on()?;
        Ok(self.staged.set_len(size)?)
    }

    fn pin(&mut self) -> Result<(), DatabaseError> {
        self.pin = Pin::None;
        self.sql("pin", Reader::end)?;
        self.reader.be_patient(BRIEFLY).map_err(|error| refusal(&self.files, "pin", error))?;
        if self.reader.id != self.files.id() {
            // Another file has taken the name since.
            self.reader = Reader::open(&self.files, BRIEFLY, &self.wanted)?;
            self.staged_state = None;
        }
        match self.reader.begin(&self.files)? {
            Journal::Wal => self.pin = Pin::Held,
            Journal::Rollback => {
                let caught_up = self.catch_up();
                // The writers' turn, whatever came of it.
                self.sql("pin", Reader::end)?;
                self.pin = Pin::Copied(caught_up?);
            }
        }
        Ok(())
    }

    /// Makes the staged file hold what the transaction sees.
    fn catch_up(&mut self) -> Result<DatabaseDump, DatabaseError> {
        let state = self.sql("pin", |reader| State::read(reader.connection()))?;
        if self.staged_state.as_ref() == Some(&state) {
            return Ok(dump(&self.place, &self.staged_blocks));
        }
        // Both are taken out first: after an error in the middle nothing is known of the staged file.
        self.staged_state = None;
        let known = std::mem::take(&mut self.staged_blocks);
        let mut blocks = BlockHashes::default();
        let (staged, seen) = (&mut self.staged, &mut blocks);
        let mut old = vec![0; BLOCK];
        let update = |offset, block: &[u8]| {
            seen.push(block);
            if seen.last_is_in(&known) { Ok(()) } else { write_changed(&**staged, offset, block, &mut old) }
        };
        let size = read_all(&self.reader, &self.files, &self.wanted, |_| (), update)?;
        self.go_on()?;
        self.staged.set_len(size)?;
        (self.staged_blocks, self.staged_state) = (blocks, Some(state));
        Ok(dump(&self.place, &self.staged_blocks))
    }

    fn finish(mut self) -> Result<DatabaseDump, DatabaseError> {
        match self.pin {
            Pin::None => Err(self.files.failed("finish the copy of", "it was not pinned")),
            Pin::Copied(dump) => Ok(dump),
            Pin::Held => {
                let mut blocks = BlockHashes::default();
                let staged = &mut self.staged;
                let write = |offset, block: &[u8]| staged.write_at(offset, block);
                let see = |block: &[u8]| blocks.push(block);
                let size = read_all(&self.reader, &self.files, &self.wanted, see, write)?;
                if self.wanted.is_given_up() {
                    return Err(given_up(&self.files));
                }
                self.staged.set_len(size)?;
                Ok(dump(&self.place, &blocks))
            }
        }
    }

    /// Refuses to take a part for the whole.
    fn go_on(&self) -> Result<(), DatabaseError> {
        if self.wanted.is_given_up() { Err(given_up(&self.files)) } else { Ok(()) }
    }

    fn sql<T>(
        &self,
        action: &'static str,
        run: impl FnOnce(&Reader) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        run(&self.reader).map_err(|error| refusal(&self.files, action, error))
    }
}

fn given_up(files: &Files) -> DatabaseError {
    files.failed("copy", "nobody waits for it any more")
}

/// Hands all pages of the reader's transaction to `see` as they are read, and to `write` on another thread.
///
/// The transaction ends with the last page read: however slowly the others are written, its locks are in nobody's way.
fn read_all(
    reader: &Reader,
    files: &Files,
    wanted: &Wanted,
    mut see: impl FnMut(&[u8]),
    mut write: impl FnMut(u64, &[u8]) -> Result<(), DestinationError> + Send,
) -> Result<u64, DatabaseError> {
    let refused = |error| refusal(files, "read", error);
    let mut all = reader.connection().prepare(pages::ALL).map_err(refused)?;
    let mut rows = all.query([]).map_err(refused)?;
    // It owns the rows: as long as these are open, no end of the transaction gives up its lock.
    let fill = move |block: &mut Vec<u8>| {
        pages::fill(&mut rows, block).map_err(refused)?;
        if !block.is_empty() {
            see(block);
        }
        Ok(())
    };
    // An error here means that SQLite has ended it already; whoever asks next is told.
    let filled = || drop(reader.end());
    pump(wanted, fill, filled, |offset, block| write(offset, block).map_err(DatabaseError::from))
}

/// Writes the pieces of `block` that the staged file does not hold yet, neighbours together.
fn write_changed(staged: &dyn StagedFile, offset: u64, block: &[u8], old: &mut [u8]) -> Result<(), DestinationError> {
    let got = staged.read_at(offset, &mut old[..block.len()])?;
    let old = &old[..got];
    let differs = |at: usize| {
        let end = block.len().min(at + PIECE);
        old.get(at..end) != Some(&block[at..end])
    };
    let mut at = 0;
    while at < block.len() {
        let start = at;
        while at < block.len() && differs(at) {
            at += PIECE;
        }
        if at > start {
            staged.write_at(offset + start as u64, &block[start..at.min(block.len())])?;
        }
        at += PIECE;
    }
    Ok(())
}

fn dump(place: &RelPath, blocks: &BlockHashes) -> DatabaseDump {
    DatabaseDump {
        place: Some(place.clone()),
        files: vec![DumpedFile { path: place.clone(), size: blocks.size(), hash: blocks.hash() }],
        setup_option: SetupOption::None,
        facts: Vec::new(),
        remarks: Vec::new(),
        weaker: Vec::new(),
    }
}
