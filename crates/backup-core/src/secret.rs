//! Text that must not be shown: passwords, and connection strings that hold one.

use std::fmt;

/// The environment variable that may hold a database's password. No program that is started on the way gets it.
pub const PASSWORD_VARIABLE: &str = "SITEBACKUP_DATABASE_PASSWORD";

/// A text that is never shown: `Debug` and `Display` print stars, and [`scrub`](Secret::scrub) takes it out of what others say.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of the secret replaced by stars.
    pub fn scrub(&self, text: &str) -> String {
        if self.0.is_empty() { text.to_owned() } else { text.replace(&self.0, "***") }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
