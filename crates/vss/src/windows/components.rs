//! The calls of a requestor on `vssapi.dll`, each with Rust's types and its name in the error.
//!
//! What is read is copied: no pointer of VSS leaves the module.
#![expect(
    unsafe_code,
    reason = "COM interfaces are pointers to tables of functions; each call is wrapped so that no caller has to"
)]

use std::fmt;
use std::ptr;
use std::time::Instant;

use uuid::Uuid;
use windows_sys::core::{GUID, PCWSTR};

use super::calls::{Calls, Heard};
use super::hresult::{CallError, HResult};
use super::vssapi::{
    AsyncTable, BackupTable, Called, ComponentTable, FreeProperties, Interface, Library, MetadataTable, NO_ID,
    SnapshotProperties, StartAsync, Text, guid, terminated, text, uuid, wide,
};

/// The call that everything begins with.
pub(super) const CREATE: &str = "CreateVssBackupComponents";

impl Library {
    /// A new backup.
    pub(super) fn create(&self, calls: &Calls) -> Called<BackupComponents> {
        let mut raw = ptr::null_mut();
        // SAFETY: the place for the result lives on this stack.
        let result = unsafe { (self.create)(&raw mut raw) };
        calls.check(CREATE, result)?;
        let (interface, free_properties) = (Interface::owned(CREATE, raw)?, self.free_properties);
        Ok(BackupComponents { interface, free_properties, calls: calls.clone() })
    }
}

/// A component, as its writer names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ComponentInfo {
    pub(super) kind: i32,
    pub(super) logical_path: String,
    pub(super) name: String,
    pub(super) selectable: bool,
}

/// A writer that has said what it owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WriterInfo {
    pub(super) instance: Uuid,
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) components: Vec<ComponentInfo>,
    /// Its writer metadata document.
    pub(super) document: String,
}

/// The state of a writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WriterStatus {
    pub(super) id: Uuid,
    pub(super) instance: Uuid,
    pub(super) name: String,
    pub(super) state: i32,
    pub(super) failure: HResult,
}

/// `IVssAsync`: a call that goes on by itself.
pub(super) struct Operation {
    interface: Interface<AsyncTable>,
    pub(super) call: &'static str,
    calls: Calls,
    began: Instant,
}

impl Operation {
    /// Waits at most so long; that it returns does not say that the operation has ended.
    pub(super) fn wait(&self, milliseconds: u32) -> Called<()> {
        // SAFETY: the interface is alive.
        let result = unsafe { (self.interface.table().wait)(self.interface.this(), milliseconds) };
        self.calls.check_quietly("IVssAsync::Wait", result)
    }

    /// How far it is, or how it ended.
    pub(super) fn status(&self) -> Called<HResult> {
        let mut status = 0;
        let query = self.interface.table().query_status;
        // SAFETY: the interface is alive, and so is the place for the result; the other one is reserved and may be missing.
        let result = unsafe { query(self.interface.this(), &raw mut status, ptr::null_mut()) };
        self.calls.check_quietly("IVssAsync::QueryStatus", result)?;
        let status = HResult::from(status);
        if status != HResult::ASYNC_PENDING {
            self.calls.ended(self.call, status, self.began);
        }
        Ok(status)
    }

    pub(super) fn cancel(&self) -> Called<()> {
        // SAFETY: the interface is alive.
        let result = unsafe { (self.interface.table().cancel)(self.interface.this()) };
        self.calls.check("IVssAsync::Cancel", result)
    }
}

/// `IVssExamineWriterMetadata`.
struct Metadata(Interface<MetadataTable>, Calls);

impl Metadata {
    fn read(&self) -> Called<WriterInfo> {
        let (this, table) = (self.0.this(), self.0.table());
        let (mut instance, mut id, mut name) = (NO_ID, NO_ID, Text(ptr::null()));
        let (mut usage, mut source) = (0, 0);
        // SAFETY: the interface is alive, and so are the places for the results.
        let result = unsafe {
            (table.get_identity)(this, &raw mut instance, &raw mut id, &raw mut name.0, &raw mut usage, &raw mut source)
        };
        self.1.check("IVssExamineWriterMetadata::GetIdentity", result)?;
        let (mut included, mut excluded, mut count) = (0, 0, 0);
        // SAFETY: as above.
        let result = unsafe { (table.get_file_counts)(this, &raw mut included, &raw mut excluded, &raw mut count) };
        self.1.check("IVssExamineWriterMetadata::GetFileCounts", result)?;
        let components = (0..count).map(|index| self.component(index)).collect::<Called<_>>()?;
        let mut document = Text(ptr::null());
        // SAFETY: as above.
        let result = unsafe { (table.save_as_xml)(this, &raw mut document.0) };
        self.1.check("IVssExamineWriterMetadata::SaveAsXML", result)?;
        let (instance, id) = (uuid(&instance), uuid(&id));
        Ok(WriterInfo { instance, id, name: name.read(), components, document: document.read() })
    }

