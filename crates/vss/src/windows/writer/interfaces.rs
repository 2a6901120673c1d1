//! The interfaces that VSS gives a writer, slot for slot as they are published.
#![expect(
    unsafe_code,
    reason = "COM interfaces are pointers to tables of functions; each call is wrapped so that no caller has to"
)]

use std::mem::offset_of;
use std::ptr;

use backup_core::ports::shadow_copies::{
    Component, DataSource, FileSpec, RestoreMethod, RestoreWay, WriterLevel, WriterMetadata, WriterRestore, WriterUsage,
};
use windows_sys::core::{BSTR, GUID, PCWSTR};

use super::super::hresult::CallError;
use super::super::vssapi::{Called, Interface, Raw, Slot, Text, This, Unknown, guid, wide};
use super::part::Named;

/// Files are backed up in every kind of backup, and are to be on a shadow copy in each: all bits of `VSS_FSBT_…`.
const EVERY_BACKUP: u32 = 0xf0f;
/// `VSS_AWS_NO_ALTERNATE_WRITER`.
const NO_ALTERNATE_WRITER: i32 = 1;
/// `VSS_SM_BACKUP_EVENTS_FLAG`: nothing of the site is restored by VSS.
const BACKUP_EVENTS: u32 = 2;

fn check(call: &'static str, result: Raw) -> Called<()> {
    CallError::check(call, result.into())
}

/// `IVssWriterImpl`.
#[repr(C)]
pub(super) struct WriterTable {
    _unknown: Unknown,
    initialize: unsafe extern "system" fn(This, GUID, PCWSTR, PCWSTR, u32, u32, i32, i32, i32, u32, i32, bool) -> Raw,
    subscribe: unsafe extern "system" fn(This, u32, u32) -> Raw,
    unsubscribe: unsafe extern "system" fn(This) -> Raw,
    uninitialize: unsafe extern "system" fn(This),
    _get_current_volume_array_to_get_current_level: [Slot; 6],
    is_path_affected: unsafe extern "system" fn(This, PCWSTR) -> bool,
    _is_bootable_system_state_backed_up: Slot,
    are_components_selected: unsafe extern "system" fn(This) -> bool,
    _get_backup_type_and_get_restore_type: [Slot; 2],
    set_writer_failure: unsafe extern "system" fn(This, Raw) -> Raw,
    _is_partial_file_support_enabled_to_is_writer_shutting_down: [Slot; 6],
}

/// `IVssCreateWriterMetadata`, which has no `IUnknown`.
#[repr(C)]
struct MetadataTable {
    _add_include_files: Slot,
    add_exclude_files: unsafe extern "system" fn(This, PCWSTR, PCWSTR, bool) -> Raw,
    add_component: unsafe extern "system" fn(
        This,
        i32,
        PCWSTR,
        PCWSTR,
        PCWSTR,
        *const u8,
        u32,
        bool,
        bool,
        bool,
        bool,
        u32,
    ) -> Raw,
    add_database_files: unsafe extern "system" fn(This, PCWSTR, PCWSTR, PCWSTR, PCWSTR, u32) -> Raw,
    _add_database_log_files: Slot,
    add_files_to_file_group: unsafe extern "system" fn(This, PCWSTR, PCWSTR, PCWSTR, PCWSTR, bool, PCWSTR, u32) -> Raw,
    set_restore_method: unsafe extern "system" fn(This, i32, PCWSTR, PCWSTR, i32, bool) -> Raw,
    _add_alternate_location_mapping_to_save_as_xml: [Slot; 5],
}

/// `IVssWriterComponents`, which has no `IUnknown` that anybody agrees on.
#[repr(C)]
struct ComponentsTable {
    get_component_count: unsafe extern "system" fn(This, *mut u32) -> Raw,
    _get_writer_info: Slot,
    get_component: unsafe extern "system" fn(This, u32, *mut This) -> Raw,
}

/// `IVssComponent`.
#[repr(C)]
struct ComponentTable {
    _unknown: Unknown,
    get_logical_path: unsafe extern "system" fn(This, *mut BSTR) -> Raw,
    _get_component_type: Slot,
    get_component_name: unsafe extern "system" fn(This, *mut BSTR) -> Raw,
    get_backup_succeeded: unsafe extern "system" fn(This, *mut bool) -> Raw,
    _get_alternate_location_mapping_count_to_get_differenced_file: [Slot; 34],
}

const _: () = {
    let slot = size_of::<Slot>();
    assert!(size_of::<WriterTable>() == (3 + 22) * slot);
    assert!(offset_of!(WriterTable, is_path_affected) == (3 + 10) * slot);
    assert!(offset_of!(WriterTable, are_components_selected) == (3 + 12) * slot);
    assert!(offset_of!(WriterTable, set_writer_failure) == (3 + 15) * slot);
    assert!(size_of::<MetadataTable>() == 12 * slot);
    assert!(offset_of!(MetadataTable, set_restore_method) == 6 * slot);
    assert!(size_of::<ComponentsTable>() == 3 * slot);
    assert!(size_of::<ComponentTable>() == (3 + 38) * slot);
    assert!(offset_of!(ComponentTable, get_backup_succeeded) == (3 + 3) * slot);
};

