//! Names of keys and values, and paths of keys.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::slice;
use std::str::FromStr;

/// The most names that a [`KeyPath`] may have, as in Windows.
pub const MAX_DEPTH: usize = 512;

/// A name of a key or a value: UTF-16 as the registry keeps it, possibly with lone surrogates.
///
/// Names are equal and ordered as Windows compares them, without regard to case. The empty name is the one of a key's
/// default value. A name takes 24 bytes, and memory of its own only when it is longer than most.
#[derive(Clone)]
pub struct Name(Repr);

/// Latin-1 takes a byte a unit; which form a name has follows from its units alone.
#[derive(Clone)]
enum Repr {
    Narrow(u8, [u8; NARROW]),
    Wide(u8, [u16; WIDE]),
    LongNarrow(Box<[u8]>),
    LongWide(Box<[u16]>),
}

const NARROW: usize = 22;
const WIDE: usize = 11;

const _: () = assert!(size_of::<Name>() == 24);

/// The UTF-16 code units of a [`Name`].
#[derive(Clone, Debug)]
pub struct Units<'a>(Stored<'a>);

#[derive(Clone, Debug)]
enum Stored<'a> {
    Narrow(slice::Iter<'a, u8>),
    Wide(slice::Iter<'a, u16>),
}

impl Iterator for Units<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        match &mut self.0 {
            Stored::Narrow(units) => units.next().copied().map(u16::from),
            Stored::Wide(units) => units.next().copied(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match &self.0 {
            Stored::Narrow(units) => units.size_hint(),
            Stored::Wide(units) => units.size_hint(),
        }
    }
}

impl ExactSizeIterator for Units<'_> {}

impl Name {
    /// The UTF-16 code units, spelled as they were given.
    pub fn units(&self) -> Units<'_> {
        Units(match self.narrow() {
            Some(units) => Stored::Narrow(units.iter()),
            None => Stored::Wide(self.wide().iter()),
        })
    }

    /// Whether this is the name of a default value.
    pub fn is_empty(&self) -> bool {
        self.units().len() == 0
    }

    /// A name of Latin-1 characters.
    pub(crate) fn from_latin1(units: &[u8]) -> Self {
        Self(match inline(units) {
            Some((len, units)) => Repr::Narrow(len, units),
            None => Repr::LongNarrow(units.into()),
        })
    }

    /// A name of little-endian UTF-16 units.
    pub(crate) fn from_utf16le(pairs: &[[u8; 2]]) -> Self {
        let units = pairs.iter().copied().map(u16::from_le_bytes);
        if pairs.iter().all(|pair| pair[1] == 0) && pairs.len() <= NARROW {
            let mut narrow = [0; NARROW];
            narrow.iter_mut().zip(pairs).for_each(|(unit, pair)| *unit = pair[0]);
            return Self::from_latin1(&narrow[..pairs.len()]);
        }
        units.collect()
    }

    /// The units as Latin-1, where all of them are.
    pub(crate) fn narrow(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::Narrow(len, units) => Some(&units[..usize::from(*len)]),
            Repr::LongNarrow(units) => Some(units),
            _ => None,
        }
    }

    fn wide(&self) -> &[u16] {
        match &self.0 {
            Repr::Wide(len, units) => &units[..usize::from(*len)],
            Repr::LongWide(units) => units,
            _ => &[],
        }
    }

    /// The units as they are compared.
    pub(crate) fn folded(&self) -> impl Iterator<Item = u16> {
        self.units().map(upcase)
    }
}

fn inline<T: Copy + Default, const N: usize>(units: &[T]) -> Option<(u8, [T; N])> {
    let mut stored = [T::default(); N];
    stored.get_mut(..units.len())?.copy_from_slice(units);
    Some((units.len() as u8, stored))
}

impl Default for Name {
    fn default() -> Self {
        Self(Repr::Narrow(0, [0; NARROW]))
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        if name.is_ascii() { Self::from_latin1(name.as_bytes()) } else { name.encode_utf16().collect() }
    }
}

impl From<String> for Name {
    fn from(name: String) -> Self {
        name.as_str().into()
    }
}

