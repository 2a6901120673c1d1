//! One backup through VSS: the order of its calls, and what each failure means.
//!
//! All calls come on the requestor's thread. The order is that of a [`Session`]: a call out of turn is
//! [`BadState`](ShadowCopyError::BadState) before VSS hears of it. From GatherWriterMetadata to BackupComplete a backup that is dropped is
//! aborted, whatever the reason, and then released, and with it goes the shadow copy.

use std::time::{Duration, Instant};

use backup_core::copy::chain;
use backup_core::path::SitePath;
use backup_core::ports::Source;
use backup_core::ports::shadow_copies::{
    Consistency, Image, ImagedFile, SMS_WRITER, SYSTEM_DOCUMENT, ShadowCopyError, WantedComponent, WriterError,
};
use uuid::Uuid;

use super::calls::Calls;
use super::components::{BackupComponents, ComponentInfo, Operation, Selected, WriterInfo, WriterStatus};
use super::hresult::{CallError, HResult};
use super::vssapi::Library;
use super::writer::OURS;
use super::{ComponentSelection, NAME, volume};
use crate::provider::Taken;
use crate::session::{Session, Step};
use crate::wanted::{MOST_FILES, Offer, files, find, refusal, too_many};

/// Snapshots that writers take part in, that are not exposed and go with the backup.
const CTX_BACKUP: i32 = 0;
/// A backup beside others: no log is cut, no archive bit is cleared, no history of backups is begun.
const COPY: i32 = 5;
/// How long one wait may be, so that a wish to stop is heard soon.
const SLICE_MS: u32 = 100;
/// What fails where an image has no place for a path.
const FIND: &str = "find the shadow copy";
/// How long a cancelled operation gets to come to its end.
const GOODBYE_MS: u32 = 2000;

/// How long one operation may take, and who may end it before.
pub(super) struct Patience<'a> {
    pub(super) limit: Duration,
    pub(super) stop: &'a dyn Fn() -> bool,
}

/// A backup in the making, or one whose image is being read.
pub(super) struct Backup {
    components: BackupComponents,
    session: Session,
    writers: Vec<WriterInfo>,
    selected: Vec<Selected>,
    asked: Vec<Asked>,
    set: Option<Uuid>,
    snapshots: Vec<(SitePath, Uuid)>,
    /// What is told of writers that nothing was selected of.
    weaker: Vec<String>,
}

/// A component that was asked for by name.
struct Asked {
    wanted: WantedComponent,
    found: Selected,
    /// Its files, and each as the system knows it.
    files: Vec<(SitePath, SitePath)>,
}

pub(super) fn failed<E: Into<Source>>(action: &'static str) -> impl Fn(E) -> ShadowCopyError {
    move |source| ShadowCopyError::Provider { provider: NAME, action, source: source.into(), is_retryable: false }
}

/// A call's failure; that somebody else is making a set is one of its own.
pub(super) fn refused(action: &'static str) -> impl Fn(CallError) -> ShadowCopyError {
    move |error| match error.result {
        HResult::SNAPSHOT_SET_IN_PROGRESS => {
            ShadowCopyError::InProgress { holder: "another backup program".to_owned() }
        }
        _ => {
            let is_retryable = error.result.is_retryable();
            ShadowCopyError::Provider { provider: NAME, action, source: error.into(), is_retryable }
        }
    }
}

/// Waits for the end of an operation. One that takes too long, or that nobody waits for any more, is cancelled.
pub(super) fn finish(
    operation: &Operation,
    action: &'static str,
    patience: &Patience<'_>,
) -> Result<(), ShadowCopyError> {
    let deadline = Instant::now() + patience.limit;
    loop {
        operation.wait(SLICE_MS).map_err(refused(action))?;
        let result = operation.status().map_err(refused(action))?;
        match result {
            HResult::ASYNC_PENDING => {}
            HResult::ASYNC_CANCELLED => return Err(ShadowCopyError::Cancelled),
            _ if result.is_ok() => return Ok(()),
            _ => return Err(refused(action)(CallError { call: operation.call, result })),
        }
        let lost = match () {
            () if (patience.stop)() => ShadowCopyError::Cancelled,
            () if Instant::now() >= deadline => ShadowCopyError::Deadline {
                step: format!("provider `{NAME}`: {}", operation.call),
                limit: patience.limit,
            },
            () => continue,
        };
        // The backup is aborted in either case: nothing is lost with these results.
        let _asked = operation.cancel();
        let _ended = operation.wait(GOODBYE_MS);
        return Err(lost);
    }
}

