//! The keys of a person or a machine, as text that is kept outside of the repository: an identity opens what was given to its recipient.
//!
//! The text is a prefix, 64 digits of the key and 8 digits of a checksum: the last 4 bytes of BLAKE3 of all that stands before them.

use std::fmt::{self, Debug, Display, Formatter};
use std::str::FromStr;

use backup_core::manifest::to_hex;
use zeroize::Zeroizing;

use crate::crypto::{self, KEY_LEN};

const IDENTITY: &str = "sitebackup-identity-";
const RECIPIENT: &str = "sitebackup-recipient-";

/// The secret half, an X25519 secret key.
#[derive(Clone)]
pub struct Identity(Zeroizing<[u8; KEY_LEN]>);

/// The public half: whom a repository's key can be given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient([u8; KEY_LEN]);

/// Text that is neither an identity nor a recipient, or not what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// It begins otherwise.
    #[error("it does not begin with `{0}`")]
    Prefix(&'static str),
    /// It is too long or too short, or has other letters.
    #[error("72 digits of lower-case hexadecimal must follow `{0}`")]
    Digits(&'static str),
    /// A letter is wrong.
    #[error("its checksum does not fit: there is a typing error in it")]
    Checksum,
}

impl Identity {
    /// A new one.
    pub fn generate() -> Self {
        Self(crypto::random())
    }

    /// Whom to give a key to, that this identity shall open.
    pub fn recipient(&self) -> Recipient {
        Recipient(crypto::public_of(&self.0))
    }

    /// The text that is to be kept secret.
    pub fn to_text(&self) -> Zeroizing<String> {
        text(IDENTITY, &self.0)
    }

    pub(super) fn secret(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl Recipient {
    /// The public key in hexadecimal, as a key file has it.
    pub(super) fn of_hex(hex: &str) -> Option<Self> {
        crypto::unhex(hex)?.as_slice().try_into().ok().map(Self)
    }

    pub(super) fn bytes(&self) -> &[u8; KEY_LEN] {
        &self.0
    }
}

impl FromStr for Identity {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        parse(IDENTITY, text).map(Self)
    }
}

impl Debug for Identity {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl FromStr for Recipient {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        parse(RECIPIENT, text).map(|key| Self(*key))
    }
}

impl Display for Recipient {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&text(RECIPIENT, &self.0))
    }
}

fn text(prefix: &str, key: &[u8; KEY_LEN]) -> Zeroizing<String> {
    // As long as it becomes: no copy is left where it grew.
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + 2 * KEY_LEN + 8));
    text.push_str(prefix);
    text.push_str(&Zeroizing::new(to_hex(key)));
    let checksum = checksum(&text);
    text.push_str(&to_hex(&checksum));
    text
}

fn parse(prefix: &'static str, text: &str) -> Result<Zeroizing<[u8; KEY_LEN]>, NotAKey> {
    let digits = text.strip_prefix(prefix).ok_or(NotAKey::Prefix(prefix))?;
    let bytes = crypto::unhex(digits).ok_or(NotAKey::Digits(prefix))?;
    let (key, sum) = bytes.split_at_checked(KEY_LEN).ok_or(NotAKey::Digits(prefix))?;
    if sum.len() != 4 {
        return Err(NotAKey::Digits(prefix));
    }
    if sum != checksum(&text[..text.len() - 8]) {
        return Err(NotAKey::Checksum);
    }
    let mut secret = Zeroizing::new([0; KEY_LEN]);
    secret.copy_from_slice(key);
    Ok(secret)
}

fn checksum(text: &str) -> [u8; 4] {
    let hash = blake3::hash(text.as_bytes());
    *hash.as_bytes().last_chunk().expect("a hash has 32 bytes")
}
