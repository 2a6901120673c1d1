//! `recover --unattended`: the script for the product's Setup, from what a snapshot tells and what the options add.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use backup_core::change_tracking::{DEFAULT_RETENTION, retention_in};
use backup_core::config::SiteConfig;
use backup_core::copy::chain;
use backup_core::manifest::{Manifest, Part};
use backup_core::path::SitePath;
use backup_core::ports::clock::Clock;
use backup_core::ports::destination::SnapshotFiles;
use backup_core::ports::registry::RegistryKey;
use backup_core::report::{Cause, Finding, Gravity, has_errors};
use backup_core::secret::Secret;
use backup_core::site::SiteKind;
use backup_core::snapshot::short;
use backup_core::unattended::{Answers, CdLatest, EXTENSION, Refused, Section, SnapshotFacts, UnattendedRecovery};
use backup_core::verify::read_snapshot;
use host::machine::SystemClock;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::bare;
use crate::args::{RecoverArgs, UnattendedArgs, unattended_option};
use crate::commands::brought::Brought;
use crate::commands::product::{self, ProductSite};
use crate::commands::{Chosen, Session, open};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, Notice, human, json};
use crate::ports;
use crate::site::{Site, site_path};

/// More than the export of the product's key has; a hostile snapshot must not fill the memory.
const LARGEST_EXPORT: u64 = 256 << 20;

/// A snapshot, with what is known of its site.
pub(in crate::commands) struct Found {
    pub(in crate::commands) files: Arc<dyn SnapshotFiles>,
    pub(in crate::commands) folder: Option<SitePath>,
    pub(in crate::commands) config: Option<SiteConfig>,
    pub(in crate::commands) findings: Vec<Finding>,
}

pub(super) async fn run(session: &Session, args: &RecoverArgs, file: &Path) -> Result<Answer, CommandError> {
    refuse_name(file)?;
    let found = match super::brought(session, args).await? {
        Some(brought) => from_elsewhere(brought),
        None => {
            let site = Site::load(&session.global)?;
            let chosen = open(&ports::wire(&site, Arc::clone(&session.screen) as _), args.id.as_deref()).await?;
            Found { files: chosen.files, folder: chosen.folder, config: Some(site.config), findings: chosen.findings }
        }
    };
    let (recovery, answer) = judge(found, &args.setup, file, SystemClock.now()).await?;
    host::private_file::write_new(file, recovery.to_ini().as_bytes()).map_err(|error| not_written(file, error))?;
    Ok(answer)
}

/// Setup takes a file of no other name.
fn refuse_name(file: &Path) -> Result<(), CommandError> {
    if !file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(EXTENSION)) {
        let message = format!("`{}` does not end in .{EXTENSION}, and Setup takes no other script", file.display());
        return Err(CommandError::usage(message).hint(format!("name it FILE.{EXTENSION}")));
    }
    match file.symlink_metadata() {
        Ok(_) => Err(not_written(file, ErrorKind::AlreadyExists.into())),
        Err(_) => Ok(()),
    }
}

fn not_written(file: &Path, error: std::io::Error) -> CommandError {
    let is_there = error.kind() == ErrorKind::AlreadyExists;
    let error = CommandError::io(Exit::USAGE, "write", file, error);
    if is_there { error.hint("name another file: one that is there is never replaced") } else { error }
}

/// What the site is tells the site.toml of this machine, if it is of that site, or else the one that the snapshot keeps, which nobody can
/// correct.
fn from_elsewhere(Brought { chosen, here, .. }: Brought) -> Found {
    let Chosen { files, folder, findings, .. } = chosen;
    let here = here.map(|site| site.config);
    let config = here.or_else(|| bare::configuration(files.as_ref(), false).0);
    Found { files, folder, config, findings }
}

