//! Shadow copies that are kept for other programs: listed, deleted, told of when they are old. [`keep_image`](crate::backup::keep_image) makes them.
//!
//! A kept shadow copy is a sealed folder in a store of its own, with all that does not lie on an image, and the image, which its provider finds by
//! the run's id. The journal knows of it from before the first of the two was made until after the last of them went: so it is never forgotten,
//! whoever removes what.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backup::ReadableImage;
use crate::copy::chain;
use crate::manifest::{Manifest, site_path};
use crate::path::{RelPath, SitePath};
use crate::ports::Ports;
use crate::ports::destination::{DestinationError, Holder, StoredSnapshot};
use crate::ports::journal::{BegunShadowCopy, JournalError, JournalRecord, begun_shadow_copies, unfinished_runs};
use crate::ports::shadow_copies::{ShadowCopyError, ShadowCopySetId};
use crate::ports::site_files::SiteFilesError;
use crate::report::{Cause, Finding, Gravity};
use crate::snapshot::{RunId, short};
use crate::verify::read_small;

/// A kept shadow copy that is older than this is told of: it holds room.
pub const OLD: Duration = Duration::from_secs(86_400);
/// The version of the document that says where the sources lie.
const VERSION: u32 = 1;

/// The place of that document in the folder.
pub(crate) fn places_name() -> RelPath {
    RelPath::parse("sitebackup/shadow-copy.json").expect("a plain path")
}

/// Where each source lies, as the document says it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Places {
    version: u32,
    sources: Vec<SourcePlace>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourcePlace {
    #[serde(with = "site_path")]
    source: SitePath,
    #[serde(with = "site_path")]
    place: SitePath,
}

/// The document of an image.
pub(crate) fn places_document(image: &ReadableImage) -> Vec<u8> {
    let place = |(source, place): &(SitePath, SitePath)| SourcePlace { source: source.clone(), place: place.clone() };
    let places = Places { version: VERSION, sources: image.sources.iter().map(place).collect() };
    let mut json = serde_json::to_vec_pretty(&places).expect("paths hold nothing that JSON cannot say");
    json.push(b'\n');
    json
}

/// A shadow copy that is kept.
#[derive(Debug, Clone)]
pub struct KeptShadowCopy {
    /// Its id: the run that made it.
    pub run: RunId,
    /// The moment; where that cannot be known, when it was begun.
    pub moment: Timestamp,
    /// The folder with its parts; where that is gone, the folder with all kept ones, as its platform writes it.
    pub folder: String,
    /// What it is, or why it cannot be read.
    pub content: Result<KeptContent, String>,
}

/// What a kept shadow copy is that can be read.
#[derive(Debug, Clone)]
pub struct KeptContent {
    /// Where all of it lies.
    pub image: ReadableImage,
    /// What is known of it, and what its folder holds: files on an image are not counted.
    pub manifest: Manifest,
}

impl KeptShadowCopy {
    fn broken(run: RunId, moment: Timestamp, folder: String, reason: impl Into<String>) -> Self {
        Self { run, moment, folder, content: Err(reason.into()) }
    }

    /// What there is to know and to do about one that cannot be read.
    pub fn finding(&self) -> Option<Finding> {
        let reason = self.content.as_ref().err()?;
        let id = short(self.run, &[]);
        let finding =
            Finding::new(Gravity::Warning, Cause::Snapshot, format!("kept shadow copy {id} cannot be read: {reason}"));
        Some(finding.hint(format!("`sitebackup shadow-copy delete {id}` removes what is left of it")))
    }
}

