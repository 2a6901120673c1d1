//! From the moment that was held to the sealed snapshot: each byte is copied once, judged, listed.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Moment, Purpose, Run, Stop};
use crate::copy::{BLOCK, Copier, PlacedEntry, Previous, chain};
use crate::event::Phase;
use crate::manifest::{
    ContentHash, DatabasePart, FORMAT_VERSION, FileRecord, Manifest, Origin, Part, RecordKind, list_to_jsonl, to_hex,
};
use crate::path::{RelPath, SitePath};
use crate::plan::BackupPlan;
use crate::ports::Ports;
use crate::ports::commands::{CommandEnd, CommandLine};
use crate::ports::destination::Staging;
use crate::ports::journal::JournalRecord;
use crate::ports::shadow_copies::{Clones, Image, ImageSource};
use crate::ports::site_files::{FileKind, FileProblem, FileSource, Walk};
use crate::report::{Cause, Finding, Gravity, Totals};

/// Files named one by one in the findings; the rest is counted.
const NAMED_FILES: usize = 20;

/// A snapshot on its way: what is known of it before it is sealed.
pub(super) struct Draft {
    pub(super) staging: Arc<dyn Staging>,
    pub(super) records: Vec<FileRecord>,
    pub(super) origins: Vec<Origin>,
    pub(super) database: Option<DatabasePart>,
    /// Where the files of each source are, when they are read on the image.
    pub(super) places: Vec<SitePath>,
    documents: Vec<(String, Vec<u8>)>,
    pub(super) provider: String,
    pub(super) moment: Timestamp,
}

impl Draft {
    /// How many entries the list will have.
    pub(super) fn entries(&self) -> u64 {
        self.records.len() as u64
    }
}

