//! Opening, making, renaming and removing below an open folder; reading and writing at a place.

use std::os::windows::io::{AsHandle, BorrowedHandle, OwnedHandle};
use std::time::{Duration, Instant};

use backup_core::ports::site_files::FileTime;
use windows_sys::Wdk::Storage::FileSystem as wdk;
use windows_sys::Win32::Storage::FileSystem as win;
use windows_sys::Win32::System::Ioctl::{FSCTL_QUERY_ALLOCATED_RANGES, FSCTL_SET_SPARSE, FSCTL_SET_ZERO_DATA};

use super::fd::AsFd;
use super::flags::{AtFlags, FallocateFlags, Mode, OFlags, RenameFlags};
use super::io::Errno;
use super::nt::{self, CWD, Opening};
use super::path::Arg;
use super::stat::{self, FileType};
use super::{reparse, security};

/// Lists, reads and looks at; a folder also lets in what is named below it.
pub(super) const LOOK: u32 =
    win::FILE_READ_ATTRIBUTES | win::FILE_READ_EA | win::READ_CONTROL | win::FILE_LIST_DIRECTORY | win::FILE_TRAVERSE;

const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(10);

/// Opens a path of this machine.
pub(crate) fn open(path: impl Arg, flags: OFlags, mode: Mode) -> Result<OwnedHandle, Errno> {
    openat(CWD, path, flags, mode)
}

/// Opens `name` of the open folder `folder`. With `NOFOLLOW` a link is [`Errno::LOOP`], asked for a folder too; with `LINK` it is
/// opened itself.
pub(crate) fn openat(folder: impl AsFd, name: impl Arg, flags: OFlags, mode: Mode) -> Result<OwnedHandle, Errno> {
    if flags.contains(OFlags::TMPFILE) {
        return Err(Errno::OPNOTSUPP);
    }
    let is_new = flags.contains(OFlags::CREATE);
    let security = if is_new && mode.is_private() { Some(security::owner_only(false)?) } else { None };
    let opening = Opening {
        access: access(flags),
        disposition: match (is_new, flags.contains(OFlags::EXCL)) {
            (false, _) => wdk::FILE_OPEN,
            (true, false) => wdk::FILE_OPEN_IF,
            (true, true) => wdk::FILE_CREATE,
        },
        options: match (flags.contains(OFlags::DIRECTORY), flags.contains(OFlags::PATH)) {
            (true, _) => wdk::FILE_DIRECTORY_FILE,
            (false, true) => 0,
            (false, false) if is_new => wdk::FILE_NON_DIRECTORY_FILE,
            (false, false) => 0,
        },
        security: security.as_deref(),
    };
    let name = name.wide()?;
    if flags.contains(OFlags::LINK) {
        return itself(folder.as_fd(), &name, opening.access);
    }
    if flags.contains(OFlags::NOFOLLOW) {
        return open_itself(folder.as_fd(), &name, &opening);
    }
    nt::open(folder.as_fd(), &name, &opening)
}

fn access(flags: OFlags) -> u32 {
    let read = LOOK | win::FILE_READ_DATA;
    let write = win::FILE_GENERIC_WRITE | win::READ_CONTROL;
    if flags.contains(OFlags::PATH) || flags.contains(OFlags::DIRECTORY) {
        LOOK
    } else if flags.contains(OFlags::RDWR) {
        read | write
    } else if flags.contains(OFlags::WRONLY) {
        write | win::FILE_READ_ATTRIBUTES
    } else {
        // A right to run it is nothing that reading needs.
        read & !win::FILE_EXECUTE
    }
}

/// Opens what has the name and not what it leads to. A reparse point that is no link (a deduplicated or offline file, say) is opened as
/// the file that it stands for.
fn open_itself(folder: BorrowedHandle<'_>, name: &[u16], opening: &Opening<'_>) -> Result<OwnedHandle, Errno> {
    let itself = Opening { options: opening.options | wdk::FILE_OPEN_REPARSE_POINT, ..*opening };
    let opened = match nt::open(folder, name, &itself) {
        // A link to a file is no folder, and one to a folder no file.
        Err(Errno::NOTDIR | Errno::ISDIR) if is_link(folder, name) => return Err(Errno::LOOP),
        opened => opened?,
    };
    match stat::reparse_tag(opened.as_handle())? {
        None => Ok(opened),
        Some(tag) if reparse::is_surrogate(tag) => Err(Errno::LOOP),
        Some(_) => nt::open(folder, name, opening),
    }
}

