//! Registry keys, exported and imported whole.

use std::fmt::{self, Debug, Display};

use async_trait::async_trait;

use super::Source;

/// A key's path with its root, such as `HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\SMS`; compared without regard to case.
#[derive(Debug, Clone)]
pub struct RegistryKey(String);

impl RegistryKey {
    /// Takes a path with a full or a short root name (`HKLM`); separators are `\`.
    pub fn new(path: &str) -> Self {
        let path = path.trim_matches('\\');
        let (root, below) = path.split_once('\\').unwrap_or((path, ""));
        let root = match root.to_ascii_uppercase().as_str() {
            "HKLM" => "HKEY_LOCAL_MACHINE".to_owned(),
            "HKCU" => "HKEY_CURRENT_USER".to_owned(),
            "HKU" => "HKEY_USERS".to_owned(),
            "HKCR" => "HKEY_CLASSES_ROOT".to_owned(),
            "HKCC" => "HKEY_CURRENT_CONFIG".to_owned(),
            upper => upper.to_owned(),
        };
        if below.is_empty() { Self(root) } else { Self(format!("{root}\\{below}")) }
    }

    /// The full path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this key is `other` or lies below it.
    pub fn starts_with(&self, other: &RegistryKey) -> bool {
        let (mine, theirs) = (self.0.to_lowercase(), other.0.to_lowercase());
        mine.strip_prefix(&theirs).is_some_and(|rest| rest.is_empty() || rest.starts_with('\\'))
    }
}

impl PartialEq for RegistryKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_lowercase() == other.0.to_lowercase()
    }
}

impl Eq for RegistryKey {}

impl Display for RegistryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a key could not be moved.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No root that holds the key is known here.
    #[error("no registry is configured for `{0}`")]
    NoStore(RegistryKey),
    /// The key does not exist.
    #[error("registry key `{0}` does not exist")]
    NoKey(RegistryKey),
    /// What should be imported is not what an export wrote.
    #[error("the export of `{key}` cannot be read")]
    Malformed {
        /// The key.
        key: RegistryKey,
        /// Where and why.
        source: Source,
    },
    /// The store could not be read or written.
    #[error("failed to {action} registry key `{key}`")]
    Failed {
        /// The key.
        key: RegistryKey,
        /// `export` or `import`.
        action: &'static str,
        /// The reason.
        source: Source,
    },
}

/// What becomes of that which the registry has and the export has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ImportMode {
    /// It goes: the key becomes what the export says, no more. What the export cannot know of a key that stays (class name, security
    /// descriptor and last-write time, where it is text) is kept.
    #[default]
    Exact,
    /// It stays, unless `.reg` text deletes it.
    Merge,
}

/// Exports and imports key trees. An export's bytes are the adapter's own format; any adapter says whether it reads them.
#[async_trait]
pub trait Registry: Debug + Send + Sync {
    /// The tree at `key` as one file's content; names, types and values exact. Writes nothing.
    async fn export(&self, key: &RegistryKey) -> Result<Vec<u8>, RegistryError>;
    /// Puts the export at `key`; `mode` says what becomes of what it does not hold.
    ///
    /// Atomic: after a crash the tree is the old or the new one. The live registry of Windows cannot be changed so: there a crash leaves
    /// a tree between the two, which repeating the import puts right. Repeating it changes nothing.
    async fn import(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<(), RegistryError>;
    /// Tells what [`import`](Self::import) would change, one line a change in the order of the names, and changes nothing.
    async fn preview(&self, key: &RegistryKey, export: &[u8], mode: ImportMode) -> Result<Vec<String>, RegistryError>;
    /// Tells what of the export an import cannot keep, as the store has no place for it; `None` where nothing is lost. Changes nothing.
    async fn loses(&self, _key: &RegistryKey, _export: &[u8]) -> Result<Option<String>, RegistryError> {
        Ok(None)
    }
    /// Judges an export without importing it; returns how many keys it holds.
    async fn verify(&self, key: &RegistryKey, export: &[u8]) -> Result<usize, RegistryError>;
}
