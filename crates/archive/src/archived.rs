//! An archived snapshot, open for reading: what recovery, rehearsal and verification read of it is what a folder would show.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use backup_core::copy::{BLOCK, read_once};
use backup_core::manifest::{ContentHash, FileRecord, LIST_NAME, MANIFEST_NAME, RecordKind};
use backup_core::own_files::is_own;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::{DestinationError, SnapshotFiles};
use backup_core::ports::site_files::{FileId, FileKind, FileStat, OpenFile, SiteFilesError, WalkEntry};

use crate::content::{Content, Part};
use crate::crypto::Id;
use crate::error::ArchiveError;
use crate::read::Chunks;
use crate::repository::{Listed, Repository};
use crate::snapshot::Record;

/// No honest record is longer.
const MOST_RECORD: usize = 16 << 20;

/// A snapshot of the archive. Its calls block, the asynchronous ones too: each reads a bounded part of it.
#[derive(Debug, Clone)]
pub struct ArchivedSnapshot {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: String,
    chunks: Arc<Chunks>,
    /// Sorted by path.
    records: Vec<Record>,
}

impl Repository {
    /// Opens a snapshot.
    ///
    /// # Errors
    /// When its records cannot be read. A file that cannot be read whole shows when it is read.
    pub fn open_snapshot(&self, listed: &Listed) -> Result<ArchivedSnapshot, ArchiveError> {
        ArchivedSnapshot::open(Arc::new(self.chunks()?), listed)
    }
}

impl ArchivedSnapshot {
    pub(crate) fn open(chunks: Arc<Chunks>, Listed { id, snapshot }: &Listed) -> Result<Self, ArchiveError> {
        let records = read_records(&chunks, &format!("snapshot {id}"), &snapshot.records)?;
        Ok(Self { inner: Arc::new(Inner { id: id.clone(), chunks, records }) })
    }

    /// All entries, sorted by path; the first one is the folder itself.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &FileRecord> {
        self.inner.records.iter().map(|record| &record.record)
    }

    pub(crate) fn chunks(&self) -> &Chunks {
        &self.inner.chunks
    }

    /// The contents of all entries, in the order of these.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        self.inner.records.iter().map(|record| &record.content)
    }

    /// How a message names the entry of this number.
    pub(crate) fn what(&self, entry: usize) -> String {
        self.inner.records[entry].record.path.to_string()
    }

    /// How a message names an entry.
    fn shown(&self, path: &RelPath) -> SitePath {
        SitePath::parse(format!("/{}", &self.inner.id[..12])).expect("absolute").join(path)
    }

    fn file(&self, path: &RelPath) -> Result<ArchivedFile, DestinationError> {
        let damaged = |reason: &str| DestinationError::Damaged { path: self.shown(path), reason: reason.to_owned() };
        let Inner { records, chunks, .. } = &*self.inner;
        let find = |path| records.binary_search_by(|record| record.record.path.cmp(path)).map(|n| &records[n]);
        let mut record = find(path).map_err(|_| damaged("it is missing"))?;
        if let Some(first) = &record.record.first {
            record = find(first).map_err(|_| damaged("the first name of the file is missing"))?;
        }
        if matches!(record.record.kind, RecordKind::Directory | RecordKind::Symlink) {
            return Err(damaged("it is not a regular file"));
        }
        ArchivedFile::new(Arc::clone(chunks), self.shown(path), record)
            .map_err(|error| failed(&self.shown(path), error))
    }

    fn read_whole(&self, name: &str) -> Result<Vec<u8>, DestinationError> {
        let path = RelPath::parse(name).expect("our own names are plain");
        let file = self.file(&path)?;
        let mut content = vec![0; usize::try_from(file.size).unwrap_or(usize::MAX).min(MOST_DOCUMENT)];
        let read = file.read_at(0, &mut content).map_err(|error| failed(&self.shown(&path), error))?;
        content.truncate(read);
        Ok(content)
    }
}

/// No honest manifest, packed list or marker is longer.
const MOST_DOCUMENT: usize = 1 << 30;

fn failed(path: &SitePath, error: impl std::error::Error + Send + Sync + 'static) -> DestinationError {
    DestinationError::Failed { action: "read", path: path.clone(), source: error.into() }
}

/// Reads the records of a snapshot, which `what` names.
pub(crate) fn read_records(chunks: &Chunks, what: &str, content: &Content) -> Result<Vec<Record>, ArchiveError> {
    let mut records: Vec<Record> = Vec::new();
    let mut rest = Vec::new();
    chunks.walk(content, what, |part| {
        let Part::Chunk(id, _) = part else { return Ok(()) };
        rest.extend_from_slice(&chunks.proven(&id, what)?);
        let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else {
            return match rest.len() > MOST_RECORD {
                true => Err(ArchiveError::damaged(what, "a record has no end")),
                false => Ok(()),
            };
        };
        for line in rest[..end].split(|byte| *byte == b'\n') {
            let mut record: Record =
                serde_json::from_slice(line).map_err(|error| ArchiveError::damaged(what, error))?;
            record.content.fit();
            records.push(record);
        }
        rest.drain(..=end);
        Ok(())
    })?;
    if !rest.is_empty() {
        return Err(ArchiveError::damaged(what, "its last record has no end"));
    }
    if !records.is_sorted_by(|a, b| a.record.path < b.record.path) {
        return Err(ArchiveError::damaged(what, "its records are not in their order"));
    }
    records.shrink_to_fit();
    Ok(records)
}

