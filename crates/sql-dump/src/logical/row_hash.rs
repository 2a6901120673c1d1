//! A hash of rows in which their order does not count.

use std::fmt;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// The sum, modulo 2^128, of the 128-bit XXH3 hash of each row's text.
///
/// Equal rows in any order and in any split give equal sums. It finds faults, not forgers: files are hashed with BLAKE3 besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RowHash(u128);

impl RowHash {
    /// Counts one row, given without its line end.
    pub fn add_row(&mut self, row: &[u8]) {
        self.0 = self.0.wrapping_add(xxh3_128(row));
    }

    /// Counts all rows of another sum.
    pub fn add(&mut self, other: RowHash) {
        self.0 = self.0.wrapping_add(other.0);
    }

    pub(crate) fn add_pieces(&mut self, row: &Xxh3) {
        self.0 = self.0.wrapping_add(row.digest128());
    }
}

impl fmt::Display for RowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl Serialize for RowHash {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RowHash {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = valid.then(|| u128::from_str_radix(&text, 16).ok()).flatten();
        number.map(RowHash).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is no row hash")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(rows: &[&str]) -> RowHash {
        let mut sum = RowHash::default();
        rows.iter().for_each(|row| sum.add_row(row.as_bytes()));
        sum
    }

    #[test]
    fn order_and_split_do_not_count_but_every_row_does() {
        assert_eq!(sum(&["a", "b", "b"]), sum(&["b", "a", "b"]));
        assert_ne!(sum(&["a", "b", "b"]), sum(&["a", "b"]));
        assert_ne!(sum(&["a", "b"]), sum(&["ab", ""]));
        let mut parts = sum(&["a"]);
        parts.add(sum(&["b"]));
        assert_eq!(parts, sum(&["a", "b"]));
    }

    #[test]
    fn pieces_of_a_row_hash_as_the_row() {
        let mut pieces = Xxh3::new();
        pieces.update(b"one row ");
        pieces.update(&[b'x'; 5000]);
        let mut sum = RowHash::default();
        sum.add_pieces(&pieces);
        let mut whole = RowHash::default();
        whole.add_row(&[&b"one row "[..], &[b'x'; 5000]].concat());
        assert_eq!(sum, whole);
    }
}
