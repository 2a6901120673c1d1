//! `init`: a site.toml for a site that is there.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use backup_core::config::{RegistryRoot, RegistryStore};
use backup_core::path::SitePath;
use backup_core::ports::registry::RegistryKey;
use backup_core::report::{Cause, Finding, Gravity};
use backup_core::schedule::Schedule;
use backup_core::site::Role;
use host::site_toml::{NewDatabase, NewSite, to_toml};
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::{Session, product};
use crate::args::InitArgs;
use crate::error::CommandError;
use crate::exit::Exit;
use crate::output::{Answer, Notice, json};
use crate::plan;
use crate::site::{SITE_FILE, Site, site_path};

/// How long after its begin a window closes: the product's own length.
const WINDOW: SignedDuration = SignedDuration::from_hours(3);

pub(super) fn run(session: &Session, args: &InitArgs) -> Result<Answer, CommandError> {
    let file = session.global.site.clone().unwrap_or_else(|| PathBuf::from(SITE_FILE));
    if file.exists() && !args.force {
        let message = format!("`{}` is there already", file.display());
        return Err(CommandError::usage(message).hint("edit it, or replace it with --force"));
    }
    let new = new_site(args)?;
    let text = to_toml(&new).map_err(CommandError::usage)?;
    let (site, problems) = judged(&file, text)?;
    write(&site, args.force)?;
    let answer = answer(&site, &new.destination, problems);
    Ok(answer.with(external(&new)))
}

/// Nobody may believe that a database is in the snapshots which is not.
fn external(new: &NewSite) -> Option<Finding> {
    let Some(NewDatabase::SqlServer { server, name }) = &new.database else { return None };
    let message = format!("the site's database `{name}` on `{server}` is taken to be backed up by others");
    let hint = "choose method \"native\" in the file, and snapshots hold a backup of it";
    Some(Finding::new(Gravity::Warning, Cause::Database, message).hint(hint))
}

/// The site as the flags describe it, and as the registry does where they say nothing.
fn new_site(args: &InitArgs) -> Result<NewSite, CommandError> {
    let product = args.from_registry.as_ref().map(|file| product::read(file.as_deref())).transpose()?;
    let code = match (&args.code, &product) {
        (None, Some(product)) => product.code.clone(),
        (code, _) => code.as_deref().unwrap_or_default().parse().map_err(CommandError::usage)?,
    };
    let mut new = NewSite {
        paths: args.path.clone(),
        include: args.include.iter().map(|path| existing(path)).collect::<Result<_, _>>()?,
        exclude: args.exclude.clone(),
        install_dir: args.install_dir.as_deref().map(existing).transpose()?,
        control_file: args.control_file.as_deref().map(existing).transpose()?,
        database: args.database.as_deref().map(existing).transpose()?.map(NewDatabase::Sqlite),
        registry: registry(args)?,
        schedule: schedule(args),
        ..NewSite::new(code, destination(&args.destination)?)
    };
    if let Some(product) = &product {
        product.kind.admit(&Role::Active).map_err(CommandError::usage)?;
        new.kind = product.kind.clone();
        let served = product.database.clone().map(|(server, name)| NewDatabase::SqlServer { server, name });
        new.database = new.database.or(served);
        let original = product.install_dir.as_ref().filter(|_| new.include.is_empty());
        if let Some(original) = original {
            settle_install_dir(&mut new, original)?;
        }
    }
    if new.install_dir.is_none() && new.control_file.is_some() {
        let message = "a control file needs the installation folder that its paths are in";
        return Err(CommandError::usage(message).hint("name it with --install-dir DIR"));
    }
    Ok(new)
}

/// The folder of which the registry speaks is here, or somebody says where it is here.
fn settle_install_dir(new: &mut NewSite, original: &SitePath) -> Result<(), CommandError> {
    let mapped = new.paths.iter().find_map(|(from, to)| Some(to.join(&original.strip_prefix(from)?)));
    let is_here = original.is_windows() == cfg!(windows);
    match (new.install_dir.clone().or(mapped), is_here) {
        (None, true) => new.install_dir = Some(original.clone()),
        (None, false) => {
            let message = format!("the site is installed in `{original}`, which is no folder of this machine");
            return Err(CommandError::usage(message).hint("say where it lies here with --install-dir DIR"));
        }
        (Some(here), _) => {
            if new.paths.is_empty() && here != *original {
                new.paths.push((original.clone(), here.clone()));
            }
            new.install_dir = Some(here);
        }
    }
    Ok(())
}

