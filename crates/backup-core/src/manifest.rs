//! The one serialised format that core owns: `sitebackup.json` and the list of files, version 1.
//!
//! Unknown fields are refused, so that an old program never reads a newer snapshot by half; a new field means a new version.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::path::RelPath;
use crate::ports::database::{DatabaseForm, SetupOption};
use crate::ports::shadow_copies::Consistency;
use crate::ports::site_files::{Attributes, FileTime};
use crate::snapshot::RunId;

/// The version that this program writes and reads.
pub const FORMAT_VERSION: u32 = 1;
/// The manifest's file name in the snapshot folder.
pub const MANIFEST_NAME: &str = "sitebackup.json";
/// The list's file name in the snapshot folder.
pub const LIST_NAME: &str = "files.jsonl.zst";

/// A BLAKE3 hash, printed as `b3sum` does.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub blake3::Hash);

impl ContentHash {
    /// The hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.to_hex())
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        blake3::Hash::from_str(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// What an entry of the list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordKind {
    /// A regular file with its content.
    File,
    /// A further name of a file of the list.
    HardLink,
    /// A folder.
    Directory,
    /// A symbolic link; it stands in the list only, not in the snapshot folder.
    Symlink,
    /// A database, written by its adapter.
    Database,
    /// A registry key's export.
    Registry,
    /// A file that the run made itself: a command's output, a document.
    Made,
}

/// One line of the list: an entry of the snapshot with all that a recovery needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRecord {
    /// What it is.
    pub kind: RecordKind,
    /// Its place in the snapshot.
    #[serde(with = "rel_path")]
    pub path: RelPath,
    /// Bytes of content.
    #[serde(default)]
    pub size: u64,
    /// The content's hash.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<ContentHash>,
    /// Last change of the content.
    #[serde(default)]
    pub modified: FileTime,
    /// Last change of anything, as the source had it: tells whether a later run may take the file over unread.
    #[serde(default)]
    pub changed: FileTime,
    /// The source's inode, for the same purpose.
    #[serde(default)]
    pub inode: u64,
    /// Permission bits.
    #[serde(default)]
    pub mode: u32,
    /// The owner's number.
    #[serde(default)]
    pub owner: u32,
    /// The group's number.
    #[serde(default)]
    pub group: u32,
    /// Extended attributes, names and values in hex.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "attributes")]
    pub attributes: Attributes,
    /// A symbolic link's target.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "target")]
    pub target: Option<Vec<u8>>,
    /// For a further name: the first one's place in the snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_rel_path")]
    pub first: Option<RelPath>,
}

impl FileRecord {
    /// A record with nothing but its kind and path.
    pub fn new(kind: RecordKind, path: RelPath) -> Self {
        Self {
            kind,
            path,
            size: 0,
            hash: None,
            modified: FileTime::default(),
            changed: FileTime::default(),
            inode: 0,
            mode: 0,
            owner: 0,
            group: 0,
            attributes: Vec::new(),
            target: None,
            first: None,
        }
    }
}

/// Where a part of the snapshot came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Which part.
    pub part: Part,
    /// The path, the key or the database as its platform writes it.
    pub original: String,
    /// The path's bytes in hex where it is not Unicode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_hex: Option<String>,
    /// The place in the snapshot, of the folder or the file.
    #[serde(with = "rel_path")]
    pub place: RelPath,
}

/// A part of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Files and folders.
    Files,
    /// A registry key.
    Registry,
    /// The site database.
    Database,
}

/// What is known of the database part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabasePart {
    /// The database's name.
    pub name: String,
    /// What of it is in the snapshot.
    #[serde(default)]
    pub form: DatabaseForm,
    /// The engine with its version.
    pub engine: String,
    /// How its moment was held.
    pub pinned_by: String,
    /// Which option of the product's Setup takes it back.
    pub setup_option: SetupOption,
    /// Facts to compare after a recovery.
    pub facts: Vec<(String, String)>,
}

impl DatabasePart {
    /// What it says under a name.
    pub(crate) fn fact(&self, name: &str) -> &str {
        self.facts.iter().find(|(fact, _)| fact == name).map_or("unknown", |(_, value)| value)
    }
}

/// The manifest of a backup snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format's version.
    pub version: u32,
    /// The run, which is the snapshot's id.
    pub run: RunId,
    /// The site code.
    pub site: String,
    /// When the run began.
    pub started: Timestamp,
    /// The moment to which all parts belong.
    pub moment: Timestamp,
    /// What the moment guarantees.
    pub consistency: Consistency,
    /// Who made the shadow copy.
    pub provider: String,
    /// From the first Freeze to the last Thaw.
    pub freeze_window: Duration,
    /// From the first service stopped to the last one started again.
    pub outage: Duration,
    /// Why the result is weaker than asked for; empty when it is not.
    pub weaker: Vec<String>,
    /// Where the parts came from.
    pub origins: Vec<Origin>,
    /// The database part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabasePart>,
    /// The version recorded in CD.Latest, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cd_latest: Option<String>,
    /// Entries in the list.
    pub entries: u64,
    /// Bytes of content in the list.
    pub bytes: u64,
    /// The hash of the list, uncompressed.
    pub list: ContentHash,
    /// What AfterBackup added to the folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additions: Vec<FileRecord>,
}