    fn component(&self, index: u32) -> Called<ComponentInfo> {
        const CALL: &str = "IVssExamineWriterMetadata::GetComponent";
        let mut raw = ptr::null_mut();
        // SAFETY: the interface is alive, and so is the place for the result.
        let result = unsafe { (self.0.table().get_component)(self.0.this(), index, &raw mut raw) };
        self.1.check(CALL, result)?;
        let component: Interface<ComponentTable> = Interface::owned(CALL, raw)?;
        let mut info = ptr::null();
        // SAFETY: as above.
        let result = unsafe { (component.table().get_component_info)(component.this(), &raw mut info) };
        self.1.check("IVssWMComponent::GetComponentInfo", result)?;
        // SAFETY: the call has succeeded; what it gave is alive until it is given back, and may be missing.
        let read = unsafe { info.as_ref() }.map(|info| ComponentInfo {
            kind: info.kind,
            logical_path: text(info.logical_path),
            name: text(info.name),
            selectable: info.selectable,
        });
        // SAFETY: what the component gave is given back once, and not looked at any more.
        let result = unsafe { (component.table().free_component_info)(component.this(), info) };
        self.1.check("IVssWMComponent::FreeComponentInfo", result)?;
        read.ok_or(CallError { call: "IVssWMComponent::GetComponentInfo", result: HResult(0x8000_ffff) })
    }
}

/// `IVssBackupComponents`: one backup or restore. Not to be sent to another thread, which its pointer sees to.
pub(super) struct BackupComponents {
    pub(super) interface: Interface<BackupTable>,
    free_properties: FreeProperties,
    pub(super) calls: Calls,
}

/// Who is meant by a call on a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Selected {
    pub(super) instance: Uuid,
    pub(super) writer: Uuid,
    pub(super) component: ComponentInfo,
}

impl Selected {
    /// What the calls take; no logical path is none at all.
    pub(super) fn arguments(&self) -> (GUID, GUID, i32, Option<Vec<u16>>, Vec<u16>) {
        let ComponentInfo { kind, logical_path, name, .. } = &self.component;
        let logical_path = (!logical_path.is_empty()).then(|| wide(logical_path));
        (guid(self.instance), guid(self.writer), *kind, logical_path, wide(name))
    }
}

impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\\{}", self.component.logical_path, self.component.name)
    }
}

pub(super) fn pointer(text: Option<&Vec<u16>>) -> PCWSTR {
    text.map_or(ptr::null(), |text| text.as_ptr())
}

impl BackupComponents {
    pub(super) fn initialize_for_backup(&self) -> Called<()> {
        // SAFETY: the interface is alive; no document means a new backup.
        let result = unsafe { (self.interface.table().initialize_for_backup)(self.interface.this(), ptr::null()) };
        self.calls.check("IVssBackupComponents::InitializeForBackup", result)
    }

    pub(super) fn set_context(&self, context: i32) -> Called<()> {
        // SAFETY: the interface is alive.
        let result = unsafe { (self.interface.table().set_context)(self.interface.this(), context) };
        self.calls.check("IVssBackupComponents::SetContext", result)
    }

    /// With components, without the system's boot state, without parts of files.
    pub(super) fn set_backup_state(&self, kind: i32) -> Called<()> {
        let set = self.interface.table().set_backup_state;
        // SAFETY: the interface is alive.
        let result = unsafe { set(self.interface.this(), true, false, kind, false) };
        self.calls.check("IVssBackupComponents::SetBackupState", result)
    }

    pub(super) fn gather_writer_metadata(&self) -> Called<Operation> {
        self.begin(self.interface.table().gather_writer_metadata, "IVssBackupComponents::GatherWriterMetadata")
    }