fn is_link(folder: BorrowedHandle<'_>, name: &[u16]) -> bool {
    let stat = itself(folder, name, LOOK).and_then(|file| stat::fstat(&file));
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

/// Opens the entry itself, of whatever kind, with these rights.
pub(super) fn itself(folder: BorrowedHandle<'_>, name: &[u16], access: u32) -> Result<OwnedHandle, Errno> {
    let options = wdk::FILE_OPEN_REPARSE_POINT;
    nt::open(folder, name, &Opening { access, disposition: wdk::FILE_OPEN, options, security: None })
}

/// Opens an open file once more, with these rights. The name plays no part, so nothing can take its place.
pub(super) fn again(file: BorrowedHandle<'_>, access: u32) -> Result<OwnedHandle, Errno> {
    itself(file, &[], access)
}

/// Makes a folder. One that only its owner may use lets nobody else into what is made in it later.
pub(crate) fn mkdirat(folder: impl AsFd, name: impl Arg, mode: Mode) -> Result<(), Errno> {
    let security = if mode.is_private() { Some(security::owner_only(true)?) } else { None };
    let opening = Opening {
        access: win::FILE_READ_ATTRIBUTES,
        disposition: wdk::FILE_CREATE,
        options: wdk::FILE_DIRECTORY_FILE,
        security: security.as_deref(),
    };
    nt::open(folder.as_fd(), &name.wide()?, &opening).map(drop)
}

/// Removes a name: of a folder with `REMOVEDIR`, else of anything but a folder.
pub(crate) fn unlinkat(folder: impl AsFd, name: impl Arg, flags: AtFlags) -> Result<(), Errno> {
    let (folder, name) = (folder.as_fd(), name.wide()?);
    // Opened anew each time: Wine looks into a folder once for each handle.
    patiently(|| unlink_once(folder, &name, flags))
}

fn unlink_once(folder: BorrowedHandle<'_>, name: &[u16], flags: AtFlags) -> Result<(), Errno> {
    let file = itself(folder, name, win::DELETE | win::FILE_READ_ATTRIBUTES)?;
    let is_folder = FileType::from_raw_mode(stat::fstat(&file)?.st_mode) == FileType::Directory;
    match (is_folder, flags.contains(AtFlags::REMOVEDIR)) {
        (true, false) => return Err(Errno::ISDIR),
        (false, true) => return Err(Errno::NOTDIR),
        _ => {}
    }
    // The name goes at once, although somebody has the file open; and a read-only file goes like any other.
    let at_once = wdk::FILE_DISPOSITION_DELETE
        | wdk::FILE_DISPOSITION_POSIX_SEMANTICS
        | wdk::FILE_DISPOSITION_IGNORE_READONLY_ATTRIBUTE;
    let at_once = wdk::FILE_DISPOSITION_INFORMATION_EX { Flags: at_once };
    match nt::set(file.as_handle(), wdk::FileDispositionInformationEx, &at_once) {
        Err(error) if is_unknown(error) => remove_on_close(&file),
        removed => removed,
    }
}

/// Before Windows 10 1709, on other file systems than NTFS, and under Wine: the name goes when the last handle is closed.
fn remove_on_close(file: &OwnedHandle) -> Result<(), Errno> {
    let basic = stat::basic(file.as_handle())?;
    if basic.FileAttributes & win::FILE_ATTRIBUTE_READONLY != 0 {
        let writable = (basic.FileAttributes & !win::FILE_ATTRIBUTE_READONLY) | win::FILE_ATTRIBUTE_NORMAL;
        stat::set_attributes(file.as_handle(), writable)?;
    }
    nt::set(file.as_handle(), wdk::FileDispositionInformation, &1_u8)
}

/// The errors of a system or file system that does not know what is asked for.
fn is_unknown(error: Errno) -> bool {
    matches!(error, Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY)
}

/// Renames, onto what has the new name unless that is a folder.
pub(crate) fn renameat(from: impl AsFd, name: impl Arg, to: impl AsFd, new_name: impl Arg) -> Result<(), Errno> {
    rename(from.as_fd(), &name.wide()?, to.as_fd(), &new_name.wide()?, true)
}

/// Renames, never onto anything. No two names can be exchanged here.
pub(crate) fn renameat_with(
    from: impl AsFd,
    name: impl Arg,
    to: impl AsFd,
    new_name: impl Arg,
    flags: RenameFlags,
) -> Result<(), Errno> {
    if flags.contains(RenameFlags::EXCHANGE) {
        return Err(Errno::OPNOTSUPP);
    }
    rename(from.as_fd(), &name.wide()?, to.as_fd(), &new_name.wide()?, false)
}

fn rename(
    from: BorrowedHandle<'_>,
    name: &[u16],
    to: BorrowedHandle<'_>,
    new_name: &[u16],
    replace: bool,
) -> Result<(), Errno> {
    let folder = |to: BorrowedHandle<'_>, name: &[u16]| {
        let stands = itself(to, name, win::FILE_READ_ATTRIBUTES).and_then(|file| stat::fstat(&file));
        stands.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    };
    if replace && folder(to, new_name) && !folder(from, name) {
        return Err(Errno::ISDIR);
    }
    patiently(|| rename_once(from, name, to, new_name, replace))
}

