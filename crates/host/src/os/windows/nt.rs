//! The calls of NT themselves: the one place of these modules where files meet `unsafe`.
#![expect(unsafe_code, reason = "the calls of the system take pointers; each is wrapped so that no caller has to")]

use std::ffi::c_void;
use std::mem::{MaybeUninit, size_of};
use std::os::windows::io::{AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Wdk::Foundation::OBJECT_ATTRIBUTES;
use windows_sys::Wdk::Storage::FileSystem as wdk;
use windows_sys::Wdk::System::SystemServices::FILE_FS_FULL_SIZE_INFORMATION;
use windows_sys::Win32::Foundation::{NTSTATUS, OBJ_CASE_INSENSITIVE, RtlNtStatusToDosError, UNICODE_STRING};
use windows_sys::Win32::Foundation::{STATUS_FILE_IS_A_DIRECTORY, STATUS_NO_MORE_FILES, STATUS_NOT_A_DIRECTORY};
use windows_sys::Win32::Security::SECURITY_DESCRIPTOR;
use windows_sys::Win32::Storage::FileSystem as win;
use windows_sys::Win32::System::IO::{IO_STATUS_BLOCK, OVERLAPPED};

use super::fd::AsFd;
use super::io::Errno;

/// No folder: the name is a whole path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cwd;

/// No folder: the name is a whole path.
pub(crate) const CWD: Cwd = Cwd;

impl AsFd for Cwd {
    fn as_fd(&self) -> BorrowedHandle<'_> {
        // SAFETY: a null handle is a value that a borrowed handle may have; NT takes it for `no folder`.
        unsafe { BorrowedHandle::borrow_raw(ptr::null_mut()) }
    }
}

/// How a file is opened or made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opening<'a> {
    pub(super) access: u32,
    pub(super) disposition: wdk::NTCREATEFILE_CREATE_DISPOSITION,
    pub(super) options: wdk::NTCREATEFILE_CREATE_OPTIONS,
    /// For a new file: a self-relative security descriptor, or the access rules of its folder.
    pub(super) security: Option<&'a [u64]>,
}

fn check(status: NTSTATUS) -> Result<(), Errno> {
    match status {
        0.. => Ok(()),
        // Windows' own error for both is `access denied`.
        STATUS_FILE_IS_A_DIRECTORY => Err(Errno::ISDIR),
        STATUS_NOT_A_DIRECTORY => Err(Errno::NOTDIR),
        // SAFETY: looks a number up in a table.
        status => Err(Errno::of(unsafe { RtlNtStatusToDosError(status) })),
    }
}

/// Opens `name` below the open folder `root`, others being free to do with it what they like. The empty name is `root` itself.
pub(super) fn open(root: BorrowedHandle<'_>, name: &[u16], opening: &Opening<'_>) -> Result<OwnedHandle, Errno> {
    // Past the access rules, where this user may: a backup reads what its owner has closed to everybody.
    super::security::privileged();
    let bytes = u16::try_from(size_of_val(name)).map_err(|_| Errno::INVAL)?;
    let name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: name.as_ptr().cast_mut() };
    let security = opening.security.map_or(ptr::null(), |security| security.as_ptr().cast::<SECURITY_DESCRIPTOR>());
    let attributes = OBJECT_ATTRIBUTES {
        Length: u32::try_from(size_of::<OBJECT_ATTRIBUTES>()).unwrap_or(0),
        RootDirectory: root.as_raw_handle(),
        ObjectName: &raw const name,
        Attributes: OBJ_CASE_INSENSITIVE,
        SecurityDescriptor: security,
        SecurityQualityOfService: ptr::null(),
    };
    let mut handle = ptr::null_mut();
    let mut status = IO_STATUS_BLOCK::default();
    let options = opening.options | wdk::FILE_SYNCHRONOUS_IO_NONALERT | wdk::FILE_OPEN_FOR_BACKUP_INTENT;
    // SAFETY: all that the pointers lead to (name, attributes, descriptor, results) lives on this stack or in borrowed slices until
    // the call returns, and the buffer of the name is only read.
    check(unsafe {
        wdk::NtCreateFile(
            &raw mut handle,
            opening.access | win::SYNCHRONIZE,
            &raw const attributes,
            &raw mut status,
            ptr::null(),
            win::FILE_ATTRIBUTE_NORMAL,
            win::FILE_SHARE_READ | win::FILE_SHARE_WRITE | win::FILE_SHARE_DELETE,
            opening.disposition,
            options,
            ptr::null(),
            0,
        )
    })?;
    // SAFETY: the call succeeded, so this is a new handle, and nobody else closes it.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}

