//! Jobs and pipes.
#![expect(unsafe_code, reason = "the calls of the system take pointers; each is wrapped so that no caller has to")]

use std::io::{self, PipeReader, Read};
use std::mem::size_of;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::process::ExitStatus;
use std::ptr;

use tokio::process::{Child, Command};
use tokio::sync::mpsc::{Receiver, channel};
use windows_sys::Win32::Foundation::{HANDLE_FLAG_INHERIT, SetHandleInformation};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::JobObjects::{AssignProcessToJobObject, CreateJobObjectW, TerminateJobObject};
use windows_sys::Win32::System::Threading::{
    CREATE_BREAKAWAY_FROM_JOB, CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW, CREATE_SUSPENDED, OpenThread, ResumeThread,
    THREAD_SUSPEND_RESUME,
};

/// What a killed process ends with; the job's end has no code of its own.
const KILLED: u32 = 1;

/// The members of a job: the child, and all that it starts.
///
/// The job does not end with its last handle: what a start command leaves running is the service.
#[derive(Debug)]
pub(super) struct Members {
    job: OwnedHandle,
}

/// The child is in the job before it runs its first instruction, so that nothing of it escapes.
pub(super) fn spawn(command: &mut Command) -> io::Result<(Child, Members)> {
    let members = Members::new()?;
    let mut child = command.creation_flags(CREATE_SUSPENDED | CREATE_NEW_PROCESS_GROUP).spawn()?;
    let begun = members.take(&child).and_then(|()| resume(child.id()));
    if let Err(error) = begun {
        let _gone = child.start_kill();
        return Err(error);
    }
    Ok((child, members))
}

impl Members {
    fn new() -> io::Result<Self> {
        // SAFETY: neither attributes nor a name are given.
        let job = unsafe { CreateJobObjectW(ptr::null(), ptr::null()) };
        if job.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call succeeded, so this is a new handle, and nobody else closes it.
        Ok(Self { job: unsafe { OwnedHandle::from_raw_handle(job) } })
    }

    fn take(&self, child: &Child) -> io::Result<()> {
        let process = child.raw_handle().ok_or_else(|| io::Error::other("it has ended"))?;
        // SAFETY: both handles are open: the job's is owned here, the process's by the child.
        check(unsafe { AssignProcessToJobObject(self.job.as_raw_handle(), process) })
    }

    /// Kills all.
    pub(super) fn kill(&self, _child: &mut Child) {
        // SAFETY: the handle is open. A job without processes is no error.
        let _gone = unsafe { TerminateJobObject(self.job.as_raw_handle(), KILLED) };
    }
}

fn check(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Lets a process run that was made suspended: it has one thread, which only a list of all threads tells.
fn resume(process: Option<u32>) -> io::Result<()> {
    // SAFETY: takes no pointers.
    let list = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) };
    if list.is_null() || list.addr() == usize::MAX {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so this is a new handle, and nobody else closes it.
    let list = unsafe { OwnedHandle::from_raw_handle(list) };
    let size = u32::try_from(size_of::<THREADENTRY32>()).unwrap_or(0);
    let mut entry = THREADENTRY32 { dwSize: size, ..Default::default() };
    // SAFETY: the entry tells its own size, and the system writes no more.
    let mut more = unsafe { Thread32First(list.as_raw_handle(), &raw mut entry) } != 0;
    while more {
        if Some(entry.th32OwnerProcessID) == process {
            return resume_thread(entry.th32ThreadID);
        }
        // SAFETY: as above.
        more = unsafe { Thread32Next(list.as_raw_handle(), &raw mut entry) } != 0;
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "its thread is not found"))
}

fn resume_thread(thread: u32) -> io::Result<()> {
    // SAFETY: takes no pointers.
    let thread = unsafe { OpenThread(THREAD_SUSPEND_RESUME, 0, thread) };
    if thread.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so this is a new handle, and nobody else closes it.
    let thread = unsafe { OwnedHandle::from_raw_handle(thread) };
    // SAFETY: the handle is open and has the right to resume.
    if unsafe { ResumeThread(thread.as_raw_handle()) } == u32::MAX { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Windows knows no signals.
pub(super) fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// Starts a process with a console and a group of its own, which no Ctrl-C and no closing of a window reaches, outside the job that
/// this program may be in: that would end it together with us.
pub(crate) fn detach(mut command: Command) -> io::Result<Child> {
    let apart = CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW;
    match command.creation_flags(apart | CREATE_BREAKAWAY_FROM_JOB).spawn() {
        // Not every job lets its processes go.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => command.creation_flags(apart).spawn(),
        spawned => spawned,
    }
}

/// Keeps this program's own streams from the processes that it starts: they get none but those that they are given.
///
/// Windows hands on every handle that may be inherited, and a service would keep the pipe open to which this program writes.
pub fn keep_streams() {
    let own = [io::stdin().as_raw_handle(), io::stdout().as_raw_handle(), io::stderr().as_raw_handle()];
    for stream in own.into_iter().filter(|stream| !stream.is_null()) {
        // SAFETY: the handle is this process's own, and stays open. A console's may refuse, and is inherited in other ways.
        let _as_it_was = unsafe { SetHandleInformation(stream, HANDLE_FLAG_INHERIT, 0) };
    }
}

/// The reading end of a pipe. A thread of its own reads it, which a process that keeps the pipe open for ever may have for ever: it
/// keeps no runtime from ending.
#[derive(Debug)]
pub(crate) struct Reader(Receiver<Vec<u8>>);

impl Reader {
    pub(crate) fn new(mut pipe: PipeReader) -> io::Result<Self> {
        let (sender, receiver) = channel(16);
        std::thread::Builder::new().name("output".to_owned()).spawn(move || {
            let mut buffer = vec![0; 16 * 1024];
            // A pipe that cannot be read is at its end as far as anybody can tell.
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                if sender.blocking_send(buffer[..read].to_vec()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self(receiver))
    }

    /// What comes next; `None` at the end. Cancelling loses nothing.
    pub(crate) async fn next(&mut self) -> Option<Vec<u8>> {
        self.0.recv().await
    }
}
