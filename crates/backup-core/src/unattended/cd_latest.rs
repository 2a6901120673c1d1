//! What a snapshot has of Setup: the folder `CD.Latest`.
//!
//! Certain is that Setup must be of the site's version, that `SMSSETUP\BIN\X64\setup.exe` starts it, and that `Redist` is missing until a
//! site is first updated from its console. Where the version is written is our reading: `FullVersion` in `SMSSETUP\version.ini` for
//! Setup's, `Full Version` in the registry key `Setup` for the site's.

use crate::manifest::{FileRecord, Manifest, RecordKind};
use crate::path::RelPath;
use crate::ports::site_files::WalkEntry;
use crate::report::{Cause, Finding, Gravity};
use crate::verify::compare;

/// The folder in a snapshot.
const FOLDER: &str = "CD.Latest";
/// What starts Setup, below the folder.
const SETUP: &str = "SMSSETUP/BIN/X64/setup.exe";
/// The prerequisites, below the folder.
const REDIST: &str = "Redist/";

/// Whether a snapshot holds the Setup that recovers its site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CdLatest {
    present: bool,
    redist: bool,
    version: Option<String>,
    site_version: Option<String>,
    faults: Vec<String>,
}

impl CdLatest {
    /// Judges the folder by the snapshot's manifest and list, by a walk of what lies there now, and by the site's version.
    pub fn judge(
        manifest: &Manifest,
        records: &[FileRecord],
        walk: &[WalkEntry],
        site_version: Option<String>,
    ) -> Self {
        let listed: Vec<FileRecord> = records.iter().filter(|record| below(&record.path).is_some()).cloned().collect();
        let found: Vec<WalkEntry> = walk.iter().filter(|entry| below(&entry.path).is_some()).cloned().collect();
        let files = || listed.iter().filter(|record| matches!(record.kind, RecordKind::File | RecordKind::HardLink));
        let names: Vec<String> = files().filter_map(|record| below(&record.path)).collect();
        let (mut faults, _) = compare(&found, &listed);
        if !names.is_empty() && !names.iter().any(|name| name.eq_ignore_ascii_case(SETUP)) {
            faults.insert(0, format!("`{FOLDER}/{SETUP}`, which starts Setup, is missing"));
        }
        let version = manifest.cd_latest.clone();
        if let (Some(version), Some(site)) = (&version, &site_version)
            && version != site
        {
            faults.push(format!("it is of version {version}, the site of {site}"));
        }
        let redist = |name: &String| name.get(..REDIST.len()).is_some_and(|start| start.eq_ignore_ascii_case(REDIST));
        Self { present: !names.is_empty(), redist: names.iter().any(redist), version, site_version, faults }
    }

    /// Whether Setup can be run from it.
    pub fn is_whole(&self) -> bool {
        self.present && self.faults.is_empty()
    }

    /// Whether there is anything of it.
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// Whether it brings Setup's prerequisites.
    pub fn has_redist(&self) -> bool {
        self.redist
    }

    /// The version that is recorded in it.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// What is wrong with it.
    pub fn faults(&self) -> &[String] {
        &self.faults
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let wrong = match (self.present, self.faults.as_slice()) {
            (false, _) => {
                Some(format!("the snapshot holds no `{FOLDER}`: Setup of the site's version must come from elsewhere"))
            }
            (true, []) => None,
            (true, [one]) => Some(format!("`{FOLDER}` in the snapshot is of no use: {one}")),
            (true, [first, more @ ..]) => {
                Some(format!("`{FOLDER}` in the snapshot is of no use: {first}, and {} more", more.len()))
            }
        };
        if let Some(message) = wrong {
            let hint = "the script has no CDLatest=1: add it to [Identification] when Setup runs from a CD.Latest of the same version, \
                        the old server's or one of a lab site updated to it; of a site never updated, its installation media will do";
            return vec![Finding::error(Cause::Recovery, message).hint(hint)];
        }
        let unknown = match (&self.version, &self.site_version) {
            (None, _) => format!("`{FOLDER}` in the snapshot records no version that can be read"),
            (_, None) => "the snapshot does not tell the site's version".to_owned(),
            _ => return Vec::new(),
        };
        let message = format!("{unknown}: whether Setup is of the site's version is not known");
        vec![Finding::new(Gravity::Warning, Cause::Recovery, message).hint("compare the two before you run Setup")]
    }
}

/// The path below the folder, as far as it is Unicode.
fn below(path: &RelPath) -> Option<String> {
    let text = String::from_utf8_lossy(path.as_bytes()).into_owned();
    let (folder, rest) = text.split_once('/')?;
    folder.eq_ignore_ascii_case(FOLDER).then(|| rest.to_owned())
}