impl FromIterator<u16> for Name {
    fn from_iter<I: IntoIterator<Item = u16>>(units: I) -> Self {
        let units: Vec<u16> = units.into_iter().collect();
        if units.iter().all(|&unit| unit <= 0xff) {
            let narrow: Vec<u8> = units.iter().map(|&unit| unit as u8).collect();
            return Self::from_latin1(&narrow);
        }
        Self(match inline(&units) {
            Some((len, units)) => Repr::Wide(len, units),
            None => Repr::LongWide(units.into()),
        })
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.narrow(), other.narrow()) {
            (Some(mine), Some(theirs)) => {
                mine.iter().map(|&unit| upcase_latin1(unit)).cmp(theirs.iter().map(|&unit| upcase_latin1(unit)))
            }
            _ => self.folded().cmp(other.folded()),
        }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Name {}

impl fmt::Display for Name {
    /// Shows control characters and lone surrogates as escapes, because names come from files that nobody has vetted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for decoded in char::decode_utf16(self.units()) {
            match decoded {
                Ok(c) if c.is_control() => write!(f, "{}", c.escape_default())?,
                Ok(c) => f.write_char(c)?,
                Err(lone) => write!(f, "\\u{{{:x}}}", lone.unpaired_surrogate())?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Maps one code unit as the table of `RtlUpcaseUnicodeChar` (the same as `$UpCase` of NTFS) does.
///
/// That table is neither Unicode's case folding nor its upper-casing: it maps unit to unit, so nothing outside the
/// basic plane and nothing that grows; and it leaves alone what would not come back (dotless i, long s, the micro sign).
fn upcase(unit: u16) -> u16 {
    match unit {
        0..0x100 => upcase_latin1(unit as u8),
        // Final sigma is the one letter that is mapped although it does not come back.
        0x03c2 => 0x03a3,
        // Greek with iota subscript: one unit in the table, two letters for Unicode.
        0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7 => unit + 8,
        0x1fb3 | 0x1fc3 | 0x1ff3 => unit + 9,
        // Georgian got capitals (Unicode 11) long after the table was made.
        0x10d0..=0x10ff => unit,
        _ => upcase_by_unicode(unit).unwrap_or(unit),
    }
}

/// The same for Latin-1, where it is simple arithmetic.
fn upcase_latin1(unit: u8) -> u16 {
    match unit {
        b'a'..=b'z' | 0xe0..=0xf6 | 0xf8..=0xfe => u16::from(unit - 0x20),
        0xff => 0x178,
        _ => u16::from(unit),
    }
}

fn upcase_by_unicode(unit: u16) -> Option<u16> {
    let lower = char::from_u32(unit.into())?;
    let upper = single(lower.to_uppercase())?;
    (single(upper.to_lowercase())? == lower).then(|| u16::try_from(u32::from(upper)).ok())?
}

fn single(mut chars: impl Iterator<Item = char>) -> Option<char> {
    let first = chars.next()?;
    chars.next().is_none().then_some(first)
}

/// The way from a tree's root to one key: names joined by backslashes, at most [`MAX_DEPTH`] of them.
///
/// The default is the path of the root itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<Name>);

/// What makes a text no path of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Two backslashes in a row, or one at an end.
    #[error("empty name in the path of a key")]
    EmptyName,
    /// A name holds a backslash.
    #[error("backslash in the name of a key")]
    Backslash,
    /// More than [`MAX_DEPTH`] names.
    #[error("key is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

impl KeyPath {
    /// Splits UTF-16 text at its backslashes. Empty text is the root.
    pub fn from_units(units: &[u16]) -> Result<Self, PathError> {
        let mut path = Self::default();
        if !units.is_empty() {
            for name in units.split(|&unit| unit == u16::from(b'\\')) {
                path = path.child(name.iter().copied().collect())?;
            }
        }
        Ok(path)
    }

    /// The path of the subkey `name`.
    pub fn child(mut self, name: Name) -> Result<Self, PathError> {
        if name.is_empty() {
            return Err(PathError::EmptyName);
        }
        if name.units().any(|unit| unit == u16::from(b'\\')) {
            return Err(PathError::Backslash);
        }
        if self.0.len() == MAX_DEPTH {
            return Err(PathError::TooDeep);
        }
        self.0.push(name);
        Ok(self)
    }

    /// The names from the root down; none for the root itself.
    pub fn names(&self) -> &[Name] {
        &self.0
    }

    /// Whether this is `ancestor` or lies below it.
    pub fn starts_with(&self, ancestor: &Self) -> bool {
        self.0.starts_with(&ancestor.0)
    }

    /// Appends a name that is already a subkey's, for walks over a tree.
    pub(crate) fn push(&mut self, name: &Name) {
        self.0.push(name.clone());
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }
}

impl FromStr for KeyPath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        Self::from_units(&path.encode_utf16().collect::<Vec<_>>())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\\" };
            write!(f, "{separator}{name}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_windows_does() {
        for (a, b) in [("sms", "SMS"), ("é", "É"), ("ÿ", "Ÿ"), ("ς", "σ"), ("ж", "Ж"), ("ᾳ", "ᾼ"), ("ａ", "Ａ")]
        {
            assert_eq!(Name::from(a), Name::from(b));
        }
        for (a, b) in [("ı", "I"), ("ſ", "s"), ("ß", "SS"), ("µ", "Μ"), ("𐐨", "𐐀"), ("ა", "Ა")] {
            assert_ne!(Name::from(a), Name::from(b));
        }
        for unit in 0..0x100 {
            assert_eq!(upcase(unit), upcase_by_unicode(unit).unwrap_or(unit), "{unit:#x}");
        }
        // An underscore lies between the cases: Windows sorts it behind the letters.
        assert!(Name::from("a") < Name::from("_"));
    }

    #[test]
    fn a_name_of_any_length_is_what_it_was_made_of() {
        for letter in ["a", "é", "\u{ff}", "ж", "😀"] {
            for length in 0..30 {
                let text = letter.repeat(length);
                let name = Name::from(text.as_str());
                assert_eq!(name.units().collect::<Vec<_>>(), text.encode_utf16().collect::<Vec<_>>());
                let bytes: Vec<[u8; 2]> = text.encode_utf16().map(u16::to_le_bytes).collect();
                assert_eq!((Name::from_utf16le(&bytes), name.to_string()), (name, text));
            }
        }
    }

    #[test]
    fn paths_are_split_and_judged() {
        let path: KeyPath = r"HKEY_LOCAL_MACHINE\SOFTWARE".parse().unwrap();
        assert!(path.starts_with(&r"hkey_local_machine".parse().unwrap()));
        assert!(!path.starts_with(&r"HKEY_LOCAL_MACHINE\SOFT".parse().unwrap()));
        assert_eq!("".parse(), Ok(KeyPath::default()));
        assert_eq!(r"a\\b".parse::<KeyPath>(), Err(PathError::EmptyName));
        assert_eq!(path.child(r"a\b".into()), Err(PathError::Backslash));
        assert_eq!("a\\".repeat(10_000).parse::<KeyPath>(), Err(PathError::TooDeep));
    }

    #[test]
    fn display_tames_control_characters_and_lone_surrogates() {
        let name: Name = [0x1b, 0x61, 0xd800, 0x62].into_iter().collect();
        assert_eq!(name.to_string(), r"\u{1b}a\u{d800}b");
    }
}
