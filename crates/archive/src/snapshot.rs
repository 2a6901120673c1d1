//! Snapshots of the archive: what each one is of, and the records of its entries.

use backup_core::manifest::{FileRecord, Manifest};
use backup_core::path::SitePath;
use backup_core::snapshot::RunId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::content::Content;
use crate::crypto::{ReadKey, WriteKey};
use crate::error::ArchiveError;
use crate::pack::{HEAD, check_head, sealed_part};

const MAGIC: [u8; 8] = *b"sbsnap\x01\0";

/// What an archived snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The site code.
    pub site: String,
    /// The run that made the backup snapshot; `None` where another program made it.
    pub run: Option<RunId>,
    /// The name that the folder had.
    pub folder: String,
    /// Of what moment it is.
    pub moment: Timestamp,
    /// Whether it is as consistent as was asked for.
    pub good: bool,
}

impl About {
    /// What a sealed snapshot of this program is, by its manifest; `root` is its folder.
    pub fn of_manifest(manifest: &Manifest, root: &SitePath) -> Self {
        Self {
            site: manifest.site.clone(),
            run: Some(manifest.run),
            folder: root.name().map(|name| String::from_utf8_lossy(name).into_owned()).unwrap_or_default(),
            moment: manifest.moment,
            good: manifest.weaker.is_empty(),
        }
    }
}

/// A snapshot in the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// What it is of.
    pub about: About,
    /// When it was archived.
    pub stored: Timestamp,
    /// Entries, the folder itself among them.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Bytes of the packs that it needed beyond what was there.
    pub added: u64,
    pub(crate) records: Content,
}

/// One entry of an archived folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) record: FileRecord,
    #[serde(default, skip_serializing_if = "is_empty")]
    pub(crate) content: Content,
}

fn is_empty(content: &Content) -> bool {
    content.len() == 0
}

impl Snapshot {
    /// The object and its id.
    pub(crate) fn seal(&self, key: &WriteKey) -> (String, Vec<u8>) {
        let (object_key, sealed) = key.new_object_key();
        let head = [MAGIC.as_slice(), &sealed].concat();
        let mut body = serde_json::to_vec(self).expect("a snapshot holds nothing that JSON cannot say");
        object_key.encrypt(0, &head, &mut body);
        let object = [head, body].concat();
        (blake3::hash(&object).to_hex().to_string(), object)
    }

    /// Reads the object of this name.
    pub(crate) fn open(name: &str, object: &[u8], key: &ReadKey) -> Result<Self, ArchiveError> {
        check_head(name, object, MAGIC)?;
        let damaged = |reason: String| ArchiveError::damaged(name, reason);
        let (head, body) = object.split_at_checked(HEAD).ok_or_else(|| damaged("it is cut off".to_owned()))?;
        let mut body = body.to_vec();
        let object_key = key.unseal(sealed_part(head)).map_err(|error| damaged(error.to_string()))?;
        object_key.decrypt(0, head, &mut body).map_err(|error| damaged(error.to_string()))?;
        serde_json::from_slice(&body).map_err(|error| damaged(error.to_string()))
    }
}
