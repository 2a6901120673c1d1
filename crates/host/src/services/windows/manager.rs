//! The calls of the service control manager.
#![expect(unsafe_code, reason = "the calls of the system take pointers; each is wrapped so that no caller has to")]

use std::io;
use std::mem::size_of;
use std::ptr;

use windows_sys::Win32::Foundation::ERROR_MORE_DATA;
use windows_sys::Win32::System::Services as sys;
use windows_sys::Win32::System::WindowsProgramming::GetUserNameW;

/// The right to ask for a service's state.
pub(super) const QUERY: u32 = sys::SERVICE_QUERY_STATUS;
/// The right to ask which services need it, too.
pub(super) const ENUMERATE: u32 = sys::SERVICE_QUERY_STATUS | sys::SERVICE_ENUMERATE_DEPENDENTS;
/// The rights to ask and to start.
pub(super) const START: u32 = sys::SERVICE_QUERY_STATUS | sys::SERVICE_START;
/// The rights to stop and to start again what was stopped: without the latter it would stay down.
pub(super) const STOP: u32 = START | sys::SERVICE_STOP | sys::SERVICE_QUERY_CONFIG;

/// More than a service's configuration may take, in bytes.
const CONFIG_ROOM: usize = 8 << 10;

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Stopped,
    Starting,
    Running,
    Stopping,
    Paused,
    /// On its way into a pause or out of it.
    Pausing,
}

/// What the manager says of a service. How long a service asks to be waited for is not in it: nobody waits for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) doing: Doing,
    /// What it ended with: the system's code or, where that says so, its own.
    pub(super) exit_code: u32,
}

/// An open service or manager.
#[derive(Debug)]
struct Handle(sys::SC_HANDLE);

impl Handle {
    fn new(handle: sys::SC_HANDLE) -> io::Result<Self> {
        if handle.is_null() { Err(io::Error::last_os_error()) } else { Ok(Self(handle)) }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and nobody else closes it.
        unsafe { sys::CloseServiceHandle(self.0) };
    }
}

/// An installed service, opened with some rights.
#[derive(Debug)]
pub(super) struct Service(Handle);

impl Service {
    /// The service of this name, in any case of letters.
    pub(super) fn open(name: &str, rights: u32) -> io::Result<Self> {
        let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
        // SAFETY: neither a machine nor a database is named.
        let manager = Handle::new(unsafe { sys::OpenSCManagerW(ptr::null(), ptr::null(), sys::SC_MANAGER_CONNECT) })?;
        // SAFETY: the manager is open and the name ends with a zero.
        Handle::new(unsafe { sys::OpenServiceW(manager.0, name.as_ptr(), rights) }).map(Self)
    }

    /// Asks for its state; takes [`QUERY`].
    pub(super) fn status(&self) -> io::Result<Status> {
        let mut status = sys::SERVICE_STATUS::default();
        // SAFETY: the handle is open, and the place for the result lives on this stack.
        check(unsafe { sys::QueryServiceStatus(self.0.0, &raw mut status) })?;
        let doing = match status.dwCurrentState {
            sys::SERVICE_STOPPED => Doing::Stopped,
            sys::SERVICE_RUNNING => Doing::Running,
            sys::SERVICE_PAUSED => Doing::Paused,
            sys::SERVICE_START_PENDING => Doing::Starting,
            sys::SERVICE_STOP_PENDING => Doing::Stopping,
            _ => Doing::Pausing,
        };
        let is_own = status.dwWin32ExitCode == windows_sys::Win32::Foundation::ERROR_SERVICE_SPECIFIC_ERROR;
        let exit_code = if is_own { status.dwServiceSpecificExitCode } else { status.dwWin32ExitCode };
        Ok(Status { doing, exit_code })
    }

