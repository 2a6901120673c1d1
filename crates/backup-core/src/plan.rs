//! The backup plan: validated, immutable, and the only thing that a run executes.

use std::time::Duration;

use crate::config::{AfterBackupConfig, MomentChoice, RetryConfig, SiteConfig};
use crate::destination::InvalidDestination;
use crate::path::{PathError, RelPath, SitePath};
use crate::ports::registry::RegistryKey;
use crate::ports::shadow_copies::{BACKUP_DOCUMENT, ImageSource, SYSTEM_DOCUMENT, SessionLimits, WRITER_DOCUMENTS};
use crate::ports::site_files::FileSource;
use crate::retention::RetentionPolicy;
use crate::schedule::ScheduleZone;
use crate::site::{Refusal, SiteCode};

/// A registry key to export, and its place in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryTask {
    /// The key.
    pub key: RegistryKey,
    /// The file in the snapshot.
    pub place: RelPath,
}

/// A command to run after Thaw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandTask {
    /// The command line for the platform's shell.
    pub line: String,
    /// Where its output is kept in the snapshot, besides the log.
    pub output: Option<RelPath>,
}

/// One step of bringing the site to rest or of setting it going.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServiceStep {
    /// Stop this service, or start it if the run stopped it.
    Service(String),
    /// Wait.
    Sleep(Duration),
}

/// All that a run does. Built by [`BackupPlan::new`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupPlan {
    /// The site.
    pub site: SiteCode,
    /// Whether other sites replicate with it.
    pub in_hierarchy: bool,
    /// Files, each with its place.
    pub files: Vec<ImageSource>,
    /// Registry keys.
    pub registry: Vec<RegistryTask>,
    /// The folder of the database part, where there is a database; the adapter's name for the database names the file in it.
    pub database: Option<RelPath>,
    /// What is done where the database's copy holds the moment of its own end.
    pub database_moment: MomentChoice,
    /// Whether the site is the product's, which its Setup recovers.
    pub is_product: bool,
    /// How the site is brought to rest.
    pub stop: Vec<ServiceStep>,
    /// How the site is set going again.
    pub start: Vec<ServiceStep>,
    /// Commands, in this order.
    pub commands: Vec<CommandTask>,
    /// Small files kept in every snapshot: site.toml without secrets, the control file, AfterBackup.
    pub keep: Vec<(RelPath, Vec<u8>)>,
    /// Limits of the session.
    pub limits: SessionLimits,
    /// What is done when another shadow copy session is in progress.
    pub retry: RetryConfig,
    /// How AfterBackup is judged.
    pub after_backup: AfterBackupConfig,
    /// What stays of the site in the archive; without a rule all of it.
    pub keep_archived: RetentionPolicy,
    /// Whose days and weeks these are.
    pub zone: ScheduleZone,
    /// What no part of the plan covers, by name.
    pub not_covered: Vec<String>,
    /// How long change tracking data is kept.
    pub change_tracking_retention: Option<Duration>,
}

/// Why there is no plan. All reasons are given at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The site has no backup here.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The destination is not valid.
    #[error(transparent)]
    Destination(#[from] InvalidDestination),
    /// Two tasks write to one place.
    #[error("`{first}` and `{second}` would both be kept at `{place}`")]
    SamePlace {
        /// What is there already.
        first: String,
        /// What comes to it.
        second: String,
        /// The place in the snapshot.
        place: RelPath,
    },
    /// A task writes where the manifest or the log go.
    #[error("`{0}` is a place that the snapshot keeps for itself")]
    ReservedPlace(RelPath),
    /// The archive would archive itself, or be replaced by a snapshot.
    #[error("the archive's repository `{repository}` and the snapshot's folder `{snapshot}` lie in one another")]
    ArchiveInSnapshot {
        /// The repository.
        repository: SitePath,
        /// Where snapshots are published.
        snapshot: SitePath,
    },
    /// There is nothing to back up.
    #[error("nothing is backed up: neither a control file nor `[files] include` nor a database is configured")]
    Nothing,
    /// A path cannot be used.
    #[error(transparent)]
    Path(#[from] PathError),
}

/// Names at the top of a snapshot that no task may write.
const RESERVED: [&str; 7] = [
    crate::manifest::MANIFEST_NAME,
    crate::manifest::LIST_NAME,
    BACKUP_DOCUMENT,
    SYSTEM_DOCUMENT,
    crate::own_files::LOG_NAME,
    crate::own_files::MARKER_NAME,
    "sitebackup",
];

fn is_reserved(top: &[u8]) -> bool {
    let is = |name: &str, top: &[u8]| name.as_bytes().eq_ignore_ascii_case(top);
    let of_writer = top.get(..WRITER_DOCUMENTS.len()).is_some_and(|start| is(WRITER_DOCUMENTS, start));
    of_writer || RESERVED.iter().any(|name| is(name, top))
}

/// Where files go that a site without a control file names itself.
const OWN_FILES: &str = "SiteServer";

/// The tasks of a plan before they are judged: what a control file is lowered to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tasks {
    /// Files: source and place.
    pub files: Vec<(SitePath, RelPath)>,
    /// Registry keys.
    pub registry: Vec<RegistryTask>,
    /// The folder of the database part.
    pub database: Option<RelPath>,
    /// How the site is brought to rest.
    pub stop: Vec<ServiceStep>,
    /// How the site is set going.
    pub start: Vec<ServiceStep>,
    /// Commands.
    pub commands: Vec<CommandTask>,
}

