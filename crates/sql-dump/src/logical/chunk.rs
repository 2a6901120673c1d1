//! Writing rows: counted, hashed, cut into chunks, compressed on a thread of their own.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use xxhash_rust::xxh3::Xxh3;

use super::error::LogicalError;
use super::format::Chunk;
use super::row_hash::RowHash;
use super::store::{DumpFile, DumpSink};
use super::work::Stop;

/// Rows travel to the compressing thread in blocks of this size, each of which becomes a frame: zstd is a third faster on blocks than on a stream, and
/// has a setting of its own for blocks up to this size.
const BLOCK: usize = 256 * 1024;
/// A chunk ends with the row that takes it over this many bytes before compression.
const CHUNK: u64 = 64 << 20;

/// How the files of rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As they are.
    None,
    /// zstd of this level.
    Zstd(i32),
}

impl Compression {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd(_) => "zstd",
        }
    }
}

/// Chunks of a table that are still being made durable while rows of the next ones are read.
const ENDING: usize = 4;

/// Where the chunks of one table go, and those that are there already. Shared by all connections that read it.
#[derive(Debug)]
pub(crate) struct TableFiles<'a> {
    sink: Option<&'a dyn DumpSink>,
    compression: Compression,
    stem: String,
    next: AtomicU32,
    ending: Mutex<VecDeque<EndingChunk>>,
    chunks: Mutex<Vec<Chunk>>,
    stop: &'a Stop<'a>,
}

impl<'a> TableFiles<'a> {
    /// Files of the `place`-th table. Whatever its name holds, the files' names are plain.
    pub(crate) fn new(
        sink: &'a dyn DumpSink,
        compression: Compression,
        place: usize,
        title: &str,
        stop: &'a Stop<'a>,
    ) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "_.-".contains(c) { c } else { '_' };
        let name: String = title.chars().map(plain).take(60).collect();
        let stem = format!("data/{place:05}-{name}");
        Self { sink: Some(sink), compression, stem, ..Self::none(stop) }
    }

    /// No files: rows are only counted and hashed.
    pub(crate) fn none(stop: &'a Stop<'a>) -> Self {
        Self {
            sink: None,
            compression: Compression::None,
            stem: String::new(),
            next: AtomicU32::new(0),
            ending: Mutex::default(),
            chunks: Mutex::default(),
            stop,
        }
    }

    /// All chunks, durable.
    pub(crate) fn finish(self) -> Result<Vec<Chunk>, LogicalError> {
        self.settle(0)?;
        let mut chunks = self.chunks.into_inner().unwrap_or_else(PoisonError::into_inner);
        chunks.sort_by(|a, b| a.file.cmp(&b.file));
        Ok(chunks)
    }

    fn end(&self, chunk: EndingChunk) -> Result<(), LogicalError> {
        lock(&self.ending).push_back(chunk);
        self.settle(ENDING)
    }

    /// Waits for the oldest chunks until so many are left.
    fn settle(&self, most: usize) -> Result<(), LogicalError> {
        loop {
            let mut ending = lock(&self.ending);
            let oldest = if ending.len() > most { ending.pop_front() } else { None };
            drop(ending);
            let Some(oldest) = oldest else { return Ok(()) };
            let chunk = oldest.end()?;
            lock(&self.chunks).push(chunk);
        }
    }

    fn next_name(&self) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let end = if self.compression == Compression::None { "tsv" } else { "tsv.zst" };
        format!("{}.{number:04}.{end}", self.stem)
    }
}

/// Takes the rows of one part of a table.
pub(crate) struct RowWriter<'a> {
    files: &'a TableFiles<'a>,
    block: Vec<u8>,
    open: Option<OpenChunk>,
    long_row: Option<Box<Xxh3>>,
    raw_bytes: u64,
    rows: u64,
    row_hash: RowHash,
    total: Total,
}

/// Rows and their sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Total {
    pub(crate) rows: u64,
    pub(crate) row_hash: RowHash,
}

impl Total {
    pub(crate) fn add(&mut self, other: Total) {
        self.rows += other.rows;
        self.row_hash.add(other.row_hash);
    }
}

impl<'a> RowWriter<'a> {
    pub(crate) fn new(files: &'a TableFiles<'a>) -> Self {
        Self {
            files,
            block: Vec::with_capacity(2 * BLOCK),
            open: None,
            long_row: None,
            raw_bytes: 0,
            rows: 0,
            row_hash: RowHash::default(),
            total: Total::default(),
        }
    }

    /// Takes one row with its line end.
    pub(crate) fn row(&mut self, line: &[u8]) -> Result<(), LogicalError> {
        self.write_row(|block| {
            block.extend_from_slice(line);
            Ok(())
        })
    }

