//! Reading a table page by page in the order of its key, so that a driver that keeps whole results keeps a page.
//!
//! A page has a bound that holds whatever the rows are: no value in it is longer than the widths that the page was asked with. Rows with longer
//! values are read again by key, value by value, in pieces.

use std::sync::Arc;

use super::literal::in_utf8;
use super::session::{Cells, TextSession};
use super::words::{KeyPart, Shown, Words};
use crate::logical::LogicalError;
use crate::logical::catalog::{Column, Encoding, Table};
use crate::logical::chunk::RowWriter;
use crate::logical::row_text::{HEX_MARK, escape};
use crate::logical::seam::{Part, RowReader};

type Result<T> = std::result::Result<T, LogicalError>;

/// The most bytes that a page can have.
const PAGE: usize = 32 << 20;
const MOST_ROWS: usize = 8192;
/// Values up to this many units are in the page at first; more when many are longer.
const FIRST_UNITS: usize = 1024;
const MOST_UNITS: usize = 256 * 1024;

/// Reads rows over a [`TextSession`].
pub(crate) struct PagedReader {
    pub(crate) session: Box<dyn TextSession>,
    pub(crate) words: Arc<dyn Words>,
}

/// Where a row is, for reading a value of it by itself.
pub(crate) struct Row<'a> {
    /// The table's name as SQL has it.
    pub(crate) table: &'a str,
    /// The end of a query that finds this row alone.
    pub(crate) at: String,
    /// The table's name for messages.
    pub(crate) title: &'a str,
}

struct Walk<'a> {
    words: &'a dyn Words,
    table: &'a Table,
    name: String,
    title: String,
    key: Vec<KeyPart>,
    range: Option<String>,
    units: usize,
}

/// A row that did not fit into its page.
struct LongRow {
    at: String,
    cells: Vec<Cell>,
}

enum Cell {
    Whole(Option<Vec<u8>>),
    Cut,
}

impl RowReader for PagedReader {
    fn read(&mut self, table: &Table, part: Part, rows: &mut RowWriter<'_>) -> Result<()> {
        if self.session.read_stored(table, part, rows)? {
            return Ok(());
        }
        let words = self.words.clone();
        let key = words.key(table);
        let range = range(&key, part);
        let (name, title) = (words.table(table), table.title());
        let mut walk = Walk { words: &*words, table, name, title, key, range, units: FIRST_UNITS };
        let (mut last, mut count) = (None, 0);
        loop {
            let page = walk.page(&mut *self.session, last.as_deref(), count, rows)?;
            count += page.rows;
            if page.rows < page.asked {
                break;
            }
            last = page.last;
        }
        if walk.key.is_empty() { walk.check_count(&mut *self.session, count) } else { Ok(()) }
    }
}

struct Page {
    rows: usize,
    asked: usize,
    last: Option<Vec<String>>,
}