impl Backup {
    /// A backup that asks for copies of components.
    pub(super) fn begin(library: &Library, calls: &Calls) -> Result<Self, ShadowCopyError> {
        let begun = || {
            let components = library.create(calls)?;
            components.initialize_for_backup()?;
            components.set_context(CTX_BACKUP)?;
            components.set_backup_state(COPY)?;
            Ok(components)
        };
        let components = begun().map_err(refused("begin a backup"))?;
        Ok(Self {
            components,
            session: Session::new(0),
            writers: Vec::new(),
            selected: Vec::new(),
            asked: Vec::new(),
            set: None,
            snapshots: Vec::new(),
            weaker: Vec::new(),
        })
    }

    /// Hears of all writers what they own.
    pub(super) fn gather(&mut self, patience: &Patience<'_>) -> Result<(), ShadowCopyError> {
        const ACTION: &str = "ask the writers what they own";
        self.session.begin(Step::Identify)?;
        finish(&self.components.gather_writer_metadata().map_err(refused(ACTION))?, ACTION, patience)?;
        self.writers = self.components.writers().map_err(refused(ACTION))?;
        Ok(())
    }

    /// Finds the components that were asked for, and their files. Returns all of these, as the system knows them.
    pub(super) fn find(&mut self, components: &[WantedComponent]) -> Result<Vec<SitePath>, ShadowCopyError> {
        self.within_identify("GetComponent", false)?;
        for wanted in components {
            let asked = self.ask(wanted)?;
            self.asked.push(asked);
        }
        Ok(self.asked.iter().flat_map(|asked| asked.files.iter().map(|(_, real)| real.clone())).collect())
    }

    fn ask(&self, wanted: &WantedComponent) -> Result<Asked, ShadowCopyError> {
        let names: Vec<(Uuid, &str)> = self.writers.iter().map(|writer| (writer.id, writer.name.as_str())).collect();
        let mut offers = Vec::new();
        let mut places = Vec::new();
        for (writer, info) in (0..).zip(&self.writers) {
            for (component, ComponentInfo { logical_path, name, selectable, .. }) in (0..).zip(&info.components) {
                offers.push(Offer { writer: info.id, logical_path, name, selectable: *selectable });
                places.push((writer, component, info));
            }
        }
        let (writer, component, info) = places[find(wanted, &names, &offers)?];
        let component_info = &info.components[component as usize];
        let count: usize = component_info.files.iter().map(|count| *count as usize).sum();
        if count > MOST_FILES {
            return Err(too_many(wanted, count));
        }
        let specs = self.components.files(writer, component, component_info.files);
        let specs = specs.map_err(refused("ask a writer for the files of a component"))?;
        let real = |file: SitePath| match volume::real(&file) {
            Ok(real) => Ok((file, real)),
            Err(error) => Err(refusal(wanted, format!("`{file}` is not to be found: {error}"))),
        };
        let files = files(wanted, &specs)?.into_iter().map(real).collect::<Result<_, _>>()?;
        let found = Selected { instance: info.instance, writer: info.id, component: component_info.clone() };
        Ok(Asked { wanted: wanted.clone(), found, files })
    }

