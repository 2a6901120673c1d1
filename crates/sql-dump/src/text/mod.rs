//! Rows over connections that take statements and deliver text: read in pages by key, large values in pieces, loaded by INSERT.

mod insert;
mod literal;
mod long_value;
mod paged;
mod session;
mod words;

pub(crate) use insert::{InsertLoader, insert_whole, too_long};
pub(crate) use literal::{BYTES_OF_TEXT, digits, in_utf8};
pub(crate) use long_value::LongValue;
pub(crate) use paged::{PagedReader, Row};
pub(crate) use session::{Cells, Open, Refusal, TextSession};
pub(crate) use words::{KeyPart, Shown, Words};
