//! Results of COM calls, with the names that Microsoft's pages give those of VSS.

use std::error::Error;
use std::fmt;

/// What a COM call returned. As an error it is one that failed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct HResult(pub(crate) u32);

impl HResult {
    pub(crate) const OK: Self = Self(0);
    pub(crate) const ASYNC_PENDING: Self = Self(0x0004_2309);
    pub(crate) const ASYNC_CANCELLED: Self = Self(0x0004_230b);
    pub(crate) const OBJECT_NOT_FOUND: Self = Self(0x8004_2308);
    pub(crate) const SNAPSHOT_SET_IN_PROGRESS: Self = Self(0x8004_2316);
    pub(crate) const NOT_IMPLEMENTED: Self = Self(0x8000_4001);
    pub(crate) const NOT_REGISTERED: Self = Self(0x8004_0154);
    pub(crate) const ACCESS_DENIED: Self = Self(0x8007_0005);
    pub(crate) const WRITER_INCONSISTENT: Self = Self(0x8004_23f0);
    pub(crate) const WRITER_TIMEOUT: Self = Self(0x8004_23f2);
    pub(crate) const WRITER_RETRYABLE: Self = Self(0x8004_23f3);
    pub(crate) const WRITER_NONRETRYABLE: Self = Self(0x8004_23f4);
    /// Somebody else in the process has set the security of COM.
    pub(crate) const TOO_LATE: Self = Self(0x8001_0119);

    /// The number, of 32 bits.
    pub fn number(self) -> u32 {
        self.0
    }

    /// Whether the call did what it was asked for.
    pub fn is_ok(self) -> bool {
        self.0 >> 31 == 0
    }

    /// Whether the same backup may well succeed a little later.
    pub(crate) fn is_retryable(self) -> bool {
        RETRYABLE.contains(&self.0)
    }

    /// The name on Microsoft's pages, where it is one of those that VSS returns.
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(number, ..)| *number == self.0).map(|(_, name, _)| *name)
    }

    /// What it means for a backup, in our words; empty where it has no name here.
    pub fn meaning(self) -> &'static str {
        NAMES.iter().find(|(number, ..)| *number == self.0).map_or("", |(.., meaning)| *meaning)
    }
}

/// Another set is being made, the disks or the writers were too slow or short of memory this time, or a writer says so itself.
const RETRYABLE: [u32; 7] = [0x8004_2313, 0x8004_2314, 0x8004_2316, 0x8004_2319, 0x8004_23f1, 0x8004_23f2, 0x8004_23f3];

