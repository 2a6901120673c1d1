//! `recover`: a snapshot put back, from the destination, a bare folder or the archive.

pub(super) mod bare;
pub(super) mod unattended;

use std::sync::Arc;

use backup_core::config::SiteConfig;
use backup_core::manifest::{Manifest, Part};
use backup_core::path::{RelPath, SitePath};
use backup_core::ports::Ports;
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::registry::{ImportMode, RegistryKey};
use backup_core::ports::shadow_copies::SYSTEM_DOCUMENT;
use backup_core::recover::{
    RecoverRequest, RecoveryEnd, RecoveryPorts, abandon_recoveries, half_recovered, preview_recovery, recover,
};
use backup_core::report::{Cause, Finding, Gravity, RecoveryPreview, RecoveryReport, has_errors};
use backup_core::snapshot::{RunId, short};
use backup_core::verify::SnapshotError;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::brought::{Brought, refuse_access};
use super::{Session, open};
use crate::args::RecoverArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, human};
use crate::ports;
use crate::site::{Site, site_path};

/// Bytes of a document of the system that are read.
const LARGEST_DOCUMENT: u64 = 64 << 20;

pub(super) async fn run(session: &Session, args: &RecoverArgs) -> Result<Answer, CommandError> {
    if let Some(file) = &args.unattended {
        return unattended::run(session, args, file).await;
    }
    if args.abandon {
        let site = Site::load(&session.global)?;
        return abandon(&ports::wire(&site, Arc::clone(&session.screen) as _)).await;
    }
    let request = request(session, args)?;
    let answer = match brought(session, args).await? {
        Some(brought) => from_elsewhere(session, args, brought, &request).await,
        None => from_destination(session, args, &request).await,
    };
    session.screen.clear();
    answer
}

/// The snapshot that does not come from the destination, if the options name one.
async fn brought(session: &Session, args: &RecoverArgs) -> Result<Option<Brought>, CommandError> {
    let brought = match (&args.from, &args.from_archive) {
        (None, Some(id)) => Brought::from_archive(session, &args.access, id).await,
        (Some(folder), _) => {
            refuse_access(&args.access)?;
            Brought::from_folder(session, &site_path(folder)?).await
        }
        (None, None) => return refuse_access(&args.access).map(|()| None),
    };
    brought.map(Some)
}

pub(super) fn request(session: &Session, args: &RecoverArgs) -> Result<RecoverRequest, CommandError> {
    Ok(RecoverRequest {
        parts: args.part.iter().map(|part| (*part).into()).collect(),
        to: args.to.as_deref().map(site_path).transpose()?,
        map: args.map.clone(),
        stores: Vec::new(),
        site: Vec::new(),
        database: None,
        overwrite_newer: args.overwrite_newer,
        replace_database: args.replace_database,
        registry: if args.merge_registry { ImportMode::Merge } else { ImportMode::Exact },
        on_windows: cfg!(windows),
        cancel: session.cancel.clone(),
    })
}

async fn from_destination(
    session: &Session,
    args: &RecoverArgs,
    request: &RecoverRequest,
) -> Result<Answer, CommandError> {
    let site = Site::load(&session.global)?;
    let request = &RecoverRequest {
        stores: stores(Some(&site.config)),
        site: places(&site.config),
        database: database(&site.config),
        ..request.clone()
    };
    let site = Site { config: with_mapped_stores(site.config, request), ..site };
    let mut ports = ports::wire(&site, Arc::clone(&session.screen) as _);
    let services = site.config.services.iter().map(|service| service.name.clone()).collect();
    let begun = begun(&ports, args, request).await?;
    let mut chosen = open(&ports, args.id.as_deref().or(begun.as_deref())).await?;
    if begun.is_some() {
        let message = format!("goes on with snapshot {}, with which the recovery began that did not end", chosen.short);
        chosen.findings.push(Finding::new(Gravity::Note, Cause::Recovery, message).hint("name another one by its id"));
    }
    // Files and keys can be had without a password.
    ports.database = match ports::recovery_database(&site, chosen.files.as_ref(), &ports.events).await {
        Err(error) if request.to.is_none() && wants_database(request) => return Err(error),
        database => database.ok().flatten(),
    };
    let ports = ports::recovery(&site.config, &ports, services);
    let answer = carry_out(args, &ports, chosen.files, request).await?;
    Ok(answer.after(chosen.findings.into_iter().map(Into::into).collect()))
}