    /// Takes one row with its line end, which `write` adds to what it is given.
    pub(crate) fn write_row(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), LogicalError>,
    ) -> Result<(), LogicalError> {
        let begin = self.block.len();
        write(&mut self.block)?;
        self.row_hash.add_row(&self.block[begin..self.block.len() - 1]);
        self.rows += 1;
        if self.block.len() < BLOCK { Ok(()) } else { self.pass_on() }
    }

    /// Takes a part of a row, without its line end; [`end_row`](Self::end_row) follows the last one.
    pub(crate) fn piece(&mut self, piece: &[u8]) -> Result<(), LogicalError> {
        self.long_row.get_or_insert_default().update(piece);
        for part in piece.chunks(BLOCK) {
            self.block.extend_from_slice(part);
            if self.block.len() >= BLOCK {
                self.send_block()?;
            }
        }
        Ok(())
    }

    /// Ends the row whose pieces came before.
    pub(crate) fn end_row(&mut self) -> Result<(), LogicalError> {
        self.row_hash.add_pieces(&self.long_row.take().unwrap_or_default());
        self.block.push(b'\n');
        self.rows += 1;
        if self.block.len() < BLOCK { Ok(()) } else { self.pass_on() }
    }

    /// Ends the last chunk; returns what all of them hold.
    pub(crate) fn finish(mut self) -> Result<Total, LogicalError> {
        self.end_chunk()?;
        Ok(self.total)
    }

    /// Between two rows: passes the block on, and begins a new chunk when this one is large.
    fn pass_on(&mut self) -> Result<(), LogicalError> {
        self.send_block()?;
        if self.raw_bytes < CHUNK || self.files.sink.is_none() { Ok(()) } else { self.end_chunk() }
    }

    fn send_block(&mut self) -> Result<(), LogicalError> {
        if self.files.stop.is_set() {
            return Err(LogicalError::Stopped);
        }
        self.raw_bytes += self.block.len() as u64;
        let Some(sink) = self.files.sink else {
            self.block.clear();
            return Ok(());
        };
        if self.open.is_none() {
            self.open = Some(OpenChunk::begin(sink, self.files.next_name(), self.files.compression)?);
        }
        let block = std::mem::replace(&mut self.block, Vec::with_capacity(2 * BLOCK));
        self.open.as_mut().map_or(Ok(()), |open| open.write(block))
    }

    fn end_chunk(&mut self) -> Result<(), LogicalError> {
        if !self.block.is_empty() {
            self.send_block()?;
        }
        self.total.add(Total { rows: self.rows, row_hash: self.row_hash });
        if let Some(open) = self.open.take() {
            let (rows, raw_bytes, row_hash) = (self.rows, self.raw_bytes, self.row_hash);
            self.files.end(EndingChunk { open: open.close(), rows, raw_bytes, row_hash })?;
        }
        (self.rows, self.raw_bytes, self.row_hash) = (0, 0, RowHash::default());
        Ok(())
    }
}

/// A chunk that has all of its rows.
#[derive(Debug)]
struct EndingChunk {
    open: OpenChunk,
    rows: u64,
    raw_bytes: u64,
    row_hash: RowHash,
}

impl EndingChunk {
    /// Waits until it is durable.
    fn end(mut self) -> Result<Chunk, LogicalError> {
        let (bytes, blake3) = self.open.join()?;
        let Self { open, rows, raw_bytes, row_hash } = self;
        Ok(Chunk { file: open.file, rows, raw_bytes, bytes, blake3, row_hash })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Ended = io::Result<(u64, String)>;

/// A chunk that is being compressed and written by a thread of its own, at most two blocks behind.
#[derive(Debug)]
struct OpenChunk {
    file: String,
    blocks: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<Ended>>,
}

impl OpenChunk {
    fn begin(sink: &dyn DumpSink, file: String, compression: Compression) -> Result<Self, LogicalError> {
        let failed = |source| LogicalError::Write { file: file.clone(), source };
        let writer =
            HashingFile { inner: sink.create(&file).map_err(failed)?, hasher: blake3::Hasher::new(), bytes: 0 };
        let (blocks, arriving) = sync_channel::<Vec<u8>>(2);
        let work = move || -> Ended {
            let mut writer = writer;
            match compression {
                Compression::None => arriving.iter().try_for_each(|block| writer.write_all(&block))?,
                Compression::Zstd(level) => {
                    let mut compressor = zstd::bulk::Compressor::new(level)?;
                    compressor.include_checksum(true)?;
                    arriving.iter().try_for_each(|block| writer.write_all(&compressor.compress(&block)?))?;
                }
            }
            writer.end()
        };
        let thread = std::thread::Builder::new().name("dump-chunk".to_owned()).spawn(work).map_err(failed)?;
        Ok(Self { blocks: Some(blocks), thread: Some(thread), file })
    }

    fn write(&mut self, block: Vec<u8>) -> Result<(), LogicalError> {
        let sent = self.blocks.as_ref().is_some_and(|blocks| blocks.send(block).is_ok());
        // The thread is gone only when writing failed: it says why.
        if sent { Ok(()) } else { self.join().map(|_| ()) }
    }

    /// Nothing more comes.
    fn close(mut self) -> Self {
        self.blocks = None;
        self
    }

    fn join(&mut self) -> Result<(u64, String), LogicalError> {
        self.blocks = None;
        let ended = match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => ended,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Err(io::Error::other("writing failed before")),
        };
        ended.map_err(|source| LogicalError::Write { file: self.file.clone(), source })
    }
}

struct HashingFile {
    inner: Box<dyn DumpFile>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl HashingFile {
    fn end(self) -> Ended {
        self.inner.finish()?;
        Ok((self.bytes, self.hasher.finalize().to_hex().to_string()))
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
