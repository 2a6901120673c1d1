//! The calls of Windows on registry keys: the one place of this crate where `unsafe` is.
//!
//! Every key is opened in the 64-bit view, and a link is opened as the link that it is.
#![expect(unsafe_code, reason = "the calls of the system take pointers; each is wrapped so that no caller has to")]

use std::ffi::OsStr;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::ptr;

use windows_sys::Wdk::System::Registry::{NtDeleteValueKey, NtSetValueKey};
use windows_sys::Win32::Foundation::{
    ERROR_FILE_NOT_FOUND, ERROR_MORE_DATA, ERROR_NO_MORE_ITEMS, ERROR_SUCCESS, FILETIME, GetLastError, LUID, NTSTATUS,
    RtlNtStatusToDosError, STATUS_OBJECT_NAME_NOT_FOUND, UNICODE_STRING,
};
use windows_sys::Win32::Security as sec;
use windows_sys::Win32::System::Registry as reg;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// What of a descriptor is kept: the audit rules ask for a privilege that nothing else here needs.
const KEPT: u32 = sec::OWNER_SECURITY_INFORMATION | sec::GROUP_SECURITY_INFORMATION | sec::DACL_SECURITY_INFORMATION;
/// The longest names of Windows, with their NUL.
const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: usize = 16_384;
/// Rights to read all of a key, and to change all of it.
pub(super) const READ: u32 = reg::KEY_READ;
pub(super) const WRITE: u32 = reg::KEY_READ | reg::KEY_WRITE | DELETE | WRITE_DAC;
const DELETE: u32 = 0x0001_0000;
const WRITE_DAC: u32 = 0x0004_0000;
const WRITE_OWNER: u32 = 0x0008_0000;

/// A root of the registry by its full name.
pub(super) fn root(name: &str) -> Option<Root> {
    Some(Root(match name.to_ascii_uppercase().as_str() {
        "HKEY_LOCAL_MACHINE" | "HKLM" => reg::HKEY_LOCAL_MACHINE,
        "HKEY_CURRENT_USER" | "HKCU" => reg::HKEY_CURRENT_USER,
        "HKEY_USERS" | "HKU" => reg::HKEY_USERS,
        "HKEY_CLASSES_ROOT" | "HKCR" => reg::HKEY_CLASSES_ROOT,
        "HKEY_CURRENT_CONFIG" | "HKCC" => reg::HKEY_CURRENT_CONFIG,
        _ => return None,
    }))
}

/// A root, which is always open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Root(reg::HKEY);

/// An open key, closed when dropped.
#[derive(Debug)]
pub(super) struct OpenKey(reg::HKEY);

impl Drop for OpenKey {
    fn drop(&mut self) {
        // SAFETY: the handle is this value's own. A failure leaves nothing to be done.
        let _closed = unsafe { reg::RegCloseKey(self.0) };
    }
}

/// What has keys below it.
pub(super) trait Parent {
    /// Its handle.
    fn handle(&self) -> reg::HKEY;
}

impl Parent for Root {
    fn handle(&self) -> reg::HKEY {
        self.0
    }
}

impl Parent for OpenKey {
    fn handle(&self) -> reg::HKEY {
        self.0
    }
}

/// What a key says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) class: Vec<u16>,
    pub(super) subkeys: u32,
    pub(super) values: u32,
    pub(super) longest_data: u32,
    pub(super) last_write: u64,
}

/// A value as the system tells it.
#[derive(Debug)]
pub(super) struct RawValue {
    pub(super) name: Vec<u16>,
    pub(super) kind: u32,
    pub(super) data: Vec<u8>,
}

fn check(code: u32) -> io::Result<()> {
    if code == ERROR_SUCCESS { Ok(()) } else { Err(io::Error::from_raw_os_error(code.cast_signed())) }
}

fn found(code: u32) -> io::Result<bool> {
    if code == ERROR_FILE_NOT_FOUND { Ok(false) } else { check(code).map(|()| true) }
}

/// The units and a NUL. A name that holds one itself cannot be told to these calls.
fn terminated(units: impl IntoIterator<Item = u16>) -> io::Result<Vec<u16>> {
    let mut wide: Vec<u16> = units.into_iter().collect();
    if wide.contains(&0) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the name holds a NUL, which Windows' calls cannot name",
        ));
    }
    wide.push(0);
    Ok(wide)
}

/// A name with its length, in which a NUL is a unit like any other.
fn counted(name: &[u16]) -> io::Result<UNICODE_STRING> {
    let bytes = u16::try_from(size_of_val(name)).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: name.as_ptr().cast_mut() })
}

fn nt(status: NTSTATUS) -> io::Result<()> {
    // SAFETY: looks a number up in a table.
    if status >= 0 { Ok(()) } else { check(unsafe { RtlNtStatusToDosError(status) }) }
}

fn size(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))
}

