//! Who may use a file: security descriptors, read and set whole, and the one that keeps a file to its owner.
#![expect(unsafe_code, reason = "the calls of the system take pointers; each is wrapped so that no caller has to")]

use std::ffi::c_void;
use std::mem::size_of;
use std::os::windows::io::{AsHandle, AsRawHandle, BorrowedHandle, FromRawHandle, OwnedHandle};
use std::ptr;
use std::sync::OnceLock;

use windows_sys::Wdk::Storage::FileSystem::{NtQuerySecurityObject, NtSetSecurityObject};
use windows_sys::Win32::Foundation::{ERROR_SUCCESS, GetLastError, LUID, LocalFree, RtlNtStatusToDosError};
use windows_sys::Win32::Security as sec;
use windows_sys::Win32::Security::Authorization as auth;
use windows_sys::Win32::Storage::FileSystem as win;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use super::fd::AsFd;
use super::io::Errno;
use super::open::again;

/// What of a descriptor is kept: the audit rules ask for a privilege that a backup has no need of.
const KEPT: u32 = sec::OWNER_SECURITY_INFORMATION | sec::GROUP_SECURITY_INFORMATION | sec::DACL_SECURITY_INFORMATION;
/// No descriptor is longer.
const LONGEST: usize = 64 << 10;
/// The length of the fixed part of a self-relative descriptor.
const HEAD: usize = 20;

/// The descriptor under which the owner, the system and the administrators use a file, and nobody else, whatever the folder's rules;
/// for a folder the same for all that is made in it.
pub(super) fn owner_only(is_folder: bool) -> Result<Vec<u64>, Errno> {
    let inherited = if is_folder { "OICI" } else { "" };
    let user = own_sid()?;
    from_text(&format!("D:P(A;{inherited};FA;;;SY)(A;{inherited};FA;;;BA)(A;{inherited};FA;;;{user})"))
}

/// The user of this process, as text.
fn own_sid() -> Result<&'static str, Errno> {
    static SID: OnceLock<Result<String, Errno>> = OnceLock::new();
    SID.get_or_init(read_own_sid).as_deref().map_err(|error| *error)
}

fn own_token(access: u32) -> Result<OwnedHandle, Errno> {
    let mut token = ptr::null_mut();
    // SAFETY: the handle of the own process needs no closing, and the place for the result lives on this stack.
    if unsafe { OpenProcessToken(GetCurrentProcess(), access, &raw mut token) } == 0 {
        return Err(Errno::last());
    }
    // SAFETY: the call succeeded, so this is a new handle, and nobody else closes it.
    Ok(unsafe { OwnedHandle::from_raw_handle(token) })
}

fn read_own_sid() -> Result<String, Errno> {
    let token = own_token(sec::TOKEN_QUERY)?;
    let mut room = [0_u64; 32];
    let (mut length, size) = (0, u32::try_from(size_of_val(&room)).unwrap_or(0));
    // SAFETY: the system writes at most the length that is given, into words that are aligned for the structure.
    let told = unsafe {
        sec::GetTokenInformation(token.as_raw_handle(), sec::TokenUser, room.as_mut_ptr().cast(), size, &raw mut length)
    };
    if told == 0 {
        return Err(Errno::last());
    }
    let mut text = ptr::null_mut();
    // SAFETY: the call above filled the structure, whose pointer leads into the room; the text is the system's until it is freed below.
    unsafe {
        let user = room.as_ptr().cast::<sec::TOKEN_USER>();
        if auth::ConvertSidToStringSidW((*user).User.Sid, &raw mut text) == 0 {
            return Err(Errno::last());
        }
        let length = (0..).take_while(|index| *text.add(*index) != 0).count();
        let sid = String::from_utf16_lossy(std::slice::from_raw_parts(text, length));
        LocalFree(text.cast());
        Ok(sid)
    }
}

fn from_text(text: &str) -> Result<Vec<u64>, Errno> {
    let wide: Vec<u16> = text.encode_utf16().chain([0]).collect();
    let (mut descriptor, mut length) = (ptr::null_mut(), 0_u32);
    // SAFETY: the text ends with a zero; the descriptor is the system's until it is freed, and as long as the call says.
    unsafe {
        let made = auth::ConvertStringSecurityDescriptorToSecurityDescriptorW(
            wide.as_ptr(),
            auth::SDDL_REVISION_1,
            &raw mut descriptor,
            &raw mut length,
        );
        if made == 0 {
            return Err(Errno::last());
        }
        let bytes = std::slice::from_raw_parts(descriptor.cast::<u8>(), length as usize);
        let words = words(bytes);
        LocalFree(descriptor);
        Ok(words)
    }
}