/// Why a manifest or a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is not of this version.
    #[error("the manifest has format version {0}, this program reads {FORMAT_VERSION}")]
    Version(u64),
    /// It is not JSON of this shape.
    #[error("{what} cannot be read")]
    Shape {
        /// `the manifest`, or `line N of the list`.
        what: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The list is not the one that the manifest names.
    #[error("the list of files does not have the hash in the manifest")]
    List,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`] for another version, and for anything that is not exactly of this shape.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let shape = |source| ManifestError::Shape { what: "the manifest".to_owned(), source };
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(shape)?;
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if version != u64::from(FORMAT_VERSION) => Err(ManifestError::Version(version)),
            _ => serde_json::from_value(value).map_err(shape),
        }
    }

    /// The manifest as it is written.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("a manifest holds nothing that JSON cannot say");
        json.push(b'\n');
        json
    }

    /// Reads the list of files, which must be the one that this manifest names.
    ///
    /// # Errors
    /// [`ManifestError`] for another list and for a line that is not a record.
    pub fn parse_list(&self, list: &[u8]) -> Result<Vec<FileRecord>, ManifestError> {
        if ContentHash::of(list) != self.list {
            return Err(ManifestError::List);
        }
        let lines = list.split(|byte| *byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
        lines
            .map(|(number, line)| {
                let what = || format!("line {} of the list", number + 1);
                serde_json::from_slice(line).map_err(|source| ManifestError::Shape { what: what(), source })
            })
            .collect()
    }
}

/// The list of files as it is written, one JSON object a line.
pub fn list_to_jsonl(records: &[FileRecord]) -> Vec<u8> {
    let mut list = Vec::new();
    for record in records {
        serde_json::to_writer(&mut list, record).expect("a record holds nothing that JSON cannot say");
        list.push(b'\n');
    }
    list
}

/// Bytes as lower-case hex.
pub fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a hex text; `None` when it is not one.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// Bytes as JSON: a string where they are Unicode, else `{"hex": "…"}`.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum BytesJson {
    Text(String),
    Hex { hex: String },
}

impl BytesJson {
    fn new(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Hex { hex: to_hex(bytes) },
        }
    }

    fn bytes<E: serde::de::Error>(self) -> Result<Vec<u8>, E> {
        match self {
            Self::Text(text) => Ok(text.into_bytes()),
            Self::Hex { hex } => from_hex(&hex).ok_or_else(|| E::custom("not hex")),
        }
    }
}

mod rel_path {
    use super::{BytesJson, RelPath};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(path: &RelPath, serializer: S) -> Result<S::Ok, S::Error> {
        BytesJson::new(path.as_bytes()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RelPath, D::Error> {
        let bytes = BytesJson::deserialize(deserializer)?.bytes()?;
        RelPath::parse(bytes).map_err(D::Error::custom)
    }
}

pub(crate) mod site_path {
    use super::BytesJson;
    use crate::path::SitePath;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(path: &SitePath, serializer: S) -> Result<S::Ok, S::Error> {
        BytesJson::new(&path.to_bytes()).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SitePath, D::Error> {
        SitePath::parse(BytesJson::deserialize(deserializer)?.bytes()?).map_err(D::Error::custom)
    }
}

mod optional_rel_path {
    use super::{BytesJson, RelPath};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(path: &Option<RelPath>, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_ref().map(|path| BytesJson::new(path.as_bytes())).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<RelPath>, D::Error> {
        let Some(json) = Option::<BytesJson>::deserialize(deserializer)? else {
            return Ok(None);
        };
        RelPath::parse(json.bytes()?).map(Some).map_err(D::Error::custom)
    }
}

mod target {
    use super::BytesJson;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(target: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
        target.as_deref().map(BytesJson::new).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<u8>>, D::Error> {
        Option::<BytesJson>::deserialize(deserializer)?.map(BytesJson::bytes).transpose()
    }
}

mod attributes {
    use super::{Attributes, from_hex, to_hex};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(list: &[(Vec<u8>, Vec<u8>)], serializer: S) -> Result<S::Ok, S::Error> {
        let list: Vec<(String, String)> = list.iter().map(|(name, value)| (to_hex(name), to_hex(value))).collect();
        list.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Attributes, D::Error> {
        let list = Vec::<(String, String)>::deserialize(deserializer)?;
        let pair = |(name, value): (String, String)| Some((from_hex(&name)?, from_hex(&value)?));
        list.into_iter().map(pair).collect::<Option<_>>().ok_or_else(|| D::Error::custom("not hex"))
    }
}
