//! The only place that wires adapters to ports.

mod registry_roots;

use std::sync::Arc;
use std::time::Duration;

use archive::RepositoryArchive;
use backup_core::config::{ArchiveConfig, CommandWriterConfig, MomentChoice, SiteConfig, TaskConfig};
use backup_core::event::EventSink;
use backup_core::manifest::Manifest;
use backup_core::path::RelPath;
use backup_core::plan::{BackupPlan, ServiceStep};
use backup_core::ports::Ports;
use backup_core::ports::archive::SnapshotArchive;
use backup_core::ports::database::{DatabaseForm, SiteDatabase};
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::recovery_target::RecoveryTarget;
use backup_core::ports::restores::RestoreWriter;
use backup_core::ports::services::ServiceControl;
use backup_core::ports::shadow_copies::{SessionLimits, Writer};
use backup_core::ports::site_files::SiteFiles;
use backup_core::recover::RecoveryPorts;
use backup_core::rehearse::RehearsalPorts;
use backup_core::verify::SnapshotError;
use host::commands::HostCommands;
use host::destination::LocalDestination;
use host::files::LocalSiteFiles;
use host::journal::FileJournal;
use host::machine::{SystemClock, session_lock};
use host::recovery::LocalRecoveryTarget;
use host::services::of_machine;
use host::status_log::FileStatusLog;
use host::watchdog::{WatchdogOptions, WatchedServices};
use host::writers::{CommandRestoreWriter, CommandWriter, service_of};
use vss::{InProcessCoordinator, InProcessRestores, Provider};

use crate::commands::archive::open;
use crate::database;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::site::{Site, local, real};

use registry_roots::RegistryRoots;

/// All ports of a site, for a command that stops no service. A database to which the configuration does not lead, for want of a password say,
/// is left out: what only reads snapshots does without.
pub(crate) fn wire(site: &Site, events: Arc<dyn EventSink>) -> Ports {
    // Nothing is imaged with these; what another choice in site.toml has left is let go as well.
    wire_with(site, vss::releasing(&site.config.task), events)
}

fn wire_with(site: &Site, provider: Arc<dyn Provider>, events: Arc<dyn EventSink>) -> Ports {
    let config = &site.config;
    let clock = Arc::new(SystemClock);
    let state_dir = local(&config.state_dir);
    let session_lock = config.task.session_lock.as_ref().map_or_else(session_lock, local);
    let services = services(config);
    Ports {
        clock: Arc::clone(&clock) as _,
        files: Arc::new(LocalSiteFiles::new()),
        destination: Arc::new(destination(config)),
        kept: Arc::new(kept(config)),
        archive: config.archive.clone().map(archive),
        registry: Arc::new(RegistryRoots::new(&config.registry)),
        services: Arc::clone(&services),
        writers: writers(config, &services),
        database: config.database.as_ref().and_then(|database| database::adapter(database, &events).ok()),
        shadow_copies: Arc::new(InProcessCoordinator::new(clock, provider).one_on_machine(session_lock)),
        commands: Arc::new(HostCommands::new(site.hook_folder())),
        recovery_target: Arc::new(LocalRecoveryTarget::new()),
        journal: Arc::new(FileJournal::new(&state_dir)),
        status_log: Arc::new(FileStatusLog::new(&state_dir)),
        events,
    }
}

/// The repository of site.toml, opened when it is first used.
fn archive(config: ArchiveConfig) -> Arc<dyn SnapshotArchive> {
    Arc::new(RepositoryArchive::new(move || open::open_configured(&config), site_files(), open::holder()))
}

/// What reads the folders of this machine.
pub(crate) fn site_files() -> Arc<dyn SiteFiles> {
    Arc::new(LocalSiteFiles::new())
}

/// What writes entries of a snapshot below the folders of this machine.
pub(crate) fn recovery_target() -> Arc<dyn RecoveryTarget> {
    Arc::new(LocalRecoveryTarget::new())
}

