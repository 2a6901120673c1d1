//! Judges what a control file says: the mistakes that have cost people their data, and a few that only look odd.
//!
//! Every judgment is about text. None touches a disk, so none depends on the machine it is made on.

use std::collections::{BTreeMap, HashMap};

use crate::diagnostic::{Code, Diagnostic, Diagnostics, Span};
use crate::lexer::{TokenKind, is_blank};
use crate::naming::{DataType, OutputName};
use crate::resolve::{Command, Expanded, Resolved};
use crate::syntax::{ControlFile, LineKind};
use crate::windows_path::{PathProblem, WindowsPath};

/// What the paths of a control file are judged against. What is `None` is not judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SiteFolders {
    /// The backup destination, which holds the snapshot folder.
    pub destination: Option<String>,
    /// Where the database goes, when that is on another machine.
    pub database_destination: Option<String>,
    /// Where the product is installed.
    pub install: Option<String>,
    /// The folder of Windows.
    pub windows: Option<String>,
    /// The site code, which names the snapshot folder where the control file does not.
    pub site_code: Option<String>,
    /// The host name of the site server, whose administrative shares are its drives.
    pub site_server: Option<String>,
}

impl SiteFolders {
    /// Takes the folders from the predefined tokens and `SystemRoot`.
    pub fn from_predefined(predefined: &BTreeMap<String, String>, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let token = |name: &str| predefined.get(name).cloned();
        SiteFolders {
            destination: token("BACKUP_DEST_DIR"),
            database_destination: None,
            install: token("SITE_SERVER_ROOT_DIR"),
            windows: env("SystemRoot"),
            site_code: token("SITE_CODE"),
            site_server: token("SITE_SERVER"),
        }
    }
}

/// Judges the paths and names of a resolved control file.
pub fn lint(file: &ControlFile, resolved: &Resolved, folders: &SiteFolders) -> Vec<Diagnostic> {
    let mut linter = Linter::new(file, resolved, folders);
    linter.destination(resolved, folders);
    for command in &resolved.tasks {
        linter.command(&command.command);
    }
    linter.diagnostics.into_sorted()
}

/// Finds definitions that the product loses because a comment stands directly before them (KB275612).
pub(crate) fn swallowed_definitions(file: &ControlFile) -> Vec<Diagnostic> {
    let mut diagnostics = Diagnostics::new(file.text());
    for pair in file.lines().windows(2) {
        let follows_comment = matches!(pair[0].kind, LineKind::Comment | LineKind::SkipTo);
        let is_indented = pair[1].tokens.first().is_some_and(|token| token.kind == TokenKind::Blank);
        if let (LineKind::Definition { name, .. }, true, true) = (&pair[1].kind, follows_comment, is_indented) {
            let message = format!(
                "the product loses this definition of `{}`: it is indented and follows a comment",
                file.slice(*name)
            );
            let hint = "remove the indentation; `sitebackup control-file format` does it for the whole file (KB275612)";
            diagnostics.push(Code::SwallowedDefinition, *name, message, hint);
        }
    }
    diagnostics.into_sorted()
}

struct Linter<'a> {
    site_server: Option<&'a str>,
    destination: Option<WindowsPath>,
    database_destination: Option<WindowsPath>,
    install: Option<WindowsPath>,
    windows: Option<WindowsPath>,
    snapshot: Option<WindowsPath>,
    outputs: HashMap<String, usize>,
    diagnostics: Diagnostics<'a>,
}

impl<'a> Linter<'a> {
    fn new(file: &'a ControlFile, resolved: &Resolved, folders: &'a SiteFolders) -> Self {
        let site_server = folders.site_server.as_deref();
        let parse = |text: &Option<String>| WindowsPath::parse(text.as_deref()?, site_server).ok();
        let destination = parse(&folders.destination);
        let snapshot = match (resolved.snapshot_folder(), &folders.site_code) {
            (Some(folder), _) => WindowsPath::parse(&folder.value, site_server).ok(),
            (None, Some(site_code)) => destination.clone().map(|folder| folder.join(&format!("{site_code}Backup"))),
            (None, None) => None,
        };
        Linter {
            site_server,
            destination,
            database_destination: parse(&folders.database_destination),
            install: parse(&folders.install),
            windows: parse(&folders.windows),
            snapshot,
            outputs: HashMap::new(),
            diagnostics: Diagnostics::new(file.text()),
        }
    }

