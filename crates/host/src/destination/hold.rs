//! One run at a time at one place, whatever configuration or machine it comes from.
//!
//! The hold is the system's lock on a small file beside the snapshots, which says who has it. The lock dies with its process; the file
//! is removed by whoever gives the hold back, and one that a crash left is taken over.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use backup_core::ports::destination::{DestinationError, DestinationHold, Holder};
use jiff::Timestamp;

use super::LocalDestination;
use super::names::failed;
use crate::files::local;
use crate::files::stat::links_of;
use crate::jsonl::{create_folder, is_still_at, none_if_missing, private_options};
use crate::machine::machine_name;
use crate::os::fs::{FileType, fstat};

/// No holder says more about itself.
const LONGEST: u64 = 1024;

impl LocalDestination {
    pub(super) fn hold_now(&self, holder: Holder) -> Result<LocalHold, DestinationError> {
        let refused = failed("hold", &self.root);
        let root = match local(&self.root) {
            Ok(root) => root,
            Err(error) => return Err(refused(error)),
        };
        if self.made_at_need && matches!(holder, Holder::Run(_)) {
            create_folder(&root).map_err(failed("make", &self.root))?;
        }
        // A missing root is told as everywhere.
        self.open_root()?;
        let path = root.join(format!(".{}.lock", self.site.snapshot_folder()));
        match lock(&path) {
            Ok(Ok(file)) => {
                refuse_other(&file).map_err(failed("hold", &self.root))?;
                let hold = LocalHold { file, path };
                hold.name_holder(holder).map_err(refused)?;
                Ok(hold)
            }
            Ok(Err(holder)) => Err(DestinationError::Busy { path: self.root.clone(), holder }),
            Err(error) => Err(refused(error)),
        }
    }
}

/// The locked file, or who has it.
fn lock(path: &Path) -> io::Result<Result<File, String>> {
    loop {
        let file = options().read(true).write(true).create(true).truncate(false).open(path)?;
        match crate::os::try_lock(&file) {
            // The one before us may have removed the file after we had opened it.
            Ok(()) if !is_still_at(&file, path)? => {}
            Ok(()) => return Ok(Ok(file)),
            Err(TryLockError::WouldBlock) => return Ok(Err(holder(file))),
            // Where the file system has no locks, configurations with one state folder exclude each other all the same.
            Err(TryLockError::Error(error)) if has_no_locks(&error) => return Ok(Ok(file)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// A hard link would hand us the content of another file, which we would cut; whatever it is, it is not touched.
fn refuse_other(file: &File) -> io::Result<()> {
    let stat = fstat(file)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && links_of(&stat) <= 1 {
        return Ok(());
    }
    Err(io::Error::other("what has the name of the lock is no file, or has other names: remove it if it is not needed"))
}

fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    let unlockable = {
        use rustix::io::Errno;
        let codes = [Errno::NOLCK, Errno::OPNOTSUPP, Errno::INVAL, Errno::BADF];
        codes.iter().any(|code| error.raw_os_error() == Some(code.raw_os_error()))
    };
    #[cfg(not(unix))]
    let unlockable = false;
    unlockable || error.kind() == io::ErrorKind::Unsupported
}

/// Never through a link: others may write to a destination.
fn options() -> OpenOptions {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "links are opened as such on Unix only"))]
    let mut options = private_options();
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.cast_signed());
    }
    options
}

/// What the holder wrote, which it does after it has taken the lock.
fn holder(mut file: File) -> String {
    let mut text = Vec::new();
    let read = file.seek(SeekFrom::Start(0)).and_then(|_| file.take(LONGEST).read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    match read {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "process unknown".to_owned(),
    }
}

/// The locked file; removed and unlocked when dropped.
#[derive(Debug)]
pub(super) struct LocalHold {
    file: File,
    path: PathBuf,
}

impl LocalHold {
    fn name_holder(&self, holder: Holder) -> io::Result<()> {
        let (process, machine, now) = (std::process::id(), machine_name(), Timestamp::now());
        self.file.set_len(0)?;
        writeln!(&self.file, "{holder}, process {process} on {machine}, since {now:.0}")
    }
}

impl DestinationHold for LocalHold {}

impl Drop for LocalHold {
    fn drop(&mut self) {
        // Removed while it is locked, and only if it is the one that is locked: never the next holder's.
        let removed = match is_still_at(&self.file, &self.path) {
            Ok(true) => none_if_missing(std::fs::remove_file(&self.path)).map(drop),
            result => result.map(drop),
        };
        // A file that stays says nothing without its lock, which ends with the process at the latest.
        let _harmless = removed.and_then(|()| self.file.unlock());
    }
}