/// A structure of the system without pointers, references or values that a bit pattern can make invalid.
///
/// # Safety
/// Every bit pattern must be a value of the type.
pub(super) unsafe trait Plain: Copy {}

// SAFETY: structures of integers.
unsafe impl Plain for wdk::FILE_BASIC_INFORMATION {}
// SAFETY: a structure of integers.
unsafe impl Plain for wdk::FILE_DISPOSITION_INFORMATION_EX {}
// SAFETY: a structure of integers.
unsafe impl Plain for win::FILE_ATTRIBUTE_TAG_INFO {}
// SAFETY: a structure of integers.
unsafe impl Plain for FILE_FS_FULL_SIZE_INFORMATION {}
// SAFETY: a structure of integers.
unsafe impl Plain for win::BY_HANDLE_FILE_INFORMATION {}
// SAFETY: a byte, for the system's BOOLEAN.
unsafe impl Plain for u8 {}
// SAFETY: an integer.
unsafe impl Plain for i64 {}

fn length<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(0)
}

/// One of the fixed structures that tell of a file.
pub(super) fn query<T: Plain>(file: BorrowedHandle<'_>, class: wdk::FILE_INFORMATION_CLASS) -> Result<T, Errno> {
    let mut told = MaybeUninit::<T>::zeroed();
    let mut status = IO_STATUS_BLOCK::default();
    let (handle, place) = (file.as_raw_handle(), told.as_mut_ptr().cast::<c_void>());
    // SAFETY: the system writes at most the length that is given, which is the structure's own.
    check(unsafe { wdk::NtQueryInformationFile(handle, &raw mut status, place, length::<T>(), class) })?;
    // SAFETY: it was zeroed, and every bit pattern is a value of a plain type.
    Ok(unsafe { told.assume_init() })
}

/// Fills `room` with the streams of a file, each a `FILE_STREAM_INFORMATION`; returns how many bytes were written.
pub(super) fn query_streams(file: BorrowedHandle<'_>, room: &mut [u64]) -> Result<usize, Errno> {
    let mut status = IO_STATUS_BLOCK::default();
    let length = u32::try_from(size_of_val(room)).unwrap_or(u32::MAX);
    let (handle, place) = (file.as_raw_handle(), room.as_mut_ptr().cast::<c_void>());
    // SAFETY: the system writes at most the length that is given, which is the room's.
    check(unsafe { wdk::NtQueryInformationFile(handle, &raw mut status, place, length, wdk::FileStreamInformation) })?;
    Ok(status.Information.min(size_of_val(room)))
}

/// What one call tells of a file: attributes, times, size, identity, number of names.
pub(super) fn by_handle(file: BorrowedHandle<'_>) -> Result<win::BY_HANDLE_FILE_INFORMATION, Errno> {
    let mut told = MaybeUninit::<win::BY_HANDLE_FILE_INFORMATION>::zeroed();
    // SAFETY: the system writes the structure that is given, and nothing beyond.
    match unsafe { win::GetFileInformationByHandle(file.as_raw_handle(), told.as_mut_ptr()) } {
        0 => Err(Errno::last()),
        // SAFETY: it was zeroed, and every bit pattern is a value of a plain type.
        _ => Ok(unsafe { told.assume_init() }),
    }
}