/// Makes the script and tells of it; writes nothing.
pub(in crate::commands) async fn judge(
    found: Found,
    args: &UnattendedArgs,
    file: &Path,
    now: Timestamp,
) -> Result<(UnattendedRecovery, Answer), CommandError> {
    let Found { files, folder, config, mut findings } = found;
    let (manifest, records) = read_snapshot(files.as_ref()).await?;
    let (product, unread) = registry_site(files.as_ref(), &manifest);
    findings.extend(unread);
    let (answers, taken) = answers(args, folder.as_ref(), product.as_ref())?;
    findings.extend(taken);
    let version = product.as_ref().and_then(|product| product.version.clone());
    let facts = SnapshotFacts {
        site: manifest.site.parse().map_err(CommandError::usage)?,
        kind: kind(config.as_ref(), product.as_ref())?,
        site_server: args.site_server.clone().or_else(|| product.and_then(|product| product.site_server)),
        moment: manifest.moment,
        now,
        retention: config
            .and_then(|config| config.change_tracking_retention)
            .or_else(|| manifest.database.as_ref().and_then(retention_in)),
        database: manifest.database.clone(),
        cd_latest: CdLatest::judge(&manifest, &records, &files.walk().await?, version),
    };
    let recovery = UnattendedRecovery::new(facts, &answers).map_err(|refused| not_possible(refused, &findings))?;
    findings.extend(recovery.findings());
    let exit = if has_errors(&findings) { Exit::INCOMPLETE } else { Exit::DONE };
    let answer = Answer::new(text(&recovery, &manifest, file), result(&recovery, &manifest, file));
    Ok((recovery, answer.with(findings).exit(exit)))
}

/// What the product's own key in the snapshot says of the site.
fn registry_site(files: &dyn SnapshotFiles, manifest: &Manifest) -> (Option<ProductSite>, Option<Finding>) {
    let is_product = |part: Part, key: &str| part == Part::Registry && product::is_key(&RegistryKey::new(key));
    let Some(origin) = manifest.origins.iter().find(|origin| is_product(origin.part, &origin.original)) else {
        return (None, None);
    };
    let export = bare::content(files, &origin.place, LARGEST_EXPORT).map_err(|error| chain(&error));
    match export.and_then(|export| product::read_export(&export)) {
        Ok(site) => (Some(site), None),
        Err(error) => {
            let message = format!("`{}` in the snapshot tells nothing of the site: {error}", origin.place);
            (None, Some(Finding::new(Gravity::Warning, Cause::Registry, message)))
        }
    }
}

/// The site's kind decides what becomes of its data: two sources that disagree are put right first.
fn kind(config: Option<&SiteConfig>, product: Option<&ProductSite>) -> Result<SiteKind, CommandError> {
    match (config.map(|config| &config.kind), product.map(|product| &product.kind)) {
        (Some(configured), Some(registered)) if configured != registered => {
            let message = format!(
                "site.toml says that the site is a {}, the registry in the snapshot that it is a {}",
                kind_name(configured),
                kind_name(registered)
            );
            let hint = "correct `site.kind` and `site.parent` in site.toml; with --from or --from-archive, name a corrected one by --site FILE";
            Err(CommandError::usage(message).hint(hint))
        }
        (Some(kind), _) | (None, Some(kind)) => Ok(kind.clone()),
        (None, None) => Err(CommandError::usage("neither site.toml nor the snapshot says what kind of site it is")
            .hint("name a site.toml with `site.kind`: --site FILE")),
    }
}

fn kind_name(kind: &SiteKind) -> String {
    match kind {
        SiteKind::CentralAdministration => "central administration site".to_owned(),
        SiteKind::Primary { parent: Some(parent) } => format!("child primary site of {parent}"),
        SiteKind::Primary { parent: None } => "stand-alone primary site".to_owned(),
        SiteKind::Secondary => "secondary site".to_owned(),
        SiteKind::SiteSystem => "site system server".to_owned(),
    }
}

/// What the options say, and what they leave to the snapshot's folder and its registry.
fn answers(
    args: &UnattendedArgs,
    folder: Option<&SitePath>,
    product: Option<&ProductSite>,
) -> Result<(Answers, Option<Finding>), CommandError> {
    let mut answers = Answers { product_id: product_key(args)?, ..args.answers() };
    let own = folder.filter(|folder| folder.is_windows()).map(ToString::to_string);
    answers.site_server_backup_location = answers.site_server_backup_location.or(own);
    let mut taken = Vec::new();
    let mut take = |key: &str, answer: &mut Option<String>, found: Option<String>| {
        if let (None, Some(found)) = (&answer, found) {
            taken.push(format!("{key} `{found}`"));
            *answer = Some(found);
        }
    };
    let found = product.cloned();
    let (server, database) = found.as_ref().and_then(|found| found.database.clone()).unzip();
    let install_dir = found.and_then(|found| found.install_dir).map(|dir| dir.to_string());
    take("SMSInstallDir", &mut answers.sms_install_dir, install_dir);
    take("SQLServerName", &mut answers.sql_server_name, server);
    take("DatabaseName", &mut answers.database_name, database);
    let message = format!("the registry in the snapshot says: {}", taken.join(", "));
    let note = (!taken.is_empty()).then(|| Finding::new(Gravity::Note, Cause::Recovery, message));
    Ok((answers, note))
}

