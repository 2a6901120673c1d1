//! What a driver said, on its way to somebody who must not see passwords.

use backup_core::secret::Secret;

/// Bytes of the longest secret that cannot be replaced: with stars for each of its letters the text would still say which letter it is.
const SHORT: usize = 3;

/// What is said in place of a text that holds a short password.
pub(super) const WITHHELD: &str =
    "what was said is withheld: it holds the letters of a password that is too short to be taken out";

pub(super) struct Saying(String);

impl Saying {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Takes a secret out, as it is and as it stands in braces. A short one that is no password stays: it is a setting's `no` or `7.4`.
    pub(super) fn without(self, secret: &Secret, is_password: bool) -> Self {
        let value = secret.reveal();
        let forms = [value.replace('}', "}}"), value.to_owned()];
        match value.len() {
            0 => self,
            1..=SHORT if !is_password => self,
            1..=SHORT if forms.iter().any(|form| self.0.contains(form)) => Self(WITHHELD.to_owned()),
            1..=SHORT => self,
            _ => Self(forms.iter().fold(self.0, |text, form| Secret::new(form).scrub(&text))),
        }
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}
