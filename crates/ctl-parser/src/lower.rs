//! From a resolved control file to the tasks of a backup plan: Windows paths become places on this machine and in the snapshot.
//!
//! The only file that sees both the syntax and backup-core.

use std::collections::BTreeMap;
use std::time::Duration;

use backup_core::config::SiteConfig;
use backup_core::path::{RelPath, SitePath};
use backup_core::plan::{CommandTask, RegistryTask, ServiceStep, Tasks};
use backup_core::ports::registry::RegistryKey;

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span};
use crate::resolve::{Command, Expanded, Resolved, ResolvedCommand};
use crate::syntax::{ControlFile, LineKind};

/// What `BACKUP_DEST_DIR` stands for where the real destination is not a Windows path. It only has to be a folder that no
/// control file names: places in the snapshot are what is left of a path below it.
const STAND_IN: &str = r"B:\sitebackup-destination";

/// The values of the product's tokens for a site on this machine.
///
/// `machine` is this machine's name; where the site's paths are not Windows paths, `[paths]` says what the control file calls them.
pub fn predefined_tokens(config: &SiteConfig, machine: &str) -> BTreeMap<String, String> {
    let destination = config.task.destination.site_folder();
    let destination = if destination.is_windows() { destination.to_string() } else { STAND_IN.to_owned() };
    let mut tokens: BTreeMap<&str, String> = BTreeMap::new();
    tokens.insert("BACKUP_DEST_DIR", destination);
    tokens.insert("SITE_CODE", config.code.to_string());
    for name in ["SITE_SERVER", "SITE_DB_SERVER", "PROVIDER_SERVER"] {
        tokens.insert(name, machine.to_owned());
    }
    let database = config.database.as_ref().and_then(|database| database.place.name());
    tokens.insert("SITE_DB_NAME", database.unwrap_or_else(|| format!("CM_{}", config.code)));
    if let Some(install) = &config.install_dir {
        tokens.insert("SITE_SERVER_ROOT_DIR", original_of(config, install).to_string());
    }
    tokens.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What the control file calls a path of this machine.
fn original_of(config: &SiteConfig, path: &SitePath) -> SitePath {
    let original = config.paths.iter().find_map(|(original, local)| Some(original.join(&path.strip_prefix(local)?)));
    original.unwrap_or_else(|| path.clone())
}

/// Turns what a control file asks for into tasks. The findings are about what this machine cannot do or does not have.
///
/// `tokens` are those with which the file was resolved.
pub fn lower(
    file: &ControlFile,
    resolved: &Resolved,
    config: &SiteConfig,
    tokens: &BTreeMap<String, String>,
) -> (Tasks, Vec<Diagnostic>) {
    let destination = tokens.get("BACKUP_DEST_DIR").map_or(STAND_IN, String::as_str);
    let folder = resolved.snapshot_folder().map(|folder| folder.value.clone());
    let folder = folder.unwrap_or_else(|| format!("{destination}\\{}", config.code.snapshot_folder()));
    let machine = tokens.get("SITE_SERVER").map_or("", String::as_str);
    let mut lowering = Lowering {
        config,
        machine,
        snapshot: SitePath::parse(folder).ok(),
        diagnostics: Diagnostics::new(file.text()),
        tasks: Tasks::default(),
    };
    lowering.tasks.stop = resolved.stop.iter().filter_map(|command| lowering.service_step(command)).collect();
    lowering.tasks.start = resolved.start.iter().filter_map(|command| lowering.service_step(command)).collect();
    for command in &resolved.tasks {
        lowering.task(command);
    }
    lowering.judge_whole(file, resolved);
    // A database that is configured is never copied as ordinary files, whatever the control file forgets.
    if config.database.is_some() && lowering.tasks.database.is_none() {
        lowering.tasks.database = RelPath::parse("SiteDBServer").ok();
    }
    (lowering.tasks, lowering.diagnostics.into_sorted())
}

struct Lowering<'a> {
    config: &'a SiteConfig,
    machine: &'a str,
    snapshot: Option<SitePath>,
    diagnostics: Diagnostics<'a>,
    tasks: Tasks,
}