    /// A volume that cannot be put into the set tears the component that has a file on it.
    fn unimaged(&self, mount: &SitePath, error: CallError) -> ShadowCopyError {
        let name = volume::name_of(mount);
        let torn = |asked: &Asked| {
            let (file, _) = asked.files.iter().find(|(_, real)| real.starts_with(mount))?;
            Some(refusal(&asked.wanted, format!("`{file}` lies on volume `{name}`, which cannot be imaged: {error}")))
        };
        let torn = self.asked.iter().find_map(torn);
        torn.unwrap_or_else(|| failed("add a volume to the set")(format!("volume `{name}`: {error}")))
    }

    /// Between GatherWriterMetadata and PrepareForBackup the set comes before what is put into it, and once.
    fn within_identify(&self, call: &'static str, has_set: bool) -> Result<(), ShadowCopyError> {
        self.session.within(Step::Identify, call)?;
        if self.set.is_some() == has_set { Ok(()) } else { Err(ShadowCopyError::BadState(call)) }
    }

    /// Begins the set, of the volumes that are mounted at these places.
    pub(super) fn start_set(&mut self, mounts: Vec<SitePath>) -> Result<(), ShadowCopyError> {
        self.within_identify("StartSnapshotSet", false)?;
        self.set = Some(self.components.start_snapshot_set().map_err(refused("start the shadow copy set"))?);
        for mount in mounts {
            let name = volume::name_of(&mount);
            let added = self.components.add_to_snapshot_set(&name);
            let added = added.map_err(|error| self.unimaged(&mount, error))?;
            self.snapshots.push((mount, added));
        }
        Ok(())
    }

    /// Selects components of the writers, and those that were asked for beside them.
    pub(super) fn select(&mut self, selection: &ComponentSelection) -> Result<(), ShadowCopyError> {
        self.within_identify("AddComponent", true)?;
        let mut chosen = self.chosen(selection)?;
        let asked = self.asked.iter().map(|asked| asked.found.clone());
        let asked: Vec<Selected> = asked.filter(|asked| !chosen.contains(asked)).collect();
        chosen.extend(asked);
        for selected in chosen {
            self.components.add_component(&selected).map_err(refused("select a component"))?;
            self.selected.push(selected);
        }
        Ok(())
    }

    fn chosen(&self, selection: &ComponentSelection) -> Result<Vec<Selected>, ShadowCopyError> {
        // The site's own part in this backup is taken by this process; as a writer that VSS calls it would refuse its own backup.
        let others = self.writers.iter().filter(|writer| !writer.name.ends_with(OURS));
        let all = others.flat_map(|writer| {
            let (instance, writer_id) = (writer.instance, writer.id);
            let select = move |component| Selected { instance, writer: writer_id, component };
            writer.components.iter().cloned().map(select)
        });
        let selectable: Vec<Selected> = all.filter(|selected| selected.component.selectable).collect();
        let list = match selection {
            ComponentSelection::SmsWriter => {
                return Ok(selectable.into_iter().filter(|selected| selected.writer == SMS_WRITER).collect());
            }
            ComponentSelection::These(list) => list,
        };
        let find = |(writer, path, name): &(Uuid, String, String)| {
            let is_it = |selected: &&Selected| {
                let component = &selected.component;
                selected.writer == *writer && component.logical_path == *path && component.name == *name
            };
            let missing = || failed("select a component")(format!("writer {writer} offers no `{path}\\{name}`"));
            selectable.iter().find(is_it).cloned().ok_or_else(missing)
        };
        list.iter().map(find).collect()
    }

    /// Lets the writers do what may take long.
    pub(super) fn prepare(&mut self, patience: &Patience<'_>) -> Result<(), ShadowCopyError> {
        const ACTION: &str = "prepare the writers";
        self.within_identify("PrepareForBackup", true)?;
        self.session.begin(Step::PrepareBackup)?;
        finish(&self.components.prepare_for_backup().map_err(refused(ACTION))?, ACTION, patience)?;
        self.judge(patience)
    }

