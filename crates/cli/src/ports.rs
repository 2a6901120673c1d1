//! The only place that wires adapters to ports.

mod registry_roots;

use std::sync::Arc;
use std::time::Duration;

use backup_core::config::{MomentChoice, SiteConfig};
use backup_core::event::EventSink;
use backup_core::manifest::Manifest;
use backup_core::plan::{BackupPlan, ServiceStep};
use backup_core::ports::Ports;
use backup_core::ports::database::{DatabaseForm, SiteDatabase};
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::services::ServiceControl;
use backup_core::ports::shadow_copies::SessionLimits;
use backup_core::recover::RecoveryPorts;
use backup_core::verify::SnapshotError;
use host::commands::HostCommands;
use host::destination::LocalDestination;
use host::files::LocalSiteFiles;
use host::journal::FileJournal;
use host::machine::SystemClock;
use host::recovery::LocalRecoveryTarget;
use host::services::of_machine;
use host::status_log::FileStatusLog;
use host::watchdog::{WatchdogOptions, WatchedServices};
use vss::InProcessCoordinator;

use crate::database;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::site::{Site, local};

use registry_roots::RegistryRoots;

/// All ports of a site, for a command that stops no service. A database to which the configuration does not lead, for want of a password say,
/// is left out: what only reads snapshots does without.
pub(crate) fn wire(site: &Site, events: Arc<dyn EventSink>) -> Ports {
    let config = &site.config;
    let clock = Arc::new(SystemClock);
    let state_dir = local(&config.state_dir);
    let provider = vss::choose(&config.task);
    Ports {
        clock: Arc::clone(&clock) as _,
        files: Arc::new(LocalSiteFiles::new()),
        destination: Arc::new(destination(config)),
        registry: Arc::new(RegistryRoots::new(&config.registry)),
        services: services(config),
        database: config.database.as_ref().and_then(|database| database::adapter(database).ok()),
        shadow_copies: Arc::new(InProcessCoordinator::new(clock, provider)),
        commands: Arc::new(HostCommands::new(site.hook_folder())),
        recovery_target: Arc::new(LocalRecoveryTarget::new()),
        journal: Arc::new(FileJournal::new(&state_dir)),
        status_log: Arc::new(FileStatusLog::new(&state_dir)),
        events,
    }
}

/// All ports of a site, its database too.
pub(crate) fn wire_whole(site: &Site, events: Arc<dyn EventSink>) -> Result<Ports, CommandError> {
    let database = site.config.database.as_ref().map(database::adapter).transpose()?;
    Ok(Ports { database, ..wire(site, events) })
}

/// What puts back the database part of a snapshot, whatever the next snapshot will hold of the database.
pub(crate) async fn recovery_database(
    site: &Site,
    files: &dyn SnapshotFiles,
) -> Result<Option<Arc<dyn SiteDatabase>>, CommandError> {
    let manifest = Manifest::parse(&files.manifest().await?).map_err(SnapshotError::from)?;
    let form = manifest.database.map(|part| part.form).unwrap_or_default();
    site.config.database.as_ref().map(|config| database::adapter_for(config, form)).transpose()
}

/// All ports of a run: its services have a watchdog.
pub(crate) fn wire_run(site: &Site, plan: &BackupPlan, events: Arc<dyn EventSink>) -> Result<Ports, CommandError> {
    let ports = wire_whole(site, events)?;
    let services = watched(site, plan, Arc::clone(&ports.services))?;
    Ok(Ports { services, ..ports })
}

/// The services as they are, for the watchdog itself.
pub(crate) fn services(config: &SiteConfig) -> Arc<dyn ServiceControl> {
    of_machine(config.services.clone())
}

/// What a recovery needs, from a configuration whose paths are those of this machine; none of it from a bare folder.
///
/// `site` is the one of this machine, if there is one: its backups are kept from running meanwhile.
pub(crate) fn bare(
    config: Option<&SiteConfig>,
    site: Option<&SiteConfig>,
    form: DatabaseForm,
    events: Arc<dyn EventSink>,
) -> Result<RecoveryPorts, CommandError> {
    let names = |config: &SiteConfig| config.services.iter().map(|service| service.name.clone()).collect();
    // On Windows keys without a root are the live registry's.
    let registry = config.filter(|config| cfg!(windows) || !config.registry.is_empty());
    Ok(RecoveryPorts {
        target: Arc::new(LocalRecoveryTarget::new()),
        database: bare_database(form, site)?,
        registry: registry.map(|config| Arc::new(RegistryRoots::new(&config.registry)) as _),
        services: config.map(|config| (services(config), names(config))),
        journal: site.map(|site| Arc::new(FileJournal::new(local(&site.state_dir))) as _),
        destination: site.map(|site| Arc::new(destination(site)) as _),
        clock: Arc::new(SystemClock),
        events,
    })
}

/// A file goes where the recovery says. To a server only the configuration of this machine leads: one in a snapshot is not trusted, for it
/// names a driver, which is a program, and whom to give a password.
fn bare_database(form: DatabaseForm, site: Option<&SiteConfig>) -> Result<Option<Arc<dyn SiteDatabase>>, CommandError> {
    match (form, site.and_then(|site| site.database.as_ref())) {
        (DatabaseForm::File, _) => Ok(Some(database::nameless())),
        (_, Some(config)) => database::adapter_for(config, form).map(Some),
        (_, None) => Ok(None),
    }
}

fn destination(config: &SiteConfig) -> LocalDestination {
    LocalDestination::new(config.task.destination.site_folder().clone(), config.code.clone())
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

/// Longer than all stops, the freeze window, what the services are held for and all starts may take together.
fn hold_limit(config: &SiteConfig, plan: &BackupPlan) -> Duration {
    let SessionLimits { callback, rest, freeze } = plan.limits;
    let services: Duration = config.services.iter().map(|service| service.timeout).sum();
    let pauses = plan.stop.iter().chain(&plan.start).map(|step| match step {
        ServiceStep::Sleep(pause) => *pause,
        ServiceStep::Service(_) => Duration::ZERO,
    });
    let held = match plan.database_moment {
        MomentChoice::HoldServices(limit) => limit,
        MomentChoice::Same | MomentChoice::Later => Duration::ZERO,
    };
    rest + freeze + callback + held + services * 2 + pauses.sum::<Duration>()
}

#[cfg(test)]
mod tests {
    use backup_core::destination::DestinationOption;
    use backup_core::path::{RelPath, SitePath};
    use backup_core::plan::Tasks;

    use super::*;

    /// Else the watchdog would start them in the middle of the backup for which they are held.
    #[test]
    fn the_watchdog_waits_as_long_as_services_may_be_held() {
        let path = |text| SitePath::parse(text).expect("absolute");
        let destination = DestinationOption::Local(path("/backup"));
        let config = SiteConfig::new("P01".parse().expect("a site code"), destination, path("/state"));
        let place = RelPath::parse("SiteServer/app").expect("a plain path");
        let tasks = Tasks { files: vec![(path("/srv/app"), place)], ..Tasks::default() };
        let plan = BackupPlan::new(&config, tasks, Vec::new()).expect("nothing is wrong with it");
        let held = Duration::from_secs(7200);
        let holding = BackupPlan { database_moment: MomentChoice::HoldServices(held), ..plan.clone() };
        assert_eq!(hold_limit(&config, &holding), hold_limit(&config, &plan) + held);
    }
}
