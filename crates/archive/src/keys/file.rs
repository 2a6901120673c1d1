//! One key file: a repository's key under a passphrase or for a recipient, as JSON.
//!
//! Whatever stands in it beside the key is bound to the key: by the associated data of the encryption, or, for a recipient, by
//! a hash that is sealed with the key. The form of both is [`KeyFile::facts`]. A file is read from hostile storage: its
//! parameters have limits, and nothing of it is believed before it was opened.

use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use backup_core::manifest::to_hex;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::identity::{Identity, Recipient};
use super::{Holds, Key, KeyError, KeyId, Opened};
use crate::crypto::{self, CryptoError, KEY_LEN, ObjectKey, ReadKey, TAG_LEN, WriteKey};

/// The version of key files that this program writes, and the only one that it reads.
const VERSION: u32 = 1;
/// The memory of Argon2id in KiB: what is written, and the most that is read.
const MEMORY: u32 = 32 * 1024;
const MIN_PASSES: u32 = 2;
const MAX_PASSES: u32 = 10;
/// The most passes that are read, some seconds of work.
const LIMIT_PASSES: u32 = 32;
/// How long the work of a passphrase takes on the machine that makes the key file.
const WORK: Duration = Duration::from_millis(300);
const SALT_LEN: usize = 16;
const ARGON2: &str = "argon2id";
/// The hash of the facts, in front of a key that is sealed.
const FACTS_LEN: usize = 32;
/// The longest label in bytes.
const MAX_LABEL: usize = 200;

/// The file as it is written. Which of `kdf` and `recipient` is there, `kind` tells.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    version: u32,
    kind: Kind,
    holds: Holds,
    repository: String,
    label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kdf: Option<Kdf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    recipient: Option<String>,
    key: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Passphrase,
    Recipient,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kdf {
    name: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
}

/// The version alone, of a file whose other fields may be unknown.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// A key file that was read, or will be written.
#[derive(Debug, Clone)]
pub(super) struct KeyFile {
    repository: String,
    pub(super) holds: Holds,
    pub(super) label: String,
    pub(super) by: By,
    /// The key, encrypted or sealed.
    key: Vec<u8>,
}

/// What opens a key file.
#[derive(Debug, Clone)]
pub(super) enum By {
    Passphrase(Work),
    Recipient(Recipient),
}

/// What is done to a passphrase: Argon2id, version 0x13, in one lane.
#[derive(Debug, Clone)]
pub(super) struct Work {
    memory_kib: u32,
    passes: u32,
    salt: [u8; SALT_LEN],
}

impl Work {
    /// New work of the usual memory, that takes some 0.3 s on this machine.
    pub(super) fn tuned() -> Self {
        let probe = Self::new(MEMORY, MIN_PASSES);
        let began = Instant::now();
        let _key = probe.key("how long does it take");
        let pass = began.elapsed() / MIN_PASSES;
        let passes = WORK.as_nanos() / pass.as_nanos().max(1);
        Self::new(MEMORY, u32::try_from(passes).unwrap_or(MAX_PASSES).clamp(MIN_PASSES, MAX_PASSES))
    }

    pub(super) fn new(memory_kib: u32, passes: u32) -> Self {
        Self { memory_kib, passes, salt: *crypto::random() }
    }