impl Tasks {
    /// The tasks of a site without a control file: the folders, keys, database and services that its configuration names.
    ///
    /// # Errors
    /// [`PathError`] when a path cannot be a place in the snapshot.
    pub fn without_control_file(config: &SiteConfig) -> Result<Self, PathError> {
        let own = RelPath::parse(OWN_FILES)?;
        let files = config.files.include.iter();
        let files =
            files.map(|path| Ok((path.clone(), own.join(&place_of(path)?)))).collect::<Result<_, PathError>>()?;
        let registry = config.registry.iter().map(|root| {
            let name = root.key.as_str().rsplit('\\').next().unwrap_or("root");
            let place = own.try_join(format!("SMSbkSiteReg{name}.dat").as_bytes())?;
            Ok(RegistryTask { key: root.key.clone(), place })
        });
        let services = || config.services.iter().map(|service| ServiceStep::Service(service.name.clone()));
        Ok(Self {
            files,
            registry: registry.collect::<Result<_, PathError>>()?,
            database: config.database.as_ref().map(|_| RelPath::parse("SiteDBServer")).transpose()?,
            stop: services().collect(),
            start: services().rev().collect(),
            commands: Vec::new(),
        })
    }
}

/// The path as a place below a folder: `/srv/app` is `srv/app`, `C:\app` is `C/app`.
pub(crate) fn place_of(path: &SitePath) -> Result<RelPath, PathError> {
    let text = path.to_bytes();
    let mut place = RelPath::root();
    let is_separator = |byte: &u8| *byte == b'/' || path.is_windows() && matches!(*byte, b'\\' | b':');
    for component in text.split(is_separator).filter(|part| !part.is_empty()) {
        place = place.try_join(component)?;
    }
    Ok(place)
}

impl BackupPlan {
    /// Whether a run brings services to rest; without one nothing is known to hold still.
    pub fn stops_services(&self) -> bool {
        self.stop.iter().any(|step| matches!(step, ServiceStep::Service(_)))
    }

    /// Judges tasks and configuration together; nothing is touched.
    ///
    /// # Errors
    /// Every [`PlanError`] there is.
    pub fn new(config: &SiteConfig, tasks: Tasks, keep: Vec<(RelPath, Vec<u8>)>) -> Result<Self, Vec<PlanError>> {
        let mut errors = Vec::new();
        errors.extend(config.kind.admit(&config.role).err().map(PlanError::from));
        if tasks.files.is_empty() && tasks.database.is_none() && tasks.registry.is_empty() {
            errors.push(PlanError::Nothing);
        }
        let remote = config.database.as_ref().is_some_and(|database| database.place.is_remote());
        let mut sources: Vec<SitePath> = tasks.files.iter().map(|(source, _)| source.clone()).collect();
        sources.extend(config.install_dir.clone());
        errors.extend(config.task.destination.validate(remote, &sources).err().map(PlanError::from));
        errors.extend(judge_places(&tasks));
        errors.extend(judge_archive(config));
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(Self {
            site: config.code.clone(),
            in_hierarchy: config.kind.in_hierarchy(),
            files: tasks.files.into_iter().map(|(root, target)| image_source(config, root, target)).collect(),
            registry: tasks.registry,
            database: tasks.database,
            database_moment: config.database.as_ref().map(|database| database.moment).unwrap_or_default(),
            is_product: config.control_file.is_some(),
            stop: tasks.stop,
            start: tasks.start,
            commands: tasks.commands,
            keep,
            limits: SessionLimits::default(),
            retry: config.task.retry,
            after_backup: config.task.after_backup.clone(),
            keep_archived: config.archive.as_ref().map(|archive| archive.keep.clone()).unwrap_or_default(),
            zone: config.task.schedule.zone.clone(),
            not_covered: not_covered(config),
            change_tracking_retention: config.change_tracking_retention,
        })
    }
}