/// One of the fixed structures that tell of a volume.
pub(super) fn query_volume<T: Plain>(file: BorrowedHandle<'_>, class: wdk::FS_INFORMATION_CLASS) -> Result<T, Errno> {
    let mut told = MaybeUninit::<T>::zeroed();
    let mut status = IO_STATUS_BLOCK::default();
    let (handle, place) = (file.as_raw_handle(), told.as_mut_ptr().cast::<c_void>());
    // SAFETY: the system writes at most the length that is given, which is the structure's own.
    check(unsafe { wdk::NtQueryVolumeInformationFile(handle, &raw mut status, place, length::<T>(), class) })?;
    // SAFETY: it was zeroed, and every bit pattern is a value of a plain type.
    Ok(unsafe { told.assume_init() })
}

/// Sets one of the fixed structures.
pub(super) fn set<T: Plain>(
    file: BorrowedHandle<'_>,
    class: wdk::FILE_INFORMATION_CLASS,
    value: &T,
) -> Result<(), Errno> {
    let mut status = IO_STATUS_BLOCK::default();
    let (handle, place) = (file.as_raw_handle(), ptr::from_ref(value).cast::<c_void>());
    // SAFETY: the system reads the length that is given, which is the structure's own.
    check(unsafe { wdk::NtSetInformationFile(handle, &raw mut status, place, length::<T>(), class) })
}

/// The head that a rename and a new link have in common: flags (of which the old calls read one byte), the folder, the length of the
/// name in bytes.
const NAMED_HEAD: usize = std::mem::offset_of!(wdk::FILE_RENAME_INFORMATION, FileName);
const _: () = assert!(NAMED_HEAD == std::mem::offset_of!(wdk::FILE_LINK_INFORMATION, FileName));

/// Gives the file the name `name` in the open folder `folder`, as another one or instead of its own, by the class.
pub(super) fn set_name(
    file: BorrowedHandle<'_>,
    class: wdk::FILE_INFORMATION_CLASS,
    flags: u32,
    folder: BorrowedHandle<'_>,
    name: &[u16],
) -> Result<(), Errno> {
    let bytes = size_of_val(name);
    // Words, so that the structure is aligned as the system wants it.
    let mut words = vec![0_u64; (NAMED_HEAD + bytes).max(size_of::<wdk::FILE_RENAME_INFORMATION>()).div_ceil(8)];
    let head = words.as_mut_ptr().cast::<wdk::FILE_RENAME_INFORMATION>();
    // SAFETY: the words hold the head and the whole name behind it, and nothing else refers to them.
    unsafe {
        (*head).Anonymous.Flags = flags;
        (*head).RootDirectory = folder.as_raw_handle();
        (*head).FileNameLength = u32::try_from(bytes).map_err(|_| Errno::INVAL)?;
        let place = (&raw mut (*head).FileName).cast::<u16>();
        ptr::copy_nonoverlapping(name.as_ptr(), place, name.len());
    }
    let mut status = IO_STATUS_BLOCK::default();
    // Wine asks for the whole structure, which is longer than one with a short name.
    let length = u32::try_from(size_of_val(words.as_slice())).map_err(|_| Errno::INVAL)?;
    // SAFETY: the system reads the length that is given, which is that of the words.
    check(unsafe {
        wdk::NtSetInformationFile(file.as_raw_handle(), &raw mut status, words.as_ptr().cast(), length, class)
    })
}

/// Fills `room` with the next entries of the folder, each a `FILE_DIRECTORY_INFORMATION`; `false` when there are no more.
pub(super) fn list(folder: BorrowedHandle<'_>, room: &mut [u64]) -> Result<bool, Errno> {
    let mut status = IO_STATUS_BLOCK::default();
    let length = u32::try_from(size_of_val(room)).unwrap_or(u32::MAX);
    // SAFETY: the system writes at most the length of the room; the handle is synchronous, so it is done when the call returns.
    let listed = unsafe {
        wdk::NtQueryDirectoryFile(
            folder.as_raw_handle(),
            ptr::null_mut(),
            None,
            ptr::null(),
            &raw mut status,
            room.as_mut_ptr().cast(),
            length,
            wdk::FileDirectoryInformation,
            false,
            ptr::null(),
            false,
        )
    };
    if listed == STATUS_NO_MORE_FILES { Ok(false) } else { check(listed).map(|()| true) }
}

