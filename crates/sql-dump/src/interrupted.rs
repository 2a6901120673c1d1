//! Which side of a copy failed.

use std::io;

use backup_core::ports::site_files::SiteFilesError;

/// Why a copy out of a snapshot ended early.
pub(crate) enum Interrupted {
    Read(SiteFilesError),
    Write(io::Error),
}

impl From<SiteFilesError> for Interrupted {
    fn from(error: SiteFilesError) -> Self {
        Self::Read(error)
    }
}