/// The bytes, aligned as the system wants a descriptor.
fn words(bytes: &[u8]) -> Vec<u64> {
    let word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_ne_bytes(word)
    };
    bytes.chunks(8).map(word).collect()
}

fn check(status: i32) -> Result<(), Errno> {
    // SAFETY: looks a number up in a table.
    if status >= 0 { Ok(()) } else { Err(Errno::of(unsafe { RtlNtStatusToDosError(status) })) }
}

/// Owner, group and access rules of an open file, as a self-relative descriptor.
pub(crate) fn described(file: impl AsFd) -> Result<Vec<u8>, Errno> {
    let mut room = vec![0_u64; LONGEST / 8];
    let mut length = 0;
    let size = u32::try_from(LONGEST).unwrap_or(0);
    let (handle, place) = (file.as_fd().as_raw_handle(), room.as_mut_ptr().cast::<c_void>());
    // SAFETY: the system writes at most the length that is given, into words that are aligned for a descriptor.
    check(unsafe { NtQuerySecurityObject(handle, KEPT, place, size, &raw mut length) })?;
    let bytes = room.iter().flat_map(|word| word.to_ne_bytes());
    Ok(bytes.take((length as usize).min(LONGEST)).collect())
}

/// Gives an open file the access rules of `descriptor`, and where this process may do so its owner and group.
pub(crate) fn set_described(file: impl AsFd, descriptor: &[u8]) -> Result<(), Errno> {
    let control = valid(descriptor).ok_or(Errno::INVAL)?;
    let protected = match control & sec::SE_DACL_PROTECTED {
        0 => sec::UNPROTECTED_DACL_SECURITY_INFORMATION,
        _ => sec::PROTECTED_DACL_SECURITY_INFORMATION,
    };
    let rules = sec::DACL_SECURITY_INFORMATION | protected;
    // Rules are set last: they may take the right to set an owner away.
    if privileged() {
        let owner = sec::OWNER_SECURITY_INFORMATION | sec::GROUP_SECURITY_INFORMATION;
        set(file.as_fd(), win::WRITE_OWNER, owner, descriptor)?;
    }
    set(file.as_fd(), win::WRITE_DAC, rules, descriptor)
}

/// The control bits of a whole, self-relative descriptor all of whose parts lie in it; `None` for anything else. It may come from a
/// hostile list, and the system would follow its offsets.
fn valid(descriptor: &[u8]) -> Option<u16> {
    let number = |at: usize| Some(u32::from_le_bytes(descriptor.get(at..at + 4)?.try_into().ok()?) as usize);
    let short = |at: usize| Some(u16::from_le_bytes(descriptor.get(at..at + 2)?.try_into().ok()?));
    let control = short(2)?;
    let is_whole = descriptor[0] == 1 && control & sec::SE_SELF_RELATIVE != 0 && descriptor.len() <= LONGEST;
    let sid_fits = |at: usize| {
        let count = descriptor.get(at + 1).copied().map(usize::from)?;
        (at >= HEAD && descriptor[at] == 1 && count <= 15 && at + 8 + count * 4 <= descriptor.len()).then_some(())
    };
    sid_fits(number(4)?)?;
    sid_fits(number(8)?)?;
    let dacl = number(16)?;
    let acl_fits = dacl >= HEAD && dacl % 4 == 0 && {
        let length = usize::from(short(dacl + 2)?);
        let count = short(dacl + 4)?;
        length >= 8 && dacl + length <= descriptor.len() && entries_fit(&descriptor[dacl..dacl + length], count)
    };
    // No list at all means that everybody may do everything: nobody backs that up, so it was made up.
    (is_whole && control & sec::SE_DACL_PRESENT != 0 && acl_fits).then_some(control)
}

fn entries_fit(acl: &[u8], count: u16) -> bool {
    let mut at = 8;
    (0..count).all(|_| {
        let Some([_, _, low, high]) = acl.get(at..at + 4) else { return false };
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        at += length;
        length >= 8 && length % 4 == 0 && at <= acl.len()
    })
}

