//! `vssapi.dll` and its interfaces as they lie in memory, as far as a requestor needs them.
//!
//! The library is loaded when a backup asks for it, so that the program starts where it is missing, and stays loaded, for threads of its
//! own may run in it. Vtables are declared as they are published, slot for slot; of those that nothing here calls, only the number counts.
//! Flags are C++'s one-byte `bool`, except where a slot says [`BOOL`].
#![expect(
    unsafe_code,
    reason = "COM interfaces are pointers to tables of functions; each call is wrapped so that no caller has to"
)]

use std::ffi::{OsStr, c_void};
use std::io;
use std::mem::offset_of;
use std::os::windows::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::slice;

use uuid::Uuid;
use windows_sys::Win32::Foundation::{HMODULE, SysAllocStringLen, SysFreeString, SysStringLen};
use windows_sys::Win32::System::LibraryLoader::{
    GetProcAddress, LOAD_LIBRARY_SEARCH_SYSTEM32, LOAD_WITH_ALTERED_SEARCH_PATH, LoadLibraryExW,
};
use windows_sys::core::{BOOL, BSTR, GUID, PCWSTR};

use super::hresult::{CallError, HResult};

pub(super) type This = *mut c_void;
/// A method that is not called.
pub(super) type Slot = *const c_void;
pub(super) type Raw = i32;
pub(super) type Called<T> = Result<T, CallError>;

#[repr(C)]
pub(super) struct Unknown {
    _query_interface: Slot,
    _add_ref: Slot,
    pub(super) release: unsafe extern "system" fn(This) -> u32,
}

#[repr(C)]
pub(super) struct AsyncTable {
    unknown: Unknown,
    pub(super) cancel: unsafe extern "system" fn(This) -> Raw,
    pub(super) wait: unsafe extern "system" fn(This, u32) -> Raw,
    pub(super) query_status: unsafe extern "system" fn(This, *mut Raw, *mut i32) -> Raw,
}

#[repr(C)]
pub(super) struct ComponentTable {
    unknown: Unknown,
    pub(super) get_component_info: unsafe extern "system" fn(This, *mut *const RawComponent) -> Raw,
    pub(super) free_component_info: unsafe extern "system" fn(This, *const RawComponent) -> Raw,
    /// Of a file, a database file and a log file, by its number.
    pub(super) get_files: [unsafe extern "system" fn(This, u32, *mut This) -> Raw; 3],
    _get_dependency: Slot,
}

#[repr(C)]
pub(super) struct FiledescTable {
    unknown: Unknown,
    pub(super) get_path: unsafe extern "system" fn(This, *mut BSTR) -> Raw,
    pub(super) get_filespec: unsafe extern "system" fn(This, *mut BSTR) -> Raw,
    pub(super) get_recursive: unsafe extern "system" fn(This, *mut u8) -> Raw,
    pub(super) get_alternate_location: unsafe extern "system" fn(This, *mut BSTR) -> Raw,
    _get_backup_type_mask: Slot,
}

#[repr(C)]
pub(super) struct MetadataTable {
    unknown: Unknown,
    pub(super) get_identity:
        unsafe extern "system" fn(This, *mut GUID, *mut GUID, *mut BSTR, *mut i32, *mut i32) -> Raw,
    pub(super) get_file_counts: unsafe extern "system" fn(This, *mut u32, *mut u32, *mut u32) -> Raw,
    _get_include_and_exclude_file: [Slot; 2],
    pub(super) get_component: unsafe extern "system" fn(This, u32, *mut This) -> Raw,
    _get_restore_method_to_get_document: [Slot; 4],
    pub(super) save_as_xml: unsafe extern "system" fn(This, *mut BSTR) -> Raw,
    _load_from_xml: Slot,
}

pub(super) type StartAsync = unsafe extern "system" fn(This, *mut This) -> Raw;

