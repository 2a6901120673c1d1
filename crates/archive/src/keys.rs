//! The key files of a repository: `keys/<id>`, each of which gives its key to whoever knows a passphrase or has an identity.
//!
//! A repository has one key, which never changes; key files come and go. To remove one takes nothing away from whoever has opened it before.

mod file;
pub mod identity;
#[cfg(test)]
mod tests;

use std::fmt::{self, Display, Formatter};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use self::file::{By, KeyFile, Work};
use self::identity::{Identity, Recipient};
use crate::crypto::{self, ReadKey, WriteKey};
use crate::storage::{Storage, StorageError};

const FOLDER: &str = "keys";
/// The longest key file in bytes; ours have less than 2,000.
const MAX_LEN: usize = 16 * 1024;
/// The most key files that are tried: each may be some seconds of work.
const MAX_KEYS: usize = 100;

/// The name of a key file, 32 digits of lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(String);

/// What a key file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Holds {
    /// The key that reads, and does everything else.
    Read,
    /// The key that writes.
    Write,
}

/// A repository's key.
#[derive(Debug, Clone)]
pub enum Key {
    /// Reads, and does everything else.
    Read(ReadKey),
    /// Writes.
    Write(WriteKey),
}

/// A repository's key with the file that gave it. It is the proof that the file can be opened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Opened {
    /// The key file.
    pub id: KeyId,
    /// Its key.
    pub key: Key,
}

/// What a key file says of itself. Nothing of it is proven before the file was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFacts {
    /// What it holds.
    pub holds: Holds,
    /// What it was called by whoever made it.
    pub label: String,
    /// Whose identity opens it; `None` when a passphrase does.
    pub recipient: Option<Recipient>,
}

/// A key file as a listing has it.
#[derive(Debug)]
pub struct ListedKey {
    /// Its name.
    pub id: KeyId,
    /// What it says of itself, or why it cannot be read.
    pub facts: Result<KeyFacts, KeyError>,
}

/// Why a key was not opened, made or removed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// No key file opens.
    #[error("the passphrase opens no key: {}", in_words(.tried, .refused))]
    WrongPassphrase {
        /// The files that it was tried on.
        tried: Vec<KeyId>,
        /// The files that could not be tried, or gave another repository's key.
        refused: Vec<KeyError>,
    },
    /// No key file is for this identity.
    #[error("no key was given to `{recipient}`: {}", in_words(&[], .refused))]
    NotGiven {
        /// The identity's recipient.
        recipient: Recipient,
        /// The files that could not be read or opened, or gave another repository's key.
        refused: Vec<KeyError>,
    },
    /// The file is not as it was written.
    #[error("the key file `{id}` is damaged: {fault}")]
    Damaged {
        /// The file.
        id: KeyId,
        /// What is wrong.
        fault: String,
    },
    /// A later version wrote the file.
    #[error("the key file `{id}` has version {version}, and this program reads up to {ours}: use a newer one")]
    Newer {
        /// The file.
        id: KeyId,
        /// Its version.
        version: u32,
        /// What is read here.
        ours: u32,
    },
    /// The key opened, and is another repository's.
    #[error("the key file `{id}` gives the key of another repository, `{found}`")]
    OtherRepository {
        /// The file.
        id: KeyId,
        /// What [`WriteKey::repository`] says of its key.
        found: String,
    },
    /// The file may be the last one that anybody can open.
    #[error("the key file `{0}` is only removed when another key that reads was opened")]
    MayBeLast(KeyId),
    /// There are too many files to try.
    #[error("there are more than {MAX_KEYS} key files")]
    TooMany,
    /// An empty passphrase keeps nothing.
    #[error("the passphrase is empty")]
    EmptyPassphrase,
    /// The label does not fit.
    #[error("a label has at most 200 bytes and no control characters")]
    Label,
}

impl Key {
    /// The key that writes to the same repository.
    pub fn write_key(&self) -> WriteKey {
        match self {
            Self::Read(key) => key.write_key(),
            Self::Write(key) => key.clone(),
        }
    }

    /// What it is.
    pub fn holds(&self) -> Holds {
        match self {
            Self::Read(_) => Holds::Read,
            Self::Write(_) => Holds::Write,
        }
    }

    fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::Read(key) => Zeroizing::new(key.to_bytes().to_vec()),
            Self::Write(key) => Zeroizing::new(key.to_bytes().to_vec()),
        }
    }
}

impl Holds {
    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
        }
    }
}

impl KeyId {
    /// The id that this text is.
    pub fn parse(text: &str) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 32 && text.bytes().all(is_digit)).then(|| Self(text.to_owned()))
    }

    fn object(&self) -> String {
        format!("{FOLDER}/{}", self.0)
    }
}

