//! A logical dump as the database part of a snapshot: written to its folder, read from it.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex};

use backup_core::manifest::{ContentHash, FileRecord};
use backup_core::path::RelPath;
use backup_core::ports::Source;
use backup_core::ports::database::{DatabaseError, DatabaseFolder, DatabaseSource, DumpedFile};
use backup_core::ports::destination::{DestinationError, SnapshotFiles, StagedFile};
use backup_core::ports::site_files::OpenFile;

use crate::logical::{self, DumpFile, DumpSink, DumpSource, MANIFEST};

fn below(folder: &RelPath, path: &str) -> io::Result<RelPath> {
    let path = RelPath::parse(path).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Ok(folder.join(&path))
}

fn system(error: DestinationError) -> io::Error {
    match error {
        DestinationError::Full(_) => io::Error::new(io::ErrorKind::StorageFull, error),
        error => io::Error::other(error),
    }
}

/// The folder of a new dump, and the files that were finished in it.
#[derive(Debug)]
pub(super) struct StagedDump {
    folder: DatabaseFolder,
    place: RelPath,
    files: Arc<Mutex<Vec<DumpedFile>>>,
}

impl StagedDump {
    pub(super) fn new(folder: DatabaseFolder, place: RelPath) -> Self {
        Self { folder, place, files: Arc::default() }
    }

    /// What was written, once all of it is.
    pub(super) fn files(&self) -> Vec<DumpedFile> {
        std::mem::take(&mut *self.files.lock().expect("no thread panics while it adds a file"))
    }
}

impl DumpSink for StagedDump {
    fn create(&self, path: &str) -> io::Result<Box<dyn DumpFile>> {
        let path = below(&self.place, path)?;
        let file = self.folder.create(&path).map_err(system)?;
        let files = Arc::clone(&self.files);
        Ok(Box::new(StagedPart { file, path, size: 0, hasher: blake3::Hasher::new(), files }))
    }

    /// The snapshot makes it durable, with everything else.
    fn seal(&self, manifest: &[u8]) -> io::Result<()> {
        let mut file = self.create(MANIFEST)?;
        file.write_all(manifest)?;
        file.finish()
    }
}

struct StagedPart {
    file: Box<dyn StagedFile>,
    path: RelPath,
    size: u64,
    hasher: blake3::Hasher,
    files: Arc<Mutex<Vec<DumpedFile>>>,
}

impl Write for StagedPart {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.size, data).map_err(system)?;
        self.hasher.update(data);
        self.size += data.len() as u64;
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DumpFile for StagedPart {
    fn finish(self: Box<Self>) -> io::Result<()> {
        let file = DumpedFile { path: self.path, size: self.size, hash: ContentHash(self.hasher.finalize()) };
        self.files.lock().expect("no thread panics while it adds a file").push(file);
        Ok(())
    }
}

/// A dump in a snapshot.
#[derive(Debug)]
pub(super) struct StoredDump {
    files: Arc<dyn SnapshotFiles>,
    place: RelPath,
}

impl StoredDump {
    /// The dump, when its manifest is the one that the snapshot lists; that vouches for all other files.
    pub(super) fn open(source: &DatabaseSource) -> Result<Self, DatabaseError> {
        let dump = Self { files: Arc::clone(&source.files), place: source.place.clone() };
        let path = source.place.join(&RelPath::parse(MANIFEST).expect("a plain name"));
        let name = &source.part.name;
        let record = source.records.iter().find(|record| record.path == path);
        let record = record.ok_or_else(|| DatabaseError::Hash(name.clone()))?;
        read_listed(&*source.files, record, logical::LONGEST, ("read the dump of", name))?;
        Ok(dump)
    }
}

impl DumpSource for StoredDump {
    fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        let open = self.files.open(&below(&self.place, path)?).map_err(io::Error::other)?;
        Ok(Box::new(StoredPart { open, at: 0 }))
    }
}

/// The content of a file, which is no longer than `most`, and has the hash that is listed.
pub(super) fn read_listed(
    files: &dyn SnapshotFiles,
    record: &FileRecord,
    most: u64,
    (action, name): (&'static str, &str),
) -> Result<Vec<u8>, DatabaseError> {
    let failed = |source: Source| DatabaseError::Failed { action, name: name.to_owned(), source };
    if record.size > most {
        return Err(failed(format!("`{}` has {} bytes, more than any such file has", record.path, record.size).into()));
    }
    let mut content = Vec::new();
    let file = StoredPart { open: files.open(&record.path)?, at: 0 };
    // What is longer than it says does not have the hash.
    file.take(record.size).read_to_end(&mut content).map_err(|error| failed(error.into()))?;
    if record.hash == Some(ContentHash::of(&content)) { Ok(content) } else { Err(DatabaseError::Hash(name.to_owned())) }
}

struct StoredPart {
    open: Box<dyn OpenFile>,
    at: u64,
}

impl Read for StoredPart {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.open.read_at(self.at, buffer).map_err(io::Error::other)?;
        self.at += got as u64;
        Ok(got)
    }
}
