//! The right to make a set: one at a time in this process, and on this machine where a file is named for it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backup_core::ports::shadow_copies::ShadowCopyError;

/// So much of a holder's name is shown.
const LONGEST_NAME: u64 = 200;

/// What the slots of one coordinator are taken from.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    making: Arc<AtomicBool>,
    file: Option<PathBuf>,
}

impl Slots {
    /// One set at a time among all that name the same `file`, in whatever process: its lock ends with its holder, however that dies.
    pub(crate) fn on_machine(file: PathBuf) -> Self {
        Self { making: Arc::default(), file: Some(file) }
    }

    pub(crate) fn take(&self) -> Result<Slot, ShadowCopyError> {
        if self.making.swap(true, Ordering::SeqCst) {
            return Err(ShadowCopyError::InProgress { holder: "this process".to_owned() });
        }
        // From here on dropping it gives it back.
        let mut slot = Slot { making: Arc::clone(&self.making), file: None };
        slot.file = self.file.as_deref().map(lock_file).transpose()?;
        Ok(slot)
    }
}

/// The right to make the one set that may be in the making.
#[derive(Debug)]
pub(crate) struct Slot {
    making: Arc<AtomicBool>,
    file: Option<File>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            // Closing alone would leave the lock to a child that was just forked and has not yet become another program.
            let _ends_with_the_process_at_the_latest = file.unlock();
        }
        self.making.store(false, Ordering::SeqCst);
    }
}

fn lock_file(path: &Path) -> Result<File, ShadowCopyError> {
    let failed = |error: io::Error| ShadowCopyError::Lock { path: path.display().to_string(), source: error.into() };
    let mut file = open(path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(ShadowCopyError::InProgress { holder: holder(&file) }),
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    // Who holds it is told to others where that can be: the file may be another user's, and is only read then.
    let _untold = file.set_len(0).and_then(|()| write!(file, "process {}", std::process::id()));
    Ok(file)
}

/// Opens without making first: in a folder where everybody may write, Linux lets nobody make what another one has made.
fn open(path: &Path) -> io::Result<File> {
    let existing = || OpenOptions::new().read(true).write(true).open(path).or_else(|_| File::open(path));
    match existing() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            match OpenOptions::new().read(true).write(true).create_new(true).open(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => existing(),
                made => made,
            }
        }
        opened => opened,
    }
}

/// Who wrote its name into a file that it holds; on Windows nobody else can read it.
fn holder(mut file: &File) -> String {
    let mut name = String::new();
    let read = file.rewind().and_then(|()| file.take(LONGEST_NAME).read_to_string(&mut name));
    match read {
        Ok(length) if length > 0 => name.trim().to_owned(),
        _ => "another process".to_owned(),
    }
}
