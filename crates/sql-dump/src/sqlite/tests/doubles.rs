//! The staging folder and the snapshot, as plain files.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use async_trait::async_trait;
use backup_core::manifest::{ContentHash, DatabasePart, FileRecord, Manifest};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::database::{DatabaseFolder, DatabaseForm, DatabaseSource, SetupOption};
use backup_core::ports::destination::{
    DestinationError, SnapshotFiles, StageError, StageItem, StagedContent, StagedFile, Staging,
};
use backup_core::ports::site_files::{FileStat, OpenFile, SiteFiles, SiteFilesError, WalkEntry};
use backup_core::snapshot::RunId;
use tokio::sync::Notify;

use super::site_path;

/// What happened to a staged file; a budget below zero makes writing fail.
#[derive(Debug, Clone, Default)]
pub(super) struct StageLog(Arc<Mutex<Counts>>);

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) written: u64,
    pub(super) read: u64,
    pub(super) full: bool,
}

impl StageLog {
    /// What was counted since the last call.
    pub(super) fn take(&self) -> Counts {
        std::mem::take(&mut *self.0.lock().expect("no panic while counting"))
    }

    /// Refuses all further writes.
    pub(super) fn fill_up(&self) {
        self.0.lock().expect("no panic while counting").full = true;
    }
}

#[derive(Debug)]
pub(super) struct FileStage {
    file: File,
    path: PathBuf,
    log: StageLog,
}

impl FileStage {
    pub(super) fn create(path: &Path) -> (Self, StageLog) {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(true).open(path).expect("a file to stage in");
        let log = StageLog::default();
        (Self { file, path: path.to_owned(), log: log.clone() }, log)
    }

    fn failed(&self, source: io::Error) -> DestinationError {
        DestinationError::Failed { action: "use", path: site_path(&self.path), source: source.into() }
    }
}

impl StagedFile for FileStage {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DestinationError> {
        let mut counts = self.log.0.lock().expect("no panic while counting");
        if counts.full {
            return Err(DestinationError::Full(site_path(&self.path)));
        }
        counts.written += data.len() as u64;
        self.file.write_all_at(data, offset).map_err(|error| self.failed(error))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DestinationError> {
        let got = read_whole(&self.file, offset, buffer).map_err(|error| self.failed(error))?;
        self.log.0.lock().expect("no panic while counting").read += got as u64;
        Ok(got)
    }

    fn set_len(&self, len: u64) -> Result<(), DestinationError> {
        self.file.set_len(len).map_err(|error| self.failed(error))
    }
}

/// Makes writes hang, from when it is shut until it is opened.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<(Mutex<bool>, Condvar, Notify)>);

impl Gate {
    pub(super) fn shut(&self) {
        *self.0.0.lock().expect("no panic at the gate") = true;
    }

    pub(super) fn open(&self) {
        *self.0.0.lock().expect("no panic at the gate") = false;
        self.0.1.notify_all();
    }

    /// Comes back when a write hangs.
    pub(super) async fn reached(&self) {
        self.0.2.notified().await;
    }

    fn pass(&self) {
        let (shut, opened, reached) = &*self.0;
        let mut is_shut = shut.lock().expect("no panic at the gate");
        while *is_shut {
            reached.notify_one();
            is_shut = opened.wait(is_shut).expect("no panic at the gate");
        }
    }
}

/// A staged file behind a gate.
#[derive(Debug)]
pub(super) struct Gated {
    pub(super) stage: FileStage,
    pub(super) gate: Gate,
}

impl StagedFile for Gated {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), DestinationError> {
        self.gate.pass();
        self.stage.write_at(offset, data)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, DestinationError> {
        self.stage.read_at(offset, buffer)
    }

    fn set_len(&self, len: u64) -> Result<(), DestinationError> {
        self.stage.set_len(len)
    }
}

fn read_whole(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64)? {
            0 => break,
            got => done += got,
        }
    }
    Ok(done)
}

