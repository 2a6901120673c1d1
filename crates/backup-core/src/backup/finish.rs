//! After the commit: status messages, AfterBackup, the end of older snapshots, the archive, the log. And the end of a run that failed.

use super::{Purpose, Run, Stop};
use crate::copy::chain;
use crate::event::{Event, Phase};
use crate::keep::superseded;
use crate::ports::commands::{AfterBackupContext, CommandEnd};
use crate::ports::destination::StoredSnapshot;
use crate::ports::journal::JournalRecord;
use crate::ports::site_files::WalkEntry;
use crate::report::{AfterBackupEnd, Cause, Finding, Gravity, Outcome, has_errors};
use crate::snapshot::RunId;
use crate::status::{self, MessageKind};

impl Run<'_> {
    /// The snapshot is there under its name.
    pub(super) async fn published(&mut self, mut snapshots: Vec<StoredSnapshot>) {
        self.report.outcome = match has_errors(&self.log.findings) {
            // It matters more than a good snapshot.
            true if self.log.findings.iter().any(is_down) => Outcome::Failed(Cause::ServiceStart),
            true => Outcome::Incomplete,
            false => Outcome::Done,
        };
        self.complete_set(true).await;
        self.tell_result().await;
        let before = self.before_hook().await;
        self.after_backup().await;
        let told = self.report.outcome;
        let is_unaltered = self.unaltered(&before).await;
        if is_unaltered {
            snapshots.extend(self.report.snapshot.clone());
            self.remove(&superseded(&snapshots)).await;
        }
        if told == Outcome::Done && has_errors(&self.log.findings) {
            // 5035 went out before the snapshot was damaged.
            self.report.outcome = Outcome::Incomplete;
            self.tell_result().await;
        }
        self.archive(is_unaltered).await;
        if matches!(self.report.outcome, Outcome::Done) && has_errors(&self.log.findings) {
            self.report.outcome = Outcome::Incomplete;
        }
        self.closing_lines();
    }

    /// A service that is down is told once, as soon as that is known: all that follows may take hours.
    pub(super) async fn tell_down(&mut self) {
        let down = self.site_writer.down();
        if self.purpose == Purpose::Snapshot && !self.told_down && !down.is_empty() {
            self.told_down = true;
            self.log.status(status::FAILED_START, down).await;
        }
    }

    async fn tell_result(&mut self) {
        let folder = self.report.snapshot.as_ref().map_or_else(String::new, |snapshot| snapshot.folder.to_string());
        match self.report.outcome {
            Outcome::Done => {
                self.log.status(status::COMPLETED, vec![folder]).await;
                self.log.line("Backup completed.");
            }
            // That says nothing of the snapshot, and was told.
            _ if self.log.findings.iter().filter(|finding| finding.gravity == Gravity::Error).all(is_down) => {}
            _ => {
                let errors = self.log.findings.iter().filter(|finding| finding.gravity == Gravity::Error);
                let details = errors.map(|finding| finding.message.clone()).take(9).collect();
                self.log.status(status::INCOMPLETE, details).await;
            }
        }
    }

    async fn before_hook(&mut self) -> Vec<WalkEntry> {
        match crate::verify::walk_before(&self.ports, self.run).await {
            Ok(entries) => entries,
            Err(error) => {
                self.log.finding(Finding::new(Gravity::Warning, Cause::Snapshot, chain(&error)));
                Vec::new()
            }
        }
    }

    async fn after_backup(&mut self) {
        let Some(snapshot) = self.report.snapshot.clone() else { return };
        self.ports.events.event(&Event::Phase(Phase::AfterBackup));
        let variable = |name: &str, value: String| (name.to_owned(), value);
        let context = AfterBackupContext {
            environment: vec![
                variable("SITEBACKUP_SNAPSHOT", snapshot.folder.to_string()),
                variable("SITEBACKUP_RUN", self.run.to_string()),
                variable("SITEBACKUP_SITE", self.report.site.clone()),
            ],
            snapshot: snapshot.folder,
            limit: self.plan.after_backup.timeout,
        };
        let end = match self.ports.commands.after_backup(&context).await {
            Ok(None) => {
                self.log.line("AfterBackup does not exist, nothing to execute.");
                AfterBackupEnd::Absent
            }
            Ok(Some(outcome)) => {
                self.log.status(status::AFTER_BACKUP_STARTED, Vec::new()).await;
                for line in String::from_utf8_lossy(&outcome.output).lines() {
                    self.log.line(line);
                }
                if outcome.cut {
                    self.log.line("The output of AfterBackup was longer than 1 MiB and is cut.");
                }
                match outcome.end {
                    CommandEnd::Exit(code) if self.plan.after_backup.success.contains(&code) => {
                        self.log.line(&format!("AfterBackup ended with exit code {code}."));
                        AfterBackupEnd::Success(code)
                    }
                    CommandEnd::Exit(code) => AfterBackupEnd::Failure(code),
                    CommandEnd::TimedOut => AfterBackupEnd::TimedOut,
                }
            }
            Err(error) => {
                self.log.finding(Finding::new(Gravity::Warning, Cause::AfterBackup, chain(&error)));
                AfterBackupEnd::NotStarted
            }
        };
        self.judge_hook(&end).await;
        self.report.after_backup = Some(end);
    }

    /// AfterBackup alone never changes the result: its failure is a warning.
    async fn judge_hook(&mut self, end: &AfterBackupEnd) {
        let message = match end {
            AfterBackupEnd::Absent | AfterBackupEnd::Success(_) => return,
            AfterBackupEnd::Failure(code) => format!("AfterBackup failed with exit code {code}"),
            AfterBackupEnd::TimedOut => {
                format!("AfterBackup took longer than {:?} and was ended", self.plan.after_backup.timeout)
            }
            AfterBackupEnd::NotStarted => "AfterBackup could not be started".to_owned(),
        };
        self.log.finding(Finding::new(Gravity::Warning, Cause::AfterBackup, message.clone()));
        self.log.status(status::AFTER_BACKUP_FAILED, vec![message]).await;
    }

    /// Walks the published folder again: additions enter the manifest, anything else that changed keeps the previous snapshot.
    async fn unaltered(&mut self, before: &[WalkEntry]) -> bool {
        match crate::verify::walk_again(&self.ports, self.run, before).await {
            Ok(walked) => {
                if let Some(manifest) = walked.amended {
                    let added = manifest.additions.len();
                    match self.ports.destination.amend(&manifest).await {
                        Ok(()) => self.log.line(&format!("AfterBackup added {added} files to the snapshot.")),
                        Err(error) => self.log.finding(Finding::error(Cause::Destination, chain(&error))),
                    }
                }
                let clean = walked.altered.is_empty();
                for altered in walked.altered {
                    let hint = "the previous snapshot was kept; correct AfterBackup and run the backup again";
                    self.log.finding(Finding::error(Cause::Snapshot, altered).hint(hint));
                }
                clean
            }
            Err(error) => {
                let message = format!("the snapshot was not found again after AfterBackup: {}", chain(&error));
                self.log.finding(Finding::error(Cause::Snapshot, message));
                false
            }
        }
    }

    /// The new snapshot is safe: what it supersedes goes.
    async fn remove(&mut self, superseded: &[RunId]) {
        for run in superseded {
            if let Err(error) = self.ports.destination.remove(*run).await {
                let message = format!("the old snapshot was not removed: {}", chain(&error));
                self.log.finding(Finding::new(Gravity::Warning, Cause::Destination, message));
            }
        }
    }

    /// The last four lines, of which monitors read the first.
    fn closing_lines(&mut self) {
        let errors = self.log.findings.iter().filter(|finding| finding.gravity == Gravity::Error).count();
        match errors {
            0 => self.log.line("Backup task completed successfully with zero errors"),
            errors => self.log.line(&format!("Backup task completed with {errors} errors")),
        }
        let totals = self.report.totals;
        self.log.line(&format!("Snapshot {} holds {} entries, {} bytes.", self.run, totals.entries, totals.bytes));
        let (outage, window) = (self.report.outage.as_secs_f64(), self.report.freeze_window.as_secs_f64());
        self.log.line(&format!("Outage {outage:.3} s, freeze window {window:.3} s."));
        self.log.line("SMS site backup service is stopping.");
    }

    /// No snapshot, or one that could not be given its name.
    pub(super) async fn failed(&mut self, stop: Stop) {
        self.report.outcome = Outcome::Failed(stop.cause);
        let finding = Finding::error(stop.cause, stop.message.clone());
        self.log.finding(Finding { hint: stop.hint, ..finding });
        self.complete_set(false).await;
        self.discard_staging().await;
        self.log.status(failure_kind(stop.cause), vec![stop.message]).await;
        self.log.line("SMS site backup failed. Please see previous errors.");
        self.log.line("SMS site backup service is stopping.");
    }

    pub(super) async fn discard_staging(&mut self) {
        if !self.staged {
            return;
        }
        // A seal that reported an error may have had its effect: what is listed is whole, and stays.
        let listed = self.ports.destination.list().await;
        let sealed = listed.map(|list| list.into_iter().find(|snapshot| snapshot.run == self.run));
        match sealed {
            Ok(Some(snapshot)) => self.report.snapshot = Some(snapshot),
            Ok(None) => {
                if let Err(error) = self.ports.destination.remove(self.run).await {
                    self.log.finding(Finding::new(Gravity::Warning, Cause::Destination, chain(&error)));
                }
            }
            Err(error) => self.log.finding(Finding::new(Gravity::Warning, Cause::Destination, chain(&error))),
        }
    }

    /// Tells the writers how it ended.
    pub(super) async fn tell_writers(&mut self, succeeded: bool) {
        let Some(set) = self.set else { return };
        for fault in self.ports.shadow_copies.complete(set, succeeded).await {
            self.log.finding(Finding::new(Gravity::Warning, Cause::ShadowCopy, chain(&fault)));
        }
    }

    pub(super) async fn complete_set(&mut self, succeeded: bool) {
        self.tell_writers(succeeded).await;
        let Some(set) = self.set else { return };
        match self.ports.shadow_copies.release(set).await {
            Ok(()) => self.set = None,
            Err(error) => self.log.finding(Finding::new(Gravity::Warning, Cause::ShadowCopy, chain(&error))),
        }
    }

    /// The log goes to the destination, also after a failure; the journal hears that nothing is left to repair.
    pub(super) async fn close(&mut self) {
        let published = self.report.snapshot.is_some();
        // Who does not hold the destination leaves the log there to whoever does.
        if self.hold.is_some() {
            let kept = self.ports.destination.keep_log(published.then_some(self.run), self.log.text()).await;
            if let Err(error) = kept {
                self.log.finding(Finding::new(Gravity::Warning, Cause::Destination, chain(&error)));
            }
        }
        self.leave_journal(published).await;
    }

    pub(super) async fn leave_journal(&mut self, published: bool) {
        let going = !self.log.findings.iter().any(|finding| finding.cause == Cause::ServiceStart);
        // An image that could not be released is the next repair's.
        let going = going && self.set.is_none();
        let record = JournalRecord::RunEnded { run: self.run, at: self.ports.clock.now(), published };
        if going && let Err(error) = self.ports.journal.append(&record).await {
            self.log.finding(Finding::new(Gravity::Warning, Cause::State, chain(&error)));
        }
    }
}

/// Whether it is about a service that would not start.
fn is_down(finding: &Finding) -> bool {
    finding.cause == Cause::ServiceStart && finding.gravity == Gravity::Error
}

/// The product's number that a failure of this cause is told with.
fn failure_kind(cause: Cause) -> MessageKind {
    match cause {
        Cause::Destination | Cause::Full | Cause::Foreign | Cause::Snapshot => status::FAILED_DESTINATION,
        Cause::Database => status::FAILED_DATABASE,
        Cause::Registry => status::FAILED_REGISTRY,
        Cause::ServiceStop => status::FAILED_STOP,
        Cause::ServiceStart => status::FAILED_START,
        Cause::Files => status::FAILED_FILES,
        Cause::Interrupted => status::FAILED_INTERRUPTED,
        Cause::ShadowCopy => status::FAILED_SHADOW_COPY,
        _ => status::FAILED_PREFLIGHT,
    }
}
