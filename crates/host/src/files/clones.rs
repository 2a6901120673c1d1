//! Clones: files of their own that share their blocks with what they were made of (FICLONE, ioctl_ficlonerange(2)).

use std::fs;
use std::io;
use std::path::Path;

use backup_core::ports::site_files::{CloneOf, SiteFilesError};
use rustix::fs::{
    CWD, Mode, OFlags, XattrFlags, fgetxattr, flistxattr, fsetxattr, fstat, futimens, ioctl_ficlone, openat, unlink,
};
use rustix::io::Errno;

use super::local_file::open_quietly;
use super::stat::{modified, timestamps};
use super::{attributes, failed, local};

const NEW: OFlags =
    OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Makes one clone, in place of what is there.
pub(super) fn make(clone: &CloneOf) -> Result<(), SiteFilesError> {
    let (from, to) = (&clone.from, &clone.to);
    let source = local(from).map_err(failed("clone", from))?;
    let file = open_quietly(|flags| openat(CWD, &source, flags, Mode::empty())).map_err(failed("clone", from))?;
    let place = local(to).map_err(failed("clone to", to))?;
    let new = create(&place).map_err(failed("clone to", to))?;
    match ioctl_ficlone(&new, &file) {
        Ok(()) => {}
        Err(error @ (Errno::OPNOTSUPP | Errno::NOTTY | Errno::INVAL | Errno::XDEV | Errno::NOSYS)) => {
            let _left_to_release = unlink(&place);
            return Err(SiteFilesError::Apart { from: from.clone(), to: to.clone(), source: error.into() });
        }
        Err(error) => return Err(failed("clone", from)(error)),
    }
    // Who may read it is for the list to say; what stands beside the content is read from the clone.
    let kept = attributes::all(|buffer| flistxattr(&file, buffer), |name, buffer| fgetxattr(&file, name, buffer));
    for (name, value) in kept.map_err(failed("clone", from))? {
        fsetxattr(&new, name.as_slice(), &value, XattrFlags::empty()).map_err(failed("clone to", to))?;
    }
    let stat = fstat(&file).map_err(failed("clone", from))?;
    futimens(&new, &timestamps(modified(&stat))).map_err(failed("clone to", to))
}

fn create(place: &Path) -> io::Result<rustix::fd::OwnedFd> {
    let new = || openat(CWD, place, NEW, Mode::RUSR | Mode::WUSR);
    match new() {
        Err(Errno::EXIST) => unlink(place)?,
        Err(Errno::NOENT) => fs::create_dir_all(place.parent().unwrap_or(place))?,
        made => return Ok(made?),
    }
    Ok(new()?)
}
