//! The keys of a repository and what is done with them, as docs/format.md has it. Every primitive is a crate of the RustCrypto family or BLAKE3.
//!
//! Keys are zeroed when they are dropped. Copies that the compiler or a primitive leaves on the stack are not: `crypto_box` keeps one of a
//! secret key's bytes.

#[cfg(test)]
mod tests;

use std::fmt::{self, Debug, Display, Formatter};
use std::str::FromStr;

use backup_core::manifest::to_hex;
use chacha20poly1305::aead::rand_core::RngCore;
use chacha20poly1305::aead::{AeadInPlace, KeyInit, OsRng};
use chacha20poly1305::{ChaCha20Poly1305, Nonce};
use crypto_box::{PublicKey, SecretKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// The length of every key in bytes.
pub(crate) const KEY_LEN: usize = 32;
/// What encryption adds to a content, in bytes.
pub const TAG_LEN: usize = 16;
/// The length of a sealed key in bytes: the sender's ephemeral public key, a tag and the key.
pub const SEALED_LEN: usize = KEY_LEN + TAG_LEN + KEY_LEN;
/// The length of a write key as bytes.
pub(crate) const WRITE_KEY_LEN: usize = 3 * KEY_LEN;

const DEDUP: &str = "sitebackup archive v1 dedup";
const INDEX: &str = "sitebackup archive v1 index";
const PAGE: &str = "sitebackup archive v1 page";
const REPOSITORY: &str = "sitebackup archive v1 repository";

/// What was read is not what was written with this key; whether it was altered or the key is another one, nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it was altered, or the key is another one")]
pub struct CryptoError;

/// Reads a repository, and does everything else: the secret S that all of its other keys come from.
#[derive(Clone)]
pub struct ReadKey {
    secret: Zeroizing<[u8; KEY_LEN]>,
    write: WriteKey,
}

/// Writes to a repository and knows what is there already, but reads no content: the keys D and I and the public key P.
#[derive(Clone)]
pub struct WriteKey {
    dedup: Zeroizing<[u8; KEY_LEN]>,
    page: Zeroizing<[u8; KEY_LEN]>,
    index: Zeroizing<[u8; KEY_LEN]>,
    public: [u8; KEY_LEN],
}

/// Encrypts the parts of one object.
#[derive(Clone)]
pub struct ObjectKey(Zeroizing<[u8; KEY_LEN]>);

/// What 32 bytes of keyed BLAKE3 say of a content. They tell nothing of it to whoever has not the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id([u8; 32]);

impl ReadKey {
    /// The key of a new repository.
    pub fn generate() -> Self {
        Self::from_bytes(&random())
    }

    pub(crate) fn from_bytes(secret: &[u8; KEY_LEN]) -> Self {
        let dedup = Zeroizing::new(blake3::derive_key(DEDUP, secret));
        let index = Zeroizing::new(blake3::derive_key(INDEX, secret));
        Self { secret: Zeroizing::new(*secret), write: WriteKey::new(dedup, index, public_of(secret)) }
    }

    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.secret.clone()
    }

    /// The key that writes to the same repository.
    pub fn write_key(&self) -> WriteKey {
        self.write.clone()
    }

    /// Opens a key that [`WriteKey::new_object_key`] has sealed.
    ///
    /// # Errors
    /// [`CryptoError`], also when it was sealed for another repository.
    pub fn unseal(&self, sealed: &[u8; SEALED_LEN]) -> Result<ObjectKey, CryptoError> {
        let mut key = ObjectKey(Zeroizing::default());
        key.0.copy_from_slice(&open_box(&self.secret, sealed)?);
        Ok(key)
    }
}

impl WriteKey {
    fn new(dedup: Zeroizing<[u8; KEY_LEN]>, index: Zeroizing<[u8; KEY_LEN]>, public: [u8; KEY_LEN]) -> Self {
        // A key of its own, so that no id tells a digest.
        let page = Zeroizing::new(blake3::derive_key(PAGE, &*dedup));
        Self { dedup, page, index, public }
    }

    pub(crate) fn from_bytes(bytes: &[u8; WRITE_KEY_LEN]) -> Self {
        let (parts, _) = bytes.as_chunks::<KEY_LEN>();
        Self::new(Zeroizing::new(parts[0]), Zeroizing::new(parts[1]), parts[2])
    }

    /// D, I and P, one after the other.
    pub(crate) fn to_bytes(&self) -> Zeroizing<[u8; WRITE_KEY_LEN]> {
        let mut bytes = Zeroizing::new([0; WRITE_KEY_LEN]);
        for (to, from) in bytes.chunks_exact_mut(KEY_LEN).zip([&*self.dedup, &*self.index, &self.public]) {
            to.copy_from_slice(from);
        }
        bytes
    }

    /// 32 hexadecimal digits that tell the repository's keys from any others, and tell nothing else: whoever knows them beforehand is given
    /// no other repository's keys.
    pub fn repository(&self) -> String {
        to_hex(&blake3::derive_key(REPOSITORY, &*self.to_bytes())[..16])
    }

