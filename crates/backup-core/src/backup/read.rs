//! A moment for another program, which reads our image of it or makes its own. Nothing of it is kept, and no status message tells of it.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Moment, Purpose, Ready, Run, RunContext, Stop};
use crate::config::RetryConfig;
use crate::path::{RelPath, SitePath};
use crate::plan::BackupPlan;
use crate::ports::Ports;
use crate::ports::destination::DestinationError;
use crate::report::{BackupReport, Cause, Finding, Outcome, has_errors};
use crate::snapshot::RunId;

/// The site of one moment, to be read where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadableImage {
    /// Names it.
    pub run: RunId,
    /// The moment.
    pub moment: Timestamp,
    /// Who made it, such as `btrfs`.
    pub provider: String,
    /// A folder with the database, the registry exports and the documents, in the layout of a snapshot; with the files too where the provider
    /// copies them.
    pub parts: SitePath,
    /// Each source of the plan, and where its files lie. Below `parts` where they were copied, else on the image.
    pub sources: Vec<(SitePath, SitePath)>,
}

impl ReadableImage {
    /// All folders and files that hold a part of the site: [`parts`](Self::parts), and what does not lie below it.
    pub fn paths(&self) -> Vec<&SitePath> {
        let elsewhere = self.sources.iter().map(|(_, place)| place).filter(|place| !place.starts_with(&self.parts));
        [&self.parts].into_iter().chain(elsewhere).collect()
    }
}

/// Reads an image while it is held.
#[async_trait]
pub trait ImageReader: Debug + Send + Sync {
    /// Reads; returns whether that went well, which the writers are told.
    async fn read(&self, image: &ReadableImage) -> bool;
}

/// Brings the site to one moment, sets it going, and has `reader` read the moment. The report has no snapshot.
///
/// Waits for nobody: a run that is in progress, or a destination that is held, is a failure. Dropping the future counts as a kill.
pub async fn read_image(
    ports: &Ports,
    plan: &BackupPlan,
    context: &RunContext,
    reader: &dyn ImageReader,
) -> BackupReport {
    let mut run = Run::new(ports, plan, context);
    run.purpose = Purpose::Image;
    match ports.journal.lock().await {
        Ok(_lock) => run.read(Some(reader)).await,
        Err(error) => run.locked_out(&error),
    }
    run.ended()
}

/// Brings the site to one moment that somebody else images, and sets it going; `ports.shadow_copies` holds it for as long as that takes.
///
/// Nothing is kept, so that what is wrong with earlier snapshots or with the room for a new one is in nobody's way; the destination is held
/// all the same, for a database is pinned with the help of a folder there. Waits for nobody, neither for another session. A report that is
/// not [`Done`](Outcome::Done) says that the image is not to be trusted. Dropping the future counts as a kill.
pub async fn join_session(ports: &Ports, plan: &BackupPlan, context: &RunContext) -> BackupReport {
    let plan = BackupPlan { retry: RetryConfig { times: 0, ..plan.retry }, ..plan.clone() };
    let mut run = Run::new(ports, &plan, context);
    run.purpose = Purpose::Moment;
    match ports.journal.lock().await {
        Ok(_lock) => run.read(None).await,
        Err(error) => run.locked_out(&error),
    }
    run.ended()
}

impl Run<'_> {
    async fn read(&mut self, reader: Option<&dyn ImageReader>) {
        let refused = self.hold().await;
        let began = self.begin(refused.as_ref()).await;
        // What the run before left is not this one's to tell.
        let had_snapshot = matches!(began, Ok(true));
        let held = match (began, reader) {
            (Ok(_), Some(_)) => self.image(refused).await.map(Some),
            (Ok(_), None) => self.moment(refused).await.map(|_| None),
            (Err(stop), _) => Err(stop),
        };
        self.set_going().await;
        let read = match held {
            Ok(image) => {
                self.report.outcome = if has_errors(&self.log.findings) { Outcome::Incomplete } else { Outcome::Done };
                match reader.zip(image) {
                    Some((reader, image)) => reader.read(&image).await,
                    None => true,
                }
            }
            Err(stop) => {
                self.report.outcome = Outcome::Failed(stop.cause);
                let finding = Finding::error(stop.cause, stop.message);
                self.log.finding(Finding { hint: stop.hint, ..finding });
                false
            }
        };
        self.complete_set(read).await;
        self.discard_staging().await;
        self.leave_journal(had_snapshot).await;
    }

    async fn moment(&mut self, refused: Option<DestinationError>) -> Result<Moment, Stop> {
        let Ready { database, .. } = self.ready(refused).await?;
        self.hold_moment(database, None, Arc::default()).await
    }

    async fn image(&mut self, refused: Option<DestinationError>) -> Result<ReadableImage, Stop> {
        let moment = self.moment(refused).await?;
        let draft = self.collect(moment, Arc::default()).await?;
        let place = |path: &RelPath| draft.staging.place(path);
        let message = "the destination is no folder on this machine, and a program cannot read what lies there";
        let elsewhere = || Stop { cause: Cause::Destination, message: message.to_owned(), hint: None };
        let sources = self.plan.files.iter().enumerate().map(|(number, file)| {
            let copied = || place(&file.target).ok_or_else(elsewhere);
            let lies = draft.places.get(number).map_or_else(copied, |place| Ok(place.clone()))?;
            Ok((file.source.root.clone(), lies))
        });
        Ok(ReadableImage {
            run: self.run,
            moment: draft.moment,
            provider: draft.provider.clone(),
            parts: place(&RelPath::root()).ok_or_else(elsewhere)?,
            sources: sources.collect::<Result<_, Stop>>()?,
        })
    }
}
