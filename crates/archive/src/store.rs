//! Storing a folder: each file is read once, what is new goes into packs, and the snapshot that names it all comes last.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use backup_core::cancel::Cancel;
use backup_core::copy::{BLOCK, Previous, read_once};
use backup_core::manifest::{ContentHash, FileRecord, RecordKind};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::site_files::{FileId, FileKind, FileSource, FileStat, SiteFiles, SiteFilesError, WalkEntry};
use jiff::Timestamp;

use crate::archived::read_records;
use crate::chunker::{Chunk, Chunker};
use crate::content::{Content, ContentBuilder, Entry, Part};
use crate::error::ArchiveError;
use crate::index::Known;
use crate::lease::{Lease, Purpose};
use crate::lock::lock;
use crate::pack::Kind;
use crate::packer::{Gathering, Packing, WAITING};
use crate::progress::Meter;
use crate::read::Chunks;
use crate::repository::Repository;
use crate::snapshot::{About, Record, Snapshot};

/// Below this size a file's holes are not worth the calls that find them.
const SPARSE_FROM: u64 = 64 << 10;

/// A folder to archive.
#[derive(Debug, Clone)]
pub struct Folder {
    /// Reads it.
    pub files: Arc<dyn SiteFiles>,
    /// Where it lies.
    pub root: SitePath,
    /// The list of a sealed backup snapshot: a file that is not what it says is not archived. Empty for any other folder.
    pub sealed: Vec<FileRecord>,
}

/// Who stores, and when.
#[derive(Debug, Clone)]
pub struct StoreContext {
    /// The time of storing.
    pub now: Timestamp,
    /// The process and its machine, for whoever meets its lease.
    pub holder: String,
    /// The wish to stop.
    pub cancel: Cancel,
    /// How many threads read, and how many pack beside them; 0 for as many as the machine has, and 8 at most.
    pub threads: usize,
}

/// What was archived.
#[derive(Debug)]
pub struct StoredFolder {
    /// The new snapshot's id.
    pub id: String,
    /// What it is.
    pub snapshot: Snapshot,
    /// Packs that cannot be read: what they held was stored anew where it was needed.
    pub damaged: Vec<ArchiveError>,
}

/// What the newest snapshot of the same site has of each path.
#[derive(Debug, Default)]
struct Earlier {
    contents: HashMap<RelPath, Stored>,
    /// Judges what need not be read, where the folder has no hashes of its own.
    previous: Previous,
}

/// A file that is stored.
#[derive(Debug)]
struct Stored {
    size: u64,
    hash: ContentHash,
    content: Content,
}

/// All that the readers of one folder share.
struct Storing<'a> {
    folder: &'a Folder,
    sealed: HashMap<&'a RelPath, &'a FileRecord>,
    earlier: &'a Earlier,
    packing: &'a Packing<'a>,
    cancel: &'a Cancel,
    meter: Meter<'a>,
    threads: usize,
}

/// What a reader keeps from file to file: neither is worth making anew for each of many small ones.
struct Tools {
    buffer: Vec<u8>,
    /// After an error it is not used again, for then its reader ends.
    chunker: Chunker,
}

impl Repository {
    /// Archives a folder: all that is in it, as one snapshot, which appears whole or not at all. Each file is read at most once; one that the newest
    /// snapshot of the site has, by hash for a sealed folder and by size, times and inode for another one, is not read.
    ///
    /// After an error or a crash the packs that were put stay, and a repeated call finds what is in them.
    ///
    /// # Errors
    /// [`ArchiveError::Unsealed`] when a file is not what the sealed list says, [`ArchiveError::Read`] when one cannot be read, and what storage says.
    pub async fn store(
        &self,
        folder: Folder,
        about: About,
        context: StoreContext,
    ) -> Result<StoredFolder, ArchiveError> {
        let source = FileSource { root: folder.root.clone(), exclude: Vec::new(), skip: Vec::new() };
        let walk = folder.files.walk(&source).await?;
        if let Some(problem) = walk.problems.into_iter().next() {
            let source = problem.message.into();
            return Err(SiteFilesError::Failed { action: "examine", path: problem.path, source }.into());
        }
        let this = self.clone();
        let store = move || this.store_walk(&folder, &walk.entries, about, &context);
        tokio::task::spawn_blocking(store).await.expect("storing does not panic")
    }

