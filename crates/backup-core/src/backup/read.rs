//! A moment for other programs: held, then read and let go, or kept, or imaged by somebody else. No status message tells of it.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::collect::{Draft, made};
use super::{Moment, Ready, Run, RunContext, Stop};
use crate::check::preflight_kept;
use crate::config::RetryConfig;
use crate::copy::chain;
use crate::kept::{self, KeptContent, places_document, places_name};
use crate::manifest::RecordKind;
use crate::path::{RelPath, SitePath};
use crate::plan::BackupPlan;
use crate::ports::Ports;
use crate::ports::destination::{DestinationError, Holder};
use crate::ports::journal::JournalRecord;
use crate::report::{BackupReport, Cause, Finding, Gravity, Outcome, has_errors};
use crate::snapshot::RunId;

/// What a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A backup snapshot.
    Snapshot,
    /// Another program reads the files, so that they are not copied.
    Image,
    /// Another program has all of it: nothing is copied.
    Moment,
}

impl Purpose {
    /// Whether a cause is in its way: where snapshots go is nothing to who leaves none.
    pub(super) fn is_concerned(self, cause: Cause) -> bool {
        let of_snapshots = matches!(cause, Cause::Destination | Cause::Full | Cause::Foreign | Cause::Snapshot);
        self != Self::Moment || !of_snapshots
    }
}

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

    /// Whether a part of the site lies on an image.
    pub fn is_on_image(&self) -> bool {
        self.paths().len() > 1
    }

    /// Where `path` of the site lies; `None` for what is below no source.
    pub fn place_of(&self, path: &SitePath) -> Option<SitePath> {
        let holding =
            self.sources.iter().filter_map(|(source, place)| Some((source, place, path.strip_prefix(source)?)));
        let (_, place, below) = holding.min_by_key(|(.., below)| below.as_bytes().len())?;
        Some(place.join(&below))
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

/// Brings the site to one moment, sets it going, and keeps the moment until it is [deleted](crate::kept::delete_shadow_copy). The report has no
/// snapshot; where it is a failure nothing is kept.
///
/// Waits for nobody, as [`read_image`]. Dropping the future counts as a kill: what it leaves the next repair removes, unless all of it was there.
pub async fn keep_image(ports: &Ports, plan: &BackupPlan, context: &RunContext) -> (BackupReport, Option<KeptContent>) {
    let mut run = Run::new(ports, plan, context);
    run.purpose = Purpose::Image;
    let kept = match ports.journal.lock().await {
        Ok(_lock) => run.keep().await,
        Err(error) => {
            run.locked_out(&error);
            None
        }
    };
    (run.ended(), kept)
}

impl Run<'_> {
    async fn read(&mut self, reader: Option<&dyn ImageReader>) {
        let refused = self.hold().await;
        let began = self.begin(refused.as_ref()).await;
        // What the run before left is not this one's to tell.
        let had_snapshot = matches!(began, Ok(true));
        let held = match (began, reader) {
            (Ok(_), Some(_)) => self.image_to_read(refused).await.map(Some),
            (Ok(_), None) => self.moment(refused).await.map(|_| None),
            (Err(stop), _) => Err(stop),
        };
        self.set_going().await;
        let read = match held {
            Ok(image) => {
                self.report.outcome = self.so_far();
                match reader.zip(image) {
                    Some((reader, image)) => reader.read(&image).await,
                    None => true,
                }
            }
            Err(stop) => {
                self.stopped(stop);
                false
            }
        };
        self.complete_set(read).await;
        self.discard_staging().await;
        self.leave_journal(had_snapshot).await;
    }

    async fn keep(&mut self) -> Option<KeptContent> {
        let refused = self.hold().await;
        let began = self.begin(refused.as_ref()).await;
        let had_snapshot = matches!(began, Ok(true));
        // Only its services and its journal are this run's from here on, and the store.
        self.ports.destination = Arc::clone(&self.ports.kept);
        let kept = match began {
            Ok(_) => self.image_to_keep(refused).await,
            Err(stop) => Err(stop),
        };
        self.set_going().await;
        let kept = match kept {
            Ok(kept) => {
                self.report.outcome = self.so_far();
                match kept.image.is_on_image() {
                    true => self.tell_writers(true).await,
                    false => self.complete_set(true).await,
                }
                // What could not be let go is let go when the shadow copy is deleted.
                self.set = None;
                Some(kept)
            }
            Err(stop) => {
                self.stopped(stop);
                self.tell_writers(false).await;
                self.remove_begun().await;
                None
            }
        };
        self.leave_journal(had_snapshot).await;
        kept
    }

    /// Removes what there is of a shadow copy that will not be kept.
    async fn remove_begun(&mut self) {
        // Given back, for who removes it takes it again.
        self.hold = None;
        if !self.staged {
            return;
        }
        match kept::remove(&self.ports, self.run).await {
            Ok(()) => self.set = None,
            Err(error) => self.log.finding(Finding::new(Gravity::Warning, Cause::ShadowCopy, chain(&error))),
        }
    }

    fn so_far(&self) -> Outcome {
        if has_errors(&self.log.findings) { Outcome::Incomplete } else { Outcome::Done }
    }

    fn stopped(&mut self, stop: Stop) {
        self.report.outcome = Outcome::Failed(stop.cause);
        let finding = Finding::error(stop.cause, stop.message);
        self.log.finding(Finding { hint: stop.hint, ..finding });
    }

    async fn moment(&mut self, refused: Option<DestinationError>) -> Result<Moment, Stop> {
        let Ready { database, .. } = self.ready(refused).await?;
        self.hold_moment(database, None, Arc::default()).await
    }

    async fn image_to_read(&mut self, refused: Option<DestinationError>) -> Result<ReadableImage, Stop> {
        let moment = self.moment(refused).await?;
        let draft = self.collect(moment, Arc::default()).await?;
        self.image(&draft)
    }

    async fn image_to_keep(&mut self, refused: Option<DestinationError>) -> Result<KeptContent, Stop> {
        if let Some(error) = refused {
            return Err(error.into());
        }
        if !self.ports.shadow_copies.outlives_process() {
            let message = "an image of this system goes with the program that made it, and cannot be kept";
            let hint = "read it by `sitebackup shadow-copy run`, or write `shadow-copy = \"pre-copy\"` in site.toml, whose copies are kept";
            let hint = Some(hint.to_owned());
            return Err(Stop { cause: Cause::ShadowCopy, message: message.to_owned(), hint });
        }
        // Held first: that makes the folder where there is none.
        self.hold = Some(self.ports.kept.hold(Holder::Run(self.run)).await?);
        let place = self.ports.kept.inspect().await?.root.to_string();
        let preflight = preflight_kept(&self.ports, &self.plan).await;
        let database = self.judge(preflight)?.database;
        let begun = JournalRecord::ShadowCopyBegun { run: self.run, at: self.ports.clock.now(), place };
        self.staged = true;
        self.ports.journal.append(&begun).await.map_err(|error| Stop::new(Cause::State, &error))?;
        let moment = self.hold_moment(database, None, Arc::default()).await?;
        let mut draft = self.collect(moment, Arc::default()).await?;
        let image = self.image(&draft)?;
        let (name, document) = (places_name(), places_document(&image));
        draft.staging.write(&name, &document, self.report.started).await?;
        draft.records.push(made(RecordKind::Made, &name, &document));
        let manifest = self.seal(draft).await?;
        Ok(KeptContent { image, manifest })
    }

    fn image(&self, draft: &Draft) -> Result<ReadableImage, Stop> {
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
