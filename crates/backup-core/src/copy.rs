//! Turns walked entries into staged ones: what is copied, what is taken over from the previous snapshot, what only stands in the list.
//!
//! Used for borrowed images by the run itself, and by providers that stage while the site still works.

use std::collections::{BTreeSet, HashMap};
use std::error::Error;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::event::{Event, EventSink, Progress};
use crate::manifest::{ContentHash, FileRecord, RecordKind};
use crate::path::{RelPath, SitePath};
use crate::ports::destination::{DestinationError, StageContent, StageError, StageItem, StagedContent, Staging};
use crate::ports::site_files::{
    FileId, FileKind, FileProblem, FileStat, FileTime, OpenFile, SiteFiles, SiteFilesError, WalkEntry,
};

/// Bytes read or written at once.
pub const BLOCK: usize = 1 << 20;

/// Seconds in which a file may be changed again without a new time: clock ticks, and stores through a mapping that wait for a sync.
pub const RACY_SECONDS: i64 = 2;

/// Files of the previous snapshot by path, with the moment at which they were known to be right.
///
/// A stored file is known by its size and its time of change, which the list has from its source and which staging gives to the copy;
/// a further name and a shared block keep it. So the list needs no field of its own for what was true when the snapshot was sealed.
#[derive(Debug, Default)]
pub struct Previous {
    records: HashMap<RelPath, FileRecord>,
    moment: Option<Timestamp>,
    /// Files that are not any more as they were sealed.
    altered: Mutex<BTreeSet<RelPath>>,
}

impl Previous {
    /// Takes the records of a snapshot whose moment is `moment`.
    pub fn new(records: Vec<FileRecord>, moment: Timestamp) -> Self {
        let records = records.into_iter().filter(|record| record.kind == RecordKind::File);
        Self {
            records: records.map(|record| (record.path.clone(), record)).collect(),
            moment: Some(moment),
            altered: Mutex::default(),
        }
    }

    /// Files of the previous snapshot that were to be taken over and are not as they were sealed; they were copied anew.
    pub fn altered(&self) -> Vec<RelPath> {
        self.lock_altered().iter().cloned().collect()
    }

    fn lock_altered(&self) -> MutexGuard<'_, BTreeSet<RelPath>> {
        // A set of paths is whole whatever panicked beside it.
        self.altered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the file taken over from `path` still is what was sealed; remembers what is not.
    fn holds(&self, path: &RelPath, taken: &StagedContent) -> bool {
        let Some(record) = self.records.get(path) else { return false };
        let same = taken.size == record.size && taken.stored.is_some_and(|stored| stored.is_kept(record.modified));
        if !same {
            self.lost(path);
        }
        same
    }

    /// Remembers that a file is not there as it was sealed.
    fn lost(&self, path: &RelPath) -> bool {
        self.lock_altered().insert(path.clone());
        false
    }

    /// The record at `path` when nothing tells the file from `stat`, and it was not changed so late that a
    /// further change could have gone unnoticed.
    pub fn unchanged(&self, path: &RelPath, stat: &FileStat) -> Option<&FileRecord> {
        let record = self.records.get(path)?;
        let settled = stat.changed.0 + RACY_SECONDS < self.moment?.as_second();
        let same = (record.size, record.modified, record.changed, record.inode)
            == (stat.size, stat.modified, stat.changed, stat.id.inode);
        (settled && same && stat.changed != FileTime::default()).then_some(record)
    }
}

/// Entries of one source on their way into the staging folder.
#[derive(Debug)]
pub struct Copier {
    /// Reads the files.
    pub files: Arc<dyn SiteFiles>,
    /// Takes them.
    pub staging: Arc<dyn Staging>,
    /// What may be taken over unread.
    pub previous: Arc<Previous>,
    /// Who hears of progress.
    pub events: Arc<dyn EventSink>,
    /// Whether files are read from clones of them: then the walk knows their metadata, and the open file does not.
    pub from_clones: bool,
}

