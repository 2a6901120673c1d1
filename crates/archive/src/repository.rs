//! A repository: made once, opened with a key.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crypto::{ReadKey, WriteKey};
use crate::error::ArchiveError;
use crate::index::Index;
use crate::keys::Key;
use crate::progress::Hearers;
use crate::read::Chunks;
use crate::snapshot::Snapshot;
use crate::storage::{Storage, StorageError};

/// The object that makes a place a repository.
pub(crate) const CONFIG: &str = "config";
const FORMAT: &str = "sitebackup-archive";
/// The version of the format that is written, and the latest that is read.
pub const FORMAT_VERSION: u64 = 1;
/// No honest object of JSON, and no snapshot, is larger.
pub(crate) const MOST_JSON: usize = 16 << 20;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    format: String,
    pub(crate) version: u64,
    id: String,
}

/// What every version of a configuration has.
#[derive(Debug, Deserialize)]
struct Versioned {
    format: String,
    version: u64,
}

/// A snapshot with its id: 64 hexadecimal digits, of which as many as tell it apart name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The id.
    pub id: String,
    /// What it is.
    pub snapshot: Snapshot,
}

/// Snapshots that can be read, oldest moment first and of one moment the one that was stored first, and those that cannot.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those that can.
    pub snapshots: Vec<Listed>,
    /// Why the others cannot.
    pub damaged: Vec<ArchiveError>,
}

/// An archive repository.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) read: Option<ReadKey>,
    pub(crate) write: WriteKey,
    pub(crate) hearers: Hearers,
    id: String,
}

impl Repository {
    /// Makes a repository whose keys stand in `keys/` already: its last step, after which there is one.
    ///
    /// # Errors
    /// [`StorageError::Exists`] when there is one.
    pub fn create(storage: Arc<dyn Storage>, key: &ReadKey) -> Result<Self, ArchiveError> {
        let config = Config { format: FORMAT.to_owned(), version: FORMAT_VERSION, id: key.write_key().repository() };
        storage.put_new(CONFIG, &serde_json::to_vec(&config).expect("plain text"))?;
        Self::open(storage, Key::Read(key.clone()))
    }

    /// Opens a repository.
    ///
    /// # Errors
    /// [`ArchiveError::NoRepository`], [`ArchiveError::Newer`], [`ArchiveError::OtherKey`].
    pub fn open(storage: Arc<dyn Storage>, key: Key) -> Result<Self, ArchiveError> {
        let id = Self::id_of(&*storage)?;
        let (read, write) = match key {
            Key::Read(key) => (Some(key.clone()), key.write_key()),
            Key::Write(key) => (None, key),
        };
        if write.repository() != id {
            return Err(ArchiveError::OtherKey(id));
        }
        Ok(Self { storage, read, write, hearers: Hearers::default(), id })
    }

    /// The id of the repository that lies in `storage`.
    ///
    /// # Errors
    /// [`ArchiveError::NoRepository`], [`ArchiveError::Newer`].
    pub fn id_of(storage: &dyn Storage) -> Result<String, ArchiveError> {
        let config = match get_json(storage, CONFIG) {
            Err(ArchiveError::Storage(StorageError::Missing(_))) => return Err(ArchiveError::NoRepository),
            read => read?,
        };
        let damaged = |error: serde_json::Error| ArchiveError::damaged(CONFIG, error);
        // A later version may have other fields.
        let Versioned { format, version } = serde_json::from_slice(&config).map_err(damaged)?;
        match version {
            _ if format != FORMAT => Err(ArchiveError::damaged(CONFIG, "it is no repository of this program")),
            FORMAT_VERSION => Ok(serde_json::from_slice::<Config>(&config).map_err(damaged)?.id),
            0 => Err(ArchiveError::damaged(CONFIG, "there was no such version")),
            version => Err(ArchiveError::Newer { name: CONFIG.to_owned(), version, ours: FORMAT_VERSION }),
        }
    }