fn product_key(args: &UnattendedArgs) -> Result<Option<Secret>, CommandError> {
    if args.evaluation {
        return Ok(Some(Secret::new("Eval")));
    }
    let Some(file) = &args.product_key_file else { return Ok(None) };
    let text = fs::read_to_string(file)
        .map_err(|error| CommandError::io(Exit::USAGE, "read the product key in", file, error))?;
    Ok(Some(Secret::new(text.lines().next().unwrap_or_default())))
}

/// Everything that is wrong at once, each with the option that puts it right.
fn not_possible(refused: Vec<Refused>, findings: &[Finding]) -> CommandError {
    let hint = |refused: &Refused| match unattended_option(refused.key) {
        Some(option) => format!("{option}: {}", refused.remedy),
        None => refused.remedy.clone(),
    };
    let mut errors: Vec<Finding> = refused
        .iter()
        .map(|refused| Finding::error(Cause::Configuration, refused.to_string()).hint(hint(refused)))
        .collect();
    let last = errors.pop().unwrap_or_else(|| Finding::error(Cause::Configuration, "no script can be written"));
    let notices: Vec<Notice> = findings.iter().cloned().chain(errors).map(Notice::from).collect();
    CommandError::usage(last.message).hint(last.hint.unwrap_or_default()).with_notices(notices)
}

fn text(recovery: &UnattendedRecovery, manifest: &Manifest, file: &Path) -> String {
    let facts = recovery.facts();
    let moment = human::time(facts.moment, &TimeZone::system());
    let snapshot = short(manifest.run, &[manifest.run]);
    let mut text = format!(
        "`{}` is written: with it Setup recovers site {}, a {}, from snapshot {snapshot}, {moment}.\n",
        file.display(),
        facts.site,
        kind_name(&facts.kind)
    );
    if let Some(inside) = recovery.is_inside_retention() {
        let reach = if inside { "still reaches" } else { "no longer reaches" };
        let kept = human::duration(facts.retention.unwrap_or(DEFAULT_RETENTION));
        text.push_str(&format!(
            "The backup is {} old; change tracking, kept for {kept}, {reach} back to it.\n",
            human::age(facts.age())
        ));
    }
    let lists = [
        ("What becomes of the data:", recovery.consequences()),
        ("By hand, before:", recovery.before()),
        ("By hand, afterwards:", recovery.afterwards()),
    ];
    for (title, lines) in lists {
        text.push_str(&format!("{title}\n"));
        text.extend(lines.iter().map(|line| format!("  - {line}\n")));
    }
    text
}

fn result(recovery: &UnattendedRecovery, manifest: &Manifest, file: &Path) -> Value {
    let facts = recovery.facts();
    let cd_latest = &facts.cd_latest;
    let keys = |section: &Section| {
        let keys = section.keys.iter().map(|(key, value)| ((*key).to_owned(), json!(value)));
        (section.name.to_owned(), Value::Object(keys.collect()))
    };
    let mut result = Map::new();
    let mut put = |name: &str, field: Value| drop(result.insert(name.to_owned(), field));
    put("run", json!(manifest.run));
    put("site", json!(facts.site.as_str()));
    let (kind, parent) = match &facts.kind {
        SiteKind::CentralAdministration => ("central-administration", None),
        SiteKind::Primary { parent } => ("primary", parent.as_ref()),
        // Setup recovers neither, so that no script is written.
        SiteKind::Secondary | SiteKind::SiteSystem => ("secondary", None),
    };
    put("kind", json!(kind));
    put("parent", json!(parent.map(|parent| parent.as_str())));
    put("moment", json!(facts.moment));
    put("sections", Value::Object(recovery.sections().iter().map(keys).collect()));
    put("retention", json!(facts.retention.unwrap_or(DEFAULT_RETENTION).as_secs()));
    put("inside_retention", json!(recovery.is_inside_retention()));
    put(
        "cd_latest",
        json!({
            "present": cd_latest.is_present(),
            "whole": cd_latest.is_whole(),
            "redist": cd_latest.has_redist(),
            "version": cd_latest.version(),
            "faults": cd_latest.faults(),
        }),
    );
    put("consequences", json!(recovery.consequences()));
    put("before", json!(recovery.before()));
    put("afterwards", json!(recovery.afterwards()));
    if let Ok(file) = site_path(file) {
        json::put_path(&mut result, "file", &file);
    }
    result.into()
}