    pub(super) fn prepare_for_backup(&self) -> Called<Operation> {
        self.begin(self.interface.table().prepare_for_backup, "IVssBackupComponents::PrepareForBackup")
    }

    pub(super) fn gather_writer_status(&self) -> Called<Operation> {
        self.begin(self.interface.table().gather_writer_status, "IVssBackupComponents::GatherWriterStatus")
    }

    pub(super) fn do_snapshot_set(&self) -> Called<Operation> {
        self.begin(self.interface.table().do_snapshot_set, "IVssBackupComponents::DoSnapshotSet")
    }

    pub(super) fn backup_complete(&self) -> Called<Operation> {
        self.begin(self.interface.table().backup_complete, "IVssBackupComponents::BackupComplete")
    }

    pub(super) fn begin(&self, method: StartAsync, call: &'static str) -> Called<Operation> {
        let mut raw = ptr::null_mut();
        // SAFETY: the interface is alive, and so is the place for the result.
        let result = unsafe { method(self.interface.this(), &raw mut raw) };
        self.calls.check(call, result)?;
        let (interface, calls, began) = (Interface::owned(call, raw)?, self.calls.clone(), Instant::now());
        Ok(Operation { interface, call, calls, began })
    }

    /// The writers that have said what they own. One that could not is not among them.
    pub(super) fn writers(&self) -> Called<Vec<WriterInfo>> {
        const CALL: &str = "IVssBackupComponents::GetWriterMetadata";
        let (this, table) = (self.interface.this(), self.interface.table());
        let mut count = 0;
        // SAFETY: the interface is alive, and so is the place for the result.
        let result = unsafe { (table.get_writer_metadata_count)(this, &raw mut count) };
        self.calls.check("IVssBackupComponents::GetWriterMetadataCount", result)?;
        let read = |index| {
            let (mut instance, mut raw) = (NO_ID, ptr::null_mut());
            // SAFETY: as above.
            let result = unsafe { (table.get_writer_metadata)(this, index, &raw mut instance, &raw mut raw) };
            self.calls.check(CALL, result)?;
            Metadata(Interface::owned(CALL, raw)?, self.calls.clone()).read()
        };
        let writers: Vec<WriterInfo> = (0..count).map(read).collect::<Called<_>>()?;
        self.calls.tell(Heard::Writers(writers.clone()));
        Ok(writers)
    }

    pub(super) fn start_snapshot_set(&self) -> Called<Uuid> {
        let mut set = NO_ID;
        // SAFETY: the interface is alive, and so is the place for the result.
        let result = unsafe { (self.interface.table().start_snapshot_set)(self.interface.this(), &raw mut set) };
        self.calls.check("IVssBackupComponents::StartSnapshotSet", result).map(|()| uuid(&set))
    }

    /// Adds a volume by its name, which ends with a separator; the system chooses the provider.
    pub(super) fn add_to_snapshot_set(&self, volume: &str) -> Called<Uuid> {
        let (name, mut snapshot) = (wide(volume), NO_ID);
        let add = self.interface.table().add_to_snapshot_set;
        // SAFETY: the interface is alive, the name ends with a NUL, and the place for the result lives on this stack.
        let result = unsafe { add(self.interface.this(), name.as_ptr(), NO_ID, &raw mut snapshot) };
        self.calls.check_of("IVssBackupComponents::AddToSnapshotSet", volume.to_owned(), result)?;
        Ok(uuid(&snapshot))
    }

    pub(super) fn add_component(&self, selected: &Selected) -> Called<()> {
        let (instance, writer, kind, path, name) = selected.arguments();
        let (add, path) = (self.interface.table().add_component, path.as_ref());
        // SAFETY: the interface is alive, and the texts end with a NUL and live until the call returns.
        let result = unsafe { add(self.interface.this(), instance, writer, kind, pointer(path), name.as_ptr()) };
        self.calls.check_of("IVssBackupComponents::AddComponent", selected.to_string(), result)
    }

