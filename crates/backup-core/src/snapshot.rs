//! Names of runs and of the snapshots that they leave.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One run, and the backup snapshot that it published. Later runs sort after earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.simple())
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// Why a text does not name one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// There is none at all.
    #[error("there is no backup snapshot")]
    Empty,
    /// None starts with the text.
    #[error("no backup snapshot starts with `{0}`")]
    None(String),
    /// Several do.
    #[error("{count} backup snapshots start with `{prefix}`")]
    Several {
        /// The text.
        prefix: String,
        /// How many.
        count: usize,
    },
}

/// The run that `prefix` names among `runs`, which are sorted oldest first; the newest when there is no prefix.
///
/// # Errors
/// [`ChooseError`] when no run or more than one starts with the prefix.
pub fn choose(runs: &[RunId], prefix: Option<&str>) -> Result<RunId, ChooseError> {
    let Some(prefix) = prefix else {
        return runs.last().copied().ok_or(ChooseError::Empty);
    };
    let wanted = prefix.replace('-', "").to_ascii_lowercase();
    let found: Vec<RunId> = runs.iter().copied().filter(|run| run.to_string().starts_with(&wanted)).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(ChooseError::None(prefix.to_owned())),
        several => Err(ChooseError::Several { prefix: prefix.to_owned(), count: several.len() }),
    }
}

/// Digits of an id that are its millisecond: fewer are the same for all runs of a minute.
const MILLISECOND: usize = 12;

/// The shortest prefix, down to its millisecond, that tells `run` from all others of `runs`.
pub fn short(run: RunId, runs: &[RunId]) -> String {
    let text = run.to_string();
    let unique = |len: &usize| !runs.iter().any(|other| *other != run && other.to_string().starts_with(&text[..*len]));
    let len = (MILLISECOND..text.len()).find(unique).unwrap_or(text.len());
    text[..len].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_names_one_run() {
        let run = |n: u128| RunId(Uuid::from_u128(n));
        let (a, b) = (run(0x0190_0000_0000_7000_8000_0000_0000_0001), run(0x0190_0000_0000_7100_8000_0000_0000_0001));
        assert_eq!(choose(&[a, b], None), Ok(b));
        assert_eq!(choose(&[a, b], Some("0190")), Err(ChooseError::Several { prefix: "0190".into(), count: 2 }));
        assert_eq!(choose(&[a, b], Some(&short(a, &[a, b]))), Ok(a));
        assert_eq!(short(a, &[a]), "019000000000");
        assert_eq!(short(a, &[a, b]), "01900000000070");
        assert_eq!(choose(&[], None), Err(ChooseError::Empty));
    }
}