/// VSS' half of a writer, as long as it is registered. Its calls may come from any thread, which is what VSS is made for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Implementation(pub(super) This);

impl Implementation {
    fn table(&self) -> &WriterTable {
        // SAFETY: an object of COM begins with a pointer to its table, and whoever registered the writer keeps it alive.
        unsafe { &**self.0.cast::<*const WriterTable>() }
    }

    /// Tells VSS who the writer is. VSS waits for it as long as `freeze_ms` between Freeze and Thaw.
    pub(super) fn initialize(&self, writer: &WriterMetadata, freeze_ms: u32) -> Called<()> {
        let usage = match writer.usage {
            WriterUsage::BootableSystemState => 1,
            WriterUsage::SystemService => 2,
            WriterUsage::UserData => 3,
            WriterUsage::Unknown(_) => 4,
        };
        let source = if writer.source == DataSource::TransactionDatabase { 1 } else { 3 };
        let level = match writer.level {
            WriterLevel::System => 1,
            WriterLevel::BackEnd => 2,
            WriterLevel::FrontEnd => 3,
        };
        let (id, name) = (guid(writer.id), wide(&writer.name));
        let initialize = self.table().initialize;
        // SAFETY: the interface is alive, and the name ends with a NUL and lives until the call returns; no instance need be named.
        let result = unsafe {
            let no_name = ptr::null();
            initialize(
                self.0,
                id,
                name.as_ptr(),
                no_name,
                0,
                0,
                usage,
                source,
                level,
                freeze_ms,
                NO_ALTERNATE_WRITER,
                false,
            )
        };
        check("IVssWriterImpl::Initialize", result)
    }

    pub(super) fn subscribe(&self) -> Called<()> {
        // SAFETY: the interface is alive.
        check("IVssWriterImpl::Subscribe", unsafe { (self.table().subscribe)(self.0, 0, BACKUP_EVENTS) })
    }

    pub(super) fn unsubscribe(&self) -> Called<()> {
        // SAFETY: the interface is alive.
        check("IVssWriterImpl::Unsubscribe", unsafe { (self.table().unsubscribe)(self.0) })
    }

    pub(super) fn uninitialize(&self) {
        // SAFETY: the interface is alive.
        unsafe { (self.table().uninitialize)(self.0) }
    }

    /// Whether the set holds the volume of this folder.
    pub(super) fn is_path_affected(&self, folder: &str) -> bool {
        let folder = wide(folder);
        // SAFETY: the interface is alive, and the path ends with a NUL and lives until the call returns.
        unsafe { (self.table().is_path_affected)(self.0, folder.as_ptr()) }
    }

    /// Whether whoever leads the session says which components it wants, instead of whole volumes.
    pub(super) fn are_components_selected(&self) -> bool {
        // SAFETY: the interface is alive.
        unsafe { (self.table().are_components_selected)(self.0) }
    }

    /// Says why the event is answered as it is; only while it is answered.
    pub(super) fn set_writer_failure(&self, result: super::super::HResult) -> Called<()> {
        let set = self.table().set_writer_failure;
        // SAFETY: the interface is alive.
        check("IVssWriterImpl::SetWriterFailure", unsafe { set(self.0, result.number().cast_signed()) })
    }
}

/// Where a writer says what it owns, as long as it is asked.
pub(super) struct Description(pub(super) This);

/// A text that may be missing.
struct Optional(Option<Vec<u16>>);

impl Optional {
    fn new(text: Option<&str>) -> Self {
        Self(text.filter(|text| !text.is_empty()).map(wide))
    }

    fn pointer(&self) -> PCWSTR {
        self.0.as_ref().map_or(ptr::null(), |text| text.as_ptr())
    }
}

impl Description {
    fn table(&self) -> &MetadataTable {
        // SAFETY: the interface begins with a pointer to its table, and VSS keeps it alive while the writer is asked.
        unsafe { &**self.0.cast::<*const MetadataTable>() }
    }

    /// Says all that VSS has words for: a pattern that looks into folders is left to whoever can read it.
    ///
    /// A component without files is a promise that nobody could keep, so that it is not made.
    pub(super) fn fill(&self, writer: &WriterMetadata) -> Called<()> {
        for component in writer.components.iter().filter(|component| !component.files.is_empty()) {
            self.component(component)?;
        }
        let can_be_said = |files: &&FileSpec| !files.spec.contains(['/', '\\']) && !files.spec.contains("**");
        for files in writer.exclude.iter().filter(can_be_said) {
            self.exclude(files)?;
        }
        writer.restore.as_ref().map_or(Ok(()), |restore| self.restore(restore))
    }