/// All ports of a site, its database too, and the shadow copies that it demands.
pub(crate) fn wire_whole(site: &Site, events: Arc<dyn EventSink>) -> Result<Ports, CommandError> {
    let provider = vss::choose(&site.config.task, site.config.database.as_ref());
    let provider = provider.map_err(|unmet| CommandError::usage(unmet).hint(unmet.remedy()))?;
    let database = site.config.database.as_ref().map(|config| database::adapter(config, &events)).transpose()?;
    Ok(Ports { database, ..wire_with(site, provider, events) })
}

/// What puts back the database part of a snapshot, whatever the next snapshot will hold of the database.
pub(crate) async fn recovery_database(
    site: &Site,
    files: &dyn SnapshotFiles,
    events: &Arc<dyn EventSink>,
) -> Result<Option<Arc<dyn SiteDatabase>>, CommandError> {
    let manifest = Manifest::parse(&files.manifest().await?).map_err(SnapshotError::from)?;
    let form = manifest.database.map(|part| part.form).unwrap_or_default();
    site.config.database.as_ref().map(|config| database::adapter_for(config, form, events)).transpose()
}

/// All ports of a run: its services have a watchdog.
pub(crate) fn wire_run(site: &Site, plan: &BackupPlan, events: Arc<dyn EventSink>) -> Result<Ports, CommandError> {
    with_watchdog(site, plan, wire_whole(site, events)?)
}

/// All ports of a run that follows another session, which `provider` stands for.
#[cfg(windows)]
pub(crate) fn wire_following(
    site: &Site,
    plan: &BackupPlan,
    provider: Arc<dyn Provider>,
    events: Arc<dyn EventSink>,
) -> Result<Ports, CommandError> {
    let database = site.config.database.as_ref().map(|config| database::adapter(config, &events)).transpose()?;
    with_watchdog(site, plan, Ports { database, ..wire_with(site, provider, events) })
}

fn with_watchdog(site: &Site, plan: &BackupPlan, ports: Ports) -> Result<Ports, CommandError> {
    let services = watched(site, plan, Arc::clone(&ports.services))?;
    let writers = writers(&site.config, &services);
    Ok(Ports { services, writers, ..ports })
}

/// The services as they are, for the watchdog itself, and what writers freeze and thaw.
pub(crate) fn services(config: &SiteConfig) -> Arc<dyn ServiceControl> {
    let of_writers = config.writers.iter().map(service_of);
    of_machine(config.services.iter().cloned().chain(of_writers).collect())
}

fn writers(config: &SiteConfig, control: &Arc<dyn ServiceControl>) -> Vec<Arc<dyn Writer>> {
    let writer = |writer: &CommandWriterConfig| {
        Arc::new(CommandWriter::new(writer.clone(), Arc::clone(control))) as Arc<dyn Writer>
    };
    config.writers.iter().map(writer).collect()
}

/// What the recovery of a configured site needs; `services` are those that write to it.
pub(crate) fn recovery(config: &SiteConfig, ports: &Ports, services: Vec<String>) -> RecoveryPorts {
    let restores = Some(Arc::new(InProcessRestores) as _);
    RecoveryPorts { restores, restore_writers: restore_writers(config), ..RecoveryPorts::of(ports, services) }
}

/// Commands come from this machine's own configuration only, for one in a snapshot is not trusted.
fn restore_writers(site: &SiteConfig) -> Vec<Arc<dyn RestoreWriter>> {
    let writer = |writer: &CommandWriterConfig| Some(Arc::new(CommandRestoreWriter::new(writer)?) as _);
    site.writers.iter().filter_map(writer).collect()
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
        database: bare_database(form, site, &events)?,
        registry: registry.map(|config| Arc::new(RegistryRoots::new(&config.registry)) as _),
        services: site.map(|site| (services(site), names(site))),
        journal: site.map(|site| Arc::new(FileJournal::new(local(&site.state_dir))) as _),
        destination: site.map(|site| Arc::new(destination(site)) as _),
        restores: Some(Arc::new(InProcessRestores)),
        restore_writers: site.map(restore_writers).unwrap_or_default(),
        clock: Arc::new(SystemClock),
        events,
    })
}