    /// Whether nobody may start it; takes [`STOP`].
    pub(super) fn is_disabled(&self) -> io::Result<bool> {
        let mut room = [0_u64; CONFIG_ROOM / size_of::<u64>()];
        let (mut needed, size) = (0, u32::try_from(size_of_val(&room)).unwrap_or(0));
        let config = room.as_mut_ptr().cast::<sys::QUERY_SERVICE_CONFIGW>();
        // SAFETY: the system writes at most the length that is given, into words that are aligned for the structure.
        check(unsafe { sys::QueryServiceConfigW(self.0.0, config, size, &raw mut needed) })?;
        // SAFETY: the call succeeded, so the structure is there.
        Ok(unsafe { (*config).dwStartType } == sys::SERVICE_DISABLED)
    }

    /// Names of services that run and need it, as the system orders them for stopping; takes [`ENUMERATE`].
    pub(super) fn dependents(&self) -> io::Result<Vec<String>> {
        let mut room: Vec<u64> = Vec::new();
        loop {
            let (mut needed, mut count) = (0, 0);
            let size = u32::try_from(room.len() * size_of::<u64>()).unwrap_or(0);
            let entries = room.as_mut_ptr().cast();
            // SAFETY: the system writes at most the length that is given, into words that are aligned for the structures.
            let told = unsafe {
                sys::EnumDependentServicesW(
                    self.0.0,
                    sys::SERVICE_ACTIVE,
                    entries,
                    size,
                    &raw mut needed,
                    &raw mut count,
                )
            };
            match check(told) {
                // SAFETY: the call succeeded, so the room begins with so many entries, whose names lie behind them.
                Ok(()) => return Ok(unsafe { names(&room, count as usize) }),
                Err(error) if code(&error) == ERROR_MORE_DATA => {
                    room = vec![0; (needed as usize).div_ceil(size_of::<u64>())];
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells it to stop; takes [`STOP`]. Returns when it has heard, which a service that hangs may do after half a minute only.
    pub(super) fn stop(&self) -> io::Result<()> {
        let mut status = sys::SERVICE_STATUS::default();
        // SAFETY: the handle is open, and the place for the result lives on this stack.
        check(unsafe { sys::ControlService(self.0.0, sys::SERVICE_CONTROL_STOP, &raw mut status) })
    }

    /// Starts it; takes [`START`]. Returns when its process has reported.
    pub(super) fn start(&self) -> io::Result<()> {
        // SAFETY: the handle is open, and no arguments are given.
        check(unsafe { sys::StartServiceW(self.0.0, 0, ptr::null()) })
    }
}

/// The names in the first entries of an enumeration.
///
/// # Safety
/// The room begins with that many entries, each with the address of a name that ends with a zero.
pub(super) unsafe fn names(room: &[u64], count: usize) -> Vec<String> {
    let entries = room.as_ptr().cast::<sys::ENUM_SERVICE_STATUSW>();
    let name = |at| {
        // SAFETY: the caller vouches for the entries and for the end of each name.
        unsafe {
            let start = (*entries.add(at)).lpServiceName;
            let length = (0..).take_while(|at| *start.add(*at) != 0).count();
            String::from_utf16_lossy(std::slice::from_raw_parts(start, length))
        }
    };
    (0..count).map(name).collect()
}

/// The account that this program runs as, as far as the system tells.
pub(super) fn account() -> String {
    let mut room = [0_u16; 257];
    let mut length = u32::try_from(room.len()).unwrap_or(0);
    // SAFETY: the system writes at most the length that is given.
    let told = unsafe { GetUserNameW(room.as_mut_ptr(), &raw mut length) };
    // The length counts the zero at the end.
    let name = room.get(..(length as usize).saturating_sub(1)).filter(|_| told != 0);
    name.map_or_else(|| "this one".to_owned(), String::from_utf16_lossy)
}

/// The system's code of an error.
pub(super) fn code(error: &io::Error) -> u32 {
    error.raw_os_error().and_then(|code| u32::try_from(code).ok()).unwrap_or_default()
}

fn check(done: i32) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