    fn component(&self, component: &Component) -> Called<()> {
        let (path, caption) = (Optional::new(Some(&component.logical_path)), Optional::new(Some(&component.caption)));
        let name = wide(&component.name);
        let kind = if component.database { 1 } else { 2 };
        let add = self.table().add_component;
        // SAFETY: the interface is alive, and the texts end with a NUL and live until the call returns; there is no icon.
        let result = unsafe {
            add(
                self.0,
                kind,
                path.pointer(),
                name.as_ptr(),
                caption.pointer(),
                ptr::null(),
                0,
                false,
                component.notify_on_backup_complete,
                component.selectable,
                false,
                component.flags,
            )
        };
        check("IVssCreateWriterMetadata::AddComponent", result)?;
        component.files.iter().try_for_each(|files| self.files(component.database, &path, &name, files))
    }

    fn files(&self, database: bool, path: &Optional, name: &[u16], files: &FileSpec) -> Called<()> {
        let (folder, spec) = (wide(&files.path), wide(&files.spec));
        let alternate = Optional::new(files.alternate.as_deref());
        let (path, name, folder, spec) = (path.pointer(), name.as_ptr(), folder.as_ptr(), spec.as_ptr());
        let table = self.table();
        if database {
            // SAFETY: the interface is alive, and the texts end with a NUL and live until the call returns.
            let result = unsafe { (table.add_database_files)(self.0, path, name, folder, spec, EVERY_BACKUP) };
            return check("IVssCreateWriterMetadata::AddDatabaseFiles", result);
        }
        let (recursive, alternate) = (files.recursive, alternate.pointer());
        let add = table.add_files_to_file_group;
        // SAFETY: as above.
        let result = unsafe { add(self.0, path, name, folder, spec, recursive, alternate, EVERY_BACKUP) };
        check("IVssCreateWriterMetadata::AddFilesToFileGroup", result)
    }

    fn exclude(&self, files: &FileSpec) -> Called<()> {
        let (folder, spec) = (wide(&files.path), wide(&files.spec));
        let add = self.table().add_exclude_files;
        // SAFETY: the interface is alive, and the texts end with a NUL and live until the call returns.
        let result = unsafe { add(self.0, folder.as_ptr(), spec.as_ptr(), files.recursive) };
        check("IVssCreateWriterMetadata::AddExcludeFiles", result)
    }

    fn restore(&self, restore: &RestoreMethod) -> Called<()> {
        let method = match restore.way {
            RestoreWay::IfReplaceable | RestoreWay::Unknown(_) => 2,
            RestoreWay::AtReboot => 5,
            RestoreWay::AtRebootIfNotReplaceable => 6,
        };
        let takes_part = if restore.writer == WriterRestore::Always { 3 } else { 1 };
        let (set, nothing) = (self.table().set_restore_method, ptr::null());
        // SAFETY: the interface is alive; neither a service nor a procedure is named.
        let result = unsafe { set(self.0, method, nothing, nothing, takes_part, restore.reboot) };
        check("IVssCreateWriterMetadata::SetRestoreMethod", result)
    }
}

/// What was selected of a writer, as long as it is told so.
pub(super) struct Selection(pub(super) This);

impl Selection {
    /// Reads each of the components; none where there is no selection at all.
    fn each<T>(&self, read: impl Fn(&Interface<ComponentTable>) -> Called<T>) -> Called<Vec<T>> {
        const CALL: &str = "IVssWriterComponents::GetComponent";
        if self.0.is_null() {
            return Ok(Vec::new());
        }
        // SAFETY: the interface begins with a pointer to its table, and VSS keeps it alive while the writer is told.
        let table = unsafe { &**self.0.cast::<*const ComponentsTable>() };
        let mut count = 0;
        // SAFETY: the interface is alive, and so is the place for the result.
        let result = unsafe { (table.get_component_count)(self.0, &raw mut count) };
        check("IVssWriterComponents::GetComponentCount", result)?;
        let component = |index| {
            let mut raw = ptr::null_mut();
            // SAFETY: as above.
            check(CALL, unsafe { (table.get_component)(self.0, index, &raw mut raw) })?;
            read(&Interface::owned(CALL, raw)?)
        };
        (0..count).map(component).collect()
    }

    pub(super) fn names(&self) -> Called<Vec<Named>> {
        self.each(|component| {
            let (this, table) = (component.this(), component.table());
            let (mut path, mut name) = (Text(ptr::null()), Text(ptr::null()));
            // SAFETY: the interface is alive, and so are the places for the results.
            check("IVssComponent::GetLogicalPath", unsafe { (table.get_logical_path)(this, &raw mut path.0) })?;
            // SAFETY: as above.
            check("IVssComponent::GetComponentName", unsafe { (table.get_component_name)(this, &raw mut name.0) })?;
            Ok((path.read(), name.read()))
        })
    }

    /// Whether all of them were backed up.
    pub(super) fn succeeded(&self) -> Called<bool> {
        let each = self.each(|component| {
            let (get, mut succeeded) = (component.table().get_backup_succeeded, false);
            // SAFETY: the interface is alive, and so is the place for the result.
            let result = unsafe { get(component.this(), &raw mut succeeded) };
            check("IVssComponent::GetBackupSucceeded", result).map(|()| succeeded)
        })?;
        Ok(each.into_iter().all(|succeeded| succeeded))
    }
}