    /// The id of a content.
    pub fn id(&self, content: &[u8]) -> Id {
        Id(*blake3::keyed_hash(&self.dedup, content).as_bytes())
    }

    /// What tells a page of a database from others.
    pub fn page_digest(&self, page: &[u8]) -> u64 {
        let hash = blake3::keyed_hash(&self.page, page);
        u64::from_le_bytes(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"))
    }

    /// The key of the index of the pack that has this sealed key.
    pub fn index_key(&self, sealed: &[u8; SEALED_LEN]) -> ObjectKey {
        ObjectKey(Zeroizing::new(*blake3::keyed_hash(&self.index, sealed).as_bytes()))
    }

    /// The key of a new object, also sealed, so that only the repository's [`ReadKey`] opens it: libsodium's `crypto_box_seal`.
    pub fn new_object_key(&self) -> (ObjectKey, [u8; SEALED_LEN]) {
        let key = ObjectKey(random());
        let sealed = seal_box(&self.public, &*key.0);
        (key, sealed.try_into().expect("a sealed box is 48 bytes longer than what it holds"))
    }
}

impl ObjectKey {
    pub(crate) fn new(bytes: Zeroizing<[u8; KEY_LEN]>) -> Self {
        Self(bytes)
    }

    /// Encrypts `buffer` with ChaCha20-Poly1305 and appends the tag. `number` is the nonce: no number may be used twice with one key. `beside`
    /// is not encrypted, and must be the same for whoever decrypts.
    ///
    /// # Panics
    /// When the buffer is longer than 256 GiB.
    pub fn encrypt(&self, number: u64, beside: &[u8], buffer: &mut Vec<u8>) {
        let cipher = ChaCha20Poly1305::new((&*self.0).into());
        cipher.encrypt_in_place(&nonce(number), beside, buffer).expect("no part of an object is longer than 256 GiB");
    }

    /// Decrypts what [`ObjectKey::encrypt`] made of the same number and `beside`, and takes the tag off.
    ///
    /// # Errors
    /// [`CryptoError`]; the buffer then is as it was.
    pub fn decrypt(&self, number: u64, beside: &[u8], buffer: &mut Vec<u8>) -> Result<(), CryptoError> {
        let cipher = ChaCha20Poly1305::new((&*self.0).into());
        cipher.decrypt_in_place(&nonce(number), beside, buffer).map_err(|_| CryptoError)
    }
}

impl Id {
    /// The id of nothing: a hole in a list has it.
    pub const ZERO: Self = Self([0; 32]);

    /// The id that these bytes are.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Debug for ReadKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadKey").finish_non_exhaustive()
    }
}

impl Debug for WriteKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteKey").finish_non_exhaustive()
    }
}

impl Debug for ObjectKey {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectKey").finish_non_exhaustive()
    }
}

impl Display for Id {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl Debug for Id {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Display::fmt(self, f)
    }
}

impl FromStr for Id {
    type Err = CryptoError;

    fn from_str(text: &str) -> Result<Self, CryptoError> {
        unhex(text).and_then(|bytes| bytes.as_slice().try_into().ok()).map(Self).ok_or(CryptoError)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let no_id = |_| serde::de::Error::custom("an id is 64 digits of lower-case hexadecimal");
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(no_id)
    }
}

/// Bytes that nobody can guess.
///
/// # Panics
/// When the system has no random numbers; nothing can be kept secret then.
pub(crate) fn random<const N: usize>() -> Zeroizing<[u8; N]> {
    let mut bytes = Zeroizing::new([0; N]);
    OsRng.fill_bytes(&mut *bytes);
    bytes
}

/// A name that no other object has: 32 hexadecimal digits.
pub fn random_name() -> String {
    to_hex(&*random::<16>())
}

/// The number as 8 bytes, the least significant first, and four zeros.
fn nonce(number: u64) -> Nonce {
    let mut nonce = Nonce::default();
    nonce[..8].copy_from_slice(&number.to_le_bytes());
    nonce
}

/// A sealed box of libsodium's, 48 bytes longer than `content`.
pub(crate) fn seal_box(public: &[u8; KEY_LEN], content: &[u8]) -> Vec<u8> {
    PublicKey::from_bytes(*public).seal(&mut OsRng, content).expect("what is sealed is no longer than a few keys")
}

/// What is in a sealed box.
pub(crate) fn open_box(secret: &[u8; KEY_LEN], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
    SecretKey::from_bytes(*secret).unseal(sealed).map(Zeroizing::new).map_err(|_| CryptoError)
}

/// The public key of a secret one.
pub(crate) fn public_of(secret: &[u8; KEY_LEN]) -> [u8; KEY_LEN] {
    *SecretKey::from_bytes(*secret).public_key().as_bytes()
}

/// The bytes of lower-case hexadecimal digits: one text for each content, so that a change of any letter is a change.
pub(crate) fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        bytes.push(value(*high)? << 4 | value(*low)?);
    }
    rest.is_empty().then_some(bytes)
}
