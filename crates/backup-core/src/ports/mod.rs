//! What the use cases ask of the outside world: one file a port, with its error enum and its plain data.
//!
//! Every async port is dyn-compatible, has a strict in-memory implementation in [`memory`](crate::memory), and a conformance suite
//! that each adapter runs. Dropping the future of a call counts as a kill: the call may have had its effect or not.

pub mod archive;
pub mod clock;
pub mod commands;
pub mod database;
pub mod destination;
pub mod journal;
pub mod recovery_target;
pub mod registry;
pub mod restores;
pub mod services;
pub mod shadow_copies;
pub mod site_files;
pub mod status_log;

use std::error::Error;
use std::sync::Arc;

use crate::event::EventSink;

/// A cause of any adapter, boxed so that no adapter type reaches core.
pub type Source = Box<dyn Error + Send + Sync>;

/// All ports of one site, as a program wires them.
#[derive(Debug, Clone)]
pub struct Ports {
    /// Time and ids.
    pub clock: Arc<dyn clock::Clock>,
    /// The live files.
    pub files: Arc<dyn site_files::SiteFiles>,
    /// Where snapshots lie.
    pub destination: Arc<dyn destination::Destination>,
    /// Where shadow copies are kept for other programs: a place of its own, whose snapshots lack what lies on an image and are never published.
    pub kept: Arc<dyn destination::Destination>,
    /// Where snapshots are archived; a site may have no archive.
    pub archive: Option<Arc<dyn archive::SnapshotArchive>>,
    /// The registry.
    pub registry: Arc<dyn registry::Registry>,
    /// The site's services.
    pub services: Arc<dyn services::ServiceControl>,
    /// The site database; a site may have none.
    pub database: Option<Arc<dyn database::SiteDatabase>>,
    /// Shadow copies of the volumes.
    pub shadow_copies: Arc<dyn shadow_copies::ShadowCopies>,
    /// Who is frozen beside the site and its database: other applications that join the same moment.
    ///
    /// A run that died may have frozen them: [`repair`](crate::repair) tells them to abort, which they must take at any time.
    pub writers: Vec<Arc<dyn shadow_copies::Writer>>,
    /// Commands of the control file, AfterBackup, probes.
    pub commands: Arc<dyn commands::Commands>,
    /// Where recovered files go.
    pub recovery_target: Arc<dyn recovery_target::RecoveryTarget>,
    /// What must survive a crash.
    pub journal: Arc<dyn journal::RunJournal>,
    /// The status messages.
    pub status_log: Arc<dyn status_log::StatusLog>,
    /// Who is told what happens.
    pub events: Arc<dyn EventSink>,
}