    fn destination(&mut self, resolved: &Resolved, folders: &SiteFolders) {
        let start_of_file = Span { line: 1, column: 1, start: 0, end: 0 };
        let at = resolved.snapshot_folder().map_or(start_of_file, |folder| folder.span);
        if let Some(value) = &folders.destination
            && let Some(destination) = self.named_path("the backup destination ", value, at)
        {
            self.judge_destination(&destination, at);
        }
        let Some(folder) = resolved.snapshot_folder() else { return };
        let Some(snapshot) = self.path(folder) else { return };
        match &self.destination {
            Some(destination) if destination.holds(&snapshot) && *destination != snapshot => {}
            Some(_) => {
                let message = format!("snapshot folder `{}` is not in the backup destination", folder.value);
                let hint = r"build it with the token of the destination, as in BACKUP_DEST_DIR\SITE_CODEBackup";
                self.report(Code::OutsideDestination, at, message, hint);
                self.judge_destination(&snapshot, at);
            }
            None => self.judge_destination(&snapshot, at),
        }
    }

    /// What is at the destination is replaced by every run, so it must be nobody else's.
    fn judge_destination(&mut self, destination: &WindowsPath, at: Span) {
        let hint = "choose a folder of its own for backups, on another drive or a share";
        if destination.is_drive_root() {
            return self.report(Code::DestinationRoot, at, "the backup destination is the root of a drive", hint);
        }
        let system = [(self.install.clone(), "the install folder"), (self.windows.clone(), "the Windows folder")];
        for (folder, name) in system {
            let Some(folder) = folder else { continue };
            if folder.holds(destination) {
                let message = format!("the backup destination is in {name}");
                self.report(Code::DestinationInSystem, at, message, hint);
            } else if destination.holds(&folder) {
                let message = format!("the backup destination holds {name}");
                self.report(Code::DestinationAboveSource, at, message, hint);
            }
        }
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::File { source, destination } => {
                self.source(source);
                if let Some(path) = self.path(destination) {
                    self.in_snapshot(destination, &path, false);
                }
            }
            Command::Registry { output, .. } => self.output(output, DataType::Registry),
            Command::SiteDatabaseDump { output, .. } | Command::MeteringDatabaseDump { output, .. } => {
                self.output(output, DataType::Database);
            }
            Command::Run { command_line, output } => {
                self.command_line(command_line);
                if let Some(path) = output.as_ref().and_then(|output| self.path(output)) {
                    self.written_once(&path, output.as_ref().map_or(command_line.span, |output| output.span));
                }
            }
            Command::RemoveFolder { folder } => self.removed(folder),
            Command::Service { .. } | Command::Sleep { .. } => {}
        }
    }

    fn source(&mut self, source: &Expanded) {
        // Wildcards in the last component choose among the files of the folder above it.
        let folder = match source.value.rfind(['\\', '/']) {
            Some(at) if source.value[at..].contains(['*', '?']) => &source.value[..at],
            _ => &source.value,
        };
        let Some(path) = self.path(&Expanded { value: folder.to_owned(), span: source.span }) else { return };
        let destination = self.destination.as_ref().or(self.snapshot.as_ref());
        if destination.is_some_and(|destination| destination.holds(&path)) {
            let message = format!("source `{}` is in the backup destination", source.value);
            self.report(
                Code::DestinationAboveSource,
                source.span,
                message,
                "move the source or choose another destination",
            );
        } else if destination.is_some_and(|destination| path.holds(destination)) {
            let message = format!("source `{}` holds the backup destination", source.value);
            self.report(
                Code::DestinationInSource,
                source.span,
                message,
                "name the folders beside the destination one by one",
            );
        }
    }

    fn output(&mut self, output: &Expanded, data: DataType) {
        let Some(path) = self.path(output) else { return };
        self.in_snapshot(output, &path, data == DataType::Database);
        self.written_once(&path, output.span);
        let name = path.file_name().and_then(OutputName::parse);
        if name.is_none_or(|name| name.data != data) {
            let message = format!("`{}` does not follow the naming convention", output.value);
            let example = if data == DataType::Database { "SMSbkSQLDBsite.dat" } else { "SMSbkSiteRegSMS.dat" };
            self.report(Code::OutputName, output.span, message, format!("name it like {example}"));
        }
    }

    fn in_snapshot(&mut self, output: &Expanded, path: &WindowsPath, is_database: bool) {
        let Some(snapshot) = &self.snapshot else { return };
        let database = self.database_destination.as_ref().filter(|_| is_database);
        if !snapshot.holds(path) && !database.is_some_and(|folder| folder.holds(path)) {
            let message = format!("`{}` is outside the snapshot folder", output.value);
            let hint = r"let it begin with the token of the snapshot folder, such as SITE_SERVER_DEST";
            self.report(Code::OutsideDestination, output.span, message, hint);
        }
    }

    fn written_once(&mut self, path: &WindowsPath, at: Span) {
        if let Some(first) = self.outputs.insert(format!("{path:?}"), at.line) {
            let message = format!("the command in line {first} writes this file, too");
            self.report(Code::DuplicateOutput, at, message, "give each command a file of its own");
        }
    }

    fn removed(&mut self, folder: &Expanded) {
        let Some(path) = self.path(folder) else { return };
        if self.snapshot.as_ref() != Some(&path) {
            let message = format!("`{}` is not the snapshot folder", folder.value);
            let hint =
                "only the snapshot folder can be removed here, and it need not be: publishing replaces it safely";
            self.report(Code::RemovesOtherFolder, folder.span, message, hint);
        }
    }

    fn command_line(&mut self, command_line: &Expanded) {
        let is_separator = |character| is_blank(character) || "&|()\"^;,".contains(character);
        let words: Vec<_> = command_line.value.split(is_separator).map(str::to_lowercase).collect();
        let first_of = |known: &[&str]| words.iter().find(|word| known.contains(&word.as_str()));
        if let Some(word) = first_of(&["rmdir", "rd", "deltree"]) {
            let message = format!("`{word}` as part of a longer command line");
            let hint = "remove folders with a line of the form rmdir FOLDER, so that the folder can be judged";
            self.report(Code::RemovesOtherFolder, command_line.span, message, hint);
        } else if let Some(word) = first_of(&["del", "erase", "format", "remove-item", "/mir", "/purge"]) {
            let message = format!("`{word}` in a command line deletes what nobody here can judge");
            self.report(
                Code::DeletingCommand,
                command_line.span,
                message,
                "make sure that it cannot reach a source or a snapshot",
            );
        }
    }

    fn path(&mut self, text: &Expanded) -> Option<WindowsPath> {
        self.named_path("", &text.value, text.span)
    }

    fn named_path(&mut self, name: &str, text: &str, at: Span) -> Option<WindowsPath> {
        match WindowsPath::parse(text, self.site_server) {
            Ok(path) => Some(path),
            Err(PathProblem::NotAbsolute) => {
                let message = format!("{name}`{text}` is not an absolute path");
                let hint = r"begin with a drive or a share; a path with spaces needs double quotes (KB256586)";
                self.report(Code::NotAbsolute, at, message, hint);
                None
            }
            Err(PathProblem::BadCharacter(character)) => {
                let message = format!("{name}`{text}` holds {character:?}, which no path can hold there");
                let hint = "`*` and `?` may stand in the last part of a `file` source only";
                self.report(Code::BadPathCharacter, at, message, hint);
                None
            }
        }
    }

    fn report(&mut self, code: Code, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        self.diagnostics.push(code, span, message, hint);
    }
}
