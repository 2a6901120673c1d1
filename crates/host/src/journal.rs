//! The run journal in the state folder: `journal.jsonl`, its predecessor `journal.1.jsonl`, and the lock file `lock`.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

use async_trait::async_trait;
use backup_core::ports::journal::{
    JournalError, JournalLock, JournalRecord, RunJournal, begun_shadow_copies, unended_recoveries, unfinished_runs,
};

use crate::blocking::blocking;
use crate::jsonl::{JsonLines, create_folder, private_options};

const ROLL_OVER_AT: u64 = 1024 * 1024;

/// The journal of one state folder, which is created for its owner only at the first use.
///
/// The lock is the system's lock on an open file: it ends with its holder, however that dies, and no child process inherits it. An append
/// does not take it; that is the caller's order to keep.
#[derive(Debug, Clone)]
pub struct FileJournal {
    folder: PathBuf,
    lines: JsonLines,
    roll_over_at: u64,
}

impl FileJournal {
    /// The journal in the state folder `folder`. Touches nothing yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        let lines = JsonLines::new(folder.join("journal.jsonl"));
        Self { folder, lines, roll_over_at: ROLL_OVER_AT }
    }

    /// The lock, with a holder that is shown by its `role` and its process.
    pub(crate) async fn lock_as(&self, role: &'static str) -> Result<Box<dyn JournalLock>, JournalError> {
        let journal = self.clone();
        let lock = blocking(move || journal.lock_now(role)).await?;
        Ok(Box::new(lock))
    }

    fn lock_now(&self, role: &str) -> Result<HeldLock, JournalError> {
        let failed = |source: io::Error| JournalError::Failed { action: "lock", source: Box::new(source) };
        create_folder(&self.folder).map_err(failed)?;
        let path = self.folder.join("lock");
        let mut file =
            private_options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        match crate::os::try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(JournalError::Busy { holder: holder(file) }),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        name_holder(&mut file, role).map_err(failed)?;
        self.roll_over_when_ended().map_err(failed)?;
        Ok(HeldLock { file })
    }

    /// Only the holder of the lock calls this. What a run, a recovery or a kept shadow copy that is still open has written must stay where it is
    /// found first.
    fn roll_over_when_ended(&self) -> io::Result<()> {
        if self.lines.len()? <= self.roll_over_at {
            return Ok(());
        }
        let records = self.lines.read()?;
        let is_open = !unfinished_runs(&records).is_empty()
            || !unended_recoveries(&records).is_empty()
            || !begun_shadow_copies(&records).is_empty();
        if is_open {
            return Ok(());
        }
        self.lines.roll_over(self.roll_over_at)
    }
}

#[derive(Debug)]
struct HeldLock {
    file: File,
}

impl JournalLock for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        // Closing alone would leave the lock to a child that was just forked and has not yet become another program.
        let _ends_with_the_process_at_the_latest = self.file.unlock();
    }
}

fn name_holder(file: &mut File, role: &str) -> io::Result<()> {
    file.set_len(0)?;
    writeln!(file, "{role}process {}, since {:.0}", std::process::id(), jiff::Timestamp::now())
}

fn holder(mut file: File) -> String {
    let mut text = String::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_string(&mut text));
    // The holder writes its name after it has taken the lock; in between there is none, and on Windows nobody else can read it.
    if read.is_err() || text.trim().is_empty() { "process unknown".to_owned() } else { text.trim().to_owned() }
}

#[async_trait]
impl RunJournal for FileJournal {
    async fn lock(&self) -> Result<Box<dyn JournalLock>, JournalError> {
        self.lock_as("").await
    }

    async fn append(&self, record: &JournalRecord) -> Result<(), JournalError> {
        let (lines, record) = (self.lines.clone(), record.clone());
        let result = blocking(move || lines.append(&record, None)).await;
        result.map_err(|source| JournalError::Failed { action: "append to", source: Box::new(source) })
    }

    async fn read(&self) -> Result<Vec<JournalRecord>, JournalError> {
        let lines = self.lines.clone();
        let result = blocking(move || lines.read()).await;
        result.map_err(|source| JournalError::Failed { action: "read", source: Box::new(source) })
    }
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    use std::process::{Command, Stdio};

    use backup_core::snapshot::RunId;
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn journal() -> (tempfile::TempDir, FileJournal) {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let journal = FileJournal::new(folder.path().join("state"));
        (folder, journal)
    }

    fn started() -> (RunId, JournalRecord) {
        let run = RunId(Uuid::now_v7());
        (run, JournalRecord::RunStarted { run, at: Timestamp::UNIX_EPOCH })
    }

    fn ended(run: RunId) -> JournalRecord {
        JournalRecord::RunEnded { run, at: Timestamp::UNIX_EPOCH, published: true }
    }

    #[tokio::test]
    async fn records_come_back_in_their_order() {
        let (_folder, journal) = journal();
        let (run, begin) = started();
        let stopping = JournalRecord::ServicesStopping { run, start: vec!["A \"b\"\n".into()] };
        for record in [&begin, &stopping, &ended(run)] {
            journal.append(record).await.expect("appended");
        }
        assert_eq!(journal.read().await.expect("read"), [begin, stopping, ended(run)]);
    }

    #[tokio::test]
    async fn a_second_holder_is_refused_and_told_who_holds_it() {
        let (_folder, journal) = journal();
        let lock = journal.lock().await.expect("free");
        let error = journal.lock().await.expect_err("held");
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop(lock);
        journal.lock().await.expect("given back");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_child_process_does_not_inherit_the_lock() {
        let (_folder, journal) = journal();
        let lock = journal.lock().await.expect("free");
        // It reads from a pipe that stays open, so it lives until the test is over.
        let mut child = Command::new("cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("cat starts");
        drop(lock);
        journal.lock().await.expect("free although a child of the holder lives");
        drop(child.stdin.take());
        child.wait().expect("cat ends");
    }

    async fn rolls_over_only_between(begin: JournalRecord, end: JournalRecord) {
        let (_folder, mut journal) = journal();
        journal.roll_over_at = 100;
        journal.append(&begin).await.expect("appended");
        drop(journal.lock().await.expect("free"));
        assert!(journal.lines.len().expect("readable") > 0, "what is open stays");
        journal.append(&end).await.expect("appended");
        drop(journal.lock().await.expect("free"));
        assert_eq!(journal.lines.len().expect("readable"), 0);
        assert_eq!(journal.read().await.expect("read").len(), 2, "the older file is read too");
    }

    #[tokio::test]
    async fn it_rolls_over_only_when_everything_has_ended() {
        let (run, begin) = started();
        rolls_over_only_between(begin, ended(run)).await;
        let (snapshot, at, places) = (run, Timestamp::UNIX_EPOCH, vec!["/site -> /site".to_owned()]);
        let begun = JournalRecord::RecoveryBegun { snapshot, at, places: places.clone() };
        rolls_over_only_between(begun.clone(), JournalRecord::RecoveryEnded { snapshot, at, places }).await;
        rolls_over_only_between(begun, JournalRecord::RecoveriesAbandoned { at }).await;
        let kept = JournalRecord::ShadowCopyBegun { run, at, place: "/srv/work".to_owned() };
        rolls_over_only_between(kept, JournalRecord::ShadowCopyDeleted { run, at }).await;
    }
}