    /// The work of a file, unless it is none of ours or too much.
    fn parse(kdf: &Kdf) -> Result<Self, &'static str> {
        if (kdf.name.as_str(), kdf.lanes) != (ARGON2, 1) {
            return Err("it asks for other work than any key file of ours");
        }
        if kdf.memory_kib > MEMORY || kdf.passes > LIMIT_PASSES {
            return Err("it asks for more work than any key file of ours");
        }
        let salt = crypto::unhex(&kdf.salt).and_then(|salt| salt.as_slice().try_into().ok());
        let work = Self { memory_kib: kdf.memory_kib, passes: kdf.passes, salt: salt.ok_or("its salt is none")? };
        work.params().map(|_| work).map_err(|_| "its parameters are none of Argon2's")
    }

    fn params(&self) -> Result<Params, argon2::Error> {
        Params::new(self.memory_kib, self.passes, 1, Some(KEY_LEN))
    }

    /// The key that a passphrase gives, which is used as it is, in UTF-8.
    fn key(&self, passphrase: &str) -> ObjectKey {
        let params = self.params().expect("they were judged when they were read");
        let mut memory = vec![Block::default(); params.block_count()];
        let mut key = Zeroizing::new([0; KEY_LEN]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into_with_memory(passphrase.as_bytes(), &self.salt, &mut *key, &mut memory)
            .expect("a passphrase is shorter than 4 GiB, and the memory is as long as was asked for");
        memory.iter_mut().for_each(Zeroize::zeroize);
        ObjectKey::new(key)
    }
}

impl KeyFile {
    /// A file that `passphrase` opens.
    pub(super) fn by_passphrase(key: &Key, work: Work, passphrase: &str, label: &str) -> Result<Self, KeyError> {
        if passphrase.is_empty() {
            return Err(KeyError::EmptyPassphrase);
        }
        let under = work.key(passphrase);
        let mut file = Self::new(key, By::Passphrase(work), label)?;
        let bytes = key.to_bytes();
        // As long as it becomes: no copy is left where it grew.
        let mut content = Vec::with_capacity(bytes.len() + TAG_LEN);
        content.extend_from_slice(&bytes);
        under.encrypt(0, file.facts().as_bytes(), &mut content);
        file.key = content;
        Ok(file)
    }

    /// A file that the identity of `recipient` opens.
    pub(super) fn by_recipient(key: &Key, recipient: &Recipient, label: &str) -> Result<Self, KeyError> {
        let mut file = Self::new(key, By::Recipient(*recipient), label)?;
        let bytes = key.to_bytes();
        let mut content = Zeroizing::new(Vec::with_capacity(FACTS_LEN + bytes.len()));
        content.extend_from_slice(blake3::hash(file.facts().as_bytes()).as_bytes());
        content.extend_from_slice(&bytes);
        file.key = crypto::seal_box(recipient.bytes(), &content);
        Ok(file)
    }

    fn new(key: &Key, by: By, label: &str) -> Result<Self, KeyError> {
        if !is_label(label) {
            return Err(KeyError::Label);
        }
        let repository = key.write_key().repository();
        Ok(Self { repository, holds: key.holds(), label: label.to_owned(), by, key: Vec::new() })
    }

    /// Reads a key file.
    pub(super) fn parse(id: &KeyId, json: &[u8]) -> Result<Self, KeyError> {
        let damaged = |fault: &str| KeyError::Damaged { id: id.clone(), fault: fault.to_owned() };
        // Not the parser's own words, for they repeat what stands there.
        let no_file = |error: serde_json::Error| {
            damaged(&format!("it is no key file from line {}, column {} on", error.line(), error.column()))
        };
        let Versioned { version } = serde_json::from_slice(json).map_err(no_file)?;
        if version > VERSION {
            return Err(KeyError::Newer { id: id.clone(), version, ours: VERSION });
        }
        Self::of_json(serde_json::from_slice(json).map_err(no_file)?).map_err(damaged)
    }

