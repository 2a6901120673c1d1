//! The snapshot goes into the archive, and retention lets go of older ones there. Nothing here touches the published snapshot.
//!
//! The manifest of a snapshot that was not archived stays as it is: it says how good the snapshot is, and a good one must not look weaker.

use super::Run;
use crate::archiving::{apply, judge};
use crate::copy::chain;
use crate::event::Phase;
use crate::ports::archive::{SealedSnapshot, SnapshotArchive, SnapshotArchiveError, StoredInArchive};
use crate::report::{Archiving, Cause, Finding, Gravity, Outcome};
use crate::retention::{Decision, Judged};
use crate::status;
use crate::verify::read_snapshot;

/// Digits of an archived snapshot's id in the log.
const SHORT: usize = 12;

impl Run<'_> {
    /// Archives the published snapshot, if it is as it was sealed.
    pub(super) async fn archive(&mut self, is_unaltered: bool) {
        let Some(archive) = self.ports.archive.clone() else { return };
        self.phase(Phase::Archiving);
        let told = self.log.findings.len();
        let stored = match is_unaltered {
            true => self.store(&*archive).await,
            false => Err(Finding::error(Cause::Snapshot, "it is not as it was sealed")),
        };
        match stored {
            Ok(stored) => {
                self.stored(stored);
                self.retain(&*archive).await;
            }
            Err(reason) => {
                let message = format!("the snapshot was not archived: {}", reason.message);
                let hint = "the published snapshot is not touched by this; the next run archives its own";
                self.log.finding(Finding::error(reason.cause, message).hint(hint));
                // Whoever broke the run off is told so, unless a service is down.
                if reason.cause == Cause::Interrupted && !matches!(self.report.outcome, Outcome::Failed(_)) {
                    self.report.outcome = Outcome::Failed(Cause::Interrupted);
                }
            }
        }
        let errors = self.log.findings[told..].iter().filter(|finding| finding.gravity == Gravity::Error);
        let errors: Vec<String> = errors.map(|finding| finding.message.clone()).take(9).collect();
        if !errors.is_empty() {
            self.log.status(status::ARCHIVE_FAILED, errors).await;
        }
    }

    async fn store(&self, archive: &dyn SnapshotArchive) -> Result<StoredInArchive, Finding> {
        let failed = |error: SnapshotArchiveError| Finding::error(error.cause(), chain(&error));
        let unread = |error: &dyn std::error::Error| Finding::error(Cause::Snapshot, chain(error));
        let files = self.ports.destination.open(self.run).await.map_err(|error| unread(&error))?;
        // AfterBackup may have added to it.
        let (manifest, records) = read_snapshot(files.as_ref()).await.map_err(|error| unread(&error))?;
        let folder = self.report.snapshot.as_ref().expect("it was published").folder.clone();
        let snapshot = SealedSnapshot { folder, manifest, records };
        archive.store(snapshot, self.ports.clock.now(), &self.context.cancel).await.map_err(failed)
    }

    fn stored(&mut self, StoredInArchive { id, added, damaged }: StoredInArchive) {
        self.log.line(&format!("The snapshot is archived as {}, {added} bytes are new there.", short(&id)));
        for damage in damaged {
            let hint = "what it held was stored anew where this snapshot needs it; `sitebackup archive verify` tells which others lack it";
            self.log.finding(Finding::error(Cause::ArchiveDamaged, damage).hint(hint));
        }
        self.report.archived = Some(Archiving { id, added, forgotten: Vec::new() });
    }

    /// Lets go of what the policy does not ask for.
    async fn retain(&mut self, archive: &dyn SnapshotArchive) {
        if self.plan.keep_archived.is_empty() {
            return;
        }
        let judged = match self.judged(archive).await {
            Ok(judged) => judged,
            Err(SnapshotArchiveError::WriteOnly) => {
                let message = "retention is left to whoever has a key that reads: this one only stores";
                return self.log.finding(Finding::new(Gravity::Note, Cause::Archive, message));
            }
            Err(error) => return self.not_retained(&error),
        };
        let (forgotten, ended) = apply(archive, &judged).await;
        for Judged { snapshot, decision } in judged {
            if let Decision::Forget(reason) = decision
                && forgotten.contains(&snapshot.id)
            {
                self.log.line(&format!(
                    "Archived snapshot {} of {} goes: {reason}.",
                    short(&snapshot.id),
                    snapshot.moment
                ));
            }
        }
        if let Some(archived) = &mut self.report.archived {
            archived.forgotten = forgotten;
        }
        if let Err(error) = ended {
            self.not_retained(&error);
        }
    }

    async fn judged(&self, archive: &dyn SnapshotArchive) -> Result<Vec<Judged<String>>, SnapshotArchiveError> {
        let clock = &self.ports.clock;
        let zone = self.plan.zone.find(&**clock).map_err(|error| SnapshotArchiveError::Failed(error.into()))?;
        judge(archive, &self.report.site, &self.plan.keep_archived, clock.now(), &zone).await
    }

    fn not_retained(&mut self, error: &SnapshotArchiveError) {
        let message = format!("retention was not applied to the archive: {}", chain(error));
        let hint = "nothing is lost by that: the next run applies it, or `sitebackup archive expire`";
        self.log.finding(Finding::error(error.cause(), message).hint(hint));
    }
}

fn short(id: &str) -> &str {
    id.get(..SHORT).unwrap_or(id)
}