impl Run<'_> {
    /// Brings all parts of the moment into the staging folder.
    pub(super) async fn collect(
        &mut self,
        Moment { set, staging, database }: Moment,
        previous: Arc<Previous>,
    ) -> Result<Draft, Stop> {
        self.phase(Phase::Copying);
        let mut draft = Draft {
            staging,
            records: Vec::new(),
            origins: Vec::new(),
            database: None,
            places: Vec::new(),
            documents: set.documents,
            provider: set.provider,
            moment: set.frozen_at,
        };
        // The database first: while it is pinned, its log of changes grows.
        let database_places = match &database {
            Some((facts, writer)) => self.collect_database(&mut draft, facts, writer, &set.components).await?,
            None => Vec::new(),
        };
        let mut image_sources = self.image_sources(database.as_ref().map(|(facts, _)| facts));
        // Only the image's maker may know the database's own files.
        for image in &mut image_sources {
            image.source.skip.extend(set.components.iter().flatten().map(|file| file.original.clone()));
        }
        match set.image {
            Image::Staged { records, problems } => {
                draft.records.extend(records);
                self.file_problems(&problems);
            }
            Image::Borrowed(roots) if self.purpose == Purpose::Image => draft.places = roots,
            Image::Borrowed(roots) => {
                let copier = self.copier(&draft, &previous, false);
                for (file, root) in image_sources.iter().zip(&roots) {
                    self.check_cancel()?;
                    let walk = self.walk_image(file, root).await?;
                    let entries = PlacedEntry::place_all(walk.entries, root, &file.target);
                    self.file_problems(&walk.problems);
                    self.copy_image(&mut draft, &copier, file, root, &entries).await?;
                }
            }
            Image::Cloned(clones) => {
                let copier = self.copier(&draft, &previous, true);
                for (file, Clones { root, walk }) in image_sources.iter().zip(clones) {
                    self.check_cancel()?;
                    let mut entries = PlacedEntry::place_all(walk.entries, &file.source.root, &file.target);
                    for entry in entries.iter_mut().filter(|entry| entry.stat.kind == FileKind::File) {
                        let below = entry.source.strip_prefix(&file.source.root).unwrap_or_default();
                        entry.source = root.join(&below);
                    }
                    self.file_problems(&walk.problems);
                    self.copy_image(&mut draft, &copier, file, &root, &entries).await?;
                }
            }
        }
        self.altered_before(&previous);
        let origin = |file: &ImageSource| path_origin(Part::Files, &file.source.root, file.target.clone());
        let is_there = |file: &&ImageSource| draft.records.iter().any(|record| record.path == file.target);
        let origins: Vec<Origin> = self.plan.files.iter().filter(is_there).map(origin).collect();
        draft.origins.extend(origins);
        self.check_cancel()?;
        self.collect_registry(&mut draft).await?;
        self.run_commands(&mut draft).await?;
        self.collect_documents(&mut draft).await?;
        // Last, for nothing waits for it: neither the image nor whatever the commands look at.
        if let Some((facts, _)) = &database {
            for place in &database_places {
                self.check_cancel()?;
                self.judge_database(&draft, facts, place).await;
                self.check_cancel()?;
            }
        }
        Ok(draft)
    }

    pub(super) fn check_cancel(&self) -> Result<(), Stop> {
        let stop = Stop { cause: Cause::Interrupted, message: "interrupted".to_owned(), hint: None };
        if self.context.cancel.is_cancelled() { Err(stop) } else { Ok(()) }
    }

    pub(super) fn copier(&self, draft: &Draft, previous: &Arc<Previous>, from_clones: bool) -> Copier {
        Copier {
            files: Arc::clone(&self.ports.files),
            staging: Arc::clone(&draft.staging),
            previous: Arc::clone(previous),
            events: Arc::clone(&self.ports.events),
            from_clones,
        }
    }

    async fn walk_image(&self, file: &ImageSource, root: &SitePath) -> Result<Walk, Stop> {
        let on_image = |path: &SitePath| path.strip_prefix(&file.source.root).map(|below| root.join(&below));
        let source = FileSource {
            root: root.clone(),
            exclude: file.source.exclude.clone(),
            skip: file.source.skip.iter().filter_map(on_image).collect(),
        };
        self.ports.files.walk(&source).await.map_err(|error| Stop::new(Cause::Files, &error))
    }

    /// Copies what lies on the image at `root`; problems are told with the paths of the site.
    async fn copy_image(
        &mut self,
        draft: &mut Draft,
        copier: &Copier,
        file: &ImageSource,
        root: &SitePath,
        entries: &[PlacedEntry],
    ) -> Result<(), Stop> {
        let copied = copier.copy(entries, false).await?;
        let in_site = |problem: FileProblem| match problem.path.strip_prefix(root) {
            Some(below) => FileProblem { path: file.source.root.join(&below), ..problem },
            None => problem,
        };
        let problems: Vec<FileProblem> =
            copied.iter().filter_map(|copied| copied.problem.clone()).map(in_site).collect();
        self.file_problems(&problems);
        draft.records.extend(copied.into_iter().filter_map(|copied| copied.record));
        self.log.line(&format!("Copied component {} to {}", file.source.root, file.target));
        Ok(())
    }

    /// The new snapshot is right all the same; the older one is not what its list says.
    fn altered_before(&mut self, previous: &Previous) {
        let altered = previous.altered();
        let Some(first) = altered.first() else { return };
        let message = format!(
            "files of the previous snapshot are not as they were sealed, and were copied anew: {}, such as `{first}`",
            altered.len()
        );
        let hint = "find out what writes to the destination; `sitebackup backup --no-reuse` takes nothing over";
        self.log.finding(Finding::new(Gravity::Warning, Cause::Snapshot, message).hint(hint));
    }

    fn file_problems(&mut self, problems: &[FileProblem]) {
        for problem in problems.iter().take(NAMED_FILES) {
            self.log.finding(Finding::error(Cause::Files, problem.to_string()));
        }
        if let Some(more) = problems.len().checked_sub(NAMED_FILES).filter(|more| *more > 0) {
            self.log.finding(Finding::error(Cause::Files, format!("and {more} more files")));
        }
    }

    async fn collect_registry(&mut self, draft: &mut Draft) -> Result<(), Stop> {
        for (task, export) in self.site_writer.take_exports() {
            draft.staging.write(&task.place, &export, self.report.started).await?;
            draft.records.push(made(RecordKind::Registry, &task.place, &export));
            draft.origins.push(text_origin(Part::Registry, task.key.as_str(), task.place.clone()));
            self.log.line(&format!("Copied component {} to {}", task.key, task.place));
        }
        Ok(())
    }

    /// The control file's commands, after Thaw and in their order. One that fails makes the result weaker.
    async fn run_commands(&mut self, draft: &mut Draft) -> Result<(), Stop> {
        let plan = Arc::clone(&self.plan);
        for task in &plan.commands {
            self.check_cancel()?;
            let command = CommandLine { text: task.line.clone(), environment: Vec::new(), limit: plan.limits.callback };
            let outcome = self.ports.commands.run(&command).await;
            let outcome = match outcome {
                Ok(outcome) => outcome,
                Err(error) => {
                    self.log.finding(Finding::error(Cause::Command, chain(&error)));
                    continue;
                }
            };
            for line in String::from_utf8_lossy(&outcome.output).lines() {
                self.log.line(line);
            }
            if outcome.cut {
                // Only where the output is kept does the snapshot lack something.
                let gravity = if task.output.is_some() { Gravity::Error } else { Gravity::Warning };
                let message = format!("the output of command line '{}' was longer than 1 MiB and is cut", task.line);
                let hint = "let the command write its output to a file of its own";
                self.log.finding(Finding::new(gravity, Cause::Command, message).hint(hint));
            }
            match outcome.end {
                CommandEnd::Exit(0) => {
                    self.log.line(&format!("Successfully ran command line '{}' (exit status 0).", task.line));
                }
                end => {
                    let message = format!("command line '{}' failed ({end:?})", task.line);
                    self.log.finding(Finding::error(Cause::Command, message));
                }
            }
            if let Some(place) = &task.output {
                draft.staging.write(place, &outcome.output, self.report.started).await?;
                draft.records.push(made(RecordKind::Made, place, &outcome.output));
            }
        }
        Ok(())
    }

    async fn collect_documents(&mut self, draft: &mut Draft) -> Result<(), Stop> {
        let plan = Arc::clone(&self.plan);
        let name = |name: &str| RelPath::parse(name).expect("documents have plain names");
        let documents = std::mem::take(&mut draft.documents);
        let documents = documents.iter().map(|(text, content)| (name(text), content));
        for (place, content) in documents.chain(plan.keep.iter().map(|(place, content)| (place.clone(), content))) {
            draft.staging.write(&place, content, self.report.started).await?;
            draft.records.push(made(RecordKind::Made, &place, content));
        }
        Ok(())
    }

    /// Judges the staging folder and seals it, which is the commit.
    pub(super) async fn seal(&mut self, mut draft: Draft) -> Result<Manifest, Stop> {
        self.phase(Phase::Publishing);
        draft.records.sort_by(|a, b| a.path.cmp(&b.path));
        crate::verify::judge_staging(&draft.staging.walk().await?, &draft.records).map_err(|message| Stop {
            cause: Cause::Destination,
            message,
            hint: None,
        })?;
        self.check_cancel()?;
        let list = list_to_jsonl(&draft.records);
        let manifest = self.manifest(&draft, &list);
        self.report.totals = Totals { entries: manifest.entries, bytes: manifest.bytes };
        draft.staging.seal(&manifest, &list).await?;
        // The snapshot is whole and listed from here on: what fails now is a finding, not the end of the run.
        if let Err(error) = self.ports.journal.append(&JournalRecord::Sealed { run: self.run }).await {
            self.log.finding(Finding::error(Cause::State, chain(&error)));
        }
        Ok(manifest)
    }

    fn manifest(&self, draft: &Draft, list: &[u8]) -> Manifest {
        let errors = self.log.findings.iter().filter(|finding| finding.gravity == Gravity::Error);
        Manifest {
            version: FORMAT_VERSION,
            run: self.run,
            site: self.plan.site.to_string(),
            started: self.report.started,
            moment: draft.moment,
            consistency: self.report.consistency,
            provider: draft.provider.clone(),
            freeze_window: self.report.freeze_window,
            outage: self.site_writer.outage(),
            weaker: errors.map(|finding| finding.message.clone()).collect(),
            origins: draft.origins.clone(),
            database: draft.database.clone(),
            cd_latest: cd_latest_version(&self.ports, &self.plan),
            entries: draft.records.len() as u64,
            bytes: draft.records.iter().map(|record| record.size).sum(),
            list: ContentHash::of(list),
            additions: Vec::new(),
        }
    }
}

