//! Text that is none: SQLite keeps whatever bytes it is given as text.

/// Tells of pieces that come one by one whether they are UTF-8 together.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// The beginning of a character whose end comes with the next piece.
    begun: Vec<u8>,
    is_other: bool,
}

impl Utf8 {
    pub(super) fn add(&mut self, piece: &[u8]) {
        self.begun.extend_from_slice(piece);
        match std::str::from_utf8(&self.begun) {
            Ok(_) => self.begun.clear(),
            Err(error) => {
                self.is_other |= error.error_len().is_some();
                self.begun.drain(..error.valid_up_to());
                self.begun.truncate(3);
            }
        }
    }

    /// Whether all that came is.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_other && self.begun.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]]) -> bool {
        let mut utf8 = Utf8::default();
        pieces.iter().for_each(|piece| utf8.add(piece));
        utf8.is_whole()
    }

    #[test]
    fn characters_may_be_parted_but_not_halved() {
        assert!(check(&[]) && check(&[b"a", "ä😀".as_bytes()]));
        assert!(check(&[b"a\xf0", b"\x9f", b"\x98", b"\x80b"]));
        assert!(!check(&[b"a\xf0", b"b"]) && !check(&[b"a", b"\xff", b"b"]) && !check(&[b"ab\xc3"]));
        assert!(!check(&[b"\xff\xff\xff\xff\xc3", b"\xa4"]));
    }
}
