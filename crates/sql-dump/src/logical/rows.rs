//! Reading the rows of a chunk back: decompressed, judged against the manifest, whole or in pieces.

use std::io::{self, Read};

use super::chunk::Total;
use super::error::LogicalError;
use super::format::Chunk;
use super::row_hash::RowHash;
use super::store::DumpSource;

/// Rows up to this size are handed out whole.
const BUFFER: usize = 1 << 20;

/// The bytes of a chunk, hashed while they are read.
pub(crate) struct ChunkReader<'a> {
    chunk: &'a Chunk,
    decoder: Option<Decoder>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    raw_bytes: u64,
}

enum Decoder {
    Plain(Box<HashingReader>),
    Zstd(Box<zstd::Decoder<'static, io::BufReader<HashingReader>>>),
}

/// The next thing in a chunk.
pub(crate) enum Next {
    /// A row without its line end, in the buffer at this place.
    Row(std::ops::Range<usize>),
    /// A row that is larger than the buffer begins; [`ChunkReader::piece`] hands it out.
    LongRow,
    /// There is no more.
    End,
}

/// A part of a row that is larger than the buffer.
pub(crate) struct Piece {
    /// Text of one field, escapes whole, in the buffer at this place.
    pub(crate) text: std::ops::Range<usize>,
    /// Whether the field ends with it.
    pub(crate) ends_field: bool,
    /// Whether the row ends with it.
    pub(crate) ends_row: bool,
}

impl<'a> ChunkReader<'a> {
    pub(crate) fn open(from: &dyn DumpSource, chunk: &'a Chunk, compression: &str) -> Result<Self, LogicalError> {
        let failed = |source| LogicalError::Read { file: chunk.file.clone(), source };
        let open = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => damaged(chunk, "it is not there"),
            _ => failed(error),
        };
        let file =
            HashingReader { inner: from.open(&chunk.file).map_err(open)?, hasher: blake3::Hasher::new(), bytes: 0 };
        let decoder = match compression {
            "none" => Decoder::Plain(Box::new(file)),
            "zstd" => Decoder::Zstd(Box::new(zstd::Decoder::new(file).map_err(failed)?)),
            other => return Err(LogicalError::Unsupported(format!("the dump is compressed with `{other}`"))),
        };
        Ok(Self { chunk, decoder: Some(decoder), buffer: vec![0; BUFFER], start: 0, end: 0, raw_bytes: 0 })
    }

    /// The bytes at `place`, as [`next`](Self::next) or [`piece`](Self::piece) named it last.
    pub(crate) fn at(&self, place: &std::ops::Range<usize>) -> &[u8] {
        &self.buffer[place.clone()]
    }

    /// All bytes that are left in the buffer, at least one more unless the chunk ends; they count as read.
    pub(crate) fn block(&mut self) -> Result<&[u8], LogicalError> {
        if self.start == self.end {
            self.fill()?;
        }
        let block = self.start..self.end;
        self.start = self.end;
        Ok(&self.buffer[block])
    }

