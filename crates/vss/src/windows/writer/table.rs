//! The object that VSS calls: `CVssWriter` as it lies in memory, with its table of methods, and its way into and out of VSS.
//!
//! The class is C++ and no interface of COM. Its published header leaves nothing to a library but `CreateWriter`: what is not virtual goes
//! through the interface that this call gives, whose address stands behind that of the table. No panic leaves a method.
#![expect(
    unsafe_code,
    reason = "VSS calls functions by their addresses, with pointers; each is wrapped so that nobody else has to"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;

use backup_core::ports::shadow_copies::WriterMetadata;
use windows_sys::core::{GUID, PCWSTR};

use super::super::calls::Calls;
use super::super::vssapi::{Called, CreateWriter, Interface, This};
use super::interfaces::{Description, Implementation, Selection, WriterTable};
use super::part::{Outcome, Part, Refusal};
use crate::guard::panic_message;

/// What begins with a pointer to its table, as VSS wants it, and VSS' own half next.
#[repr(C)]
struct Object {
    table: &'static Table,
    implementation: This,
    part: Arc<Part>,
}

/// The methods of `CVssWriter` with one destructor, as Microsoft's compiler lays them out.
#[repr(C)]
struct Table {
    destroy: unsafe extern "system" fn(This, u32) -> This,
    on_identify: unsafe extern "system" fn(This, This) -> bool,
    on_prepare_backup: unsafe extern "system" fn(This, This) -> bool,
    on_prepare_snapshot: unsafe extern "system" fn(This) -> bool,
    on_freeze: unsafe extern "system" fn(This) -> bool,
    on_thaw: unsafe extern "system" fn(This) -> bool,
    on_abort: unsafe extern "system" fn(This) -> bool,
    on_backup_complete: unsafe extern "system" fn(This, This) -> bool,
    on_backup_shutdown: unsafe extern "system" fn(This, GUID) -> bool,
    on_pre_restore: unsafe extern "system" fn(This, This) -> bool,
    on_post_restore: unsafe extern "system" fn(This, This) -> bool,
    on_post_snapshot: unsafe extern "system" fn(This, This) -> bool,
    on_back_off_io_on_volume: unsafe extern "system" fn(This, PCWSTR, GUID, GUID) -> bool,
    on_continue_io_on_volume: unsafe extern "system" fn(This, PCWSTR, GUID, GUID) -> bool,
    on_vss_shutdown: unsafe extern "system" fn(This) -> bool,
    on_vss_application_startup: unsafe extern "system" fn(This) -> bool,
}

static TABLE: Table = Table {
    destroy,
    on_identify,
    on_prepare_backup,
    on_prepare_snapshot,
    on_freeze,
    on_thaw,
    on_abort,
    on_backup_complete,
    on_backup_shutdown,
    on_pre_restore: nothing_with,
    on_post_restore: nothing_with,
    on_post_snapshot,
    on_back_off_io_on_volume: nothing_on_volume,
    on_continue_io_on_volume: nothing_on_volume,
    on_vss_shutdown: nothing,
    on_vss_application_startup: nothing,
};

/// Answers an event: whether it went well. What did not is told VSS and the log.
///
/// # Safety
/// `this` is a registered [`Object`].
unsafe fn answer(this: This, event: &str, work: impl FnOnce(&Part, Implementation) -> Outcome) -> bool {
    // SAFETY: the caller's word. What is used of it lives as long as this call, also when the object goes meanwhile.
    let (part, implementation) = unsafe {
        let object = this.cast::<Object>();
        (Arc::clone(&(*object).part), Implementation((*object).implementation))
    };
    let answered = catch_unwind(AssertUnwindSafe(|| {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(&part, implementation)));
        let outcome = outcome.unwrap_or_else(|panic| {
            Err(part.fail(Refusal::fatal(format!("panicked: {}", panic_message(panic.as_ref())))))
        });
        match outcome {
            Ok(None) => true,
            Ok(Some(said)) => {
                part.tell(format!("{event}: {said}"));
                true
            }
            Err(Refusal { result, message }) => {
                // What VSS makes of an event that fails without a reason is its own.
                let _told = implementation.set_writer_failure(result);
                part.tell(format!("{event}: failed with {result}: {message}"));
                false
            }
        }
    }));
    // A log that panics: the image may be good, and nobody could know.
    answered.unwrap_or(false)
}

