//! The database part of a recovery.

use std::sync::Arc;

use super::Recovery;
use crate::copy::chain;
use crate::manifest::{DatabasePart, FileRecord, Manifest, Origin, RecordKind};
use crate::path::{RelPath, SitePath};
use crate::patience::unless_cancelled;
use crate::ports::database::{
    ChangedFact, DatabaseError, DatabaseForm, DatabaseRestored, DatabaseSource, DatabaseStanding, DatabaseTarget,
    SetupOption,
};
use crate::ports::destination::SnapshotFiles;
use crate::ports::journal::{JournalRecord, is_database_recovered};
use crate::ports::recovery_target::{RestoreItem, Standing};
use crate::report::{Cause, Finding, Gravity};

/// A database that is put back as one.
#[derive(Debug)]
pub(super) struct DatabaseWork {
    pub(super) source: DatabaseSource,
    pub(super) target: DatabaseTarget,
    /// The file that it becomes, where it is one.
    pub(super) file: Option<RestoreItem>,
    /// Where it goes, as the report says it.
    pub(super) place: String,
}

impl DatabaseWork {
    pub(super) fn bytes(&self) -> u64 {
        self.source.records.iter().map(|record| record.size).sum()
    }
}

/// The database part of a snapshot, where its list has one.
pub(crate) fn database_source(
    files: &Arc<dyn SnapshotFiles>,
    manifest: &Manifest,
    records: &[FileRecord],
    origin: &Origin,
) -> Option<DatabaseSource> {
    let is_of_it =
        |record: &&FileRecord| record.kind == RecordKind::Database && record.path.strip_prefix(&origin.place).is_some();
    let records: Vec<FileRecord> = records.iter().filter(is_of_it).cloned().collect();
    let part = manifest.database.clone().unwrap_or_else(|| unknown(origin));
    let source = DatabaseSource { files: Arc::clone(files), place: origin.place.clone(), records, part };
    Some(source).filter(|source| !source.records.is_empty())
}

/// What is known of a database of which a manifest tells only that there is one.
fn unknown(origin: &Origin) -> DatabasePart {
    DatabasePart {
        name: origin.original.clone(),
        form: DatabaseForm::File,
        engine: String::new(),
        pinned_by: String::new(),
        setup_option: SetupOption::None,
        facts: Vec::new(),
    }
}

