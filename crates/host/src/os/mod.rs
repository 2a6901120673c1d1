//! Calls of the system that begin at an open folder, so that no rename and no link elsewhere can lead them astray.
//!
//! Their shape is POSIX's. On Unix they are rustix's own; on Windows the same calls are made of NT's, which open relative to a
//! folder too. What a system cannot do is an [`io::Errno`] that POSIX has for it, and the callers have another way.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::*;
#[cfg(windows)]
pub(crate) use windows::*;
