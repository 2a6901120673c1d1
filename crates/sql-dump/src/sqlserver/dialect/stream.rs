//! Rows of any size from a connection: many at once where all values are short, else value by value in pieces.
//!
//! Text travels as UTF-16, which no driver converts by the locale, and must be UTF-16: half of a pair is refused. The low-level statement is used, for a
//! driver may report a lost connection as success: what it says besides decides.

use odbc_api::buffers::WCharColumn;
use odbc_api::handles::{CDataMut, SqlResult, Statement, StatementImpl};
use odbc_api::parameter::{Binary, VarCell, WideText};

use super::Result;
use super::refusal::judged;
use crate::logical::LogicalError;
use crate::odbc::{Said, WideLink};
use crate::sqlserver::session::{Session, execute, messages};
use crate::sqlserver::talk::{Message, Talk};

/// How a column is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Text of at most so many UTF-16 units.
    Short(usize),
    /// Text of any length.
    Text,
    /// Bytes of any length.
    Bytes,
}

/// What comes of a result, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Got<'a> {
    Null,
    /// A text, or a piece of one.
    Text(&'a str),
    /// Bytes, or a piece of them.
    Bytes(&'a [u8]),
    EndField,
    EndRow,
}

pub(super) type Take<'a> = dyn FnMut(Got<'_>) -> Result<()> + 'a;

/// A connection that streams rows.
pub(super) trait Stream: Talk + Send {
    /// Runs one query and hands on its rows. A value that is longer than its shape, or not whole, is an error.
    fn stream(&mut self, action: &str, sql: &str, shapes: &[Shape], take: &mut Take<'_>) -> Result<()>;
}

/// Bytes of bound buffers. Larger ones fall out of the cache and are slower.
const ROW_SET: usize = 2 << 20;
const MOST_ROWS: usize = 2000;
/// UTF-16 units or bytes of a long value that are read at once.
const PIECE: usize = 64 * 1024;

impl Stream for Session {
    fn stream(&mut self, action: &str, sql: &str, shapes: &[Shape], take: &mut Take<'_>) -> Result<()> {
        let widths: Option<Vec<usize>> =
            shapes.iter().map(|shape| if let Shape::Short(width) = shape { Some(*width) } else { None }).collect();
        // Declared before the statement, so that what is bound outlives it.
        let mut bound = widths.as_deref().map(Bound::new);
        let none = |said: Said| LogicalError::Failed { action: action.to_owned(), source: said.to_string().into() };
        let link = self.link();
        let mut statement = link.statement().map_err(none)?;
        let mut result = Reading { statement: &mut statement, action, link };
        let executed = execute(result.statement, sql);
        result.judge(&executed)?;
        result.has_columns(shapes.len())?;
        match &mut bound {
            Some(bound) => result.blocks(bound, take)?,
            None => result.rows(shapes, take)?,
        }
        result.end()
    }
}

/// Buffers for many rows.
struct Bound {
    columns: Vec<WCharColumn>,
    rows: usize,
    fetched: usize,
}

impl Bound {
    fn new(widths: &[usize]) -> Self {
        let row: usize = widths.iter().map(|width| 2 * (width + 1) + size_of::<isize>()).sum();
        let rows = (ROW_SET / row.max(1)).clamp(1, MOST_ROWS);
        Self { columns: widths.iter().map(|width| WCharColumn::new(rows, *width)).collect(), rows, fetched: 0 }
    }
}

/// A statement whose rows are read.
struct Reading<'a, 's> {
    statement: &'a mut StatementImpl<'s>,
    action: &'a str,
    link: &'a WideLink,
}

impl Reading<'_, '_> {
    /// What the driver has to say, without secrets.
    fn said(&self) -> Vec<Message> {
        let scrubbed = |message: Message| Message { text: self.link.scrub(&message.text), ..message };
        messages(self.statement).into_iter().map(scrubbed).collect()
    }

    /// Whether there is more; an error when the driver says anything of one, whatever it returned.
    fn judge(&self, result: &SqlResult<()>) -> Result<bool> {
        match result {
            SqlResult::Success(()) => return Ok(true),
            SqlResult::NoData | SqlResult::SuccessWithInfo(()) => {}
            _ => return Err(judged(self.action, self.said())),
        }
        let said = self.said();
        if said.iter().any(|message| message.is_error() || message.is_loss()) {
            return Err(judged(self.action, said));
        }
        Ok(!matches!(result, SqlResult::NoData))
    }

    fn has_columns(&mut self, wanted: usize) -> Result<()> {
        let columns = match self.statement.num_result_cols() {
            SqlResult::Success(count) | SqlResult::SuccessWithInfo(count) => usize::try_from(count).unwrap_or(0),
            _ => 0,
        };
        if columns == wanted { Ok(()) } else { Err(self.wrong(&format!("{columns} columns came, not {wanted}"))) }
    }

    fn wrong(&self, what: &str) -> LogicalError {
        LogicalError::Failed { action: self.action.to_owned(), source: what.into() }
    }