/// Why kept shadow copies could not be listed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// There is none with this id.
    #[error("no kept shadow copy has the id `{0}`")]
    None(RunId),
    /// It was kept in a folder that is not the one where they are kept now.
    #[error("kept shadow copy `{run}` lies in `{place}`, and they are kept in `{now}` now")]
    Elsewhere {
        /// Its id.
        run: RunId,
        /// Where it lies.
        place: String,
        /// Where they are kept.
        now: SitePath,
    },
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The folder with all of them.
    #[error(transparent)]
    Store(#[from] DestinationError),
    /// The image.
    #[error(transparent)]
    Image(#[from] ShadowCopyError),
}

/// All kept shadow copies, oldest first; also those that cannot be read any more. Changes nothing, and takes no lock.
///
/// # Errors
/// [`KeptError`] when journal or store cannot be read.
pub async fn kept_shadow_copies(ports: &Ports) -> Result<Vec<KeptShadowCopy>, KeptError> {
    let records = ports.journal.read().await?;
    let mut list = BTreeMap::new();
    for BegunShadowCopy { run, at, place } in begun_shadow_copies(&records) {
        let reason = format!("no folder of it is in `{place}`");
        list.insert(run, KeptShadowCopy::broken(run, at, place, reason));
    }
    for damaged in ports.kept.damaged().await? {
        let moment = list.get(&damaged.run).map_or(Timestamp::UNIX_EPOCH, |known| known.moment);
        let copy = KeptShadowCopy::broken(damaged.run, moment, damaged.folder.to_string(), damaged.reason);
        list.insert(damaged.run, copy);
    }
    for stored in ports.kept.list().await? {
        list.insert(stored.run, whole(ports, stored).await);
    }
    for run in unfinished_runs(&records) {
        if let Some(copy) = list.get_mut(&run) {
            copy.content = Err("the run that makes it has not ended: it runs now, or was killed".to_owned());
        }
    }
    Ok(list.into_values().collect())
}

/// One whose folder is whole.
async fn whole(ports: &Ports, stored: StoredSnapshot) -> KeptShadowCopy {
    let StoredSnapshot { run, folder, manifest, .. } = stored;
    let (moment, shown) = (manifest.moment, folder.to_string());
    match sources(ports, run).await {
        Ok(sources) => {
            let provider = manifest.provider.clone();
            let image = ReadableImage { run, moment, provider, parts: folder, sources };
            KeptShadowCopy { run, moment, folder: shown, content: Ok(KeptContent { image, manifest }) }
        }
        Err(reason) => KeptShadowCopy::broken(run, moment, shown, reason),
    }
}

/// Where its sources lie, each of which must be there.
async fn sources(ports: &Ports, run: RunId) -> Result<Vec<(SitePath, SitePath)>, String> {
    let read = async { read_small(ports.kept.open(run).await?.as_ref(), &places_name()) };
    let document = read.await.map_err(|error| chain(&error))?;
    let unreadable = |error: &dyn std::error::Error| format!("`{}` cannot be read: {}", places_name(), chain(error));
    let places: Places = serde_json::from_slice(&document).map_err(|error| unreadable(&error))?;
    if places.version != VERSION {
        return Err(format!("`{}` has version {}, this program reads {VERSION}", places_name(), places.version));
    }
    let gone = |place: &&SourcePlace| matches!(ports.files.attributes(&place.place), Err(SiteFilesError::Missing(_)));
    match places.sources.iter().find(gone) {
        Some(gone) => Err(format!("`{}` is gone, where `{}` was", gone.place, gone.source)),
        None => Ok(places.sources.into_iter().map(|place| (place.source, place.place)).collect()),
    }
}

/// Deletes a kept shadow copy: its image, then its folder, then what the journal knows. Idempotent up to the last step: one that failed or was
/// killed is repeated. What does not carry our marker stays.
///
/// # Errors
/// [`KeptError`] when there is none, when a run is in progress, and when something of it is left.
pub async fn delete_shadow_copy(ports: &Ports, run: RunId) -> Result<(), KeptError> {
    let _lock = ports.journal.lock().await?;
    match kept_shadow_copies(ports).await?.iter().any(|copy| copy.run == run) {
        true => remove(ports, run).await,
        false => Err(KeptError::None(run)),
    }
}

/// Removes what there is of one. The journal is the caller's.
pub(crate) async fn remove(ports: &Ports, run: RunId) -> Result<(), KeptError> {
    // A folder that is gone as a whole is a drive that is not mounted, rather than shadow copies that somebody removed.
    let now = ports.kept.inspect().await?.root;
    let begun = begun_shadow_copies(&ports.journal.read().await?).into_iter().find(|copy| copy.run == run);
    if let Some(BegunShadowCopy { place, .. }) = begun.filter(|copy| copy.place != now.to_string()) {
        return Err(KeptError::Elsewhere { run, place, now });
    }
    let _hold = ports.kept.hold(Holder::Repair).await?;
    ports.shadow_copies.release(ShadowCopySetId(run.0)).await?;
    ports.kept.remove(run).await?;
    // What a crash left that has no marker yet.
    ports.kept.sweep().await?;
    Ok(ports.journal.append(&JournalRecord::ShadowCopyDeleted { run, at: ports.clock.now() }).await?)
}

/// What a check or a status says of those that are old or broken.
pub async fn old_shadow_copies(ports: &Ports) -> Vec<Finding> {
    let copies = match kept_shadow_copies(ports).await {
        Ok(copies) => copies,
        Err(error) => return vec![Finding::new(Gravity::Warning, Cause::ShadowCopy, chain(&error))],
    };
    let now = ports.clock.now();
    let old = |copy: &KeptShadowCopy| {
        let age = now.duration_since(copy.moment).unsigned_abs();
        let (id, hours) = (short(copy.run, &[]), age.as_secs() / 3600);
        let message = format!("shadow copy {id} has been kept for {hours} hours, and holds room");
        let hint = format!("`sitebackup shadow-copy delete {id}`, when nobody reads it any more");
        (age > OLD).then(|| Finding::new(Gravity::Warning, Cause::ShadowCopy, message).hint(hint))
    };
    copies.iter().filter_map(|copy| copy.finding().or_else(|| old(copy))).collect()
}