    /// What an image of these volumes would hold of the components, in a line.
    pub(super) fn outlook(&self, mounts: &[SitePath]) -> String {
        let quoted = |text: String| format!("`{text}`");
        let components: Vec<String> = self.asked.iter().map(|asked| quoted(asked.wanted.to_string())).collect();
        let files = self.asked.iter().flat_map(|asked| &asked.files);
        let files: Vec<String> = files.map(|(file, _)| quoted(file.to_string())).collect();
        let volumes: Vec<String> = mounts.iter().map(|mount| quoted(volume::name_of(mount))).collect();
        format!("{NAME}: component {} with {}; volumes {}", components.join(", "), files.join(", "), volumes.join(", "))
    }

    /// What is going to be imaged, in a line for the log.
    pub(super) fn summary(&self) -> String {
        let volumes: Vec<String> =
            self.snapshots.iter().map(|(mount, _)| format!("`{}`", volume::name_of(mount))).collect();
        let selected: Vec<String> = self.selected.iter().map(|selected| format!("`{selected}`")).collect();
        let (writers, volumes) = (self.writers.len(), volumes.join(", "));
        match selected.is_empty() {
            true => format!("{NAME}: {writers} writers, no component selected, volumes {volumes}"),
            false => format!("{NAME}: {writers} writers, components {}, volumes {volumes}", selected.join(", ")),
        }
    }

    /// Takes the shadow copy: VSS freezes and thaws its writers around it.
    pub(super) fn take(&mut self, patience: &Patience<'_>) -> Result<(), ShadowCopyError> {
        const ACTION: &str = "take the shadow copy";
        self.session.begin(Step::PrepareSnapshot)?;
        finish(&self.components.do_snapshot_set().map_err(refused(ACTION))?, ACTION, patience)?;
        [Step::Freeze, Step::Commit, Step::Thaw].into_iter().try_for_each(|step| self.session.begin(step))
    }

    /// Hears how the writers fared, and finds what was taken of `roots`, the sources, and of the components.
    pub(super) fn look(&mut self, roots: &[SitePath], patience: &Patience<'_>) -> Result<Taken, ShadowCopyError> {
        self.session.within(Step::Thaw, "GatherWriterStatus")?;
        self.judge(patience)?;
        let devices = self.devices()?;
        let image = Image::Borrowed(roots.iter().map(|root| on_image(&devices, root)).collect::<Result<_, _>>()?);
        let imaged = |(original, real): &(SitePath, SitePath)| {
            Ok(ImagedFile { original: original.clone(), place: on_image(&devices, real)? })
        };
        let imaged = |asked: &Asked| asked.files.iter().map(imaged).collect();
        let components = self.asked.iter().map(imaged).collect::<Result<_, ShadowCopyError>>()?;
        let documents = self.documents()?;
        self.session.begin(Step::PostSnapshot)?;
        let (weaker, remarks) = (self.weaker.clone(), Vec::new());
        Ok(Taken { consistency: Consistency::Application, weaker, remarks, image, components, documents })
    }

    /// The volumes of the set, each with the device of its shadow copy.
    fn devices(&self) -> Result<Vec<(SitePath, SitePath)>, ShadowCopyError> {
        let device = |(mount, snapshot): &(SitePath, Uuid)| {
            let device = self.components.device(*snapshot).map_err(refused(FIND))?;
            Ok((mount.clone(), SitePath::parse(device).map_err(failed(FIND))?))
        };
        self.snapshots.iter().map(device).collect()
    }

    /// The backup components document and each writer's own, under the names that `diskshadow` gives them.
    fn documents(&self) -> Result<Vec<(String, Vec<u8>)>, ShadowCopyError> {
        let whole = self.components.document().map_err(refused("save the backup components document"))?;
        let writers = self.writers.iter().enumerate();
        let writers = writers
            .map(|(index, writer)| (format!("WriterMetadata-vss-{index}.xml"), writer.document.clone().into_bytes()));
        Ok(std::iter::once((SYSTEM_DOCUMENT.to_owned(), whole.into_bytes())).chain(writers).collect())
    }