#[repr(C)]
pub(super) struct BackupTable {
    unknown: Unknown,
    _get_writer_components: [Slot; 2],
    pub(super) initialize_for_backup: unsafe extern "system" fn(This, BSTR) -> Raw,
    pub(super) set_backup_state: unsafe extern "system" fn(This, bool, bool, i32, bool) -> Raw,
    pub(super) initialize_for_restore: unsafe extern "system" fn(This, BSTR) -> Raw,
    _set_restore_state: Slot,
    pub(super) gather_writer_metadata: StartAsync,
    pub(super) get_writer_metadata_count: unsafe extern "system" fn(This, *mut u32) -> Raw,
    pub(super) get_writer_metadata: unsafe extern "system" fn(This, u32, *mut GUID, *mut This) -> Raw,
    _free_writer_metadata: Slot,
    pub(super) add_component: unsafe extern "system" fn(This, GUID, GUID, i32, PCWSTR, PCWSTR) -> Raw,
    pub(super) prepare_for_backup: StartAsync,
    pub(super) abort_backup: unsafe extern "system" fn(This) -> Raw,
    pub(super) gather_writer_status: StartAsync,
    pub(super) get_writer_status_count: unsafe extern "system" fn(This, *mut u32) -> Raw,
    pub(super) free_writer_status: unsafe extern "system" fn(This) -> Raw,
    pub(super) get_writer_status:
        unsafe extern "system" fn(This, u32, *mut GUID, *mut GUID, *mut BSTR, *mut i32, *mut Raw) -> Raw,
    pub(super) set_backup_succeeded: unsafe extern "system" fn(This, GUID, GUID, i32, PCWSTR, PCWSTR, bool) -> Raw,
    _set_backup_options: Slot,
    pub(super) set_selected_for_restore: unsafe extern "system" fn(This, GUID, i32, PCWSTR, PCWSTR, bool) -> Raw,
    _set_restore_options_to_set_previous_backup_stamp: [Slot; 3],
    pub(super) save_as_xml: unsafe extern "system" fn(This, *mut BSTR) -> Raw,
    pub(super) backup_complete: StartAsync,
    _add_alternative_location_mapping_and_restore_subcomponent: [Slot; 2],
    pub(super) set_file_restore_status: unsafe extern "system" fn(This, GUID, i32, PCWSTR, PCWSTR, i32) -> Raw,
    _add_new_target_and_set_ranges_file_path: [Slot; 2],
    pub(super) pre_restore: StartAsync,
    pub(super) post_restore: StartAsync,
    pub(super) set_context: unsafe extern "system" fn(This, i32) -> Raw,
    pub(super) start_snapshot_set: unsafe extern "system" fn(This, *mut GUID) -> Raw,
    pub(super) add_to_snapshot_set: unsafe extern "system" fn(This, *const u16, GUID, *mut GUID) -> Raw,
    pub(super) do_snapshot_set: StartAsync,
    pub(super) delete_snapshots: unsafe extern "system" fn(This, GUID, i32, BOOL, *mut i32, *mut GUID) -> Raw,
    _import_snapshots_and_break_snapshot_set: [Slot; 2],
    pub(super) get_snapshot_properties: unsafe extern "system" fn(This, GUID, *mut SnapshotProperties) -> Raw,
    _query_to_query_revert_status: [Slot; 8],
}

/// The number that the published list gives a method stands behind the three of `IUnknown`.
const fn place(number: usize) -> usize {
    (3 + number) * size_of::<Slot>()
}

const _: () = {
    assert!(size_of::<AsyncTable>() == place(3));
    assert!(size_of::<ComponentTable>() == place(6));
    assert!(size_of::<FiledescTable>() == place(5));
    assert!(size_of::<MetadataTable>() == place(11));
    assert!(offset_of!(MetadataTable, save_as_xml) == place(9));
    assert!(size_of::<BackupTable>() == place(48));
    assert!(offset_of!(BackupTable, gather_writer_metadata) == place(6));
    assert!(offset_of!(BackupTable, set_backup_succeeded) == place(17));
    assert!(offset_of!(BackupTable, set_selected_for_restore) == place(19));
    assert!(offset_of!(BackupTable, save_as_xml) == place(23));
    assert!(offset_of!(BackupTable, pre_restore) == place(30));
    assert!(offset_of!(BackupTable, set_context) == place(32));
    assert!(offset_of!(BackupTable, get_snapshot_properties) == place(39));
};

/// `VSS_COMPONENTINFO`.
#[repr(C)]
pub(super) struct RawComponent {
    pub(super) kind: i32,
    pub(super) logical_path: BSTR,
    pub(super) name: BSTR,
    _caption: BSTR,
    _icon: *const u8,
    _icon_size: u32,
    _restore_metadata: bool,
    _notify_on_backup_complete: bool,
    pub(super) selectable: bool,
    _selectable_for_restore: bool,
    _flags: u32,
    /// Files, database files, log files.
    pub(super) files: [u32; 3],
    _dependencies: u32,
}

/// `VSS_SNAPSHOT_PROP`.
#[repr(C)]
pub(super) struct SnapshotProperties {
    _snapshot: GUID,
    _set: GUID,
    _count: i32,
    pub(super) device: *mut u16,
    /// Original volume, originating and service machine, exposed name and path.
    _names: [*mut u16; 5],
    _provider: GUID,
    _attributes: i32,
    _created: i64,
    _status: i32,
}

pub(super) type Create = unsafe extern "system" fn(*mut This) -> Raw;
/// Takes an object that lies in memory as `CVssWriter` does, and gives VSS' half of it.
pub(super) type CreateWriter = unsafe extern "system" fn(This, *mut This) -> Raw;
pub(super) type FreeProperties = unsafe extern "system" fn(*mut SnapshotProperties);