impl Walk<'_> {
    fn page(
        &mut self,
        session: &mut dyn TextSession,
        after: Option<&[String]>,
        before: usize,
        rows: &mut RowWriter<'_>,
    ) -> Result<Page> {
        let widths = self.widths();
        let asked = (PAGE / widths.iter().sum::<usize>()).clamp(1, MOST_ROWS);
        let sql = self.query(after, before, asked);
        let (columns, keys) = (&self.table.columns, &self.key);
        let shown = self.shown().count();
        let mut page = Page { rows: 0, asked, last: None };
        let mut long = Vec::new();
        let action = format!("read the rows of `{}`", self.title);
        let fetched = session.fetch(&action, &sql, &widths, &mut |cells| {
            page.rows += 1;
            let (shown, rest) = cells.split_at(shown);
            let values = &rest[..columns.len()];
            if page.rows == asked && !keys.is_empty() {
                page.last = Some(literals(keys, shown, values));
            }
            if columns.iter().zip(values).any(|(column, cell)| self.is_cut(column, *cell)) {
                let at = match keys.is_empty() {
                    true => by_number(before + page.rows - 1),
                    false => by_key(keys, &literals(keys, shown, values)),
                };
                let cell = |(column, cell): (&Column, &Option<&[u8]>)| match self.is_cut(column, *cell) {
                    true => Cell::Cut,
                    false => Cell::Whole(cell.map(<[u8]>::to_vec)),
                };
                long.push(LongRow { at, cells: columns.iter().zip(values).map(cell).collect() });
                return Ok(());
            }
            rows.write_row(|line| {
                encode(columns, values, line);
                Ok(())
            })
        });
        fetched.map_err(|error| error.about(&self.title))?;
        if long.len() * 16 > page.rows && self.units < MOST_UNITS {
            self.units *= 4;
        }
        long.into_iter().try_for_each(|row| self.long_row(session, row, rows))?;
        Ok(page)
    }

    fn is_cut(&self, column: &Column, cell: Option<&[u8]>) -> bool {
        column.limit.is_none() && cell.is_some_and(|text| self.words.is_cut(column, self.units, text))
    }

    /// What a page has of the key besides the columns.
    fn shown(&self) -> impl Iterator<Item = (&str, usize)> {
        self.key.iter().filter_map(|part| match &part.shown {
            Shown::Expression(expression, width) => Some((expression.as_str(), *width)),
            Shown::Column(_) => None,
        })
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: &Column| match column.limit {
            Some(limit) => usize::try_from(limit).unwrap_or(PAGE),
            None => self.words.width(column, self.units),
        };
        let widths: Vec<usize> =
            self.shown().map(|(_, width)| width).chain(self.table.columns.iter().map(width)).collect();
        // A table without columns has rows all the same.
        if widths.is_empty() { vec![1] } else { widths }
    }

    fn query(&self, after: Option<&[String]>, before: usize, asked: usize) -> String {
        let value = |column: &Column| match column.limit {
            Some(_) => self.words.value(column),
            None => self.words.value_up_to(column, self.units),
        };
        let shown = self.shown().map(|(expression, _)| expression.to_owned());
        let mut list: Vec<String> = shown.chain(self.table.columns.iter().map(value)).collect();
        if list.is_empty() {
            list.push("1".to_owned());
        }
        let conditions: Vec<String> =
            self.range.iter().cloned().chain(after.map(|key| greater(&self.key, key))).collect();
        let mut sql = format!("SELECT {} FROM {}{}", list.join(", "), self.name, self.words.scan(self.table));
        if !conditions.is_empty() {
            sql += &format!(" WHERE {}", conditions.join(" AND "));
        }
        if self.key.is_empty() {
            return sql + &format!(" LIMIT {asked} OFFSET {before}");
        }
        if self.words.comes_in_order() {
            return sql + &format!(" LIMIT {asked}");
        }
        let order: Vec<&str> = self.key.iter().map(|part| part.expression.as_str()).collect();
        sql + &format!(" ORDER BY {} LIMIT {asked}", order.join(", "))
    }

    fn long_row(&self, session: &mut dyn TextSession, row: LongRow, rows: &mut RowWriter<'_>) -> Result<()> {
        let place = Row { table: &self.name, at: row.at, title: &self.title };
        for (n, (column, cell)) in self.table.columns.iter().zip(&row.cells).enumerate() {
            if n > 0 {
                rows.piece(b"\t")?;
            }
            match cell {
                Cell::Cut => {
                    let written = self.words.long_value(session, &place, column, rows);
                    written.map_err(|error| error.about(&self.title))?;
                }
                Cell::Whole(value) => {
                    let mut field = Vec::new();
                    encode_one(column.encoding, value.as_deref(), &mut field);
                    rows.piece(&field)?;
                }
            }
        }
        rows.end_row()
    }

    /// Rows that are found by their number must be as many as the server counts in the same snapshot.
    fn check_count(&self, session: &mut dyn TextSession, found: usize) -> Result<()> {
        let counted = session.value("count rows", &format!("SELECT count(*) FROM {}", self.name))?;
        if counted.parse() == Ok(found) {
            return Ok(());
        }
        let source = format!("{found} rows came, the server counts {counted}").into();
        Err(LogicalError::Changed { table: self.title.clone(), source })
    }
}