impl Display for KeyId {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Gives a key to whoever knows a passphrase, with some 0.3 s of work on this machine.
///
/// The passphrase is used as it is: who types an accent in another Unicode form, types another passphrase.
///
/// # Errors
/// [`KeyError::EmptyPassphrase`], [`KeyError::Label`], [`KeyError::Storage`]. After an error the file may be there.
pub fn add_passphrase_key(storage: &dyn Storage, key: &Key, passphrase: &str, label: &str) -> Result<KeyId, KeyError> {
    add(storage, &KeyFile::by_passphrase(key, Work::tuned(), passphrase, label)?)
}

/// Gives a key to whoever has the recipient's identity.
///
/// # Errors
/// [`KeyError::Label`], [`KeyError::Storage`]. After an error the file may be there.
pub fn add_recipient_key(
    storage: &dyn Storage,
    key: &Key,
    recipient: &Recipient,
    label: &str,
) -> Result<KeyId, KeyError> {
    add(storage, &KeyFile::by_recipient(key, recipient, label)?)
}

/// Opens the key that a passphrase gives, one that reads before one that writes. `repository` is what [`WriteKey::repository`] said before,
/// where it is known.
///
/// # Errors
/// [`KeyError::WrongPassphrase`], [`KeyError::TooMany`], [`KeyError::Storage`].
pub fn open_with_passphrase(
    storage: &dyn Storage,
    passphrase: &str,
    repository: Option<&str>,
) -> Result<Opened, KeyError> {
    let Files { readable, mut refused } = files(storage)?;
    let mut tried = Vec::new();
    for (id, file) in readable.iter().filter(|(_, file)| matches!(file.by, By::Passphrase(_))) {
        match file.open_by_passphrase(id, passphrase) {
            Ok(None) => tried.push(id.clone()),
            Ok(Some(opened)) if is_of(&opened, repository, &mut refused) => return Ok(opened),
            Ok(Some(_)) => {}
            Err(error) => refused.push(error),
        }
    }
    Err(KeyError::WrongPassphrase { tried, refused })
}

/// Opens the key that was given to an identity, one that reads before one that writes.
///
/// Whoever writes to storage can give an identity the key of a repository of his own, and would read what is put there with it. A program that
/// was told `repository` once, and asks for it ever after, is not deceived so.
///
/// # Errors
/// [`KeyError::NotGiven`], [`KeyError::TooMany`], [`KeyError::Storage`].
pub fn open_with_identity(
    storage: &dyn Storage,
    identity: &Identity,
    repository: Option<&str>,
) -> Result<Opened, KeyError> {
    let recipient = identity.recipient();
    let Files { readable, mut refused } = files(storage)?;
    for (id, file) in readable.iter().filter(|(_, file)| matches!(file.by, By::Recipient(whom) if whom == recipient)) {
        match file.open_by_identity(id, identity) {
            Ok(opened) if is_of(&opened, repository, &mut refused) => return Ok(opened),
            Ok(_) => {}
            Err(error) => refused.push(error),
        }
    }
    Err(KeyError::NotGiven { recipient, refused })
}

/// All key files, by id.
///
/// # Errors
/// [`KeyError::TooMany`], [`KeyError::Storage`].
pub fn list_keys(storage: &dyn Storage) -> Result<Vec<ListedKey>, KeyError> {
    let listed = |id| ListedKey { facts: read(storage, &id).map(|file| file.facts_for_people()), id };
    Ok(ids(storage)?.into_iter().map(listed).collect())
}

/// Removes a key file. `proof` is another one that was opened: whoever removes a key can still read without it. When two remove each
/// other's at once, they are put back; not when both programs die in that instant.
///
/// # Errors
/// [`KeyError::MayBeLast`] when `proof` is the same file, is gone itself, or only writes while the other may read; [`KeyError::Storage`].
pub fn remove_key(storage: &dyn Storage, id: &KeyId, proof: &Opened) -> Result<(), KeyError> {
    let may_be_last = || KeyError::MayBeLast(id.clone());
    let content = storage.get(&id.object(), MAX_LEN);
    let writes = |json: &Vec<u8>| KeyFile::parse(id, json).is_ok_and(|file| file.holds == Holds::Write);
    let only_writes = content.as_ref().is_ok_and(writes);
    let suffices = proof.id != *id && (only_writes || proof.key.holds() == Holds::Read);
    if !suffices || !is_there(storage, &proof.id)? {
        return Err(may_be_last());
    }
    storage.delete(&id.object())?;
    // Somebody who has opened the other file may have removed this one since.
    if let (false, Ok(content)) = (is_there(storage, &proof.id)?, content) {
        storage.put_new(&id.object(), &content)?;
        return Err(may_be_last());
    }
    Ok(())
}

/// Puts another passphrase in the place of the one by which `opened` was opened: adds a key file, opens it, and only then removes the old
/// one. A crash leaves both.
///
/// # Errors
/// Those of [`add_passphrase_key`] and [`remove_key`].
pub fn change_passphrase(
    storage: &dyn Storage,
    opened: &Opened,
    passphrase: &str,
    label: &str,
) -> Result<Opened, KeyError> {
    change(storage, opened, &KeyFile::by_passphrase(&opened.key, Work::tuned(), passphrase, label)?, passphrase)
}

fn change(storage: &dyn Storage, opened: &Opened, new: &KeyFile, passphrase: &str) -> Result<Opened, KeyError> {
    let id = add(storage, new)?;
    let lost = || KeyError::Damaged { id: id.clone(), fault: "it does not open as it was made".to_owned() };
    let anew = read(storage, &id)?.open_by_passphrase(&id, passphrase)?.ok_or_else(lost)?;
    remove_key(storage, &opened.id, &anew)?;
    Ok(anew)
}

impl KeyFile {
    fn facts_for_people(&self) -> KeyFacts {
        let recipient = match self.by {
            By::Passphrase(_) => None,
            By::Recipient(recipient) => Some(recipient),
        };
        KeyFacts { holds: self.holds, label: self.label.clone(), recipient }
    }
}

fn add(storage: &dyn Storage, file: &KeyFile) -> Result<KeyId, KeyError> {
    let id = KeyId(crypto::random_name());
    storage.put_new(&id.object(), &file.to_json())?;
    Ok(id)
}

/// Whether the key is of the repository that was asked for. One of another is noted, and the next file is tried.
fn is_of(opened: &Opened, repository: Option<&str>, refused: &mut Vec<KeyError>) -> bool {
    let found = opened.key.write_key().repository();
    let is_wanted = repository.is_none_or(|wanted| *wanted == found);
    if !is_wanted {
        refused.push(KeyError::OtherRepository { id: opened.id.clone(), found });
    }
    is_wanted
}

fn ids(storage: &dyn Storage) -> Result<Vec<KeyId>, KeyError> {
    let listed = storage.list(FOLDER)?;
    let id = |name: &str| name.strip_prefix("keys/").and_then(KeyId::parse);
    let ids: Vec<_> = listed.iter().filter_map(|stored| id(&stored.name)).collect();
    if ids.len() > MAX_KEYS { Err(KeyError::TooMany) } else { Ok(ids) }
}

fn read(storage: &dyn Storage, id: &KeyId) -> Result<KeyFile, KeyError> {
    KeyFile::parse(id, &storage.get(&id.object(), MAX_LEN)?)
}

/// What lies among the key files.
#[derive(Default)]
struct Files {
    /// Those that can be read, first those that give the key that reads.
    readable: Vec<(KeyId, KeyFile)>,
    refused: Vec<KeyError>,
}

fn files(storage: &dyn Storage) -> Result<Files, KeyError> {
    let mut files = Files::default();
    for id in ids(storage)? {
        match read(storage, &id) {
            Ok(file) => files.readable.push((id, file)),
            Err(error) => files.refused.push(error),
        }
    }
    files.readable.sort_by_key(|(_, file)| file.holds);
    Ok(files)
}

/// Reads any bytes as a key file; what is one is written again as it was read, field by field.
#[cfg(any(test, feature = "fuzz"))]
pub(crate) fn reread(bytes: &[u8]) {
    let id = KeyId("0".repeat(32));
    if let Ok(file) = KeyFile::parse(&id, bytes) {
        let written = file.to_json();
        assert_eq!(KeyFile::parse(&id, &written).expect("we wrote it").to_json(), written);
    }
}

fn is_there(storage: &dyn Storage, id: &KeyId) -> Result<bool, KeyError> {
    match storage.len(&id.object()) {
        Err(StorageError::Missing(_)) => Ok(false),
        len => Ok(len.map(|_| true)?),
    }
}

/// What was tried, and what could not be, in words.
fn in_words(tried: &[KeyId], refused: &[KeyError]) -> String {
    let tried: Vec<_> = tried.iter().map(|id| format!("`{id}`")).collect();
    let mut said = match tried.len() {
        0 => "no key was tried".to_owned(),
        n => format!("{n} tried, {}", tried.join(", ")),
    };
    for error in refused {
        said.push_str(&format!("; {error}"));
    }
    said
}
