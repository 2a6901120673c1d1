//! A connection whose text is UTF-16, beside those of odbc-api, whose text is bytes for the whole program.

use std::sync::OnceLock;

use odbc_api::handles::{self, AnyHandle, SqlResult, StatementImpl};
use odbc_api::sys::{AttrOdbcVersion, DriverConnectOption, SQLDriverConnectW, SQLGetDiagRecW, SqlReturn};

use super::link::Said;

/// UTF-16 units of a message that are read at first.
const MESSAGE: i16 = 512;

/// The environment of all such connections; it stays until the process ends.
static ENVIRONMENT: OnceLock<Option<Shared>> = OnceLock::new();

struct Shared(handles::Environment);

// SAFETY: ODBC allows threads to share an environment; odbc-api shares its own in the same way.
#[expect(unsafe_code, reason = "the handle is a pointer")]
unsafe impl Sync for Shared {}

/// See the module.
pub(crate) struct Wide(handles::Connection<'static>);

impl Wide {
    /// Connects by a string that ends with a zero. The secrets are still in what was said.
    #[expect(unsafe_code, reason = "odbc-api connects in one kind of text only")]
    pub(super) fn connect(with_zero: &str, login_seconds: u32) -> Result<Self, Said> {
        let environment = ENVIRONMENT.get_or_init(|| new_environment().map(Shared));
        let connection = environment.as_ref().and_then(|shared| success(shared.0.allocate_connection()));
        let connection = connection.ok_or_else(|| silent("the driver manager gives no connection"))?;
        // A driver that knows no limit has one of its own.
        let _unlimited = connection.set_login_timeout_sec(login_seconds);
        let text: Vec<u16> = with_zero.encode_utf16().collect();
        let length = i16::try_from(text.len() - 1).map_err(|_| silent("the connection string is too long"))?;
        // SAFETY: the text is as long as it says, and a zero longer; no window is named and nothing is written back.
        let code = unsafe {
            SQLDriverConnectW(
                connection.as_sys(),
                std::ptr::null_mut(),
                text.as_ptr(),
                length,
                std::ptr::null_mut(),
                0,
                std::ptr::null_mut(),
                DriverConnectOption::NoPrompt,
            )
        };
        match sql_result(code, "SQLDriverConnectW") {
            SqlResult::Success(()) | SqlResult::SuccessWithInfo(()) => Ok(Self(connection)),
            _ => Err(why(&connection)),
        }
    }

    /// A new statement. The secrets are still in what was said.
    pub(super) fn statement(&self) -> Result<StatementImpl<'_>, Said> {
        success(self.0.allocate_statement()).ok_or_else(|| why(&self.0))
    }
}

impl Drop for Wide {
    fn drop(&mut self) {
        // One that is lost cannot be ended.
        let _lost = self.0.disconnect();
    }
}

pub(super) fn new_environment() -> Option<handles::Environment> {
    let environment = success(handles::Environment::new())?;
    success(environment.declare_version(AttrOdbcVersion::Odbc3_80))?;
    Some(environment)
}

pub(super) fn success<T>(result: SqlResult<T>) -> Option<T> {
    match result {
        SqlResult::Success(value) | SqlResult::SuccessWithInfo(value) => Some(value),
        _ => None,
    }
}

/// Why the last call on a connection failed.
fn why(connection: &handles::Connection<'_>) -> Said {
    record(connection, 1).unwrap_or_else(|| silent("the driver does not say why"))
}

fn silent(why: &str) -> Said {
    Said { state: String::new(), number: 0, text: why.to_owned() }
}

/// What a call returned.
pub(crate) fn sql_result(code: SqlReturn, function: &'static str) -> SqlResult<()> {
    match code {
        SqlReturn::SUCCESS => SqlResult::Success(()),
        SqlReturn::SUCCESS_WITH_INFO => SqlResult::SuccessWithInfo(()),
        SqlReturn::NO_DATA => SqlResult::NoData,
        _ => SqlResult::Error { function },
    }
}

/// What a driver has to say about the last call on a handle, the records counted from 1.
#[expect(unsafe_code, reason = "odbc-api reads messages in one kind of text only")]
pub(crate) fn record(handle: &impl AnyHandle, number: i16) -> Option<Said> {
    let mut room = MESSAGE;
    loop {
        let (mut state, mut native, mut length) = ([0_u16; 6], 0, 0);
        let mut text = vec![0_u16; usize::from(room.unsigned_abs())];
        // SAFETY: the state has room for five letters and a zero, the text for as many units as it says.
        let code = unsafe {
            SQLGetDiagRecW(
                handle.handle_type(),
                handle.as_handle(),
                number,
                state.as_mut_ptr(),
                &raw mut native,
                text.as_mut_ptr(),
                room,
                &raw mut length,
            )
        };
        let is_cut = code == SqlReturn::SUCCESS_WITH_INFO && length >= room && room < i16::MAX;
        if is_cut {
            room = length.saturating_add(1);
            continue;
        }
        if code != SqlReturn::SUCCESS && code != SqlReturn::SUCCESS_WITH_INFO {
            return None;
        }
        let until_zero = |units: &[u16]| units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
        let text = String::from_utf16_lossy(&text[..until_zero(&text)]);
        return Some(Said { state: String::from_utf16_lossy(&state[..until_zero(&state)]), number: native, text });
    }
}
