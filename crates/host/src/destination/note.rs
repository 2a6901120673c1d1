//! The note beside the snapshots that a recovery of their site is open: whoever would back it up here asks.

use std::fs::File;
use std::io::{self, Read};

use crate::os::fs::{AtFlags, Mode, fsync, openat, unlinkat};
use crate::os::io::Errno;
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::destination::DestinationError;
use backup_core::ports::journal::UnendedRecovery;

use super::LocalDestination;
use super::folder;
use super::names::failed;
use crate::files::local_file::open_quietly;

/// No note is longer.
const LONGEST: u64 = 1 << 20;

impl LocalDestination {
    pub(super) fn half_recovered_now(&self) -> Result<Option<UnendedRecovery>, DestinationError> {
        let (root, name, path) = (self.open_root()?, self.note_name(), self.note_path());
        let file = match open_quietly(|flags| openat(&root, &name, flags, Mode::empty())) {
            Ok(file) => File::from(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        let mut json = Vec::new();
        file.take(LONGEST).read_to_end(&mut json).map_err(failed("read", &path))?;
        let reason = |error: serde_json::Error| DestinationError::Damaged { path, reason: error.to_string() };
        serde_json::from_slice(&json).map(Some).map_err(reason)
    }

    pub(super) fn note_half_recovered_now(&self, open: Option<&UnendedRecovery>) -> Result<(), DestinationError> {
        let (root, name, path) = (self.lock_root()?, self.note_name(), self.note_path());
        let Some(open) = open else {
            return match unlinkat(&root, &name, AtFlags::empty()) {
                Ok(()) => fsync(&root).map_err(failed("remove", &path)),
                Err(Errno::NOENT) => Ok(()),
                Err(error) => Err(failed("remove", &path)(error)),
            };
        };
        let json = serde_json::to_vec(open).expect("a note holds nothing that JSON cannot say");
        folder::replace(&root, &name, &json).map_err(failed("write", &path))
    }

    fn note_name(&self) -> String {
        format!(".{}.half-recovered", self.site.snapshot_folder())
    }

    fn note_path(&self) -> SitePath {
        self.root.join(&RelPath::parse(self.note_name()).expect("a site code is plain"))
    }
}