fn existing(path: &Path) -> Result<SitePath, CommandError> {
    let site_path = site_path(path)?;
    match path.symlink_metadata() {
        Ok(_) => Ok(site_path),
        Err(error) => Err(CommandError::io(Exit::USAGE, "find", path, error)),
    }
}

/// What holds a root is known by the name of the file, or by its being a folder.
fn registry(args: &InitArgs) -> Result<Vec<RegistryRoot>, CommandError> {
    let root = |(key, file): &(RegistryKey, PathBuf)| {
        let store = existing(file)?;
        let store = match file.extension() {
            _ if file.is_dir() => RegistryStore::WinePrefix(store),
            Some(extension) if extension.eq_ignore_ascii_case("reg") => RegistryStore::Reg(store),
            _ => RegistryStore::Hive(store),
        };
        Ok(RegistryRoot { key: key.clone(), store })
    };
    args.registry.iter().map(root).collect()
}

fn schedule(args: &InitArgs) -> Schedule {
    let mut schedule =
        Schedule { begin: args.begin, latest_begin: args.begin.wrapping_add(WINDOW), ..Schedule::default() };
    if !args.days.is_empty() {
        schedule.days.clone_from(&args.days);
    }
    schedule
}

/// A path of this machine, or a share as it is written.
fn destination(path: &Path) -> Result<SitePath, CommandError> {
    match path.to_str() {
        Some(share) if share.starts_with(r"\\") => SitePath::parse(share).map_err(CommandError::usage),
        _ => site_path(path),
    }
}

/// Reads the text back as every later command will, and plans a backup with it.
///
/// What the flags say can be corrected in the flags: that is an error, and nothing is written. What a control file says can only be put
/// right beside a site.toml that maps its paths, so that is told and the file is written all the same.
fn judged(file: &Path, text: String) -> Result<(Site, Vec<Notice>), CommandError> {
    let file = std::path::absolute(file).map_err(|error| CommandError::io(Exit::USAGE, "find", file, error))?;
    let folder = file.parent().and_then(|folder| site_path(folder).ok());
    let folder = folder.ok_or_else(|| CommandError::usage(format!("`{}` is no place for a file", file.display())))?;
    let config = host::site_toml::parse(&text, &folder).map_err(|errors| {
        let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
        CommandError::usage(messages.join("; "))
    })?;
    let by_control_file = config.control_file.is_some();
    let site = Site { file, text, config };
    match plan::make(&site) {
        Ok((_, notices)) => Ok((site, notices)),
        Err(error) if by_control_file => {
            let mut notices = error.notices.clone();
            notices.push(error.finding().into());
            Ok((site, notices))
        }
        Err(error) => Err(error),
    }
}

fn write(site: &Site, force: bool) -> Result<(), CommandError> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!force);
    let written = options.open(&site.file).and_then(|mut open| open.write_all(site.text.as_bytes()));
    written.map_err(|error| CommandError::io(Exit::USAGE, "write", &site.file, error))
}

fn answer(site: &Site, destination: &SitePath, problems: Vec<Notice>) -> Answer {
    let mut result = Map::new();
    if let Ok(file) = site_path(&site.file) {
        json::put_path(&mut result, "file", &file);
    }
    result.insert("site".to_owned(), json!(site.config.code.as_str()));
    json::put_path(&mut result, "destination", destination);
    let possible = !problems.iter().any(|notice| notice.finding.gravity == Gravity::Error);
    result.insert("possible".to_owned(), json!(possible));
    let named = site.file.file_name() == Some(SITE_FILE.as_ref())
        && site.folder().canonicalize().ok() == std::env::current_dir().ok();
    let option = if named { String::new() } else { format!(" --site '{}'", site.file.display()) };
    let next = match possible {
        true => format!("Next: `sitebackup{option} check`, then `sitebackup{option} backup`.\n"),
        false => {
            format!("A backup is not possible yet: correct what is said above, then `sitebackup{option} check`.\n")
        }
    };
    let exit = if possible { Exit::DONE } else { Exit::INCOMPLETE };
    let text = format!("`{}` is written. {next}", site.file.display());
    let answer = Answer::new(text, Value::from(result)).with(missing_destination(destination)).exit(exit);
    answer.after(problems)
}

/// Nobody makes the destination but its admin: a missing one mostly is a drive that is not mounted.
fn missing_destination(destination: &SitePath) -> Option<Finding> {
    let is_missing = !destination.is_windows() && !crate::site::local(destination).is_dir();
    is_missing.then(|| {
        let message = format!("the destination `{destination}` is not there");
        let hint = "make the folder, or mount its drive, before the first backup";
        Finding::new(Gravity::Warning, Cause::Destination, message).hint(hint)
    })
}