/// The snapshot of a recovery in place that did not end: repeated, it goes on with that one, whatever has become the newest.
pub(super) async fn begun(
    ports: &Ports,
    args: &RecoverArgs,
    request: &RecoverRequest,
) -> Result<Option<String>, CommandError> {
    if args.id.is_some() || request.to.is_some() {
        return Ok(None);
    }
    let open = half_recovered(&ports.journal.read().await?);
    Ok(open.map(|open| open.snapshot.to_string()))
}

fn wants_database(request: &RecoverRequest) -> bool {
    request.parts.is_empty() || request.parts.contains(&Part::Database)
}

/// Where the database is by the configuration.
fn database(config: &SiteConfig) -> Option<String> {
    config.database.as_ref().map(|database| database.place.address())
}

/// What holds registry keys as the configuration says.
pub(super) fn stores(config: Option<&SiteConfig>) -> Vec<(RegistryKey, SitePath)> {
    let roots = config.into_iter().flat_map(|config| &config.registry);
    roots.map(|root| (root.key.clone(), root.store.path().clone())).collect()
}

/// What is the site's by its configuration, wherever a snapshot says that it was.
fn places(config: &SiteConfig) -> Vec<SitePath> {
    let database = config.database.as_ref().and_then(|database| database.place.file().cloned());
    let paths = config.paths.iter().map(|(_, here)| here.clone());
    let files = config.files.include.iter().cloned();
    let stores = config.registry.iter().map(|root| root.store.path().clone());
    config.install_dir.iter().cloned().chain(database).chain(paths).chain(files).chain(stores).collect()
}

/// The configuration with what holds registry keys where `--map` puts it, as it does with files and the database.
fn with_mapped_stores(mut config: SiteConfig, request: &RecoverRequest) -> SiteConfig {
    for root in &mut config.registry {
        let path = root.store.path_mut();
        *path = request.mapped(path);
    }
    config
}

/// On a bare machine: nothing is needed but the snapshot. What its site.toml says of services is told, never run; those of the site that is
/// configured here are asked.
async fn from_elsewhere(
    session: &Session,
    args: &RecoverArgs,
    brought: Brought,
    request: &RecoverRequest,
) -> Result<Answer, CommandError> {
    let Brought { chosen, manifest, here } = brought;
    let nobody_asks = request.to.is_none() && here.is_none();
    let (config, mut findings) = bare::configuration(chosen.files.as_ref(), nobody_asks);
    findings.extend(chosen.findings);
    let own = here.as_ref().map(|site| places(&site.config)).unwrap_or_default();
    let database = here.as_ref().and_then(|site| database(&site.config));
    let request = &RecoverRequest { stores: stores(config.as_ref()), site: own, database, ..request.clone() };
    let config = config.map(|config| with_mapped_stores(config, request));
    let form = manifest.database.as_ref().map(|part| part.form).unwrap_or_default();
    let here = here.as_ref().map(|site| &site.config);
    let ports = ports::bare(config.as_ref(), here, form, Arc::clone(&session.screen) as _)?;
    let answer = carry_out(args, &ports, chosen.files, request).await?;
    Ok(answer.after(findings.into_iter().map(Into::into).collect()))
}

/// The administrator's word that the site is as it should be.
pub(super) async fn abandon(ports: &Ports) -> Result<Answer, CommandError> {
    let abandoned = abandon_recoveries(ports).await?;
    let text = match abandoned.last() {
        None => "No recovery is open: there was nothing to abandon.\n".to_owned(),
        Some(_) => "The site counts as whole again: backups are made as before.\n".to_owned(),
    };
    let places: Vec<String> = abandoned.iter().flat_map(|recovery| recovery.places.clone()).collect();
    let run = abandoned.last().map(|recovery| recovery.snapshot);
    let result = Told { run, end: json!("abandoned"), places: &places, ..Told::default() }.json();
    Ok(Answer::new(text, result))
}

async fn carry_out(
    args: &RecoverArgs,
    ports: &RecoveryPorts,
    files: Arc<dyn SnapshotFiles>,
    request: &RecoverRequest,
) -> Result<Answer, CommandError> {
    if args.dry_run {
        return preview(ports, files, request).await;
    }
    let manifest = Manifest::parse(&files.manifest().await?).map_err(SnapshotError::from)?;
    let document = {
        let (files, path) = (Arc::clone(&files), RelPath::parse(SYSTEM_DOCUMENT).expect("a plain name"));
        move || bare::content(files.as_ref(), &path, LARGEST_DOCUMENT).map_err(Into::into)
    };
    let system = vss::system_restore_writer(&manifest.provider, document);
    let restore_writers = ports.restore_writers.iter().cloned().chain(system).collect();
    judge(&RecoveryPorts { restore_writers, ..ports.clone() }, files, request).await
}