    /// The next row.
    pub(crate) fn next(&mut self) -> Result<Next, LogicalError> {
        let mut looked = 0;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[self.start + looked..self.end]) {
                let row = self.start..self.start + looked + at;
                self.start = row.end + 1;
                return Ok(Next::Row(row));
            }
            looked = self.end - self.start;
            if looked == BUFFER {
                return Ok(Next::LongRow);
            }
            if self.fill()? == 0 {
                return if looked == 0 { Ok(Next::End) } else { Err(damaged(self.chunk, "its last row has no end")) };
            }
        }
    }

    /// The next part of a long row.
    pub(crate) fn piece(&mut self) -> Result<Piece, LogicalError> {
        if self.end - self.start < 2 && self.fill()? == 0 {
            return Err(damaged(self.chunk, "its last row has no end"));
        }
        let here = &self.buffer[self.start..self.end];
        let mark = memchr::memchr2(b'\t', b'\n', here);
        let length = mark.unwrap_or_else(|| whole_escapes(here));
        let text = self.start..self.start + length;
        let ends_row = mark.is_some_and(|at| here[at] == b'\n');
        self.start = text.end + usize::from(mark.is_some());
        Ok(Piece { text, ends_field: mark.is_some(), ends_row })
    }

    /// Reads what is left and compares the file with the manifest. Nothing that was read counts before this is `Ok`.
    pub(crate) fn finish(mut self) -> Result<(), LogicalError> {
        while !self.block()?.is_empty() {}
        let failed = |source| LogicalError::Read { file: self.chunk.file.clone(), source };
        let mut file = match self.decoder.take() {
            Some(Decoder::Plain(file)) => *file,
            Some(Decoder::Zstd(decoder)) => {
                let mut rest = decoder.finish();
                io::copy(&mut rest, &mut io::sink()).map_err(failed)?;
                rest.into_inner()
            }
            None => return Ok(()),
        };
        io::copy(&mut file, &mut io::sink()).map_err(failed)?;
        let fault = if file.bytes != self.chunk.bytes {
            format!("it has {} bytes, the manifest says {}", file.bytes, self.chunk.bytes)
        } else if file.hasher.finalize().to_hex().as_str() != self.chunk.blake3 {
            "it does not have the hash in the manifest".to_owned()
        } else if self.raw_bytes != self.chunk.raw_bytes {
            format!("it has {} bytes of rows, the manifest says {}", self.raw_bytes, self.chunk.raw_bytes)
        } else {
            return Ok(());
        };
        Err(damaged(self.chunk, &fault))
    }

    /// Reads all rows and adds them up.
    pub(crate) fn sum(mut self) -> Result<Total, LogicalError> {
        let mut total = Total::default();
        loop {
            match self.next()? {
                Next::Row(row) => total.add(Total { rows: 1, row_hash: hash_of(self.at(&row)) }),
                Next::LongRow => {
                    let mut hash = xxhash_rust::xxh3::Xxh3::new();
                    loop {
                        let piece = self.piece()?;
                        hash.update(self.at(&piece.text));
                        if piece.ends_field && !piece.ends_row {
                            hash.update(b"\t");
                        }
                        if piece.ends_row {
                            break;
                        }
                    }
                    total.rows += 1;
                    total.row_hash.add_pieces(&hash);
                }
                Next::End => break,
            }
        }
        self.finish()?;
        Ok(total)
    }

    /// Reads more behind what is there; returns how much. Zero only at the end, or when the buffer is full.
    fn fill(&mut self) -> Result<usize, LogicalError> {
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        let rest = &mut self.buffer[self.end..];
        let read = match &mut self.decoder {
            Some(Decoder::Plain(file)) => file.read(rest),
            Some(Decoder::Zstd(decoder)) => decoder.read(rest),
            None => Ok(0),
        };
        let n = read.map_err(|error| match error.kind() {
            // zstd's own words: a frame that ends early, a checksum that does not hold, bytes that are no frame.
            io::ErrorKind::UnexpectedEof | io::ErrorKind::Other | io::ErrorKind::InvalidData => {
                damaged(self.chunk, &error.to_string())
            }
            _ => LogicalError::Read { file: self.chunk.file.clone(), source: error },
        })?;
        self.end += n;
        self.raw_bytes += n as u64;
        Ok(n)
    }
}

/// The longest beginning of `text` that does not end within an escape.
fn whole_escapes(text: &[u8]) -> usize {
    let backslashes = text.iter().rev().take_while(|byte| **byte == b'\\').count();
    text.len() - backslashes % 2
}

fn hash_of(row: &[u8]) -> RowHash {
    let mut hash = RowHash::default();
    hash.add_row(row);
    hash
}

pub(crate) fn damaged(chunk: &Chunk, fault: &str) -> LogicalError {
    LogicalError::Damaged { file: chunk.file.clone(), fault: fault.to_owned() }
}

struct HashingReader {
    inner: Box<dyn Read + Send>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Read for HashingReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(into)?;
        self.hasher.update(&into[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}