/// Numbers, names, and what they mean.
const NAMES: &[(u32, &str, &str)] = &[
    (0, "S_OK", "done"),
    (1, "S_FALSE", "done, with nothing to do"),
    (0x0004_2309, "VSS_S_ASYNC_PENDING", "it goes on"),
    (0x0004_230a, "VSS_S_ASYNC_FINISHED", "it has ended"),
    (0x0004_230b, "VSS_S_ASYNC_CANCELLED", "it was cancelled"),
    (0x8000_4001, "E_NOTIMPL", "the system does not have this"),
    (0x8000_4002, "E_NOINTERFACE", "the object has no such interface"),
    (0x8000_4004, "E_ABORT", "it was ended"),
    (0x8000_4005, "E_FAIL", "it failed, without a reason"),
    (0x8000_ffff, "E_UNEXPECTED", "it failed in a way that VSS does not expect; see its events in the application log"),
    (0x8001_0106, "RPC_E_CHANGED_MODE", "the thread has COM set up in another way"),
    (0x8001_0119, "RPC_E_TOO_LATE", "the program had set this before"),
    (0x8004_0154, "REGDB_E_CLASSNOTREG", "the service is not registered on this system"),
    (0x8007_0005, "E_ACCESSDENIED", "the caller is no administrator or member of Backup Operators"),
    (0x8007_000e, "E_OUTOFMEMORY", "there is not enough memory"),
    (0x8007_0057, "E_INVALIDARG", "an argument is not accepted"),
    (0x8004_2301, "VSS_E_BAD_STATE", "the call is out of turn"),
    (
        0x8004_2302,
        "VSS_E_UNEXPECTED",
        "VSS failed in a way that it does not expect; see its events in the application log",
    ),
    (0x8004_2304, "VSS_E_PROVIDER_NOT_REGISTERED", "there is no such provider of shadow copies"),
    (
        0x8004_2306,
        "VSS_E_PROVIDER_VETO",
        "the provider of shadow copies refused; see its events in the application log",
    ),
    (0x8004_2308, "VSS_E_OBJECT_NOT_FOUND", "there is no such volume, set or shadow copy"),
    (0x8004_230c, "VSS_E_VOLUME_NOT_SUPPORTED", "no provider can image this volume; it takes NTFS or ReFS"),
    (0x8004_230d, "VSS_E_OBJECT_ALREADY_EXISTS", "it is there already"),
    (0x8004_230f, "VSS_E_UNEXPECTED_PROVIDER_ERROR", "the provider of shadow copies failed; see the application log"),
    (0x8004_2310, "VSS_E_CORRUPT_XML_DOCUMENT", "a document of a writer is damaged"),
    (0x8004_2311, "VSS_E_INVALID_XML_DOCUMENT", "a document of a writer is none"),
    (0x8004_2312, "VSS_E_MAXIMUM_NUMBER_OF_VOLUMES_REACHED", "the set has as many volumes as it can have"),
    (0x8004_2313, "VSS_E_FLUSH_WRITES_TIMEOUT", "the volumes did not write back in time: the disks are busy"),
    (0x8004_2314, "VSS_E_HOLD_WRITES_TIMEOUT", "the volumes could not hold writes long enough: the disks are busy"),
    (0x8004_2315, "VSS_E_UNEXPECTED_WRITER_ERROR", "VSS failed on a writer; see the application log"),
    (0x8004_2316, "VSS_E_SNAPSHOT_SET_IN_PROGRESS", "another program is making a shadow copy"),
    (0x8004_2317, "VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED", "the volume has as many shadow copies as it can have"),
    (
        0x8004_2318,
        "VSS_E_WRITER_INFRASTRUCTURE",
        "the writers cannot be reached: are the services VSS and COM+ Event System in order?",
    ),
    (0x8004_2319, "VSS_E_WRITER_NOT_RESPONDING", "a writer does not answer"),
    (0x8004_231a, "VSS_E_WRITER_ALREADY_SUBSCRIBED", "the writer is there already"),
    (0x8004_231b, "VSS_E_UNSUPPORTED_CONTEXT", "this kind of shadow copy is not supported"),
    (0x8004_231f, "VSS_E_INSUFFICIENT_STORAGE", "there is no room for the shadow copy"),
    (0x8004_2336, "VSS_E_WRITERERROR_PARTIAL_FAILURE", "the writer did a part only"),
    (0x8004_23f0, "VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT", "the shadow copy does not hold all that the writer owns"),
    (0x8004_23f1, "VSS_E_WRITERERROR_OUTOFRESOURCES", "the writer lacked memory or the like"),
    (0x8004_23f2, "VSS_E_WRITERERROR_TIMEOUT", "the writer was too slow"),
    (0x8004_23f3, "VSS_E_WRITERERROR_RETRYABLE", "the writer failed, and may succeed when it is tried again"),
    (0x8004_23f4, "VSS_E_WRITERERROR_NONRETRYABLE", "the writer failed, and will fail again"),
    (0x8004_23f5, "VSS_E_WRITERERROR_RECOVERY_FAILED", "the writer could not repair its data in the shadow copy"),
];

impl From<i32> for HResult {
    fn from(raw: i32) -> Self {
        Self(raw.cast_unsigned())
    }
}

impl fmt::Display for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} (0x{:08X})", self.0),
            None => write!(f, "0x{:08X}", self.0),
        }
    }
}

impl fmt::Debug for HResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Error for HResult {}

/// A call that failed, with what can be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallError {
    /// The method, as Microsoft's pages name it.
    pub(crate) call: &'static str,
    /// What it returned.
    pub(crate) result: HResult,
}

impl CallError {
    /// The call's success, or this error.
    pub(crate) fn check(call: &'static str, result: HResult) -> Result<(), Self> {
        if result.is_ok() { Ok(()) } else { Err(Self { call, result }) }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} returned {}", self.call, self.result)?;
        match self.result {
            HResult::ACCESS_DENIED => f.write_str(": it takes an administrator or a member of Backup Operators"),
            HResult::NOT_IMPLEMENTED => f.write_str(
                ": this system has no Volume Shadow Copy Service; shadow-copy = \"pre-copy\" does without one",
            ),
            result if result.is_retryable() => f.write_str(": it may succeed when it is tried again"),
            _ => Ok(()),
        }
    }
}

impl Error for CallError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_have_their_names() {
        assert_eq!(HResult::SNAPSHOT_SET_IN_PROGRESS.to_string(), "VSS_E_SNAPSHOT_SET_IN_PROGRESS (0x80042316)");
        assert_eq!(HResult(0x8004_2399).to_string(), "0x80042399");
        assert!(HResult::ASYNC_PENDING.is_ok() && !HResult::ACCESS_DENIED.is_ok());
    }

    #[test]
    fn what_may_succeed_later_is_told_so() {
        let said =
            |result| CallError { call: "IVssBackupComponents::DoSnapshotSet", result: HResult(result) }.to_string();
        assert!(
            said(0x8004_2314)
                .ends_with("VSS_E_HOLD_WRITES_TIMEOUT (0x80042314): it may succeed when it is tried again")
        );
        assert!(said(0x8004_23f4).ends_with("VSS_E_WRITERERROR_NONRETRYABLE (0x800423F4)"));
    }
}