/// The metadata of an entry, as a walk of the folder would have it.
fn stat_of(record: &FileRecord) -> FileStat {
    let kind = match record.kind {
        RecordKind::Directory => FileKind::Directory,
        RecordKind::Symlink => FileKind::Symlink(record.target.clone().unwrap_or_default()),
        _ => FileKind::File,
    };
    FileStat {
        kind,
        size: record.size,
        modified: record.modified,
        changed: record.changed,
        id: FileId { device: 0, inode: record.inode },
        links: 1,
        mode: record.mode,
        owner: record.owner,
        group: record.group,
    }
}

#[async_trait]
impl SnapshotFiles for ArchivedSnapshot {
    async fn manifest(&self) -> Result<Vec<u8>, DestinationError> {
        self.read_whole(MANIFEST_NAME)
    }

    async fn list(&self) -> Result<Vec<u8>, DestinationError> {
        let packed = self.read_whole(LIST_NAME)?;
        let path = self.shown(&RelPath::parse(LIST_NAME).expect("a plain name"));
        zstd::decode_all(&*packed).map_err(|error| DestinationError::Damaged { path, reason: error.to_string() })
    }

    async fn walk(&self) -> Result<Vec<WalkEntry>, DestinationError> {
        let of_site = self.records().filter(|record| !record.path.is_root() && !is_own(&record.path));
        Ok(of_site.map(|record| WalkEntry { path: record.path.clone(), stat: stat_of(record) }).collect())
    }

    async fn hash(&self, paths: Vec<RelPath>) -> Vec<Result<(u64, ContentHash), DestinationError>> {
        let mut buffer = vec![0; BLOCK];
        let mut hash = |path: RelPath| {
            let file = self.file(&path)?;
            let read = read_once(&file, &mut buffer, true, |_, _| Ok::<_, SiteFilesError>(()));
            read.map_err(|error| failed(&self.shown(&path), error))
        };
        paths.into_iter().map(&mut hash).collect()
    }

    fn open(&self, path: &RelPath) -> Result<Box<dyn OpenFile>, DestinationError> {
        Ok(Box::new(self.file(path)?))
    }
}

/// A file of an archived snapshot.
#[derive(Debug)]
struct ArchivedFile {
    chunks: Arc<Chunks>,
    path: SitePath,
    stat: FileStat,
    size: u64,
    /// Where each chunk and hole ends, in order.
    parts: Vec<(u64, Option<Id>)>,
}

impl ArchivedFile {
    fn new(chunks: Arc<Chunks>, path: SitePath, Record { record, content }: &Record) -> Result<Self, ArchiveError> {
        let mut parts: Vec<(u64, Option<Id>)> = Vec::new();
        let mut end = 0_u64;
        let what = record.path.to_string();
        chunks.walk(content, &what, |part| {
            let (len, id) = match part {
                Part::Hole(len) => (len, None),
                Part::Chunk(id, len) => (len, Some(id)),
                Part::List(_) => return Ok(()),
            };
            end =
                end.checked_add(len).ok_or_else(|| ArchiveError::damaged(&what, "it is longer than a file can be"))?;
            parts.push((end, id));
            Ok(())
        })?;
        if end != record.size {
            return Err(ArchiveError::damaged(&what, "its chunks do not add up to its size"));
        }
        Ok(Self { chunks, path, stat: stat_of(record), size: end, parts })
    }

    fn failed(&self, error: ArchiveError) -> SiteFilesError {
        SiteFilesError::Failed { action: "read", path: self.path.clone(), source: error.into() }
    }

    /// The number of the part that holds `offset`, and where it begins.
    fn part_at(&self, offset: u64) -> (usize, u64) {
        let number = self.parts.partition_point(|(end, _)| *end <= offset);
        (number, number.checked_sub(1).map_or(0, |before| self.parts[before].0))
    }
}

impl OpenFile for ArchivedFile {
    fn stat(&self) -> Result<FileStat, SiteFilesError> {
        Ok(self.stat.clone())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, SiteFilesError> {
        let (mut number, mut start) = self.part_at(offset);
        let mut done = 0;
        while done < buffer.len()
            && let Some((end, id)) = self.parts.get(number)
        {
            let skip = usize::try_from(offset + done as u64 - start).expect("within a part");
            let count =
                usize::try_from(*end - start).unwrap_or(usize::MAX).saturating_sub(skip).min(buffer.len() - done);
            let into = &mut buffer[done..done + count];
            match id {
                None => into.fill(0),
                Some(id) => {
                    let chunk = self.chunks.get(id, &self.path.to_string()).map_err(|error| self.failed(error))?;
                    let part = chunk.get(skip..skip + count);
                    let short = || self.failed(ArchiveError::damaged(self.path.to_string(), "a chunk is short"));
                    into.copy_from_slice(part.ok_or_else(short)?);
                }
            }
            done += count;
            start = *end;
            number += 1;
        }
        Ok(done)
    }

    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, SiteFilesError> {
        let (number, mut start) = self.part_at(offset);
        let mut rest = self.parts[number..].iter().peekable();
        while let Some((end, _)) = rest.next_if(|(_, id)| id.is_none()) {
            start = *end;
        }
        let start = start.max(offset);
        let mut data = None;
        while let Some((end, _)) = rest.next_if(|(_, id)| id.is_some()) {
            data = Some(start..*end);
        }
        Ok(data)
    }
}