fn range(key: &[KeyPart], part: Part) -> Option<String> {
    let first = &key.first()?.expression;
    let (from, to) = match part {
        Part::Whole => return None,
        Part::Keys(from, to) => (from.map(|from| from.to_string()), to.map(|to| to.to_string())),
        Part::Pages(from, to) => {
            let place = |page: u64| format!("'({page},0)'::tid");
            (Some(place(from)), to.map(place))
        }
    };
    let from = from.map(|from| format!("{first} >= {from}"));
    let to = to.map(|to| format!("{first} < {to}"));
    Some(from.into_iter().chain(to).collect::<Vec<_>>().join(" AND ")).filter(|range| !range.is_empty())
}

/// The condition for rows after the one with this key, in the order of the key. Written out: servers do not use an index for tuples.
fn greater(key: &[KeyPart], last: &[String]) -> String {
    let term = |n: usize| {
        let equal = key[..n].iter().zip(last).map(|(part, last)| format!("{} = {last}", part.expression));
        let more = format!("{} > {}", key[n].expression, last[n]);
        equal.chain([more]).collect::<Vec<_>>().join(" AND ")
    };
    match key.len() {
        1 => term(0),
        n => {
            let terms: Vec<String> = (0..n).map(|n| format!("({})", term(n))).collect();
            format!("{} >= {} AND ({})", key[0].expression, last[0], terms.join(" OR "))
        }
    }
}

/// The literals for the key of a row, of which a page shows some parts apart.
fn literals(key: &[KeyPart], shown: &Cells<'_>, values: &Cells<'_>) -> Vec<String> {
    let mut shown = shown.iter();
    let cell = |part: &KeyPart| match part.shown {
        Shown::Column(place) => values[place],
        Shown::Expression(..) => shown.next().copied().flatten(),
    };
    let cells: Vec<Option<&[u8]>> = key.iter().map(cell).collect();
    key.iter().zip(cells).map(|(part, cell)| (part.literal)(cell.unwrap_or_default())).collect()
}

fn by_key(key: &[KeyPart], values: &[String]) -> String {
    let equal = key.iter().zip(values).map(|(part, value)| format!("{} = {value}", part.expression));
    format!(" WHERE {}", equal.collect::<Vec<_>>().join(" AND "))
}

fn by_number(number: usize) -> String {
    format!(" LIMIT 1 OFFSET {number}")
}

fn encode(columns: &[Column], cells: &Cells<'_>, line: &mut Vec<u8>) {
    for (n, (column, cell)) in columns.iter().zip(cells).enumerate() {
        if n > 0 {
            line.push(b'\t');
        }
        encode_one(column.encoding, *cell, line);
    }
    line.push(b'\n');
}

fn encode_one(encoding: Encoding, cell: Option<&[u8]>, line: &mut Vec<u8>) {
    match (cell, encoding) {
        (None, _) => line.extend_from_slice(b"\\N"),
        (Some(value), Encoding::Number) => line.extend_from_slice(value),
        (Some(digits), Encoding::Binary) => {
            line.extend_from_slice(HEX_MARK);
            line.extend_from_slice(digits);
        }
        (Some(text), Encoding::Literal) if is_real(text) => real(text, line),
        (Some(text), Encoding::Literal) => escape(&in_utf8(text), line),
        (Some(text), Encoding::Text) => escape(text, line),
    }
}

fn is_real(literal: &[u8]) -> bool {
    let number = literal.first().is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-');
    number && literal.iter().any(|byte| matches!(byte, b'.' | b'e'))
}

/// The shortest digits that tell a floating-point number apart. Versions of SQLite write other ones for the same number.
fn real(literal: &[u8], line: &mut Vec<u8>) {
    let number = std::str::from_utf8(literal).ok().and_then(|text| text.parse::<f64>().ok());
    match number.filter(|number| number.is_finite()) {
        Some(number) => line.extend_from_slice(format!("{number:?}").as_bytes()),
        None => line.extend_from_slice(literal),
    }
}
