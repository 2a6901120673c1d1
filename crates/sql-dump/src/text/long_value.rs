//! A value that is too long for a page, read piece by piece.

use super::paged::Row;
use super::session::TextSession;
use crate::logical::LogicalError;
use crate::logical::chunk::RowWriter;
use crate::logical::row_text::{HEX_MARK, escape};

/// How a dialect asks for a long value.
pub(crate) struct LongValue<'a> {
    /// Whether it is bytes, which come as hexadecimal digits.
    pub(crate) is_binary: bool,
    /// The expression for its length, in the units of which a piece has so many.
    pub(crate) length: String,
    /// The expression for a piece: the unit at which it begins, counted from 1, and its units, of which one has at most four bytes of text.
    pub(crate) piece: &'a dyn Fn(u64, u64) -> String,
}

/// The fewest and the most units of a piece.
const UNITS: (u64, u64) = (128 * 1024, 2 * 1024 * 1024);
/// A server reads all of a value for a piece of it, so that a longer value is read in longer pieces: in so many, until they are the longest.
const PIECES: u64 = 32;

impl LongValue<'_> {
    /// Reads the value of a row and writes it as a field.
    pub(crate) fn read(
        &self,
        session: &mut dyn TextSession,
        row: &Row<'_>,
        rows: &mut RowWriter<'_>,
    ) -> Result<(), LogicalError> {
        let of_row = |expression: &str| format!("SELECT {expression} FROM {}{}", row.table, row.at);
        let length = session.value(&format!("read a value of `{}`", row.title), &of_row(&self.length))?;
        let Ok(length) = length.parse::<u64>() else { return rows.piece(b"\\N") };
        if self.is_binary {
            rows.piece(HEX_MARK)?;
        }
        let units = (length / PIECES).clamp(UNITS.0, UNITS.1);
        let width = usize::try_from(units * 4).unwrap_or(0);
        for from in (1..=length).step_by(usize::try_from(units).unwrap_or(1)) {
            let mut field = Vec::new();
            session.fetch("read a piece of a value", &of_row(&(self.piece)(from, units)), &[width], &mut |cells| {
                let cell = cells.first().copied().flatten().unwrap_or_default();
                match self.is_binary {
                    true => field.extend_from_slice(cell),
                    false => escape(cell, &mut field),
                }
                Ok(())
            })?;
            rows.piece(&field)?;
        }
        Ok(())
    }
}