fn set(file: BorrowedHandle<'_>, access: u32, what: u32, descriptor: &[u8]) -> Result<(), Errno> {
    let descriptor = words(descriptor);
    let file = again(file, access)?;
    // SAFETY: callers pass a descriptor that was made by the system or judged by `valid`; it lives until the call returns.
    check(unsafe { NtSetSecurityObject(file.as_raw_handle(), what, descriptor.as_ptr().cast_mut().cast()) })
}

/// Keeps an open file or folder to its owner, and what is made in it later.
pub(crate) fn close_to_others(file: impl AsFd, is_folder: bool) -> Result<(), Errno> {
    let descriptor: Vec<u8> = owner_only(is_folder)?.iter().flat_map(|word| word.to_ne_bytes()).collect();
    let what = sec::DACL_SECURITY_INFORMATION | sec::PROTECTED_DACL_SECURITY_INFORMATION;
    set(file.as_fd(), win::WRITE_DAC, what, &descriptor)
}

/// Lets the rules of the folder above hold for an open file or folder, and none of its own.
pub(crate) fn inherits(file: impl AsFd) -> Result<(), Errno> {
    let file = again(file.as_fd(), win::WRITE_DAC | win::READ_CONTROL | win::FILE_READ_ATTRIBUTES)?;
    let empty = sec::ACL {
        AclRevision: u8::try_from(sec::ACL_REVISION).unwrap_or(2),
        AclSize: u16::try_from(size_of::<sec::ACL>()).unwrap_or(8),
        ..Default::default()
    };
    let what = sec::DACL_SECURITY_INFORMATION | sec::UNPROTECTED_DACL_SECURITY_INFORMATION;
    // SAFETY: the list is whole, empty, and lives until the call returns.
    let code = unsafe {
        auth::SetSecurityInfo(
            file.as_handle().as_raw_handle(),
            auth::SE_FILE_OBJECT,
            what,
            ptr::null_mut(),
            ptr::null_mut(),
            &raw const empty,
            ptr::null(),
        )
    };
    if code == ERROR_SUCCESS { Ok(()) } else { Err(Errno::of(code)) }
}

/// Whether this process may read and write past access rules, and set any owner, as backups do. Asks for that once.
pub(super) fn privileged() -> bool {
    static PRIVILEGED: OnceLock<bool> = OnceLock::new();
    *PRIVILEGED.get_or_init(|| {
        let backup = enable("SeBackupPrivilege");
        enable("SeRestorePrivilege") && backup
    })
}

fn enable(privilege: &str) -> bool {
    let Ok(token) = own_token(sec::TOKEN_ADJUST_PRIVILEGES | sec::TOKEN_QUERY) else { return false };
    let name: Vec<u16> = privilege.encode_utf16().chain([0]).collect();
    let mut luid = LUID::default();
    // SAFETY: the name ends with a zero, and the places for results live on this stack. The call succeeds without effect for a
    // privilege that the user does not have, which only the last error tells.
    unsafe {
        if sec::LookupPrivilegeValueW(ptr::null(), name.as_ptr(), &raw mut luid) == 0 {
            return false;
        }
        let attributes = sec::LUID_AND_ATTRIBUTES { Luid: luid, Attributes: sec::SE_PRIVILEGE_ENABLED };
        let wanted = sec::TOKEN_PRIVILEGES { PrivilegeCount: 1, Privileges: [attributes] };
        let adjusted = sec::AdjustTokenPrivileges(
            token.as_raw_handle(),
            0,
            &raw const wanted,
            0,
            ptr::null_mut(),
            ptr::null_mut(),
        );
        adjusted != 0 && GetLastError() == ERROR_SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(is_folder: bool) -> Vec<u8> {
        let mut descriptor = from_text("O:BAG:BAD:P(A;;FA;;;SY)(A;;FA;;;BA)").expect("a descriptor");
        if is_folder {
            descriptor = from_text("O:BAG:BAD:(A;OICI;FA;;;SY)").expect("a descriptor");
        }
        descriptor.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn a_hostile_descriptor_is_refused() {
        let good = bytes(false);
        assert!(valid(&good).is_some());
        assert_eq!(valid(&bytes(true)).map(|control| control & sec::SE_DACL_PROTECTED), Some(0));
        for length in 0..HEAD + 40 {
            assert_eq!(valid(&good[..length]), None, "{length}");
        }
        for (at, value) in [(0, 2), (4, 0xFF), (8, 0), (16, 0xFF), (16, 1), (2, 0)] {
            let mut bad = good.clone();
            bad[at] = value;
            assert_eq!(valid(&bad), None, "byte {at}");
        }
    }
}