/// The object belongs to its [`Registration`].
unsafe extern "system" fn destroy(this: This, _flags: u32) -> This {
    this
}

unsafe extern "system" fn on_identify(this: This, metadata: This) -> bool {
    // SAFETY: VSS calls what was registered.
    unsafe {
        answer(this, "Identify", |part, _| {
            let writer = part.identified()?;
            Description(metadata).fill(&writer)?;
            Ok(Some(format!("{} components", writer.components.len())))
        })
    }
}

unsafe extern "system" fn on_prepare_backup(this: This, components: This) -> bool {
    // SAFETY: as above.
    unsafe {
        answer(this, "PrepareBackup", |part, implementation| {
            let selects = implementation.are_components_selected();
            let selected = if selects { Selection(components).names()? } else { Vec::new() };
            part.prepare_backup(&selected)
        })
    }
}

unsafe extern "system" fn on_prepare_snapshot(this: This) -> bool {
    // SAFETY: as above.
    unsafe {
        answer(this, "PrepareSnapshot", |part, implementation| {
            part.prepare_snapshot(|folder| implementation.is_path_affected(folder))
        })
    }
}

unsafe extern "system" fn on_freeze(this: This) -> bool {
    // SAFETY: as above.
    unsafe { answer(this, "Freeze", |part, _| part.freeze()) }
}

unsafe extern "system" fn on_thaw(this: This) -> bool {
    // SAFETY: as above.
    unsafe { answer(this, "Thaw", |part, _| part.thaw()) }
}

unsafe extern "system" fn on_post_snapshot(this: This, _components: This) -> bool {
    // SAFETY: as above.
    unsafe { answer(this, "PostSnapshot", |part, _| part.post_snapshot()) }
}

unsafe extern "system" fn on_abort(this: This) -> bool {
    // SAFETY: as above.
    unsafe { answer(this, "Abort", |part, _| part.abort()) }
}

unsafe extern "system" fn on_backup_complete(this: This, components: This) -> bool {
    // SAFETY: as above.
    unsafe { answer(this, "BackupComplete", |part, _| part.backup_complete(Selection(components).succeeded()?)) }
}

/// Whoever led the session has gone.
unsafe extern "system" fn on_backup_shutdown(this: This, _set: GUID) -> bool {
    // SAFETY: as above.
    unsafe { answer(this, "BackupShutdown", |part, _| part.abort()) }
}

unsafe extern "system" fn nothing(_this: This) -> bool {
    true
}

unsafe extern "system" fn nothing_with(_this: This, _components: This) -> bool {
    true
}

unsafe extern "system" fn nothing_on_volume(_this: This, _volume: PCWSTR, _snapshot: GUID, _provider: GUID) -> bool {
    true
}

/// A writer that VSS knows, taken back when dropped.
pub(super) struct Registration {
    object: *mut Object,
    // Before the object, which it may call until it is gone.
    interface: Option<Interface<WriterTable>>,
}

impl Registration {
    pub(super) fn new(create: CreateWriter, part: Arc<Part>, metadata: &WriterMetadata, calls: &Calls) -> Called<Self> {
        const CREATE: &str = "CreateWriter";
        let freeze = u32::try_from(part.limits().freeze.as_millis()).unwrap_or(u32::MAX);
        let object = Box::into_raw(Box::new(Object { table: &TABLE, implementation: ptr::null_mut(), part }));
        // From here on dropping it takes back what there is.
        let mut registration = Self { object, interface: None };
        // SAFETY: the object lives until it is taken back, and the place for the result in it.
        let (result, implementation) = unsafe {
            let result = create(object.cast(), &raw mut (*object).implementation);
            (result, (*object).implementation)
        };
        calls.check(CREATE, result)?;
        registration.interface = Some(Interface::owned(CREATE, implementation)?);
        let implementation = Implementation(implementation);
        implementation.initialize(metadata, freeze)?;
        implementation.subscribe()?;
        Ok(registration)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if let Some(interface) = self.interface.take() {
            let implementation = Implementation(interface.this());
            // One that was never subscribed says so; nothing more can be done where this fails.
            let _told = implementation.unsubscribe();
            implementation.uninitialize();
        }
        // SAFETY: VSS has let go of it, and nobody else has it.
        drop(unsafe { Box::from_raw(self.object) });
    }
}