/// What the rehearsal of a snapshot needs that does not come from the destination. No run takes it away meanwhile, so none is kept away.
pub(crate) fn bare_rehearsal(
    config: Option<&SiteConfig>,
    site: Option<&SiteConfig>,
    form: DatabaseForm,
    events: Arc<dyn EventSink>,
) -> Result<RehearsalPorts, CommandError> {
    let recovery = bare(config, site, form, events)?;
    // Exports are judged wherever they came from.
    let registry = recovery.registry.clone().or_else(|| Some(Arc::new(RegistryRoots::new(&[])) as _));
    let recovery = RecoveryPorts { registry, journal: None, destination: None, ..recovery };
    Ok(RehearsalPorts { recovery, commands: Arc::new(HostCommands::new(std::env::temp_dir())) })
}

/// A file goes where the recovery says. To a server only the configuration of this machine leads: one in a snapshot is not trusted, for it
/// names a driver, which is a program, and whom to give a password.
fn bare_database(
    form: DatabaseForm,
    site: Option<&SiteConfig>,
    events: &Arc<dyn EventSink>,
) -> Result<Option<Arc<dyn SiteDatabase>>, CommandError> {
    match (form, site.and_then(|site| site.database.as_ref())) {
        (DatabaseForm::File, _) => Ok(Some(database::nameless())),
        (DatabaseForm::Files, _) => Ok(Some(database::nameless_files())),
        (_, Some(config)) => database::adapter_for(config, form, events).map(Some),
        (_, None) => Ok(None),
    }
}

fn destination(config: &SiteConfig) -> LocalDestination {
    LocalDestination::new(config.task.destination.site_folder().clone(), config.code.clone())
}

/// Where shadow copies are kept: with the images, which lie on the file system of the site.
fn kept(config: &SiteConfig) -> LocalDestination {
    let TaskConfig { work_dir, destination, .. } = &config.task;
    let folder = work_dir.as_ref().map_or_else(|| destination.site_folder().clone(), real);
    let name = RelPath::parse("sitebackup-kept").expect("a plain name");
    LocalDestination::made_at_need(folder.join(&name), config.code.clone())
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
    let limits = site.config.services.iter().map(|service| service.timeout);
    let call_limit = limits.chain(site.config.writers.iter().map(|writer| writer.timeout)).max().unwrap_or_default();
    let writers = || site.config.writers.iter().map(|writer| writer.name.clone());
    let in_window = plan.limits.freeze + call_limit;
    let options = WatchdogOptions {
        command,
        hold_limit: hold_limit(&site.config, plan),
        call_limit,
        shorter: writers().map(|name| (name, in_window)).collect(),
    };
    let services = plan.start.iter().filter_map(|step| match step {
        ServiceStep::Service(name) => Some(name.clone()),
        ServiceStep::Sleep(_) => None,
    });
    Ok(Arc::new(WatchedServices::new(inner, options, writers().chain(services).collect())))
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
    use backup_core::config::ProviderChoice;
    use backup_core::destination::DestinationOption;
    use backup_core::path::SitePath;
    use backup_core::plan::Tasks;

    use super::*;
    use crate::output::progress::Screen;
    use crate::site::site_path;

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

    /// What backs up or judges a backup is refused; what only reads snapshots goes on.
    #[test]
    fn a_demand_that_this_system_cannot_meet_is_an_error_of_the_configuration() {
        let folder = std::env::temp_dir();
        let path = site_path(&folder).expect("absolute");
        let destination = DestinationOption::Local(path.clone());
        let mut config = SiteConfig::new("P01".parse().expect("a site code"), destination, path);
        config.task.shadow_copy = if cfg!(windows) { ProviderChoice::Btrfs } else { ProviderChoice::Vss };
        let site = Site { file: folder.join("site.toml"), text: String::new(), config };
        let error = wire_whole(&site, Arc::new(Screen::default())).expect_err("it is another system's");
        assert_eq!(error.kind, Exit::USAGE);
        let said = error.messages().concat();
        assert!(said.contains("`shadow-copy = ") && said.contains("cannot be met on"), "{said}");
        assert!(error.hints.concat().contains("pre-copy"), "{error:?}");
        drop(wire(&site, Arc::new(Screen::default())));
    }
}
