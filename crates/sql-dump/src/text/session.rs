//! A connection that takes statements and delivers text, whatever is below it: an ODBC driver or the SQLite that the program carries.

use crate::logical::LogicalError;
use crate::logical::catalog::Table;
use crate::logical::chunk::RowWriter;
use crate::logical::seam::Part;

type Result<T> = std::result::Result<T, LogicalError>;

/// The values of a row; `None` is NULL.
pub(crate) type Cells<'a> = [Option<&'a [u8]>];

/// See the module.
pub(crate) trait TextSession: Send {
    /// Runs one statement.
    fn run(&mut self, action: &str, sql: &str) -> Result<()>;
    /// Runs a query and hands on its rows. No value is longer than its column's width, or the query fails with [`LogicalError::Cut`].
    fn fetch(
        &mut self,
        action: &str,
        sql: &str,
        widths: &[usize],
        take: &mut dyn FnMut(&Cells<'_>) -> Result<()>,
    ) -> Result<()>;

    /// Reads a part of a table in a way of its own that needs no text of values; false: it has none for this table.
    fn read_stored(&mut self, _table: &Table, _part: Part, _rows: &mut RowWriter<'_>) -> Result<bool> {
        Ok(false)
    }

    /// All rows of a query on the catalog, as text; NULL is empty.
    fn rows(&mut self, action: &str, sql: &str, columns: usize) -> Result<Vec<Vec<String>>> {
        let mut rows = Vec::new();
        self.fetch(action, sql, &vec![CATALOG_WIDTH; columns], &mut |cells| {
            let text = |cell: &Option<&[u8]>| cell.map(|cell| String::from_utf8_lossy(cell).into_owned());
            rows.push(cells.iter().map(|cell| text(cell).unwrap_or_default()).collect());
            Ok(())
        })?;
        Ok(rows)
    }

    /// The first value of the first row, empty where there is none.
    fn value(&mut self, action: &str, sql: &str) -> Result<String> {
        let rows = self.rows(action, sql, 1)?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).unwrap_or_default())
    }
}

/// Room for a definition: a view or a procedure is text of this length at most.
const CATALOG_WIDTH: usize = 1 << 20;

/// What an error of a server means, by its SQLSTATE and number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Gone,
    Busy,
    Changed,
    DoesNotFit,
    Other,
}

/// Opens a connection to the same database.
pub(crate) type Open = Box<dyn Fn() -> Result<Box<dyn TextSession>> + Send>;