/// A control of the file system; returns how many bytes of `output` were written.
pub(super) fn control(file: BorrowedHandle<'_>, code: u32, input: &[u8], output: &mut [u8]) -> Result<usize, Errno> {
    let mut status = IO_STATUS_BLOCK::default();
    let size = |length: usize| u32::try_from(length).map_err(|_| Errno::INVAL);
    // SAFETY: the system reads and writes at most the lengths that are given; the handle is synchronous.
    check(unsafe {
        wdk::NtFsControlFile(
            file.as_raw_handle(),
            ptr::null_mut(),
            None,
            ptr::null(),
            &raw mut status,
            code,
            input.as_ptr().cast(),
            size(input.len())?,
            output.as_mut_ptr().cast(),
            size(output.len())?,
        )
    })?;
    Ok(status.Information.min(output.len()))
}

/// Reads at `offset`; 0 at the end of the file.
pub(super) fn read(file: BorrowedHandle<'_>, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut place = at(offset);
    let (mut count, wanted) = (0, u32::try_from(buffer.len()).unwrap_or(u32::MAX));
    // SAFETY: the system writes at most the buffer's length; the handle is synchronous, so it is done when the call returns.
    let done =
        unsafe { win::ReadFile(file.as_raw_handle(), buffer.as_mut_ptr(), wanted, &raw mut count, &raw mut place) };
    match (done, Errno::last()) {
        (0, Errno::NXIO) => Ok(0),
        (0, error) => Err(error),
        _ => Ok(count as usize),
    }
}

/// Writes at `offset`.
pub(super) fn write(file: BorrowedHandle<'_>, data: &[u8], offset: u64) -> Result<usize, Errno> {
    let mut place = at(offset);
    let (mut count, wanted) = (0, u32::try_from(data.len()).unwrap_or(u32::MAX));
    // SAFETY: the system reads at most the data's length; the handle is synchronous, so it is done when the call returns.
    let done = unsafe { win::WriteFile(file.as_raw_handle(), data.as_ptr(), wanted, &raw mut count, &raw mut place) };
    if done == 0 { Err(Errno::last()) } else { Ok(count as usize) }
}

/// A place in a file, as the calls of Windows take it.
pub(super) fn at(offset: u64) -> OVERLAPPED {
    let mut place = OVERLAPPED::default();
    let [high, low] = [offset >> 32, offset & 0xFFFF_FFFF].map(|half| u32::try_from(half).unwrap_or(0));
    place.Anonymous.Anonymous.Offset = low;
    place.Anonymous.Anonymous.OffsetHigh = high;
    place
}

/// Writes back what is in memory of a file, or with a volume's handle of all its files.
pub(super) fn flush(file: BorrowedHandle<'_>) -> Result<(), Errno> {
    // SAFETY: takes the handle only.
    if unsafe { win::FlushFileBuffers(file.as_raw_handle()) } == 0 { Err(Errno::last()) } else { Ok(()) }
}

/// The path of the volume that holds the file, such as `\\?\Volume{…}\` followed by the file's own.
pub(super) fn final_path(file: BorrowedHandle<'_>) -> Result<Vec<u16>, Errno> {
    let mut path = vec![0; 1 << 10];
    loop {
        let room = u32::try_from(path.len()).unwrap_or(u32::MAX);
        // SAFETY: the system writes at most as many units as are given.
        let length = unsafe {
            win::GetFinalPathNameByHandleW(file.as_raw_handle(), path.as_mut_ptr(), room, win::VOLUME_NAME_GUID)
        };
        match length as usize {
            0 => return Err(Errno::last()),
            length if length < path.len() => {
                path.truncate(length);
                return Ok(path);
            }
            length => path.resize(length + 1, 0),
        }
    }
}