    pub(crate) fn store_walk(
        &self,
        folder: &Folder,
        entries: &[WalkEntry],
        about: About,
        StoreContext { now, holder, cancel, threads }: &StoreContext,
    ) -> Result<StoredFolder, ArchiveError> {
        // In this order: a prune that does not see the lease has put its mark before.
        let lease = Lease::take(&self.storage, Purpose::Store, holder)?;
        // The first puts may have made their folders where the repository's disk has gone away.
        self.is_there()?;
        let mut known = Known::load(&*self.storage, &self.write, &self.marked()?)?;
        let damaged = std::mem::take(&mut known.index.damaged);
        let earlier = match &self.read {
            Some(key) => {
                let chunks = Chunks::new(Arc::clone(&self.storage), std::mem::take(&mut known.index), key.clone());
                let earlier = self.earlier(&about.site, &chunks, folder.sealed.is_empty())?;
                known.index = chunks.index;
                earlier
            }
            None => Earlier::default(),
        };
        let packing = Packing::new(&*self.storage, &self.write, known);
        let sealed = folder.sealed.iter().map(|record| (&record.path, record)).collect();
        let files = entries.iter().filter(|entry| entry.stat.kind == FileKind::File);
        let bytes = files.clone().map(|entry| entry.stat.size).sum();
        let meter = self.meter(files.count() as u64, bytes);
        let storing =
            Storing { folder, sealed, earlier: &earlier, packing: &packing, cancel, meter, threads: *threads };
        storing.check_complete(entries)?;
        let records = storing.run(entries)?;
        let added = packing.added.load(Ordering::Relaxed);
        let snapshot = Snapshot { about, stored: *now, entries: entries.len() as u64, bytes, added, records };
        let (id, object) = snapshot.seal(&self.write);
        self.is_there()?;
        self.storage.put_new(&format!("snapshots/{id}"), &object)?;
        lease.end()?;
        Ok(StoredFolder { id, snapshot, damaged })
    }

    /// What the newest snapshot of the site holds and storage still has. One that cannot be read is as good as none: all is read, then.
    fn earlier(&self, site: &str, chunks: &Chunks, by_times: bool) -> Result<Earlier, ArchiveError> {
        let mut snapshots = self.snapshots()?.snapshots;
        snapshots.retain(|listed| listed.snapshot.about.site == site);
        let Some(newest) = snapshots.pop() else { return Ok(Earlier::default()) };
        let Ok(records) = read_records(chunks, &newest.id, &newest.snapshot.records) else {
            return Ok(Earlier::default());
        };
        let is_stored = |record: &Record| {
            let mut all = true;
            let walked = chunks.walk(&record.content, "", |part| {
                if let Part::Chunk(id, _) | Part::List(id) = part {
                    all &= chunks.index.has(&id);
                }
                Ok(())
            });
            walked.is_ok() && all
        };
        let mut earlier = Earlier::default();
        let mut records = Vec::from_iter(records.into_iter().filter(is_stored));
        for Record { record, content } in &mut records {
            if let Some(hash) = record.hash {
                let stored = Stored { size: record.size, hash, content: std::mem::take(content) };
                earlier.contents.insert(record.path.clone(), stored);
            }
        }
        if by_times {
            earlier.previous =
                Previous::new(records.into_iter().map(|record| record.record).collect(), newest.snapshot.stored);
        }
        Ok(earlier)
    }
}

