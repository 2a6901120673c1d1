//! COM for the thread that talks to VSS.
#![expect(unsafe_code, reason = "COM is set up by calls of the system; each is wrapped so that no caller has to")]

use std::marker::PhantomData;
use std::ptr;

use windows_sys::Win32::System::Com::{
    COINIT_MULTITHREADED, CoInitializeEx, CoInitializeSecurity, CoUninitialize, EOAC_DYNAMIC_CLOAKING,
    RPC_C_AUTHN_LEVEL_PKT_PRIVACY, RPC_C_IMP_LEVEL_IDENTIFY,
};

use super::calls::Calls;
use super::hresult::{CallError, HResult};

/// This thread's part in the process's multithreaded apartment, left when dropped.
#[derive(Debug)]
pub(super) struct Apartment(PhantomData<*const ()>);

impl Apartment {
    /// Enters the apartment, and sets the process's security of COM unless somebody has: writers call back into a requestor, and are not to
    /// act in its name.
    pub(super) fn enter(calls: &Calls) -> Result<Self, CallError> {
        let mode = COINIT_MULTITHREADED.cast_unsigned();
        // SAFETY: needs nothing, and is undone by this value.
        calls.check("CoInitializeEx", unsafe { CoInitializeEx(ptr::null(), mode) })?;
        let apartment = Self(PhantomData);
        // SAFETY: all that is left out may be; without a descriptor no caller is refused, for writers run as several accounts.
        let result = unsafe {
            CoInitializeSecurity(
                ptr::null_mut(),
                -1,
                ptr::null(),
                ptr::null(),
                RPC_C_AUTHN_LEVEL_PKT_PRIVACY,
                RPC_C_IMP_LEVEL_IDENTIFY,
                ptr::null(),
                EOAC_DYNAMIC_CLOAKING.cast_unsigned(),
                ptr::null(),
            )
        };
        match calls.check("CoInitializeSecurity", result) {
            // A program that this crate is embedded in has its own.
            Err(error) if error.result != HResult::TOO_LATE => Err(error),
            _ => Ok(apartment),
        }
    }
}

impl Drop for Apartment {
    fn drop(&mut self) {
        // SAFETY: this thread has entered, for this value cannot be sent to another.
        unsafe { CoUninitialize() };
    }
}