/// An entry with the place to read it from and the place to put it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedEntry {
    /// Where it is read.
    pub source: SitePath,
    /// Where it goes.
    pub place: RelPath,
    /// What the walk saw.
    pub stat: FileStat,
}

impl PlacedEntry {
    /// Places the entries of a walk of `root` under `target`.
    pub fn place_all(entries: Vec<WalkEntry>, root: &SitePath, target: &RelPath) -> Vec<PlacedEntry> {
        let place = |entry: WalkEntry| PlacedEntry {
            source: root.join(&entry.path),
            place: target.join(&entry.path),
            stat: entry.stat,
        };
        entries.into_iter().map(place).collect()
    }
}

/// What became of one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Copied {
    /// Its line in the list; `None` when it could not be read or has no content to back up.
    pub record: Option<FileRecord>,
    /// The metadata for which the record holds: from the read where there was one, else from the walk.
    pub stat: FileStat,
    /// Why it is not, or not surely, as it was.
    pub problem: Option<FileProblem>,
    /// Whether it changed while it was read.
    pub moved: bool,
}

/// Entries staged together; bounds what is in memory, and how often progress is told.
const BATCH: usize = 512;

impl Copier {
    /// Stages `entries`, in their order. With `update`, what is staged already is brought up to date in place.
    ///
    /// # Errors
    /// [`DestinationError`] when the staging folder cannot be written; a file that cannot be read is in the result.
    pub async fn copy(&self, entries: &[PlacedEntry], update: bool) -> Result<Vec<Copied>, DestinationError> {
        let mut firsts: HashMap<FileId, RelPath> = HashMap::new();
        let mut done = Vec::with_capacity(entries.len());
        let total_bytes = entries.iter().map(|entry| entry.stat.size).sum();
        let mut progress = Progress { total_files: entries.len() as u64, total_bytes, ..Progress::default() };
        // Further names of a file wait until the first one is there.
        let mut links = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            if entry.stat.kind == FileKind::File && entry.stat.links > 1 {
                match firsts.get(&entry.stat.id) {
                    Some(first) => links.push((index, first.clone())),
                    None => drop(firsts.insert(entry.stat.id, entry.place.clone())),
                }
            }
        }
        let linked: HashMap<usize, RelPath> = links.iter().cloned().collect();
        for (batch_number, batch) in entries.chunks(BATCH).enumerate() {
            let offset = batch_number * BATCH;
            let items = batch.iter().enumerate().map(|(n, entry)| match linked.contains_key(&(offset + n)) {
                true => None,
                false => self.item(entry, update),
            });
            done.extend(self.stage_batch(batch, items.collect()).await?);
            progress.files += batch.len() as u64;
            progress.bytes += batch.iter().map(|entry| entry.stat.size).sum::<u64>();
            self.events.event(&Event::Progress(progress));
        }
        self.link(entries, links, &mut done).await?;
        Ok(done)
    }

    fn item(&self, entry: &PlacedEntry, update: bool) -> Option<StageItem> {
        let content = match &entry.stat.kind {
            FileKind::File => match self.previous.unchanged(&entry.place, &entry.stat) {
                Some(record) if !update => StageContent::Reuse(record.path.clone()),
                _ if update => StageContent::Update(entry.source.clone()),
                _ => StageContent::Copy(entry.source.clone()),
            },
            FileKind::Directory => StageContent::Directory,
            FileKind::Symlink(_) | FileKind::Special => return None,
        };
        Some(StageItem { path: entry.place.clone(), content })
    }

    async fn stage_batch(
        &self,
        batch: &[PlacedEntry],
        items: Vec<Option<StageItem>>,
    ) -> Result<Vec<Copied>, DestinationError> {
        let staged: Vec<&PlacedEntry> =
            batch.iter().zip(&items).filter_map(|(entry, item)| item.as_ref().map(|_| entry)).collect();
        let is_staged: Vec<bool> = items.iter().map(Option::is_some).collect();
        let mut results = self.stage(&staged, items.into_iter().flatten().collect()).await.into_iter();
        let mut copied = Vec::with_capacity(batch.len());
        for (entry, is_staged) in batch.iter().zip(is_staged) {
            copied.push(match is_staged {
                false => self.unstaged(entry),
                true => match results.next().expect("a result for each item") {
                    Ok(content) => self.copied(entry, content),
                    Err(StageError::Read(error)) => Copied::unread(entry, &error),
                    Err(StageError::Write(error)) => return Err(error),
                },
            });
        }
        Ok(copied)
    }

    /// Stages items; what cannot be taken over from the previous snapshot, or is not any more what was sealed there, is copied.
    async fn stage(&self, entries: &[&PlacedEntry], items: Vec<StageItem>) -> Vec<Result<StagedContent, StageError>> {
        let is_reuse: Vec<bool> = items.iter().map(|item| matches!(item.content, StageContent::Reuse(_))).collect();
        let mut results = self.staging.stage(items, Arc::clone(&self.files)).await;
        let is_there = |n: usize| match &results[n] {
            Ok(content) => self.previous.holds(&entries[n].place, content),
            Err(StageError::Write(DestinationError::Damaged { .. })) => self.previous.lost(&entries[n].place),
            Err(_) => false,
        };
        let missing: Vec<usize> = (0..entries.len()).filter(|n| is_reuse[*n] && !is_there(*n)).collect();
        if missing.is_empty() {
            return results;
        }
        let copy = |n: &usize| StageItem {
            path: entries[*n].place.clone(),
            content: StageContent::Copy(entries[*n].source.clone()),
        };
        let copies = self.staging.stage(missing.iter().map(copy).collect(), Arc::clone(&self.files)).await;
        for (n, copied) in missing.into_iter().zip(copies) {
            results[n] = copied;
        }
        results
    }

    /// An entry that stands in the list only.
    fn unstaged(&self, entry: &PlacedEntry) -> Copied {
        match &entry.stat.kind {
            FileKind::Symlink(target) => {
                let mut record = record_of(RecordKind::Symlink, entry, &entry.stat);
                record.target = Some(target.clone());
                self.without_content(record, entry)
            }
            _ => Copied { record: None, stat: entry.stat.clone(), problem: None, moved: false },
        }
    }

    /// What has attributes and no content. Where these cannot be read, it is backed up without them, and that is said.
    fn without_content(&self, mut record: FileRecord, entry: &PlacedEntry) -> Copied {
        let mut problem = None;
        match self.files.attributes(&entry.source) {
            Ok(attributes) => record.attributes = attributes,
            // Gone since the walk: whoever looks next sees that.
            Err(SiteFilesError::Missing(_)) => {}
            Err(error) => {
                let message = format!("backed up without its attributes: {}", chain(&error));
                problem = Some(FileProblem { path: entry.source.clone(), message });
            }
        }
        Copied { record: Some(record), stat: entry.stat.clone(), problem, moved: false }
    }

    fn copied(&self, entry: &PlacedEntry, content: StagedContent) -> Copied {
        if entry.stat.kind == FileKind::Directory {
            let record = FileRecord { size: 0, ..record_of(RecordKind::Directory, entry, &entry.stat) };
            return self.without_content(record, entry);
        }
        let Some(stat) = content.before else {
            // Taken over unread: what was known of it then holds now, its attributes too, for they change its time.
            let record = self.previous.unchanged(&entry.place, &entry.stat).cloned();
            return Copied { record, stat: entry.stat.clone(), problem: None, moved: false };
        };
        let moved = content.after.as_ref() != Some(&stat) || content.size != stat.size;
        let stat = if self.from_clones { entry.stat.clone() } else { stat };
        let mut record = record_of(RecordKind::File, entry, &stat);
        record.size = content.size;
        record.hash = content.hash;
        record.attributes = content.attributes;
        Copied { record: Some(record), stat, problem: None, moved }
    }

    async fn link(
        &self,
        entries: &[PlacedEntry],
        links: Vec<(usize, RelPath)>,
        done: &mut [Copied],
    ) -> Result<(), DestinationError> {
        if links.is_empty() {
            return Ok(());
        }
        let item = |(index, first): &(usize, RelPath)| StageItem {
            path: entries[*index].place.clone(),
            content: StageContent::HardLink(first.clone()),
        };
        let items = links.iter().map(item).collect();
        let results = self.staging.stage(items, Arc::clone(&self.files)).await;
        for ((index, first), result) in links.into_iter().zip(results) {
            let entry = &entries[index];
            match result {
                Ok(_) => {
                    let mut record = record_of(RecordKind::HardLink, entry, &entry.stat);
                    record.size = 0;
                    record.first = Some(first);
                    done[index].record = Some(record);
                }
                Err(StageError::Read(error)) => done[index] = Copied::unread(entry, &error),
                Err(StageError::Write(error)) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Copied {
    fn unread(entry: &PlacedEntry, error: &SiteFilesError) -> Self {
        let problem = FileProblem { path: entry.source.clone(), message: chain(error) };
        Self { record: None, stat: entry.stat.clone(), problem: Some(problem), moved: false }
    }
}

fn record_of(kind: RecordKind, entry: &PlacedEntry, stat: &FileStat) -> FileRecord {
    FileRecord {
        size: stat.size,
        modified: stat.modified,
        changed: stat.changed,
        inode: stat.id.inode,
        mode: stat.mode,
        owner: stat.owner,
        group: stat.group,
        ..FileRecord::new(kind, entry.place.clone())
    }
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // A transparent error repeats its cause.
        if !text.ends_with(&message) {
            let _ = write!(text, ": {message}");
        }
        cause = error.source();
    }
    text
}

/// Reads a file once, from its start to its end, hashing it, and hands each block to `sink` with its offset.
///
/// Holes are hashed as zeros and not handed on. Returns the bytes read and their hash. Blocks.
///
/// # Errors
/// What `file` or `sink` say.
pub fn read_once<E: From<SiteFilesError>>(
    file: &dyn OpenFile,
    buffer: &mut [u8],
    sparse: bool,
    mut sink: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(u64, ContentHash), E> {
    let mut hasher = blake3::Hasher::new();
    let mut offset = 0;
    let mut data: Option<Range<u64>> = None;
    loop {
        if sparse && data.as_ref().is_none_or(|range| offset >= range.end) {
            let next = file.next_data(offset)?;
            let end = next.as_ref().map_or(file.stat()?.size, |range| range.start);
            hash_zeros(&mut hasher, buffer, end.saturating_sub(offset));
            offset = offset.max(end);
            match next {
                Some(range) => data = Some(range),
                None => break,
            }
        }
        let want = data.as_ref().map_or(buffer.len(), |range| clamp(range.end - offset, buffer.len()));
        let got = file.read_at(offset, &mut buffer[..want])?;
        if got == 0 {
            break;
        }
        hasher.update(&buffer[..got]);
        sink(offset, &buffer[..got])?;
        offset += got as u64;
        if !sparse && got < want {
            break;
        }
    }
    Ok((offset, ContentHash(hasher.finalize())))
}

fn clamp(bytes: u64, most: usize) -> usize {
    usize::try_from(bytes).unwrap_or(most).min(most)
}

fn hash_zeros(hasher: &mut blake3::Hasher, buffer: &mut [u8], mut count: u64) {
    if count > 0 {
        buffer.fill(0);
    }
    while count > 0 {
        let part = clamp(count, buffer.len());
        hasher.update(&buffer[..part]);
        count -= part as u64;
    }
}