    #[expect(unsafe_code, reason = "buffers are bound to the low-level statement")]
    fn blocks(&mut self, bound: &mut Bound, take: &mut Take<'_>) -> Result<()> {
        // SAFETY: the buffers have room for so many rows and outlive the statement.
        let set = unsafe {
            let set = self.statement.set_row_array_size(bound.rows);
            self.judge(&set)?;
            self.statement.set_num_rows_fetched(&mut bound.fetched)
        };
        self.judge(&set)?;
        for (index, column) in (1..).zip(&mut bound.columns) {
            // SAFETY: as above.
            let set = unsafe { self.statement.bind_col(index, column) };
            self.judge(&set)?;
        }
        let mut text = String::new();
        loop {
            // SAFETY: as above.
            let fetched = unsafe { self.statement.fetch() };
            if !self.judge(&fetched)? {
                return Ok(());
            }
            if let Some(n) =
                bound.columns.iter().position(|column| column.has_truncated_values(bound.fetched).is_some())
            {
                return Err(self.cut(n));
            }
            for row in 0..bound.fetched {
                for (n, column) in bound.columns.iter().enumerate() {
                    match column.value_at(row) {
                        None => take(Got::Null)?,
                        Some(units) => {
                            text.clear();
                            let rest = decode(units, &mut text);
                            rest.filter(Option::is_none).ok_or_else(|| self.half(n))?;
                            take(Got::Text(&text))?;
                        }
                    }
                    take(Got::EndField)?;
                }
                take(Got::EndRow)?;
            }
        }
    }

    #[expect(unsafe_code, reason = "rows are fetched from the low-level statement")]
    fn rows(&mut self, shapes: &[Shape], take: &mut Take<'_>) -> Result<()> {
        let mut pieces = Pieces {
            text: VarCell::from_vec(vec![0; PIECE + 1]),
            bytes: VarCell::from_vec(vec![0; PIECE]),
            decoded: String::new(),
        };
        loop {
            // SAFETY: no column is bound.
            let fetched = unsafe { self.statement.fetch() };
            if !self.judge(&fetched)? {
                return Ok(());
            }
            for (n, shape) in shapes.iter().enumerate() {
                if *shape == Shape::Bytes {
                    self.bytes(n, &mut pieces, take)
                } else {
                    self.text(n, &mut pieces, take)
                }?;
                take(Got::EndField)?;
            }
            take(Got::EndRow)?;
        }
    }

    fn text(&mut self, n: usize, pieces: &mut Pieces, take: &mut Take<'_>) -> Result<()> {
        let mut half = None;
        loop {
            if !self.piece(n, &mut pieces.text)? {
                break;
            }
            let Some(units) = pieces.text.as_slice() else { return take(Got::Null) };
            pieces.decoded.clear();
            let joined: Vec<u16>;
            let units = match half.take() {
                Some(first) => {
                    joined = [&[first], units].concat();
                    &joined
                }
                None => units,
            };
            half = decode(units, &mut pieces.decoded).ok_or_else(|| self.half(n))?;
            take(Got::Text(&pieces.decoded))?;
            if pieces.text.is_complete() {
                break;
            }
        }
        if half.is_none() { Ok(()) } else { Err(self.half(n)) }
    }

    fn bytes(&mut self, n: usize, pieces: &mut Pieces, take: &mut Take<'_>) -> Result<()> {
        while self.piece(n, &mut pieces.bytes)? {
            let Some(bytes) = pieces.bytes.as_slice() else { return take(Got::Null) };
            take(Got::Bytes(bytes))?;
            if pieces.bytes.is_complete() {
                break;
            }
        }
        Ok(())
    }

    /// Reads the next piece of a value; false when there is none.
    fn piece(&mut self, n: usize, piece: &mut impl CDataMut) -> Result<bool> {
        let index = u16::try_from(n + 1).unwrap_or(u16::MAX);
        let result = self.statement.get_data(index, piece);
        self.judge(&result)
    }

    fn cut(&self, n: usize) -> LogicalError {
        LogicalError::Cut { table: self.action.to_owned(), column: format!("column {} of the result", n + 1) }
    }

    fn half(&self, n: usize) -> LogicalError {
        self.wrong(&format!("a text in column {} of the result has half of a pair of UTF-16 surrogates", n + 1))
    }

    /// Reads what comes after the rows: errors that end a statement come behind the rows that it delivered before.
    #[expect(unsafe_code, reason = "odbc-api has no safe call for it")]
    fn end(&mut self) -> Result<()> {
        self.statement.unbind_cols();
        // SAFETY: no column is bound any more.
        let more = unsafe { self.statement.more_results() };
        let said = self.said();
        let failed = !matches!(more, SqlResult::Success(()) | SqlResult::SuccessWithInfo(()) | SqlResult::NoData);
        if failed || said.iter().any(|message| message.is_error() || message.is_loss()) {
            return Err(judged(self.action, said));
        }
        Ok(())
    }
}

struct Pieces {
    text: VarCell<Box<[u16]>, WideText>,
    bytes: VarCell<Box<[u8]>, Binary>,
    decoded: String,
}

/// Adds `units` as UTF-8; returns the half of a pair that they end with. `None` when they are no UTF-16.
fn decode(units: &[u16], text: &mut String) -> Option<Option<u16>> {
    let (whole, half) = match units.split_last() {
        Some((last, before)) if (0xD800..0xDC00).contains(last) => (before, Some(*last)),
        _ => (units, None),
    };
    for character in char::decode_utf16(whole.iter().copied()) {
        text.push(character.ok()?);
    }
    Some(half)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn a_pair_may_be_parted_but_not_halved() {
        let mut text = String::new();
        assert_eq!(decode(&[0x61, 0xD83E], &mut text), Some(Some(0xD83E)));
        assert_eq!(decode(&[0xD83E, 0xDD80], &mut text), Some(None));
        assert_eq!(text, "a🦀");
        assert_eq!(decode(&[0xDD80], &mut text), None);
        assert_eq!(decode(&[0xD83E, 0x61], &mut text), None);
    }
}
