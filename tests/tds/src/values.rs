//! Values, and how each type puts them on the wire.

use crate::types::{COLLATION, Type, is_long};

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL of any type.
    Null,
    /// For `bit`, the integers, and `decimal` and `money` in units of their last digit.
    Int(i128),
    /// For `real` and `float`.
    Float(f64),
    /// For text, `xml` and `sql_variant` (as `nvarchar`), and for dates and times as `2026-11-25 21:05:06.1234567 +05:30`, with the parts that the type has.
    Text(String),
    /// For binary types and `uniqueidentifier` in its own byte order; for `nvarchar` its units, whatever they are.
    Bytes(Vec<u8>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Float(number)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// A value as a row holds it. Panics on a value that the type cannot hold: the test is wrong then.
pub(crate) fn encode(kind: Type, value: &Value) -> Vec<u8> {
    if *value == Value::Null {
        return null(kind);
    }
    let data = data(kind, value);
    if is_long(kind) {
        return pieces(&data);
    }
    match kind {
        Type::SqlVariant => [len32(data.len()).as_slice(), &data].concat(),
        _ if has_wide_length(kind) => {
            let length = u16::try_from(data.len()).expect("a value of the column's length");
            [length.to_le_bytes().as_slice(), &data].concat()
        }
        _ => [&[u8::try_from(data.len()).expect("a short value")], data.as_slice()].concat(),
    }
}

fn has_wide_length(kind: Type) -> bool {
    use Type::{Binary, Char, NChar, NVarChar, VarBinary, VarChar};
    matches!(kind, Char(_) | VarChar(_) | NChar(_) | NVarChar(_) | Binary(_) | VarBinary(_))
}

fn null(kind: Type) -> Vec<u8> {
    match kind {
        _ if is_long(kind) => vec![0xFF; 8],
        Type::SqlVariant => vec![0; 4],
        _ if has_wide_length(kind) => vec![0xFF; 2],
        _ => vec![0],
    }
}

/// The length in all, then pieces with their lengths, then an empty piece.
fn pieces(data: &[u8]) -> Vec<u8> {
    let mut bytes = (data.len() as u64).to_le_bytes().to_vec();
    for piece in data.chunks(4000) {
        bytes.extend_from_slice(&len32(piece.len()));
        bytes.extend_from_slice(piece);
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes
}

fn len32(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a value of the tests").to_le_bytes()
}

fn data(kind: Type, value: &Value) -> Vec<u8> {
    match (kind, value) {
        (Type::Bit | Type::TinyInt, Value::Int(number)) => integer(*number, 1),
        (Type::SmallInt, Value::Int(number)) => integer(*number, 2),
        (Type::Int | Type::SmallMoney, Value::Int(number)) => integer(*number, 4),
        (Type::BigInt, Value::Int(number)) => integer(*number, 8),
        (Type::Money, Value::Int(number)) => {
            let bytes = integer(*number, 8);
            [&bytes[4..], &bytes[..4]].concat()
        }
        (Type::Decimal(..), Value::Int(number)) => {
            [&[u8::from(*number >= 0)], number.unsigned_abs().to_le_bytes().as_slice()].concat()
        }
        #[expect(clippy::cast_possible_truncation, reason = "a real is a narrow float")]
        (Type::Real, Value::Float(number)) => (*number as f32).to_le_bytes().to_vec(),
        (Type::Float, Value::Float(number)) => number.to_le_bytes().to_vec(),
        (Type::Char(bytes), Value::Text(text)) => padded(code_page(text), bytes.into(), b" "),
        (Type::VarChar(_) | Type::VarCharMax, Value::Text(text)) => code_page(text),
        (Type::NChar(characters), Value::Text(text)) => padded(utf16(text), usize::from(characters) * 2, &[b' ', 0]),
        (Type::NVarChar(_) | Type::NVarCharMax | Type::Xml, Value::Text(text)) => utf16(text),
        // Text that is no UTF-16, which the server does not mind.
        (Type::NVarChar(_) | Type::NVarCharMax, Value::Bytes(units)) => units.clone(),
        (Type::SqlVariant, Value::Text(text)) => variant(text),
        (Type::Binary(length), Value::Bytes(bytes)) => padded(bytes.clone(), length.into(), &[0]),
        (Type::VarBinary(_) | Type::VarBinaryMax | Type::UniqueIdentifier, Value::Bytes(bytes)) => bytes.clone(),
        (kind, Value::Text(text)) => moment(kind, text),
        (kind, value) => panic!("a column of type {kind:?} cannot hold {value:?}"),
    }
}

fn integer(number: i128, bytes: usize) -> Vec<u8> {
    number.to_le_bytes()[..bytes].to_vec()
}

fn padded(mut data: Vec<u8>, length: usize, with: &[u8]) -> Vec<u8> {
    while data.len() < length {
        data.extend_from_slice(with);
    }
    data
}

/// Code page 1252, as far as it is Latin-1.
fn code_page(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(u32::from(character)).expect("text of code page 1252")).collect()
}

pub(crate) fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A text in an `sql_variant`: base type, length of its properties, collation, maximum.
fn variant(text: &str) -> Vec<u8> {
    [&[0xE7, 7], COLLATION.as_slice(), &8000u16.to_le_bytes(), &utf16(text)].concat()
}

/// A date or time from its text.
fn moment(kind: Type, text: &str) -> Vec<u8> {
    let mut parts = text.split(' ');
    let mut next = || parts.next().unwrap_or_else(|| panic!("`{text}` is short of a part of {kind:?}"));
    match kind {
        Type::Date => days(next(), 1).to_le_bytes()[..3].to_vec(),
        Type::Time(scale) => ticks(clock(next()), scale),
        Type::DateTime2(scale) => {
            let date = days(next(), 1);
            [ticks(clock(next()), scale), date.to_le_bytes()[..3].to_vec()].concat()
        }
        Type::DateTimeOffset(scale) => {
            let (date, time, minutes) = (days(next(), 1), clock(next()), offset(next()));
            // The wire holds the moment in UTC.
            let local = i64::from(date) * DAY + time;
            let utc = local - i64::from(minutes) * MINUTE;
            let date = i32::try_from(utc.div_euclid(DAY)).expect("a date");
            [ticks(utc.rem_euclid(DAY), scale), date.to_le_bytes()[..3].to_vec(), minutes.to_le_bytes().to_vec()]
                .concat()
        }
        Type::DateTime => {
            let date = days(next(), 1900);
            let time = (clock(next()) * 300 + SECOND / 2) / SECOND;
            [date.to_le_bytes(), i32::try_from(time).expect("a time").to_le_bytes()].concat()
        }
        Type::SmallDateTime => {
            let date = u16::try_from(days(next(), 1900)).expect("a date from 1900 to 2079");
            let time = u16::try_from(clock(next()) / MINUTE).expect("a time");
            [date.to_le_bytes(), time.to_le_bytes()].concat()
        }
        kind => panic!("a column of type {kind:?} cannot hold `{text}`"),
    }
}

/// In units of 100 ns.
const SECOND: i64 = 10_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;

/// Days from the first of January of `since` to a date like `2026-11-25`.
fn days(date: &str, since: i32) -> i32 {
    let numbers: Vec<i32> = date.split('-').map(|part| part.parse().expect("a number of a date")).collect();
    let [year, month, day] = numbers[..] else { panic!("`{date}` is no date") };
    from_civil(year, month, day) - from_civil(since, 1, 1)
}

/// Days since a fixed one, in the Gregorian calendar for all time.
fn from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year
}

/// A time like `21:05:06.1234567`.
fn clock(time: &str) -> i64 {
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let seconds = whole.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().expect("a number of a time"));
    seconds * SECOND + format!("{fraction:0<7}").parse::<i64>().expect("seven digits")
}

/// An offset like `+05:30`, in minutes.
fn offset(text: &str) -> i16 {
    let (hours, minutes) = text[1..].split_once(':').expect("an offset");
    let minutes = hours.parse::<i16>().expect("hours") * 60 + minutes.parse::<i16>().expect("minutes");
    if text.starts_with('-') { -minutes } else { minutes }
}

fn ticks(time: i64, scale: u8) -> Vec<u8> {
    let length = match scale {
        0..=2 => 3,
        3..=4 => 4,
        _ => 5,
    };
    (time / 10_i64.pow(7 - u32::from(scale))).to_le_bytes()[..length].to_vec()
}
