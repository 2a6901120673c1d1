//! The database's part of a snapshot: finished, listed, and judged before it is sealed.

use std::sync::Arc;

use super::collect::{Draft, path_origin, text_origin};
use super::{Run, Stop};
use crate::config::MomentChoice;
use crate::copy::{PlacedEntry, chain};
use crate::event::Phase;
use crate::manifest::{DatabasePart, FileRecord, Part, RecordKind};
use crate::path::RelPath;
use crate::patience::{TICK, sleep, within};
use crate::ports::database::{DatabaseDump, DatabaseFacts, DatabaseMoment};
use crate::ports::shadow_copies::ImagedFile;
use crate::ports::site_files::{FileKind, FileSource, FileStat, FileTime};
use crate::report::{Cause, Finding, Gravity};
use crate::writers::{DatabaseWriter, cause_of};

/// Faults of a database named one by one.
const NAMED_FAULTS: usize = 5;

const TORN_HINT: &str = "see that the file is on a volume of this machine that can be imaged and that the server has it there, then run it again";

const DAMAGED_HINT: &str =
    "the site itself has it so: repair the database, or recover it from an older snapshot, which is kept";

impl Run<'_> {
    /// Returns what of it can be judged, by its place in the snapshot.
    pub(super) async fn collect_database(
        &mut self,
        draft: &mut Draft,
        facts: &DatabaseFacts,
        writer: &DatabaseWriter,
        imaged: &[Vec<ImagedFile>],
    ) -> Result<Vec<RelPath>, Stop> {
        let dump = self.finish_database(facts, writer).await?;
        let mut places: Vec<RelPath> = self.list_database(draft, facts, &dump).await.into_iter().collect();
        for file in imaged.iter().flatten() {
            places.push(self.copy_database_file(draft, facts, file).await?);
        }
        if facts.component.is_some() && places.is_empty() {
            let message = format!("database {}: no file of it is in the image", facts.name);
            return Err(Stop { cause: Cause::Database, message, hint: Some(TORN_HINT.to_owned()) });
        }
        let learned = dump.facts.iter().cloned();
        draft.database = Some(DatabasePart {
            name: facts.name.clone(),
            form: facts.form,
            engine: facts.engine.clone(),
            pinned_by: facts.pinned_by.clone(),
            setup_option: dump.setup_option,
            facts: facts.facts.iter().cloned().chain(learned).collect(),
        });
        for remark in dump.remarks {
            self.log.finding(Finding::new(Gravity::Note, Cause::Database, remark));
        }
        for weaker in dump.weaker {
            self.log.finding(Finding::error(Cause::Database, weaker));
        }
        self.judge_moment(facts);
        Ok(places)
    }

    /// Copies one of the files that the database is in from the image. Never taken over from the previous snapshot: a server that has its files
    /// open leaves their times as they were, whatever it writes. Without one of them the others are no database.
    async fn copy_database_file(
        &mut self,
        draft: &mut Draft,
        facts: &DatabaseFacts,
        ImagedFile { original, place }: &ImagedFile,
    ) -> Result<RelPath, Stop> {
        self.check_cancel()?;
        let torn = |reason: &str| Stop {
            cause: Cause::Database,
            message: format!("database {}: `{original}` could not be read at `{place}`: {reason}", facts.name),
            hint: Some(TORN_HINT.to_owned()),
        };
        let folder = self.plan.database.clone().unwrap_or_default();
        let name = original.name().and_then(|name| folder.try_join(name).ok()).ok_or_else(|| torn("it has no name"))?;
        let source = FileSource { root: place.clone(), exclude: Vec::new(), skip: Vec::new() };
        let walk = self.ports.files.walk(&source).await.map_err(|error| torn(&chain(&error)))?;
        if let Some(problem) = walk.problems.first() {
            return Err(torn(&problem.to_string()));
        }
        let entries = PlacedEntry::place_all(walk.entries, place, &name);
        if !matches!(&entries[..], [entry] if entry.stat.kind == FileKind::File) {
            return Err(torn("it is no file there"));
        }
        let copied = self.copier(draft, &Arc::default(), false).copy(&entries, false).await?;
        if let Some(problem) = copied.iter().find_map(|copied| copied.problem.as_ref()) {
            return Err(torn(&problem.to_string()));
        }
        let records = copied.into_iter().filter_map(|copied| copied.record);
        draft.records.extend(records.map(|record| FileRecord { kind: RecordKind::Database, ..record }));
        draft.origins.push(path_origin(Part::Database, original, name.clone()));
        self.log.line(&format!("Copied component database {} to {name}", facts.name));
        Ok(name)
    }

    /// Finishes the copy. Services that are held for it are set going when it is finished, or when they may be held no longer.
    async fn finish_database(&mut self, facts: &DatabaseFacts, writer: &DatabaseWriter) -> Result<DatabaseDump, Stop> {
        let limit = self.holds_services(facts);
        let (began, mut is_late) = (self.ports.clock.now(), false);
        let mut writing = Box::pin(writer.finish());
        let dump = loop {
            if let Some(dump) = within(&mut writing, sleep(self.ports.clock.as_ref(), TICK)).await {
                break dump;
            }
            self.check_cancel()?;
            if !is_late
                && limit.is_some_and(|limit| self.ports.clock.now().duration_since(began).unsigned_abs() >= limit)
            {
                self.site_writer.set_going().await;
                self.tell_down().await;
                is_late = true;
            }
        };
        if limit.is_some() && !is_late {
            self.tell_early_starts().await;
            self.site_writer.set_going().await;
            self.tell_down().await;
        }
        if is_late {
            let message = "the services had to be started before the database's backup had ended: its moment is later than that of the files";
            let hint = "raise `hold-services`, or accept it with `database-moment = \"later\"`";
            self.log.finding(Finding::error(Cause::Database, message).hint(hint));
        }
        dump.map_err(|error| Stop::new(cause_of(&error), &error))
    }

    /// Services that somebody started while they were held: the watchdog, say, or an administrator.
    async fn tell_early_starts(&mut self) {
        for name in self.site_writer.running_early().await {
            let message =
                format!("service `{name}` ran while the database was backed up: database and files are of two moments");
            self.log.finding(Finding::error(Cause::Database, message));
        }
    }

    /// Database and files belong to one moment, or the report says where that does not hold.
    fn judge_moment(&mut self, facts: &DatabaseFacts) {
        let message = match (facts.moment, self.plan.database_moment) {
            (DatabaseMoment::Pinned, _) => return,
            (DatabaseMoment::End, _) if self.holds_services(facts).is_some() => return,
            (DatabaseMoment::End, MomentChoice::Same | MomentChoice::HoldServices(_)) => {
                let message = "the database's moment is the end of its backup, later than that of the files";
                let hint = "keep the services stopped until then with `hold-services`, or accept it with `database-moment = \"later\"`";
                Finding::error(Cause::Database, message).hint(hint)
            }
            (DatabaseMoment::End, MomentChoice::Later) => {
                let message =
                    "the database's moment is the end of its backup, later than that of the files, as configured";
                Finding::new(Gravity::Note, Cause::Database, message)
            }
        };
        self.log.finding(message);
    }

    async fn list_database(
        &mut self,
        draft: &mut Draft,
        facts: &DatabaseFacts,
        dump: &DatabaseDump,
    ) -> Option<RelPath> {
        let (folder, place) = (self.plan.database.clone()?, dump.place.as_ref()?);
        let stat = self.stat_of(facts).await;
        for file in &dump.files {
            let mut record = FileRecord::new(RecordKind::Database, folder.join(&file.path));
            (record.size, record.hash) = (file.size, Some(file.hash));
            // What no file was at its source is its owner's alone where it becomes one.
            (record.mode, record.modified.0) = (0o600, draft.moment.as_second());
            if let Some(stat) = &stat {
                (record.mode, record.owner, record.group) = (stat.mode, stat.owner, stat.group);
                record.modified = FileTime::default();
            }
            draft.records.push(record);
        }
        let place = folder.join(place);
        draft.origins.push(match &facts.file {
            Some(file) => path_origin(Part::Database, file, place.clone()),
            None => text_origin(Part::Database, &facts.address, place.clone()),
        });
        self.log.line(&format!("Copied component database {} to {place}", facts.name));
        Some(place)
    }

    /// The metadata of the database's file. A walk only looks at it: to open it is its adapter's alone.
    async fn stat_of(&self, facts: &DatabaseFacts) -> Option<FileStat> {
        let root = facts.file.clone()?;
        let source = FileSource { root, exclude: Vec::new(), skip: Vec::new() };
        let walk = self.ports.files.walk(&source).await.ok()?;
        walk.entries.into_iter().next().map(|entry| entry.stat)
    }

    /// A faithful copy of a damaged database is no good snapshot: it is told before it is sealed, so that it never takes a good one's place.
    pub(super) async fn judge_database(&mut self, draft: &Draft, facts: &DatabaseFacts, place: &RelPath) {
        let (Some(database), name) = (&self.ports.database, &facts.name) else { return };
        let Some(copy) = draft.staging.place(place) else {
            let message = format!("the copy of database {name} was not judged: it does not lie on this machine");
            let finding = Finding::new(Gravity::Note, Cause::Database, message);
            self.log.finding(finding.hint("`sitebackup rehearse` judges it"));
            return;
        };
        self.phase(Phase::Verifying);
        match database.judge(&copy).await {
            Ok(verdict) => {
                for fault in verdict.faults.iter().take(NAMED_FAULTS) {
                    let finding = Finding::error(Cause::Database, format!("database {name} is damaged: {fault}"));
                    self.log.finding(finding.hint(DAMAGED_HINT));
                }
                if let Some(more) = verdict.faults.len().checked_sub(NAMED_FAULTS).filter(|more| *more > 0) {
                    let message = format!("database {name} is damaged: and {more} more faults");
                    self.log.finding(Finding::error(Cause::Database, message).hint(DAMAGED_HINT));
                }
            }
            Err(error) => {
                let message = format!("the copy of database {name} could not be judged: {}", chain(&error));
                self.log.finding(Finding::error(Cause::Database, message));
            }
        }
    }
}