    fn of_json(json: Json) -> Result<Self, &'static str> {
        let by = match (json.kind, json.kdf, json.recipient) {
            (Kind::Passphrase, Some(kdf), None) => By::Passphrase(Work::parse(&kdf)?),
            (Kind::Recipient, None, Some(hex)) => {
                By::Recipient(Recipient::of_hex(&hex).ok_or("its recipient is none")?)
            }
            _ => return Err("it is of both kinds, or of none"),
        };
        let key = crypto::unhex(&json.key).ok_or("its key is not hexadecimal")?.to_vec();
        match () {
            () if json.version != VERSION => Err("there was no such version"),
            () if !is_label(&json.label) => Err("its label is too long, or has control characters"),
            () => Ok(Self { repository: json.repository, holds: json.holds, label: json.label, by, key }),
        }
    }

    pub(super) fn to_json(&self) -> Vec<u8> {
        let (kind, kdf, recipient) = match &self.by {
            By::Passphrase(work) => (Kind::Passphrase, Some(work.into()), None),
            By::Recipient(recipient) => (Kind::Recipient, None, Some(to_hex(recipient.bytes()))),
        };
        let (repository, label, key) = (self.repository.clone(), self.label.clone(), to_hex(&self.key));
        let json = Json { version: VERSION, kind, holds: self.holds, repository, label, kdf, recipient, key };
        serde_json::to_vec(&json).expect("strings and numbers are JSON")
    }

    /// All that stands beside the key, in a line each, as docs/format.md has it.
    fn facts(&self) -> String {
        let (holds, repository, label) = (self.holds.word(), &self.repository, &self.label);
        match &self.by {
            By::Passphrase(Work { memory_kib, passes, salt }) => {
                let salt = to_hex(salt);
                format!("passphrase\n{holds}\n{repository}\n{label}\n{ARGON2}\n{memory_kib}\n{passes}\n1\n{salt}")
            }
            By::Recipient(recipient) => {
                format!("recipient\n{holds}\n{repository}\n{label}\n{}", to_hex(recipient.bytes()))
            }
        }
    }

    /// Opens the file by a passphrase. `None` when it is another one's, or was altered: nobody can tell.
    pub(super) fn open_by_passphrase(&self, id: &KeyId, passphrase: &str) -> Result<Option<Opened>, KeyError> {
        let By::Passphrase(work) = &self.by else { return Ok(None) };
        let mut content = Zeroizing::new(self.key.clone());
        match work.key(passphrase).decrypt(0, self.facts().as_bytes(), &mut content) {
            Err(CryptoError) => Ok(None),
            Ok(()) => self.opened(id, &content).map(Some),
        }
    }

    /// Opens the file by the identity that it was made for.
    pub(super) fn open_by_identity(&self, id: &KeyId, identity: &Identity) -> Result<Opened, KeyError> {
        let damaged = |fault: &str| KeyError::Damaged { id: id.clone(), fault: fault.to_owned() };
        let content = crypto::open_box(identity.secret(), &self.key).map_err(|error| damaged(&error.to_string()))?;
        match content.split_at_checked(FACTS_LEN) {
            Some((facts, key)) if facts == blake3::hash(self.facts().as_bytes()).as_bytes() => self.opened(id, key),
            _ => Err(damaged("what stands beside its key was altered")),
        }
    }

    /// The key, which must be of the repository that the file names. So a content that decrypts under several passphrases, as an attacker can
    /// make one of this cipher, opens under one of them at most.
    fn opened(&self, id: &KeyId, content: &[u8]) -> Result<Opened, KeyError> {
        let key = match self.holds {
            Holds::Read => content.try_into().ok().map(|key| Key::Read(ReadKey::from_bytes(key))),
            Holds::Write => content.try_into().ok().map(|key| Key::Write(WriteKey::from_bytes(key))),
        };
        let key = key.filter(|key| key.write_key().repository() == self.repository);
        let fault = || "its key is not that of the repository that it names".to_owned();
        Ok(Opened { id: id.clone(), key: key.ok_or_else(|| KeyError::Damaged { id: id.clone(), fault: fault() })? })
    }
}

impl From<&Work> for Kdf {
    fn from(work: &Work) -> Self {
        let salt = to_hex(&work.salt);
        Self { name: ARGON2.to_owned(), memory_kib: work.memory_kib, passes: work.passes, lanes: 1, salt }
    }
}

fn is_label(label: &str) -> bool {
    label.len() <= MAX_LABEL && !label.chars().any(char::is_control)
}