/// A staging folder for one file.
#[derive(Debug)]
struct OneFile(&'static str, Mutex<Option<Box<dyn StagedFile>>>);

/// A folder in which one file can be created: `stage`.
pub(super) fn folder_for(stage: impl StagedFile + 'static) -> DatabaseFolder {
    folder_for_one("CM_P01.db", stage)
}

/// The same for a file of another name.
pub(crate) fn folder_for_one(name: &'static str, stage: impl StagedFile + 'static) -> DatabaseFolder {
    let staging = OneFile(name, Mutex::new(Some(Box::new(stage))));
    DatabaseFolder::new(RunId(uuid::Uuid::nil()), "CM_P01".to_owned(), Arc::new(staging), RelPath::root())
}

#[async_trait]
impl Staging for OneFile {
    async fn stage(&self, _: Vec<StageItem>, _: Arc<dyn SiteFiles>) -> Vec<Result<StagedContent, StageError>> {
        unreachable!("a database stages no files")
    }

    async fn write(&self, _: &RelPath, _: &[u8], _: jiff::Timestamp) -> Result<(), DestinationError> {
        unreachable!("a database writes no documents")
    }

    fn create(&self, path: &RelPath) -> Result<Box<dyn StagedFile>, DestinationError> {
        assert_eq!(path.to_string(), self.0);
        Ok(self.1.lock().expect("no panic while staging").take().expect("one file, once"))
    }

    async fn remove(&self, _: Vec<RelPath>) -> Result<(), DestinationError> {
        unreachable!("a database removes nothing")
    }

    fn place(&self, _: &RelPath) -> Option<SitePath> {
        None
    }

    async fn walk(&self) -> Result<Vec<WalkEntry>, DestinationError> {
        unreachable!("a database walks nothing")
    }

    async fn seal(&self, _: &Manifest, _: &[u8]) -> Result<(), DestinationError> {
        unreachable!("a database seals nothing")
    }
}

/// The database part of a snapshot in `folder`: the file that `record` names.
pub(super) fn source(folder: &Path, record: FileRecord) -> DatabaseSource {
    let part = DatabasePart {
        name: "CM_P01".to_owned(),
        form: DatabaseForm::File,
        engine: "SQLite".to_owned(),
        pinned_by: String::new(),
        setup_option: SetupOption::None,
        facts: Vec::new(),
    };
    let files = Arc::new(FolderSnapshot(folder.to_owned()));
    DatabaseSource { files, place: record.path.clone(), records: vec![record], part }
}

/// A snapshot that is a folder; only its files can be read.
#[derive(Debug)]
pub(super) struct FolderSnapshot(pub(super) PathBuf);

#[async_trait]
impl SnapshotFiles for FolderSnapshot {
    async fn manifest(&self) -> Result<Vec<u8>, DestinationError> {
        Ok(Vec::new())
    }

    async fn list(&self) -> Result<Vec<u8>, DestinationError> {
        Ok(Vec::new())
    }

    async fn walk(&self) -> Result<Vec<WalkEntry>, DestinationError> {
        Ok(Vec::new())
    }

    async fn hash(&self, _paths: Vec<RelPath>) -> Vec<Result<(u64, ContentHash), DestinationError>> {
        Vec::new()
    }

    fn open(&self, path: &RelPath) -> Result<Box<dyn OpenFile>, DestinationError> {
        let path = self.0.join(path.as_str().expect("the test's names are Unicode"));
        let failed = |error: io::Error| DestinationError::Failed {
            action: "open",
            path: site_path(&path),
            source: error.into(),
        };
        Ok(Box::new(Opened { file: File::open(&path).map_err(failed)?, path: path.clone() }))
    }
}

#[derive(Debug)]
struct Opened {
    file: File,
    path: PathBuf,
}

impl OpenFile for Opened {
    fn stat(&self) -> Result<FileStat, SiteFilesError> {
        Err(SiteFilesError::Missing(site_path(&self.path)))
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, SiteFilesError> {
        read_whole(&self.file, offset, buffer).map_err(|error| SiteFilesError::Failed {
            action: "read",
            path: site_path(&self.path),
            source: error.into(),
        })
    }

    fn next_data(&self, offset: u64) -> Result<Option<Range<u64>>, SiteFilesError> {
        let size = fs::metadata(&self.path).map_or(0, |stat| stat.len());
        Ok((offset < size).then_some(offset..size))
    }
}
