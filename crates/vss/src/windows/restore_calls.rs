//! The calls of a requestor that puts data back, each with Rust's types and its name in the error.
#![expect(
    unsafe_code,
    reason = "COM interfaces are pointers to tables of functions; each call is wrapped so that no caller has to"
)]

use backup_core::ports::restores::RestoreStatus;

use super::components::{BackupComponents, Operation, Selected, pointer};
use super::vssapi::{Called, Text};

impl BackupComponents {
    /// Begins a restore of what a backup components document says.
    pub(super) fn initialize_for_restore(&self, document: &str) -> Called<()> {
        let document = Text::new(document);
        // SAFETY: the interface is alive, and the document lives until the call returns.
        let result = unsafe { (self.interface.table().initialize_for_restore)(self.interface.this(), document.0) };
        self.calls.check("IVssBackupComponents::InitializeForRestore", result)
    }

    pub(super) fn set_selected_for_restore(&self, selected: &Selected) -> Called<()> {
        let (_, writer, kind, path, name) = selected.arguments();
        let (set, path) = (self.interface.table().set_selected_for_restore, path.as_ref());
        // SAFETY: the interface is alive, and the texts end with a NUL and live until the call returns.
        let result = unsafe { set(self.interface.this(), writer, kind, pointer(path), name.as_ptr(), true) };
        self.calls.check_of("IVssBackupComponents::SetSelectedForRestore", selected.to_string(), result)
    }

    pub(super) fn pre_restore(&self) -> Called<Operation> {
        self.begin(self.interface.table().pre_restore, "IVssBackupComponents::PreRestore")
    }

    pub(super) fn set_file_restore_status(&self, selected: &Selected, status: RestoreStatus) -> Called<()> {
        let (_, writer, kind, path, name) = selected.arguments();
        let (set, path) = (self.interface.table().set_file_restore_status, path.as_ref());
        let status = i32::from(status as u8);
        // SAFETY: the interface is alive, and the texts end with a NUL and live until the call returns.
        let result = unsafe { set(self.interface.this(), writer, kind, pointer(path), name.as_ptr(), status) };
        self.calls.check_of("IVssBackupComponents::SetFileRestoreStatus", selected.to_string(), result)
    }

    pub(super) fn post_restore(&self) -> Called<Operation> {
        self.begin(self.interface.table().post_restore, "IVssBackupComponents::PostRestore")
    }
}