    pub(super) fn set_backup_succeeded(&self, selected: &Selected, succeeded: bool) -> Called<()> {
        let (instance, writer, kind, path, name) = selected.arguments();
        let (set, path) = (self.interface.table().set_backup_succeeded, path.as_ref());
        // SAFETY: the interface is alive, and the texts end with a NUL and live until the call returns.
        let result =
            unsafe { set(self.interface.this(), instance, writer, kind, pointer(path), name.as_ptr(), succeeded) };
        self.calls.check_of("IVssBackupComponents::SetBackupSucceeded", selected.to_string(), result)
    }

    /// The writers' states, after they were gathered.
    pub(super) fn statuses(&self) -> Called<Vec<WriterStatus>> {
        let (this, table) = (self.interface.this(), self.interface.table());
        let mut count = 0;
        // SAFETY: the interface is alive, and so is the place for the result.
        let result = unsafe { (table.get_writer_status_count)(this, &raw mut count) };
        self.calls.check("IVssBackupComponents::GetWriterStatusCount", result)?;
        let statuses = (0..count).map(|index| self.status(index)).collect::<Called<Vec<_>>>();
        // SAFETY: the interface is alive.
        let result = unsafe { (table.free_writer_status)(this) };
        self.calls.check("IVssBackupComponents::FreeWriterStatus", result)?;
        let statuses = statuses?;
        self.calls.tell(Heard::States(statuses.clone()));
        Ok(statuses)
    }

    fn status(&self, index: u32) -> Called<WriterStatus> {
        let (mut instance, mut id, mut name) = (NO_ID, NO_ID, Text(ptr::null()));
        let (mut state, mut failure) = (0, 0);
        // SAFETY: the interface is alive, and so are the places for the results.
        let result = unsafe {
            (self.interface.table().get_writer_status)(
                self.interface.this(),
                index,
                &raw mut instance,
                &raw mut id,
                &raw mut name.0,
                &raw mut state,
                &raw mut failure,
            )
        };
        self.calls.check("IVssBackupComponents::GetWriterStatus", result)?;
        let (id, instance) = (uuid(&id), uuid(&instance));
        Ok(WriterStatus { id, instance, name: name.read(), state, failure: failure.into() })
    }

    /// The device of a snapshot, such as `\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy1`.
    pub(super) fn device(&self, snapshot: Uuid) -> Called<String> {
        // SAFETY: of numbers and pointers, zero is a value.
        let mut properties: SnapshotProperties = unsafe { std::mem::zeroed() };
        let get = self.interface.table().get_snapshot_properties;
        // SAFETY: the interface is alive, and so is the place for the result.
        let result = unsafe { get(self.interface.this(), guid(snapshot), &raw mut properties) };
        self.calls.check("IVssBackupComponents::GetSnapshotProperties", result)?;
        // SAFETY: the call has succeeded: the text ends with a NUL where there is one, and all texts are given back once.
        unsafe {
            let device = terminated(properties.device);
            (self.free_properties)(&raw mut properties);
            Ok(device)
        }
    }

    /// The backup components document.
    pub(super) fn document(&self) -> Called<String> {
        let mut document = Text(ptr::null());
        // SAFETY: the interface is alive, and so is the place for the result.
        let result = unsafe { (self.interface.table().save_as_xml)(self.interface.this(), &raw mut document.0) };
        self.calls.check("IVssBackupComponents::SaveAsXML", result).map(|()| document.read())
    }

    pub(super) fn abort_backup(&self) -> Called<()> {
        // SAFETY: the interface is alive.
        let result = unsafe { (self.interface.table().abort_backup)(self.interface.this()) };
        self.calls.check("IVssBackupComponents::AbortBackup", result)
    }

    /// Deletes all snapshots of the set, whoever reads them.
    pub(super) fn delete_set(&self, set: Uuid) -> Called<()> {
        const SNAPSHOT_SET: i32 = 2;
        let (mut deleted, mut stubborn) = (0, NO_ID);
        let delete = self.interface.table().delete_snapshots;
        // SAFETY: the interface is alive, and so are the places for the results.
        let result =
            unsafe { delete(self.interface.this(), guid(set), SNAPSHOT_SET, 1, &raw mut deleted, &raw mut stubborn) };
        self.calls.check("IVssBackupComponents::DeleteSnapshots", result)
    }
}

impl Drop for BackupComponents {
    fn drop(&mut self) {
        // The reference goes next, and that cannot fail.
        let _told = self.calls.check("IVssBackupComponents::Release", HResult::OK);
    }
}