    /// Tells the writers how the backup ended. Their faults change nothing.
    pub(super) fn complete(
        &mut self,
        succeeded: bool,
        patience: &Patience<'_>,
    ) -> Result<Vec<ShadowCopyError>, ShadowCopyError> {
        const ACTION: &str = "complete the backup";
        self.session.within(Step::PostSnapshot, Step::BackupComplete.name())?;
        for selected in &self.selected {
            self.components.set_backup_succeeded(selected, succeeded).map_err(refused(ACTION))?;
        }
        finish(&self.components.backup_complete().map_err(refused(ACTION))?, ACTION, patience)?;
        self.session.begin(Step::BackupComplete)?;
        Ok(self.faults(patience)?.into_iter().map(|(_, error)| error).collect())
    }

    /// Deletes the shadow copies. What is not asked for goes with the backup all the same.
    pub(super) fn delete(mut self) -> Result<(), ShadowCopyError> {
        let is_taken = matches!(self.session.step(), Some(Step::Thaw | Step::PostSnapshot | Step::BackupComplete));
        self.abort();
        match self.set.filter(|_| is_taken) {
            None => Ok(()),
            Some(set) => match self.components.delete_set(set) {
                Err(error) if error.result == HResult::OBJECT_NOT_FOUND => Ok(()),
                deleted => deleted.map_err(refused("delete the shadow copy")),
            },
        }
    }

    fn abort(&mut self) {
        if self.session.begin(Step::Abort).is_ok() {
            // It is released next: nothing more can be done where this fails.
            let _told = self.components.abort_backup();
        }
    }

    /// Fails when a writer failed that something was selected of. Others make the image weaker: what they own is in it as after a power cut.
    fn judge(&mut self, patience: &Patience<'_>) -> Result<(), ShadowCopyError> {
        for (status, error) in self.faults(patience)? {
            if self.selected.iter().any(|selected| selected.instance == status.instance) {
                return Err(error);
            }
            let told = chain(&error);
            if !self.weaker.contains(&told) {
                self.weaker.push(told);
            }
        }
        Ok(())
    }

    /// The writers that failed.
    fn faults(&self, patience: &Patience<'_>) -> Result<Vec<(WriterStatus, ShadowCopyError)>, ShadowCopyError> {
        const ACTION: &str = "ask for the writers' states";
        finish(&self.components.gather_writer_status().map_err(refused(ACTION))?, ACTION, patience)?;
        let statuses = self.components.statuses().map_err(refused(ACTION))?;
        Ok(statuses.into_iter().filter_map(|status| fault(&status).map(|error| (status, error))).collect())
    }
}

/// Where a path lies on the shadow copies.
fn on_image(devices: &[(SitePath, SitePath)], path: &SitePath) -> Result<SitePath, ShadowCopyError> {
    let below = devices.iter().filter_map(|(mount, device)| Some((mount, device.join(&path.strip_prefix(mount)?))));
    // Of volumes that are mounted in each other the inner one has the file.
    let inner = below.max_by_key(|(mount, _)| mount.to_string().len());
    inner.map(|(_, place)| place).ok_or_else(|| failed(FIND)(format!("no volume of the set holds `{path}`")))
}

impl Drop for Backup {
    fn drop(&mut self) {
        self.abort();
    }
}

/// The failure of a writer, if its state is one.
pub(super) fn fault(status: &WriterStatus) -> Option<ShadowCopyError> {
    let step = match status.state {
        6 => Step::Identify.name(),
        7 => Step::PrepareBackup.name(),
        8 => Step::PrepareSnapshot.name(),
        9 => Step::Freeze.name(),
        10 => Step::Thaw.name(),
        11 => Step::PostSnapshot.name(),
        12 => Step::BackupComplete.name(),
        13 => "PreRestore",
        14 => "PostRestore",
        15 => "BackupShutdown",
        _ if status.failure.is_ok() => return None,
        _ => "its last step",
    };
    let source = WriterError {
        is_retryable: status.failure.is_retryable(),
        ..WriterError::new(format!("its state is [{}]", status.state)).because(status.failure)
    };
    Some(ShadowCopyError::Writer { writer: status.name.clone(), step, source })
}
