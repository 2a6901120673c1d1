//! What providers need that keep images in a folder of this machine.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use backup_core::path::SitePath;
use backup_core::ports::shadow_copies::ShadowCopyError;

pub(super) fn local(path: &SitePath) -> PathBuf {
    PathBuf::from(OsString::from_vec(path.to_bytes()))
}

pub(super) fn told(path: &Path, error: &io::Error) -> String {
    format!("`{}`: {error}", path.display())
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ShadowCopyError> + Send + 'static,
) -> Result<T, ShadowCopyError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}