impl Storing<'_> {
    /// Whether all that was sealed is there, as far as a walk can tell.
    fn check_complete(&self, entries: &[WalkEntry]) -> Result<(), ArchiveError> {
        let walked: HashSet<&RelPath> = entries.iter().map(|entry| &entry.path).collect();
        let in_folder = |record: &&FileRecord| record.kind != RecordKind::Symlink;
        match self.folder.sealed.iter().filter(in_folder).find(|record| !walked.contains(&record.path)) {
            Some(record) => Err(unsealed(&record.path, "it is missing")),
            None => Ok(()),
        }
    }

    /// Stores all entries, then their records; returns the content of the records.
    fn run(&self, entries: &[WalkEntry]) -> Result<Content, ArchiveError> {
        let firsts = first_names(entries);
        let threads = match self.threads {
            0 => thread::available_parallelism().map_or(2, usize::from),
            threads => threads,
        };
        let threads = threads.min(8);
        let (frames, waiting) = sync_channel(threads * WAITING);
        let (waiting, next) = (Mutex::new(waiting), AtomicUsize::new(0));
        let records: Vec<OnceLock<Record>> = entries.iter().map(|_| OnceLock::new()).collect();
        let content = thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| self.packing.pack(&waiting));
            }
            thread::scope(|readers| {
                for _ in 0..threads {
                    let mut gathering = Gathering::new(self.packing, frames.clone());
                    let (next, records, firsts) = (&next, &records, &firsts);
                    readers.spawn(move || {
                        let mut tools = Tools { buffer: vec![0; BLOCK], chunker: Chunker::new() };
                        while let Some(n) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|n| *n < entries.len()) {
                            match self.record(&entries[n], firsts, &mut gathering, &mut tools) {
                                Ok(record) => drop(records[n].set(record)),
                                Err(error) => self.packing.fail(error),
                            }
                            if self.packing.has_failed() {
                                break;
                            }
                        }
                    });
                }
            });
            let mut gathering = Gathering::new(self.packing, frames);
            let content = match self.packing.has_failed() {
                false => put_records(&mut gathering, records.into_iter().filter_map(OnceLock::into_inner)),
                true => Ok(Content::default()),
            };
            drop(gathering);
            content
        });
        self.packing.finish();
        match lock(&self.packing.failure).take() {
            Some(failure) => Err(failure),
            None => content,
        }
    }

    fn record(
        &self,
        WalkEntry { path, stat }: &WalkEntry,
        firsts: &HashMap<FileId, &RelPath>,
        gathering: &mut Gathering<'_>,
        tools: &mut Tools,
    ) -> Result<Record, ArchiveError> {
        if self.cancel.is_cancelled() {
            return Err(ArchiveError::Cancelled);
        }
        let place = self.folder.root.join(path);
        let (kind, size) = match &stat.kind {
            FileKind::File => (RecordKind::File, stat.size),
            FileKind::Directory => (RecordKind::Directory, 0),
            FileKind::Symlink(_) => (RecordKind::Symlink, 0),
            FileKind::Special => {
                let source = "it is neither file nor folder nor link, and cannot be archived".into();
                return Err(SiteFilesError::Failed { action: "archive", path: place, source }.into());
            }
        };
        let mut record = FileRecord {
            size,
            modified: stat.modified,
            mode: stat.mode,
            owner: stat.owner,
            group: stat.group,
            ..FileRecord::new(kind, path.clone())
        };
        if let FileKind::Symlink(target) = &stat.kind {
            record.target = Some(target.clone());
        }
        if let Some(first) = firsts.get(&stat.id).filter(|first| **first != path && kind == RecordKind::File) {
            record.kind = RecordKind::HardLink;
            record.first = Some((*first).clone());
            record.size = 0;
            self.meter.add(1, stat.size);
            return Ok(Record { record, content: Content::default() });
        }
        record.attributes = self.folder.files.attributes(&place)?;
        if kind != RecordKind::File {
            return Ok(Record { record, content: Content::default() });
        }
        if self.folder.sealed.is_empty() {
            (record.changed, record.inode) = (stat.changed, stat.id.inode);
        }
        let content = match self.unread(path, stat) {
            Some((hash, content)) => {
                record.hash = Some(hash);
                self.meter.add(1, stat.size);
                content
            }
            None => self.read(&mut record, &place, stat, gathering, tools)?,
        };
        Ok(Record { record, content })
    }

    /// The content of a file that the newest snapshot has and that is known not to have changed.
    fn unread(&self, path: &RelPath, stat: &FileStat) -> Option<(ContentHash, Content)> {
        let Stored { size, hash, content } =
            self.earlier.contents.get(path).filter(|stored| stored.size == stat.size)?;
        let is_same = match self.sealed.get(path) {
            Some(sealed) => sealed.hash == Some(*hash) && sealed.size == *size,
            None => self.earlier.previous.unchanged(path, stat).is_some(),
        };
        is_same.then(|| (*hash, content.clone()))
    }

    fn read(
        &self,
        record: &mut FileRecord,
        place: &SitePath,
        stat: &FileStat,
        gathering: &mut Gathering<'_>,
        tools: &mut Tools,
    ) -> Result<Content, ArchiveError> {
        let file = self.folder.files.open(place)?;
        let Tools { buffer, chunker } = tools;
        let mut content = ContentBuilder::default();
        let mut put = |chunk: Chunk<'_>| {
            let entry = match chunk {
                Chunk::Hole(len) => Entry(len, None),
                Chunk::Data(bytes) => Entry(bytes.len() as u64, Some(gathering.chunk(Kind::Data, bytes))),
                Chunk::Extent(bytes) => Entry(bytes.len() as u64, Some(gathering.extent(bytes))),
            };
            gathering.add(&mut content, entry);
            Ok(())
        };
        let mut told = 0;
        let cut = |offset, block: &[u8]| {
            if self.cancel.is_cancelled() {
                return Err(ArchiveError::Cancelled);
            }
            let now = offset + block.len() as u64;
            self.meter.add(0, now - told);
            told = now;
            chunker.push(offset, block, &mut put)
        };
        let (size, hash) = read_once(&*file, buffer, stat.size >= SPARSE_FROM, cut)?;
        chunker.finish(size, &mut put)?;
        if let Some(sealed) = self.sealed.get(&record.path).filter(|sealed| sealed.hash.is_some())
            && (Some(hash), size) != (sealed.hash, sealed.size)
        {
            return Err(unsealed(&record.path, "its content has another hash"));
        }
        // What moved while it was read is no content of any moment.
        if file.stat()? != *stat || size != stat.size {
            let source = "it changed while it was read".into();
            return Err(SiteFilesError::Failed { action: "read", path: place.clone(), source }.into());
        }
        self.meter.add(1, size - told);
        record.hash = Some(hash);
        Ok(gathering.finish(content))
    }
}