pub(super) async fn preview(
    ports: &RecoveryPorts,
    files: Arc<dyn SnapshotFiles>,
    request: &RecoverRequest,
) -> Result<Answer, CommandError> {
    let manifest = Manifest::parse(&files.manifest().await?).map_err(SnapshotError::from)?;
    let preview = preview_recovery(ports, files, request).await?;
    let result = Told {
        run: Some(manifest.run),
        end: json!("preview"),
        written: preview.entries,
        bytes: preview.bytes,
        places: &preview.places,
        registry: &preview.registry,
        ..Told::default()
    };
    let result = result.json();
    let (text, exit) = (preview_text(&preview, &manifest), Exit::of_findings(&preview.findings));
    Ok(Answer::new(text, result).with(preview.findings).exit(exit))
}

fn preview_text(preview: &RecoveryPreview, manifest: &Manifest) -> String {
    let what = what(manifest);
    let first = match has_errors(&preview.findings) {
        true => format!("{what} would not be recovered as things are:\n"),
        false => format!("{what} would be recovered:\n"),
    };
    let mut text = first + &preview.places.iter().map(|place| format!("  {place}\n")).collect::<String>();
    let (entries, bytes) = (human::entries(preview.entries), human::bytes(preview.bytes));
    text.push_str(&format!("{entries} with {bytes}, less what is right already.\n"));
    if !preview.registry.is_empty() {
        text.push_str("In the registry:\n");
        text.extend(preview.registry.iter().map(|change| format!("  {change}\n")));
    }
    text
}

pub(super) async fn judge(
    ports: &RecoveryPorts,
    files: Arc<dyn SnapshotFiles>,
    request: &RecoverRequest,
) -> Result<Answer, CommandError> {
    let manifest = Manifest::parse(&files.manifest().await?).map_err(SnapshotError::from)?;
    let report = recover(ports, files, request).await?;
    let exit = exit(&report);
    let text = text(&report, &manifest);
    Ok(Answer::new(text, result(manifest.run, &report)).with(report.findings).exit(exit))
}

fn exit(report: &RecoveryReport) -> Exit {
    let interrupted = |finding: &Finding| finding.cause == Cause::Interrupted;
    match report.end() {
        RecoveryEnd::Whole => Exit::DONE,
        _ if report.findings.iter().any(interrupted) => Exit::INTERRUPTED,
        RecoveryEnd::Refused => Exit::of_findings(&report.findings),
        RecoveryEnd::Partial => Exit::INCOMPLETE,
    }
}

/// A recovery in the JSON form.
pub(super) fn result(run: RunId, report: &RecoveryReport) -> Value {
    let told = Told {
        run: Some(run),
        end: json!(report.end()),
        written: report.written,
        already: report.already,
        bytes: report.bytes,
        places: &report.places,
        ..Told::default()
    };
    told.json()
}

/// What is told of a recovery, of one that would be and of one that is given up.
#[derive(Default)]
struct Told<'a> {
    run: Option<RunId>,
    end: Value,
    written: u64,
    already: u64,
    bytes: u64,
    places: &'a [String],
    registry: &'a [String],
}

impl Told<'_> {
    fn json(&self) -> Value {
        json!({
            "run": self.run,
            "end": self.end,
            "written": self.written,
            "already": self.already,
            "bytes": self.bytes,
            "places": self.places,
            "registry_changes": self.registry,
        })
    }
}

fn what(manifest: &Manifest) -> String {
    let moment = human::time(manifest.moment, &TimeZone::system());
    format!("Snapshot {} of site {}, {moment},", short(manifest.run, &[manifest.run]), manifest.site)
}

fn text(report: &RecoveryReport, manifest: &Manifest) -> String {
    let what = what(manifest);
    let first = match report.end() {
        RecoveryEnd::Whole => format!("{what} is recovered:\n"),
        RecoveryEnd::Partial => format!("{what} is recovered in part:\n"),
        RecoveryEnd::Refused => return format!("{what} is not recovered; nothing was written.\n"),
    };
    let places: String = report.places.iter().map(|place| format!("  {place}\n")).collect();
    let already = match report.already {
        0 => String::new(),
        n => format!(", {} right already", human::entries(n)),
    };
    let written = human::entries(report.written);
    format!("{first}{places}{written} written with {}{already}.\n", human::bytes(report.bytes))
}