/// The record of a document.
pub(super) fn made(kind: RecordKind, place: &RelPath, content: &[u8]) -> FileRecord {
    FileRecord {
        size: content.len() as u64,
        hash: Some(ContentHash::of(content)),
        ..FileRecord::new(kind, place.clone())
    }
}

pub(super) fn text_origin(part: Part, original: &str, place: RelPath) -> Origin {
    Origin { part, original: original.to_owned(), original_hex: None, place }
}

pub(super) fn path_origin(part: Part, path: &SitePath, place: RelPath) -> Origin {
    let bytes = path.to_bytes();
    let original_hex = std::str::from_utf8(&bytes).is_err().then(|| to_hex(&bytes));
    Origin { original_hex, ..text_origin(part, &path.to_string(), place) }
}

/// The version that Setup recorded in CD.Latest: recovery needs a CD.Latest of the site's own version.
fn cd_latest_version(ports: &Ports, plan: &BackupPlan) -> Option<String> {
    let place = RelPath::parse("CD.Latest").expect("a plain name");
    let source = &plan.files.iter().find(|file| file.target == place)?.source;
    let file = source.root.join(&RelPath::parse("SMSSETUP/version.ini").expect("a plain path"));
    // One small file, read where it lies: not worth a thread.
    let mut content = vec![0; BLOCK.min(64 << 10)];
    let read = ports.files.open(&file).ok()?.read_at(0, &mut content).ok()?;
    let text = String::from_utf8_lossy(&content[..read]).into_owned();
    text.lines().find_map(|line| Some(line.trim().strip_prefix("FullVersion=")?.to_owned()))
}