impl Recovery<'_> {
    /// A server's database, in place or as the files that were taken out.
    pub(super) fn plan_served(&mut self, source: DatabaseSource, origin: &Origin, work: &mut super::Work) {
        let Some(to) = self.elsewhere().cloned() else {
            let replace = self.request.replace_database;
            let here = self.request.database.as_deref().unwrap_or("its server");
            // Told apart in the journal: what stood there before it was to be replaced is nothing that a recovery put there.
            let place = format!("{} -> {here}{}", origin.original, if replace { ", replaced" } else { "" });
            work.in_place.push(place.clone());
            self.report.places.push(place.clone());
            work.database = Some(DatabaseWork { source, target: DatabaseTarget::Own { replace }, file: None, place });
            return;
        };
        let folder = RelPath::parse("database").expect("a plain name");
        let message = format!("database {} is put there as files, and into no server", source.part.name);
        let finding = Finding::new(Gravity::Note, Cause::Database, message);
        self.report.findings.push(finding.hint("`sitebackup database restore` puts a logical dump into a database"));
        self.report.places.push(format!("{} -> {}", origin.original, to.join(&folder)));
        for record in source.records {
            let above = source.place.parent().unwrap_or_default();
            let path = folder.join(&record.path.strip_prefix(&above).unwrap_or_default());
            work.files.push(RestoreItem { root: to.clone(), path, record, link_to: None });
        }
    }

    /// A database that is a file: its target is one.
    pub(super) fn plan_file(
        &mut self,
        source: DatabaseSource,
        item: RestoreItem,
        path: SitePath,
        work: &mut super::Work,
    ) {
        let place = path.to_string();
        let source = DatabaseSource { records: vec![item.record.clone()], ..source };
        work.database = Some(DatabaseWork { source, target: DatabaseTarget::File(path), file: Some(item), place });
    }

    /// The files in which a server keeps a database become one only when a server is told so; what it takes is said.
    pub(super) fn tell_files(&mut self, manifest: &Manifest, work: &super::Work) {
        let Some(part) = &manifest.database else { return };
        let files = work.files.iter().filter(|item| item.record.kind == RecordKind::Database);
        let names =
            files.map(|item| format!("(FILENAME = N'{}')", item.root.join(&item.path).to_string().replace('\'', "''")));
        let (names, name) = (names.collect::<Vec<_>>().join(", "), part.name.replace(']', "]]"));
        let message = format!("database {} comes back as its files, and is attached to no server", part.name);
        let hint = format!(
            "with no database of that name on the server: CREATE DATABASE [{name}] ON {names} FOR ATTACH; \
             or the product's Setup takes the snapshot's folder of them as BackupLocation (option 10)"
        );
        self.report.findings.push(Finding::new(Gravity::Note, Cause::Database, message).hint(hint));
    }

    /// Whatever else may be overwritten: a file of a database is not. The server that has it attached may have written to it without leaving a
    /// time, and may not be there to say so.
    pub(super) async fn judge_database_files(&mut self, work: &super::Work) {
        let files = work.files.iter().filter(|item| item.record.kind == RecordKind::Database);
        // As if they were older than anything: what stands there then counts as newer, unless it has the same content.
        let oldest = |item: &RestoreItem| {
            let mut item = item.clone();
            item.record.modified.0 = i64::MIN;
            item
        };
        let items: Vec<RestoreItem> = files.map(oldest).collect();
        for (item, standing) in items.iter().zip(self.ports.target.survey(&items).await) {
            if let Ok(Standing::Newer) = standing {
                let path = item.root.join(&item.path);
                let message = format!(
                    "`{path}` is there: files of a database are never overwritten, a server may have it attached"
                );
                let hint = "detach or drop the database on its server and move the file away, or recover to another place with --to";
                self.error(Cause::Database, message, hint);
            }
        }
    }

    /// A database of a server that holds something is not put back over, and before anything else is.
    pub(super) async fn judge_served(&mut self, work: &DatabaseWork) {
        let Some(database) = self.ports.database.as_ref().filter(|_| work.file.is_none()) else { return };
        let standing = match database.survey(&work.source, &work.target).await {
            Ok(standing) => standing,
            Err(error) => return self.error(Cause::Database, chain(&error), "nothing was written"),
        };
        let name = work.source.part.name.clone();
        match standing {
            DatabaseStanding::Free(remarks) => {
                let told = DatabaseRestored { remarks, ..DatabaseRestored::default() };
                self.report.findings.extend(told.findings(&name));
            }
            DatabaseStanding::Holds(_) if self.was_put_back(&work.place).await => {
                let message = format!("database {name} was put back by a recovery of this snapshot that did not end");
                self.report.findings.push(Finding::new(Gravity::Note, Cause::Database, message));
                self.report.already += work.source.records.len() as u64;
                self.database_done = true;
            }
            DatabaseStanding::Holds(found) => self.occupied(&DatabaseError::Occupied { name, found }),
        }
    }

    /// Whether an earlier recovery of the same snapshot, which did not end, has put the database back whole.
    async fn was_put_back(&self, place: &str) -> bool {
        let Some(journal) = &self.ports.journal else { return false };
        let records = journal.read().await.unwrap_or_default();
        is_database_recovered(&records, self.snapshot, place)
    }

    fn occupied(&mut self, error: &DatabaseError) {
        self.error(
            Cause::Database,
            chain(error),
            "give the recovery an empty database of that name; --replace-database replaces one of SQL Server; \
             --part recovers the other parts alone",
        );
    }

    pub(super) async fn restore_database(&mut self, work: &DatabaseWork) {
        let Some(database) = &self.ports.database else { return };
        let restoring = database.restore(&work.source, &work.target);
        let Some(restored) = unless_cancelled(restoring, self.ports.clock.as_ref(), &self.request.cancel).await else {
            return self.error(Cause::Interrupted, "interrupted", "repeat the recovery: it goes on where it stopped");
        };
        match restored {
            Ok(restored) => {
                self.report.written += work.source.records.len() as u64;
                self.report.bytes += work.bytes();
                let mut findings = restored.findings(&work.source.part.name);
                // Remarks were told before, as far as they were known.
                findings.retain(|finding| !self.report.findings.contains(finding));
                self.report.findings.extend(findings);
                self.record_database(work).await;
            }
            Err(error @ DatabaseError::Occupied { .. }) => self.occupied(&error),
            Err(error) => self.error(Cause::Database, chain(&error), "repeat the recovery once the reason is gone"),
        }
    }

    /// A second attempt finds a database that is not empty, and must know that this snapshot is what it holds.
    async fn record_database(&mut self, work: &DatabaseWork) {
        let Some(journal) = self.ports.journal.as_ref().filter(|_| work.file.is_none()) else { return };
        let (snapshot, at, place) = (self.snapshot, self.ports.clock.now(), work.place.clone());
        if let Err(error) = journal.append(&JournalRecord::DatabaseRecovered { snapshot, at, place }).await {
            self.error(Cause::State, chain(&error), "the database is restored; recover the other parts with --part");
        }
    }

    /// What no snapshot holds does not come back with it.
    pub(super) fn tell_external(&mut self, part: &DatabasePart) {
        let message = format!(
            "database {} is not in the snapshot: others back it up, the newest of {} at {}",
            part.name,
            part.fact("backup-finished"),
            part.fact("backup-places")
        );
        let finding = Finding::new(Gravity::Warning, Cause::Database, message);
        self.report.findings.push(finding.hint("recover it with their means, to the same moment as near as can be"));
    }
}

impl DatabaseRestored {
    /// What there is to know and to do about it.
    pub(crate) fn findings(&self, database: &str) -> Vec<Finding> {
        let warning =
            |what: &str| Finding::new(Gravity::Warning, Cause::Database, format!("database {database}: {what}"));
        let changed = self.changed.iter().map(|fact| fact.finding(database));
        let lost = self.not_covered.iter().map(|what| warning(&format!("not restored: {what}")));
        changed.chain(lost).chain(self.remarks.iter().map(|remark| warning(remark))).collect()
    }
}

impl ChangedFact {
    fn finding(&self, database: &str) -> Finding {
        let said =
            |value: &Option<String>| value.as_ref().map_or_else(|| "unknown".to_owned(), |text| format!("`{text}`"));
        let message =
            format!("database {database}: {} is {}, and was {}", self.fact, said(&self.after), said(&self.before));
        let finding = Finding::new(Gravity::Warning, Cause::Database, message);
        match &self.remedy {
            Some(remedy) => finding.hint(remedy.clone()),
            None => finding,
        }
    }
}