/// Tries again for a while when somebody has open what is renamed, replaced or removed, or something in it: NTFS refuses to rename it then, and where a
/// name goes when the last handle is closed, a folder is not empty before. Readers, indexers and virus scanners have files open for moments.
fn patiently(mut change: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    let began = Instant::now();
    loop {
        match change() {
            Err(Errno::ACCESS | Errno::SHARING | Errno::NOTEMPTY) if began.elapsed() < PATIENCE => {
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
}

fn rename_once(
    from: BorrowedHandle<'_>,
    name: &[u16],
    to: BorrowedHandle<'_>,
    new_name: &[u16],
    replace: bool,
) -> Result<(), Errno> {
    let file = itself(from, name, win::DELETE | win::FILE_READ_ATTRIBUTES)?;
    if replace {
        // Onto a file that somebody has open, and onto a read-only one.
        let flags = wdk::FILE_RENAME_REPLACE_IF_EXISTS
            | wdk::FILE_RENAME_POSIX_SEMANTICS
            | wdk::FILE_RENAME_IGNORE_READONLY_ATTRIBUTE;
        match nt::set_name(file.as_handle(), wdk::FileRenameInformationEx, flags, to, new_name) {
            Err(error) if is_unknown(error) => {}
            renamed => return renamed,
        }
    }
    nt::set_name(file.as_handle(), wdk::FileRenameInformation, u32::from(replace), to, new_name)
}

/// Gives a file another name.
pub(crate) fn linkat(
    from: impl AsFd,
    name: impl Arg,
    to: impl AsFd,
    new_name: impl Arg,
    _flags: AtFlags,
) -> Result<(), Errno> {
    let file = itself(from.as_fd(), &name.wide()?, win::FILE_WRITE_ATTRIBUTES | win::FILE_READ_ATTRIBUTES)?;
    nt::set_name(file.as_handle(), wdk::FileLinkInformation, 0, to.as_fd(), &new_name.wide()?)
}

/// Blocks are shared on ReFS only, which this program does not ask it to.
pub(crate) fn ioctl_ficlone(_to: impl AsFd, _from: impl AsFd) -> Result<(), Errno> {
    Err(Errno::OPNOTSUPP)
}

/// Makes a file durable. A folder has nothing to be written back: NTFS keeps the order of its changes in a log, and this makes sure of
/// what it may.
pub(crate) fn fsync(file: impl AsFd) -> Result<(), Errno> {
    let is_folder = stat::basic(file.as_fd())?.FileAttributes & win::FILE_ATTRIBUTE_DIRECTORY != 0;
    let writable = again(file.as_fd(), win::FILE_WRITE_DATA | win::FILE_READ_ATTRIBUTES);
    match writable.and_then(|file| nt::flush(file.as_handle())) {
        Err(_) if is_folder => Ok(()),
        result => result,
    }
}

/// Cuts or extends a file.
pub(crate) fn ftruncate(file: impl AsFd, length: u64) -> Result<(), Errno> {
    let length = i64::try_from(length).map_err(|_| Errno::INVAL)?;
    nt::set(file.as_fd(), wdk::FileEndOfFileInformation, &length)
}

/// Reads at a place; returns 0 at the end only.
pub(crate) fn pread(file: impl AsFd, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    nt::read(file.as_fd(), buffer, offset)
}

/// Writes at a place.
pub(crate) fn pwrite(file: impl AsFd, data: &[u8], offset: u64) -> Result<usize, Errno> {
    nt::write(file.as_fd(), data, offset)
}

/// Takes the room of a range away, which reads as zeros from then on. The file becomes a sparse one.
pub(crate) fn fallocate(file: impl AsFd, mode: FallocateFlags, offset: u64, length: u64) -> Result<(), Errno> {
    if !mode.contains(FallocateFlags::PUNCH_HOLE) {
        return Err(Errno::OPNOTSUPP);
    }
    make_sparse(&file)?;
    let range = [offset, offset.saturating_add(length)].map(u64::to_le_bytes).concat();
    nt::control(file.as_fd(), FSCTL_SET_ZERO_DATA, &range, &mut []).map(drop)
}

/// Lets a file have holes.
pub(crate) fn make_sparse(file: impl AsFd) -> Result<(), Errno> {
    nt::control(file.as_fd(), FSCTL_SET_SPARSE, &[], &mut []).map(drop)
}

/// Where to look for data or for its end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum SeekFrom {
    /// The next data at or after the place.
    Data(u64),
    /// The next hole, which the end of the file counts as.
    Hole(u64),
}

/// Finds data and holes of a sparse file; moves nothing.
pub(crate) fn seek(file: impl AsFd, to: SeekFrom) -> Result<u64, Errno> {
    let (SeekFrom::Data(from) | SeekFrom::Hole(from)) = to;
    let size = u64::try_from(stat::fstat(&file)?.st_size).unwrap_or(0);
    if from >= size {
        return Err(Errno::NXIO);
    }
    let asked = [from, size - from].map(u64::to_le_bytes).concat();
    let mut range = [0; 16];
    // The second of more ranges finds no room, and is not wanted.
    match nt::control(file.as_fd(), FSCTL_QUERY_ALLOCATED_RANGES, &asked, &mut range) {
        Ok(16) | Err(Errno::MORE_DATA) => {}
        Ok(_) => return if matches!(to, SeekFrom::Data(_)) { Err(Errno::NXIO) } else { Ok(from) },
        Err(error) => return Err(error),
    }
    let [start, length] = [0, 8].map(|at| u64::from_le_bytes(range[at..at + 8].try_into().unwrap_or_default()));
    match to {
        SeekFrom::Data(_) => Ok(start.max(from)),
        SeekFrom::Hole(_) if start > from => Ok(from),
        SeekFrom::Hole(_) => Ok(start.saturating_add(length).min(size)),
    }
}

/// Nanoseconds of a time.
pub(crate) type Nsecs = i64;

/// Says that a time stays.
pub(crate) const UTIME_OMIT: Nsecs = -1;

/// A time since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timespec {
    pub(crate) tv_sec: i64,
    pub(crate) tv_nsec: Nsecs,
}

/// The times that can be set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timestamps {
    #[expect(dead_code, reason = "every caller lets it as it is")]
    pub(crate) last_access: Timespec,
    pub(crate) last_modification: Timespec,
}

/// Sets the time of the last change; the others stay.
pub(crate) fn futimens(file: impl AsFd, times: &Timestamps) -> Result<(), Errno> {
    let Timespec { tv_sec, tv_nsec } = times.last_modification;
    let time = stat::ticks(FileTime(tv_sec, u32::try_from(tv_nsec).unwrap_or(0)));
    let writable = again(file.as_fd(), win::FILE_WRITE_ATTRIBUTES)?;
    // Zero lets a value as it is.
    let basic = wdk::FILE_BASIC_INFORMATION { LastWriteTime: time, ..Default::default() };
    nt::set(writable.as_handle(), wdk::FileBasicInformation, &basic)
}
