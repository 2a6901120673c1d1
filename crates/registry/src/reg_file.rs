//! A store of keys that lives in one `.reg` file.

use std::path::{Path, PathBuf};

use backup_core::ports::Source;

use crate::name::KeyPath;
use crate::reg_text::{self, Encoding};
use crate::store::{FileStore, Format};
use crate::tree::{Detail, Key};

/// A `.reg` file as a store. An import keeps the file's encoding, but not comments; what text cannot hold is lost.
pub type RegFile = FileStore<RegFormat>;

/// `.reg` text; see [`reg_text`].
#[derive(Debug, Default)]
pub struct RegFormat {
    mount: KeyPath,
}

impl RegFile {
    /// A store in the file at `path`, which is not touched before the first call.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self::with_format(path, RegFormat::default())
    }
}

impl Format for RegFormat {
    type Rest = Encoding;

    const DETAIL: Detail = Detail::Values;

    fn mount(&self) -> &KeyPath {
        &self.mount
    }

    fn read(&self, bytes: Vec<u8>, _file: &Path) -> Result<(Key, Encoding), Source> {
        let text = reg_text::read(&bytes)?;
        let encoding = text.encoding;
        Ok((text.into_tree(), encoding))
    }

    fn write(&self, key: &Key, encoding: &Encoding) -> Result<Vec<u8>, Source> {
        Ok(reg_text::write(key, &KeyPath::default(), *encoding)?)
    }
}