/// Opens the key at `path` below `parent`; `None` where there is none.
pub(super) fn open(parent: &impl Parent, path: &[u16], access: u32) -> io::Result<Option<OpenKey>> {
    let path = terminated(path.iter().copied())?;
    let mut key = ptr::null_mut();
    // SAFETY: the path ends with a NUL, and the place for the result lives on this stack.
    let code = unsafe {
        reg::RegOpenKeyExW(
            parent.handle(),
            path.as_ptr(),
            reg::REG_OPTION_OPEN_LINK,
            access | reg::KEY_WOW64_64KEY,
            &raw mut key,
        )
    };
    Ok(found(code)?.then_some(OpenKey(key)))
}

/// Opens the key at `path` below `parent`, making it, and what leads to it, where it is missing.
pub(super) fn create(parent: &impl Parent, path: &[u16], class: &[u16], is_link: bool) -> io::Result<OpenKey> {
    let (path, class) = (terminated(path.iter().copied())?, terminated(class.iter().copied())?);
    let mut key = ptr::null_mut();
    let class = if class.len() > 1 { class.as_ptr() } else { ptr::null() };
    let options = if is_link { reg::REG_OPTION_CREATE_LINK } else { reg::REG_OPTION_NON_VOLATILE };
    let access = WRITE | reg::KEY_WOW64_64KEY | if is_link { reg::KEY_CREATE_LINK } else { 0 };
    // SAFETY: path and class end with a NUL, and the place for the result lives on this stack.
    check(unsafe {
        reg::RegCreateKeyExW(
            parent.handle(),
            path.as_ptr(),
            0,
            class,
            options,
            access,
            ptr::null(),
            &raw mut key,
            ptr::null_mut(),
        )
    })?;
    Ok(OpenKey(key))
}

/// Deletes the key `name` of `parent` with all below it.
pub(super) fn delete_tree(parent: &OpenKey, name: &[u16]) -> io::Result<()> {
    let name = terminated(name.iter().copied())?;
    // SAFETY: the name ends with a NUL.
    found(unsafe { reg::RegDeleteTreeW(parent.0, name.as_ptr()) }).map(drop)
}

impl OpenKey {
    pub(super) fn facts(&self) -> io::Result<Facts> {
        let mut class = vec![0; LONGEST_KEY];
        let mut length = size(class.len())?;
        let (mut subkeys, mut values, mut longest_data, mut written) = (0, 0, 0, FILETIME::default());
        // SAFETY: all places live until the call returns, and `length` tells the room for the class.
        check(unsafe {
            reg::RegQueryInfoKeyW(
                self.0,
                class.as_mut_ptr(),
                &raw mut length,
                ptr::null(),
                &raw mut subkeys,
                ptr::null_mut(),
                ptr::null_mut(),
                &raw mut values,
                ptr::null_mut(),
                &raw mut longest_data,
                ptr::null_mut(),
                &raw mut written,
            )
        })?;
        class.truncate(length as usize);
        let last_write = u64::from(written.dwHighDateTime) << 32 | u64::from(written.dwLowDateTime);
        Ok(Facts { class, subkeys, values, longest_data, last_write })
    }

