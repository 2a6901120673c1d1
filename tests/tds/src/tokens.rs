//! The tokens of an answer.

use crate::types::{COLLATION, Column, describe};
use crate::values::{Value, encode, utf16};

/// Bits of a DONE token's status.
pub(crate) const MORE: u16 = 0x01;
pub(crate) const ERROR: u16 = 0x02;
pub(crate) const COUNT: u16 = 0x10;
pub(crate) const ATTENTION: u16 = 0x20;

/// Severity of errors that end a statement.
pub(crate) const SEVERE: u8 = 16;

pub(crate) fn done(status: u16, rows: u64) -> Vec<u8> {
    [&[0xFD], status.to_le_bytes().as_slice(), &[0xC1, 0], &rows.to_le_bytes()].concat()
}

/// An INFO (severity 0) or ERROR token.
pub(crate) fn message(number: i32, severity: u8, text: &str) -> Vec<u8> {
    let token = if severity > 10 { 0xAA } else { 0xAB };
    let [name, nobody] = [short_text("TDS"), short_text("")];
    let head = [number.to_le_bytes().as_slice(), &[1, severity], &long_text(text)].concat();
    sized(token, &[head, name, nobody, 1u32.to_le_bytes().to_vec()].concat())
}

/// What a login is answered with.
pub(crate) fn login_ack(database: &str) -> Vec<u8> {
    let program = [[1].as_slice(), &[0x74, 0, 0, 4], &short_text("Microsoft SQL Server"), &[15, 0, 8, 0]].concat();
    [
        env_change(1, &short_text(database), &short_text("master")),
        message(5701, 0, &format!("Changed database context to '{database}'.")),
        env_change(7, &[[5].as_slice(), &COLLATION].concat(), &[0]),
        env_change(4, &short_text("4096"), &short_text("4096")),
        sized(0xAD, &program),
        done(0, 0),
    ]
    .concat()
}

fn env_change(kind: u8, new: &[u8], old: &[u8]) -> Vec<u8> {
    sized(0xE3, &[&[kind], new, old].concat())
}

pub(crate) fn columns(columns: &[Column]) -> Vec<u8> {
    let mut bytes = vec![0x81];
    bytes.extend_from_slice(&u16::try_from(columns.len()).expect("columns of a table").to_le_bytes());
    for column in columns {
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&column.flags.to_le_bytes());
        bytes.extend_from_slice(&describe(column.kind));
        bytes.extend_from_slice(&short_text(&column.name));
    }
    bytes
}

pub(crate) fn row(columns: &[Column], values: &[Value], compressed: bool) -> Vec<u8> {
    assert_eq!(columns.len(), values.len(), "a row has a value for each column");
    let mut bytes = vec![0xD1];
    if compressed {
        bytes = vec![0xD2];
        let bit = |(index, value): (usize, &Value)| u8::from(*value == Value::Null) << index;
        bytes.extend(values.chunks(8).map(|eight| eight.iter().enumerate().map(bit).sum::<u8>()));
    }
    for (column, value) in columns.iter().zip(values) {
        if !(compressed && *value == Value::Null) {
            bytes.extend_from_slice(&encode(column.kind, value));
        }
    }
    bytes
}

fn sized(token: u8, body: &[u8]) -> Vec<u8> {
    [&[token], u16::try_from(body.len()).expect("a token of the tests").to_le_bytes().as_slice(), body].concat()
}

fn short_text(text: &str) -> Vec<u8> {
    let units = utf16(text);
    [&[u8::try_from(units.len() / 2).expect("a short name")], units.as_slice()].concat()
}

fn long_text(text: &str) -> Vec<u8> {
    let units = utf16(text);
    [u16::try_from(units.len() / 2).expect("a message").to_le_bytes().as_slice(), &units].concat()
}
