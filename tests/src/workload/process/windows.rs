//! Processes by their handles.
#![expect(unsafe_code, reason = "the calls of the system take pointers; each is wrapped so that no caller has to")]

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};

use windows_sys::Win32::Foundation::{ERROR_INVALID_PARAMETER, FILETIME, HANDLE_FLAG_INHERIT, SetHandleInformation};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_TERMINATE, TerminateProcess,
};

/// Kills the process that has the number and began at that moment; `Ok` also when it has ended already.
pub(super) fn kill(pid: u32, started: u64) -> io::Result<()> {
    let process = match open(pid, PROCESS_TERMINATE | PROCESS_QUERY_LIMITED_INFORMATION) {
        // Nobody has the number.
        Err(error) if error.raw_os_error() == Some(ERROR_INVALID_PARAMETER.cast_signed()) => return Ok(()),
        process => process?,
    };
    // The handle is taken first: whatever it refers to now, it refers to when the process is ended.
    if began(&process) != Some(started) {
        return Ok(());
    }
    // SAFETY: the handle is open and has the right to end the process.
    if unsafe { TerminateProcess(process.as_raw_handle(), 137) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

pub(super) fn start_time(pid: u32) -> Option<u64> {
    began(&open(pid, PROCESS_QUERY_LIMITED_INFORMATION).ok()?)
}

fn open(pid: u32, access: u32) -> io::Result<OwnedHandle> {
    // SAFETY: takes no pointers.
    let process = unsafe { OpenProcess(access, 0, pid) };
    if process.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so this is a new handle, and nobody else closes it.
    Ok(unsafe { OwnedHandle::from_raw_handle(process) })
}

fn began(process: &OwnedHandle) -> Option<u64> {
    let mut times = [FILETIME::default(); 4];
    let [created, exited, kernel, user] = times.each_mut().map(std::ptr::from_mut);
    // SAFETY: the four places are distinct and live until the call returns.
    let told = unsafe { GetProcessTimes(process.as_raw_handle(), created, exited, kernel, user) };
    let [created, ..] = times;
    (told != 0).then_some(u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}

/// Keeps this process's own streams from those that it starts: Windows hands on every handle that may be inherited, and a service
/// would keep open the pipe to which whoever started it listens.
pub(super) fn keep_streams() {
    let own = [io::stdin().as_raw_handle(), io::stdout().as_raw_handle(), io::stderr().as_raw_handle()];
    for stream in own.into_iter().filter(|stream| !stream.is_null()) {
        // SAFETY: the handle is this process's own, and stays open. A console's may refuse, and is inherited in other ways.
        let _as_it_was = unsafe { SetHandleInformation(stream, HANDLE_FLAG_INHERIT, 0) };
    }
}