    /// The name of the subkey with this number; `None` behind the last.
    pub(super) fn subkey(&self, index: u32) -> io::Result<Option<Vec<u16>>> {
        let mut name = vec![0; LONGEST_KEY];
        let mut length = size(name.len())?;
        // SAFETY: `length` tells the room for the name; nothing else is asked for.
        let code = unsafe {
            reg::RegEnumKeyExW(
                self.0,
                index,
                name.as_mut_ptr(),
                &raw mut length,
                ptr::null(),
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        if code == ERROR_NO_MORE_ITEMS {
            return Ok(None);
        }
        check(code)?;
        name.truncate(length as usize);
        Ok(Some(name))
    }

    /// The value with this number; `None` behind the last. `room` is for the bytes.
    pub(super) fn value(&self, index: u32, room: &mut Vec<u8>) -> io::Result<Option<RawValue>> {
        let mut name = vec![0; LONGEST_VALUE];
        loop {
            let (mut length, mut bytes, mut kind) = (size(name.len())?, size(room.len())?, 0);
            // SAFETY: `length` and `bytes` tell the room for name and data.
            let code = unsafe {
                reg::RegEnumValueW(
                    self.0,
                    index,
                    name.as_mut_ptr(),
                    &raw mut length,
                    ptr::null(),
                    &raw mut kind,
                    room.as_mut_ptr(),
                    &raw mut bytes,
                )
            };
            match code {
                ERROR_NO_MORE_ITEMS => return Ok(None),
                // It has grown since its length was asked for.
                ERROR_MORE_DATA => room.resize((bytes as usize).max(room.len() * 2).max(64), 0),
                code => {
                    check(code)?;
                    let (name, data) = (name[..length as usize].to_vec(), room[..bytes as usize].to_vec());
                    return Ok(Some(RawValue { name, kind, data }));
                }
            }
        }
    }

    /// Sets a value to these very bytes. `RegSetValueExW` would end strings as it thinks right.
    pub(super) fn set_value(&self, name: &[u16], kind: u32, data: &[u8]) -> io::Result<()> {
        let name = counted(name)?;
        // SAFETY: the name lives until the call returns and is only read, and the length is that of the data.
        nt(unsafe { NtSetValueKey(self.0, &raw const name, 0, kind, data.as_ptr().cast(), size(data.len())?) })
    }

    /// Deletes a value; one that is not there is no error.
    pub(super) fn delete_value(&self, name: &[u16]) -> io::Result<()> {
        let name = counted(name)?;
        // SAFETY: the name lives until the call returns and is only read.
        match unsafe { NtDeleteValueKey(self.0, &raw const name) } {
            STATUS_OBJECT_NAME_NOT_FOUND => Ok(()),
            status => nt(status),
        }
    }

    /// Owner, group and access rules, self-relative.
    pub(super) fn security(&self) -> io::Result<Vec<u8>> {
        let mut words = vec![0_u64; 64];
        loop {
            let mut length = size(size_of_val(words.as_slice()))?;
            // SAFETY: `length` tells the room, which is aligned for a descriptor.
            match unsafe { reg::RegGetKeySecurity(self.0, KEPT, words.as_mut_ptr().cast(), &raw mut length) } {
                code if code == windows_sys::Win32::Foundation::ERROR_INSUFFICIENT_BUFFER => {
                    words.resize((length as usize).div_ceil(8).max(words.len() * 2), 0);
                }
                code => {
                    check(code)?;
                    let bytes = words.iter().flat_map(|word| word.to_ne_bytes());
                    return Ok(bytes.take(length as usize).collect());
                }
            }
        }
    }

    /// Sets the access rules, and owner and group where this process may set any. The parts were judged by the caller.
    pub(super) fn set_security(&self, descriptor: &[u8]) -> io::Result<()> {
        let mut words = vec![0_u64; descriptor.len().div_ceil(8)];
        for (word, bytes) in words.iter_mut().zip(descriptor.chunks(8)) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            *word = u64::from_ne_bytes(whole);
        }
        let place = words.as_mut_ptr().cast();
        if privileged() {
            let owner = sec::OWNER_SECURITY_INFORMATION | sec::GROUP_SECURITY_INFORMATION;
            if let Some(key) = open(self, &[], WRITE_OWNER)? {
                // SAFETY: the descriptor is whole and aligned, and lives until the call returns.
                check(unsafe { reg::RegSetKeySecurity(key.0, owner, place) })?;
            }
        }
        // SAFETY: as above.
        check(unsafe { reg::RegSetKeySecurity(self.0, sec::DACL_SECURITY_INFORMATION, place) })
    }

    /// Makes the key what the hive in `file` says. What this returns says little: Wine does nothing, and calls it success.
    pub(super) fn restore(&self, file: &Path) -> io::Result<()> {
        if !privileged() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let file = terminated(OsStr::encode_wide(file.as_os_str()))?;
        // SAFETY: the path ends with a NUL.
        check(unsafe { reg::RegRestoreKeyW(self.0, file.as_ptr(), reg::REG_FORCE_RESTORE.cast_unsigned()) })
    }
}

/// Whether this process has the privileges of a backup; it asks for them.
fn privileged() -> bool {
    let backup = enable("SeBackupPrivilege");
    enable("SeRestorePrivilege") && backup
}

fn enable(privilege: &str) -> bool {
    let name: Vec<u16> = privilege.encode_utf16().chain([0]).collect();
    let (mut token, mut luid) = (ptr::null_mut(), LUID::default());
    let access = sec::TOKEN_ADJUST_PRIVILEGES | sec::TOKEN_QUERY;
    // SAFETY: the name ends with a NUL, and the places for results live on this stack. The last call succeeds without effect for a
    // privilege that the user does not have, which only the last error tells.
    unsafe {
        if OpenProcessToken(GetCurrentProcess(), access, &raw mut token) == 0 {
            return false;
        }
        let token = OwnedHandle::from_raw_handle(token);
        if sec::LookupPrivilegeValueW(ptr::null(), name.as_ptr(), &raw mut luid) == 0 {
            return false;
        }
        let attributes = sec::LUID_AND_ATTRIBUTES { Luid: luid, Attributes: sec::SE_PRIVILEGE_ENABLED };
        let wanted = sec::TOKEN_PRIVILEGES { PrivilegeCount: 1, Privileges: [attributes] };
        let (old, length) = (ptr::null_mut(), ptr::null_mut());
        let adjusted = sec::AdjustTokenPrivileges(token.as_raw_handle(), 0, &raw const wanted, 0, old, length);
        adjusted != 0 && GetLastError() == ERROR_SUCCESS
    }
}