impl Lowering<'_> {
    /// A file that was emptied, or cut off, would take the place of a whole backup with next to nothing.
    fn judge_whole(&mut self, file: &ControlFile, resolved: &Resolved) {
        let backs_up = |command: &Command| {
            matches!(
                command,
                Command::File { .. }
                    | Command::Registry { .. }
                    | Command::SiteDatabaseDump { .. }
                    | Command::MeteringDatabaseDump { .. }
                    | Command::Run { output: Some(_), .. }
            )
        };
        let commands = [&resolved.tasks, &resolved.stop, &resolved.start].map(Vec::len).iter().sum::<usize>();
        let lines = file.lines().iter().filter(|line| matches!(line.kind(), LineKind::Command(_) | LineKind::Invalid));
        // A line that could not be read has been told of, and may have been the one.
        let all_read = lines.count() == commands;
        if all_read && !resolved.tasks.iter().any(|task| backs_up(&task.command)) {
            let start_of_file = Span { line: 1, column: 1, start: 0, end: 0 };
            let hint = "name what is to be backed up under [Tasks]; `sitebackup control-file new` shows a whole file";
            let message = "no task names anything to back up";
            self.diagnostics.push(Code::NothingToBackUp, start_of_file, message, hint);
        }
    }

    fn service_step(&mut self, command: &ResolvedCommand) -> Option<ServiceStep> {
        match &command.command {
            Command::Service { host, name } => {
                self.judge_host(host.as_deref(), name);
                Some(ServiceStep::Service(name.value.clone()))
            }
            Command::Sleep { seconds } => Some(ServiceStep::Sleep(Duration::from_secs(u64::from(*seconds)))),
            _ => None,
        }
    }

    fn task(&mut self, command: &ResolvedCommand) {
        match &command.command {
            Command::File { source, destination } => {
                if let (Some(source), Some(place)) = (self.source(source), self.place(destination)) {
                    self.tasks.files.push((source, place));
                }
            }
            Command::Registry { host, key, output } => {
                self.judge_host(host.as_deref(), key);
                if let Some(place) = self.place(output) {
                    self.tasks.registry.push(RegistryTask { key: RegistryKey::new(&key.value), place });
                }
            }
            Command::SiteDatabaseDump { database, output } => self.database(database, output),
            Command::MeteringDatabaseDump { database, .. } => {
                let message = format!("metering database `{}` cannot be dumped", database.value);
                let hint = "the product has had no metering database since SMS 2003: take the line out";
                self.diagnostics.push(Code::NotSupported, command.span, message, hint);
            }
            Command::Run { command_line, output } => {
                let place = output.as_ref().and_then(|output| self.place(output));
                if let (Some(output), None) = (output, &place) {
                    let message = format!("`{}` is outside the snapshot folder", output.value);
                    let hint = "give the output a place in the snapshot; it is in the log as well";
                    self.diagnostics.push(Code::OutsideDestination, output.span, message, hint);
                }
                self.tasks.commands.push(CommandTask { line: command_line.value.clone(), output: place });
            }
            // Judged already: only the snapshot folder is ever named. Publishing replaces it, nothing is deleted here.
            Command::RemoveFolder { .. } => {}
            // A pause between tasks has nothing to wait for: all of them read one moment.
            Command::Service { .. } | Command::Sleep { .. } => {}
        }
    }

    fn judge_host(&mut self, host: Option<&str>, at: &Expanded) {
        if let Some(host) =
            host.filter(|host| !host.eq_ignore_ascii_case(self.machine) && *host != "." && !self.is_own(host))
        {
            let message = format!("`{host}` is another machine than this one, `{}`", self.machine);
            let hint = "services and registry of other machines are not reached: back that machine up by itself";
            self.diagnostics.push(Code::OtherMachine, at.span, message, hint);
        }
    }

    /// A full name of this machine, where only the short one is known, or the other way round.
    fn is_own(&self, host: &str) -> bool {
        let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
        short(host) == short(self.machine)
    }

    fn database(&mut self, database: &Expanded, output: &Expanded) {
        if self.config.database.is_none() {
            let message = format!("site database `{}` is not configured", database.value);
            let hint = "say where it is under `[database]` in site.toml";
            self.diagnostics.push(Code::NotSupported, database.span, message, hint);
            return;
        }
        // The file is named after the database, as the product has done since its VSS days; the task names the folder.
        self.tasks.database = self.place(output).and_then(|place| place.parent());
    }

    fn source(&mut self, source: &Expanded) -> Option<SitePath> {
        let value = source.value.strip_suffix(r"\*").unwrap_or(&source.value);
        if value.contains(['*', '?']) {
            let message = format!("`{}` names files by a pattern", source.value);
            let hint = r"name the folder, or `folder\*` for all that is in it";
            self.diagnostics.push(Code::NotSupported, source.span, message, hint);
            return None;
        }
        let original = SitePath::parse(value).ok()?;
        let mapped = self.config.paths.iter().find_map(|(from, to)| Some(to.join(&original.strip_prefix(from)?)));
        let local = mapped.unwrap_or(original);
        if local.is_windows() != self.config.state_dir.is_windows() {
            let message = format!("`{local}` is not a path of this machine");
            let hint = format!("say where it lies: under `[paths]` in site.toml, '{local}' = \"…\"");
            self.diagnostics.push(Code::UnmappedPath, source.span, message, hint);
            return None;
        }
        Some(local)
    }

    /// The place in the snapshot; a path outside it is judged by the lint.
    fn place(&self, destination: &Expanded) -> Option<RelPath> {
        SitePath::parse(&destination.value).ok()?.strip_prefix(self.snapshot.as_ref()?)
    }
}