    /// Fails where something else lies at the place of this repository: of a share that is no longer mounted the empty folder is left, or what was
    /// put into that meanwhile.
    pub(crate) fn is_there(&self) -> Result<(), ArchiveError> {
        match Self::id_of(&*self.storage)? {
            id if id == self.id => Ok(()),
            id => Err(ArchiveError::OtherKey(id)),
        }
    }

    /// The repository's own name: 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// All snapshots.
    ///
    /// # Errors
    /// When storage cannot be listed, and [`ArchiveError::WriteOnly`].
    pub fn snapshots(&self) -> Result<Listing, ArchiveError> {
        self.read_key()?;
        let mut listing = Listing::default();
        let listed = self.storage.list("snapshots")?;
        if listed.is_empty() {
            self.is_there()?;
        }
        for stored in listed {
            match self.read_snapshot(&stored.name) {
                Ok(snapshot) => listing.snapshots.push(Listed { id: id_of(&stored.name).to_owned(), snapshot }),
                // Forgotten since it was listed.
                Err(ArchiveError::Storage(StorageError::Missing(_))) => {}
                Err(error) => listing.damaged.push(error),
            }
        }
        let order = |listed: &Listed| (listed.snapshot.about.moment, listed.snapshot.stored);
        listing.snapshots.sort_by(|a, b| order(a).cmp(&order(b)).then_with(|| a.id.cmp(&b.id)));
        Ok(listing)
    }

    /// The snapshot whose id begins with `id`, or the newest for `latest`.
    ///
    /// # Errors
    /// [`ArchiveError::Empty`], those of [`whole_id`](Self::whole_id), and when the snapshot cannot be read.
    pub fn find(&self, id: &str) -> Result<Listed, ArchiveError> {
        if id == "latest" {
            return self.snapshots()?.snapshots.pop().ok_or(ArchiveError::Empty);
        }
        let id = self.whole_id(id)?;
        let snapshot = self.read_snapshot(&format!("snapshots/{id}"))?;
        Ok(Listed { id, snapshot })
    }

    /// The one id that begins with `prefix`, whether the snapshot can be read or not.
    ///
    /// # Errors
    /// [`ArchiveError::NoSnapshot`], [`ArchiveError::Ambiguous`].
    pub fn whole_id(&self, prefix: &str) -> Result<String, ArchiveError> {
        let stored = self.storage.list("snapshots")?;
        let ids = stored.iter().map(|stored| id_of(&stored.name));
        let mut ids: Vec<&str> = ids.filter(|id| !prefix.is_empty() && id.starts_with(prefix)).collect();
        match (ids.len(), ids.pop()) {
            (1, Some(id)) => Ok(id.to_owned()),
            (0, _) => Err(ArchiveError::NoSnapshot(prefix.to_owned())),
            (count, _) => Err(ArchiveError::Ambiguous { prefix: prefix.to_owned(), count }),
        }
    }

    fn read_snapshot(&self, name: &str) -> Result<Snapshot, ArchiveError> {
        let key = self.read_key()?;
        let object = get_json(&*self.storage, name)?;
        // A version that a flipped bit makes newer is no newer one.
        if blake3::hash(&object).to_hex().as_str() != id_of(name) {
            return Err(ArchiveError::damaged(name, "its bytes have another hash"));
        }
        Snapshot::open(name, &object, key)
    }

    pub(crate) fn read_key(&self) -> Result<&ReadKey, ArchiveError> {
        self.read.as_ref().ok_or(ArchiveError::WriteOnly)
    }

    /// All chunks, for reading.
    pub(crate) fn chunks(&self) -> Result<Chunks, ArchiveError> {
        let key = self.read_key()?.clone();
        let index = Index::load(&*self.storage, &self.write, &HashSet::new(), |_| ())?;
        Ok(Chunks::new(Arc::clone(&self.storage), index, key))
    }
}

/// The id in an object's name.
fn id_of(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or_default()
}

/// Reads a small object whole.
pub(crate) fn get_json(storage: &dyn Storage, name: &str) -> Result<Vec<u8>, ArchiveError> {
    Ok(storage.get(name, MOST_JSON)?)
}