fn judge_archive(config: &SiteConfig) -> Option<PlanError> {
    let repository = config.archive.as_ref()?.repository.clone();
    let name = RelPath::parse(format!("{}Backup", config.code)).expect("a site code is a plain name");
    let snapshot = config.task.destination.site_folder().join(&name);
    let is_nested = repository.starts_with(&snapshot) || snapshot.starts_with(&repository);
    is_nested.then_some(PlanError::ArchiveInSnapshot { repository, snapshot })
}

fn image_source(config: &SiteConfig, root: SitePath, target: RelPath) -> ImageSource {
    // What this program itself writes while it runs is no part of the site.
    let mut skip = vec![config.state_dir.clone(), config.task.destination.site_folder().clone()];
    skip.extend(config.task.work_dir.clone());
    // Passwords and keys are no part of it either, and neither is the archive of what it was before.
    skip.extend(config.database.as_ref().and_then(|database| database.place.password_file().cloned()));
    skip.extend(config.archive.iter().flat_map(|archive| [archive.repository.clone(), archive.key.path().clone()]));
    skip.retain(|path| path.starts_with(&root));
    ImageSource { source: FileSource { root, exclude: config.files.exclude.clone(), skip }, target }
}

/// Parts of a Configuration Manager site that its backup task leaves out.
const PRODUCT_LEAVES_OUT: [&str; 6] = [
    "content library",
    "package source files",
    "SQL Server Reporting Services",
    "Updates Publisher databases",
    "user state migration data",
    "WSUS database (SUSDB)",
];

fn not_covered(config: &SiteConfig) -> Vec<String> {
    let is_product = config.control_file.is_some();
    PRODUCT_LEAVES_OUT.iter().filter(|_| is_product).map(|name| (*name).to_owned()).collect()
}

fn judge_places(tasks: &Tasks) -> Vec<PlanError> {
    let mut places: Vec<(RelPath, String)> = Vec::new();
    let mut errors = Vec::new();
    let files = tasks.files.iter().map(|(source, place)| (place, source.to_string()));
    let registry = tasks.registry.iter().map(|task| (&task.place, task.key.to_string()));
    let outputs = tasks.commands.iter().filter_map(|task| Some((task.output.as_ref()?, task.line.clone())));
    let database = tasks.database.iter().map(|place| (place, "the site database".to_owned()));
    for (place, what) in files.chain(registry).chain(outputs) {
        let top = place.components().next().unwrap_or_default();
        if place.is_root() || is_reserved(top) {
            errors.push(PlanError::ReservedPlace(place.clone()));
        }
        push_place(&mut places, &mut errors, place, what);
    }
    // The database shares its folder with the outputs that control files put there, but not with a task's own tree.
    for (place, what) in database {
        let clash = tasks.files.iter().find(|(_, other)| place.strip_prefix(other).is_some());
        if let Some((source, _)) = clash {
            errors.push(PlanError::SamePlace { first: source.to_string(), second: what, place: place.clone() });
        }
    }
    errors
}

fn push_place(places: &mut Vec<(RelPath, String)>, errors: &mut Vec<PlanError>, place: &RelPath, what: String) {
    let overlaps = |other: &RelPath| place.strip_prefix(other).is_some() || other.strip_prefix(place).is_some();
    if let Some((_, first)) = places.iter().find(|(other, _)| overlaps(other)) {
        errors.push(PlanError::SamePlace { first: first.clone(), second: what.clone(), place: place.clone() });
    }
    places.push((place.clone(), what));
}