/// The functions of the library.
#[derive(Debug, Clone, Copy)]
pub(super) struct Library {
    pub(super) create: Create,
    pub(super) free_properties: FreeProperties,
    /// Needed by writers only.
    pub(super) create_writer: Option<CreateWriter>,
}

impl Library {
    /// The system's own; nothing else is ever looked for.
    pub(super) fn of_system() -> io::Result<Self> {
        Self::load(OsStr::new("vssapi.dll"), LOAD_LIBRARY_SEARCH_SYSTEM32)
    }

    /// The one at this whole path, which stands in for it.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Self::load(path.as_os_str(), LOAD_WITH_ALTERED_SEARCH_PATH)
    }

    fn load(name: &OsStr, flags: u32) -> io::Result<Self> {
        let name: Vec<u16> = name.encode_wide().chain([0]).collect();
        // SAFETY: the name ends with a NUL.
        let module = unsafe { LoadLibraryExW(name.as_ptr(), ptr::null_mut(), flags) };
        if module.is_null() {
            return Err(io::Error::last_os_error());
        }
        let create = function(module, c"CreateVssBackupComponentsInternal")?;
        let free_properties = function(module, c"VssFreeSnapshotPropertiesInternal")?;
        let create_writer = function(module, c"CreateWriter").ok();
        // SAFETY: these are the functions' published signatures, and the module is never unloaded.
        unsafe {
            Ok(Self {
                create: std::mem::transmute::<Function, Create>(create),
                free_properties: std::mem::transmute::<Function, FreeProperties>(free_properties),
                create_writer: create_writer.map(|found| std::mem::transmute::<Function, CreateWriter>(found)),
            })
        }
    }
}

type Function = unsafe extern "system" fn() -> isize;

fn function(module: HMODULE, name: &std::ffi::CStr) -> io::Result<Function> {
    // SAFETY: the module is loaded and the name ends with a NUL.
    unsafe { GetProcAddress(module, name.as_ptr().cast()) }.ok_or_else(io::Error::last_os_error)
}

/// A reference to an interface whose table is `T`, released when dropped. Every table here begins with that of `IUnknown`.
pub(super) struct Interface<T>(NonNull<*const T>);

impl<T> Interface<T> {
    /// Takes over a reference that a successful call has given.
    pub(super) fn owned(call: &'static str, raw: This) -> Called<Self> {
        NonNull::new(raw.cast()).map(Self).ok_or(CallError { call, result: HResult(0x8000_ffff) })
    }

    pub(super) fn this(&self) -> This {
        self.0.as_ptr().cast()
    }

    pub(super) fn table(&self) -> &T {
        // SAFETY: an object of COM begins with a pointer to its table, and the reference keeps it alive.
        unsafe { &**self.0.as_ptr() }
    }
}

impl<T> Drop for Interface<T> {
    fn drop(&mut self) {
        // SAFETY: the table begins with that of IUnknown, and this reference is given back once.
        unsafe {
            let table: *const Unknown = (*self.0.as_ptr()).cast();
            ((*table).release)(self.this());
        }
    }
}

/// A string that COM has allocated, freed when dropped.
pub(super) struct Text(pub(super) BSTR);

impl Text {
    pub(super) fn new(text: &str) -> Self {
        let units: Vec<u16> = text.encode_utf16().collect();
        // SAFETY: the text is as long as it says, and is copied. A document of four GiB is refused by whoever reads it.
        Self(unsafe { SysAllocStringLen(units.as_ptr(), u32::try_from(units.len()).unwrap_or(u32::MAX)) })
    }

    pub(super) fn read(&self) -> String {
        text(self.0)
    }
}

impl Drop for Text {
    fn drop(&mut self) {
        // SAFETY: the string is this value's own; none at all may be freed too.
        unsafe { SysFreeString(self.0) };
    }
}

pub(super) fn text(string: BSTR) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: the string lives, and its length stands before it.
    let units = unsafe { slice::from_raw_parts(string, SysStringLen(string) as usize) };
    String::from_utf16_lossy(units)
}

pub(super) fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

pub(super) fn guid(id: Uuid) -> GUID {
    GUID::from_u128(id.as_u128())
}

pub(super) fn uuid(id: &GUID) -> Uuid {
    Uuid::from_fields(id.data1, id.data2, id.data3, &id.data4)
}

pub(super) const NO_ID: GUID = GUID::from_u128(0);

/// # Safety
/// The pointer is null or leads to text that ends with a NUL.
pub(super) unsafe fn terminated(text: *const u16) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's word that there is a NUL; up to it the text may be read.
    unsafe {
        let length = (0..).take_while(|index| *text.add(*index) != 0).count();
        String::from_utf16_lossy(slice::from_raw_parts(text, length))
    }
}