fn unsealed(path: &RelPath, reason: &str) -> ArchiveError {
    ArchiveError::Unsealed { path: path.to_string(), reason: reason.to_owned() }
}

/// For each file with several names the first of them.
fn first_names(entries: &[WalkEntry]) -> HashMap<FileId, &RelPath> {
    let mut firsts = HashMap::new();
    for WalkEntry { path, stat } in entries {
        if stat.kind == FileKind::File && stat.links > 1 {
            firsts.entry(stat.id).or_insert(path);
        }
    }
    firsts
}

/// Cut as any content is, so that what did not change is stored once.
fn put_records(gathering: &mut Gathering<'_>, records: impl Iterator<Item = Record>) -> Result<Content, ArchiveError> {
    let mut chunker = Chunker::new();
    let mut content = ContentBuilder::default();
    let (mut lines, mut offset) = (Vec::with_capacity(BLOCK), 0);
    let mut put = |chunk: Chunk<'_>| {
        let (Chunk::Data(bytes) | Chunk::Extent(bytes)) = chunk else { unreachable!("lines of text hold no hole") };
        let entry = Entry(bytes.len() as u64, Some(gathering.chunk(Kind::Records, bytes)));
        gathering.add(&mut content, entry);
        Ok::<_, ArchiveError>(())
    };
    for record in records {
        serde_json::to_writer(&mut lines, &record).expect("a record holds nothing that JSON cannot say");
        lines.push(b'\n');
        if lines.len() >= BLOCK {
            chunker.push(offset, &lines, &mut put)?;
            offset += lines.len() as u64;
            lines.clear();
        }
    }
    chunker.push(offset, &lines, &mut put)?;
    chunker.finish(offset + lines.len() as u64, &mut put)?;
    Ok(gathering.finish(content))
}
