//! The only place that wires adapters to ports.

mod registry_roots;

use std::sync::Arc;
use std::time::Duration;

use backup_core::config::{DatabaseConfig, DatabasePlace, SiteConfig};
use backup_core::event::EventSink;
use backup_core::path::SitePath;
use backup_core::plan::{BackupPlan, ServiceStep};
use backup_core::ports::Ports;
use backup_core::ports::database::SiteDatabase;
use backup_core::ports::services::ServiceControl;
use backup_core::ports::shadow_copies::SessionLimits;
use backup_core::recover::RecoveryPorts;
use host::commands::HostCommands;
use host::destination::LocalDestination;
use host::files::LocalSiteFiles;
use host::journal::FileJournal;
use host::machine::SystemClock;
use host::recovery::LocalRecoveryTarget;
use host::services::CommandServices;
use host::status_log::FileStatusLog;
use host::watchdog::{WatchdogOptions, WatchedServices};
use sql_dump::SqliteDatabase;
use vss::InProcessCoordinator;

use crate::error::CommandError;
use crate::exit::Exit;
use crate::site::{Site, local};

use registry_roots::RegistryRoots;

/// All ports of a site, for a command that stops no service.
pub(crate) fn wire(site: &Site, events: Arc<dyn EventSink>) -> Ports {
    let config = &site.config;
    let clock = Arc::new(SystemClock);
    let state_dir = local(&config.state_dir);
    let provider = vss::choose(config.task.shadow_copy);
    Ports {
        clock: Arc::clone(&clock) as _,
        files: Arc::new(LocalSiteFiles::new()),
        destination: Arc::new(destination(config)),
        registry: Arc::new(RegistryRoots::new(&config.registry)),
        services: Arc::new(CommandServices::new(config.services.clone())),
        database: config.database.as_ref().map(database),
        shadow_copies: Arc::new(InProcessCoordinator::new(clock, provider)),
        commands: Arc::new(HostCommands::new(site.hook_folder())),
        recovery_target: Arc::new(LocalRecoveryTarget::new()),
        journal: Arc::new(FileJournal::new(&state_dir)),
        status_log: Arc::new(FileStatusLog::new(&state_dir)),
        events,
    }
}

/// All ports of a run: its services have a watchdog.
pub(crate) fn wire_run(site: &Site, plan: &BackupPlan, events: Arc<dyn EventSink>) -> Result<Ports, CommandError> {
    let ports = wire(site, events);
    let services = watched(site, plan, Arc::clone(&ports.services))?;
    Ok(Ports { services, ..ports })
}

/// The services as they are, for the watchdog itself.
pub(crate) fn services(config: &SiteConfig) -> Arc<dyn ServiceControl> {
    Arc::new(CommandServices::new(config.services.clone()))
}

/// What a recovery needs, from a configuration whose paths are those of this machine; none of it from a bare folder.
///
/// `site` is the one of this machine, if there is one: its backups are kept from running meanwhile.
pub(crate) fn bare(
    config: Option<&SiteConfig>,
    site: Option<&SiteConfig>,
    events: Arc<dyn EventSink>,
) -> RecoveryPorts {
    let names = |config: &SiteConfig| config.services.iter().map(|service| service.name.clone()).collect();
    // On Windows keys without a root are the live registry's.
    let registry = config.filter(|config| cfg!(windows) || !config.registry.is_empty());
    RecoveryPorts {
        target: Arc::new(LocalRecoveryTarget::new()),
        // Restoring takes its place from the caller, so any name will do for a database that no configuration describes.
        database: Some(config.and_then(|config| config.database.as_ref()).map_or_else(nameless_database, database)),
        registry: registry.map(|config| Arc::new(RegistryRoots::new(&config.registry)) as _),
        services: config.map(|config| (services(config), names(config))),
        journal: site.map(|site| Arc::new(FileJournal::new(local(&site.state_dir))) as _),
        destination: site.map(|site| Arc::new(destination(site)) as _),
        clock: Arc::new(SystemClock),
        events,
    }
}

fn destination(config: &SiteConfig) -> LocalDestination {
    LocalDestination::new(config.task.destination.site_folder().clone(), config.code.clone())
}

fn database(config: &DatabaseConfig) -> Arc<dyn SiteDatabase> {
    match &config.place {
        DatabasePlace::Sqlite(path) => Arc::new(SqliteDatabase::new(path.clone(), None)),
        DatabasePlace::Server { .. } => nameless_database(),
    }
}

fn nameless_database() -> Arc<dyn SiteDatabase> {
    Arc::new(SqliteDatabase::new(SitePath::parse("/database").expect("absolute"), None))
}

fn watched(
    site: &Site,
    plan: &BackupPlan,
    inner: Arc<dyn ServiceControl>,
) -> Result<Arc<dyn ServiceControl>, CommandError> {
    let program = std::env::current_exe().map_err(|error| {
        CommandError::new(
            Exit::UNEXPECTED,
            format!("this program does not find its own file, which is the watchdog's: {error}"),
        )
    })?;
    let command = vec![program.into(), "--site".into(), site.file.clone().into(), "watchdog".into()];
    let call_limit = site.config.services.iter().map(|service| service.timeout).max().unwrap_or_default();
    let options = WatchdogOptions { command, hold_limit: hold_limit(&site.config, plan), call_limit };
    let start_order = plan.start.iter().filter_map(|step| match step {
        ServiceStep::Service(name) => Some(name.clone()),
        ServiceStep::Sleep(_) => None,
    });
    Ok(Arc::new(WatchedServices::new(inner, options, start_order.collect())))
}

/// Longer than all stops, the freeze window and all starts may take together.
fn hold_limit(config: &SiteConfig, plan: &BackupPlan) -> Duration {
    let SessionLimits { callback, rest, freeze } = plan.limits;
    let services: Duration = config.services.iter().map(|service| service.timeout).sum();
    let pauses = plan.stop.iter().chain(&plan.start).map(|step| match step {
        ServiceStep::Sleep(pause) => *pause,
        ServiceStep::Service(_) => Duration::ZERO,
    });
    rest + freeze + callback + services * 2 + pauses.sum::<Duration>()
}
