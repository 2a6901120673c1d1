//! Leases and marks: how storing and pruning keep out of each other's way without locks or clocks (docs/format.md, Pruning).

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::crypto::random_name;
use crate::error::ArchiveError;
use crate::repository::{Repository, get_json};
use crate::storage::{Storage, StorageError};

/// The folder of objects that end a lease of the same name.
const ENDED: &str = "ended";

/// What somebody with a lease does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Stores a folder.
    Store,
    /// Prunes.
    Prune,
}

/// What a lease says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseFacts {
    /// What for.
    pub purpose: Purpose,
    /// The process, and since when.
    pub holder: String,
}

/// Packs that will be deleted.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mark {
    pub(crate) packs: Vec<String>,
}

/// Leases that stood when a mark was there to be seen.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Confirmed {
    pub(crate) leases: Vec<String>,
}

/// A lease of this process, which ends with it; one that was killed leaves it behind.
#[derive(Debug)]
pub(crate) struct Lease {
    storage: Arc<dyn Storage>,
    pub(crate) id: String,
    is_over: bool,
}

impl Lease {
    pub(crate) fn take(storage: &Arc<dyn Storage>, purpose: Purpose, holder: &str) -> Result<Self, ArchiveError> {
        let id = random_name();
        let facts = LeaseFacts { purpose, holder: holder.to_owned() };
        put_json(&**storage, &format!("leases/{id}"), &facts)?;
        Ok(Self { storage: Arc::clone(storage), id, is_over: false })
    }

    /// Ends it, and says when that fails: it would keep a later prune from deleting.
    pub(crate) fn end(mut self) -> Result<(), ArchiveError> {
        self.is_over = true;
        Ok(self.give_back()?)
    }

    /// Deletes it. Where nothing can be deleted, an object more says that it is over, and a prune elsewhere deletes both.
    fn give_back(&self) -> Result<(), StorageError> {
        match self.storage.delete(&format!("leases/{}", self.id)) {
            Err(StorageError::Failed { .. }) => self.storage.put_new(&format!("{ENDED}/{}", self.id), &[]),
            deleted => deleted,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.is_over {
            // What failed before is what is told.
            let _ = self.give_back();
        }
    }
}

impl Repository {
    /// All leases by their ids. One that ends meanwhile is not among them.
    ///
    /// # Errors
    /// When storage or one of them cannot be read.
    pub fn leases(&self) -> Result<Vec<(String, LeaseFacts)>, ArchiveError> {
        let mut leases = list_json(&*self.storage, "leases")?;
        // In this order: one that is listed and over has put its snapshot before.
        let ended = self.ended()?;
        leases.retain(|(id, _)| !ended.contains(id));
        Ok(leases)
    }

    fn ended(&self) -> Result<HashSet<String>, ArchiveError> {
        let listed = self.storage.list(ENDED)?;
        Ok(listed.into_iter().map(|stored| stored.name[ENDED.len() + 1..].to_owned()).collect())
    }

    /// Deletes leases that are over, and what says so. The lease goes first: a crash between the two leaves nothing that would look as if it were at work.
    pub(crate) fn delete_ended(&self) -> Result<(), ArchiveError> {
        for id in self.ended()? {
            self.storage.delete(&format!("leases/{id}"))?;
            self.storage.delete(&format!("{ENDED}/{id}"))?;
        }
        Ok(())
    }

    /// Removes a lease whose holder is known to be gone. While that one still stores, a prune may delete what it relies on.
    ///
    /// # Errors
    /// What storage says.
    pub fn break_lease(&self, id: &str) -> Result<(), ArchiveError> {
        Ok(self.storage.delete(&format!("leases/{id}"))?)
    }

    pub(crate) fn marks(&self) -> Result<Vec<(String, Mark)>, ArchiveError> {
        list_json(&*self.storage, "marks")
    }

    /// The names of packs that will be deleted: for who stores they are not there.
    pub(crate) fn marked(&self) -> Result<HashSet<String>, ArchiveError> {
        Ok(self.marks()?.into_iter().flat_map(|(_, mark)| mark.packs).collect())
    }
}

pub(crate) fn put_json(storage: &dyn Storage, name: &str, value: &impl Serialize) -> Result<(), ArchiveError> {
    let text = serde_json::to_vec(value).expect("it holds nothing that JSON cannot say");
    Ok(storage.put_new(name, &text)?)
}

/// All objects of a folder, by the last part of their names.
fn list_json<T: for<'de> Deserialize<'de>>(
    storage: &dyn Storage,
    folder: &str,
) -> Result<Vec<(String, T)>, ArchiveError> {
    let mut all = Vec::new();
    for stored in storage.list(folder)? {
        let text = match get_json(storage, &stored.name) {
            Err(ArchiveError::Storage(StorageError::Missing(_))) => continue,
            text => text?,
        };
        let value = serde_json::from_slice(&text).map_err(|error| ArchiveError::damaged(&stored.name, error))?;
        all.push((stored.name[folder.len() + 1..].to_owned(), value));
    }
    Ok(all)
}
