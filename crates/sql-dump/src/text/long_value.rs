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
    /// The expression for the piece that begins at a unit, counted from 1.
    pub(crate) piece: &'a dyn Fn(u64) -> String,
    /// Units of a piece; one has at most four bytes of text.
    pub(crate) units: u64,
}

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
        let width = usize::try_from(self.units * 4).unwrap_or(0);
        for from in (1..=length).step_by(usize::try_from(self.units).unwrap_or(1)) {
            let mut field = Vec::new();
            session.fetch("read a piece of a value", &of_row(&(self.piece)(from)), &[width], &mut |cells| {
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
