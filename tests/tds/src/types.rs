//! The types of columns, and how they are described on the wire.

/// A type of SQL Server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are T-SQL's own names")]
pub enum Type {
    Bit,
    TinyInt,
    SmallInt,
    Int,
    BigInt,
    Real,
    Float,
    SmallMoney,
    Money,
    /// Precision and scale.
    Decimal(u8, u8),
    Date,
    /// Fractional digits.
    Time(u8),
    SmallDateTime,
    DateTime,
    /// Fractional digits.
    DateTime2(u8),
    /// Fractional digits.
    DateTimeOffset(u8),
    UniqueIdentifier,
    /// Bytes.
    Char(u16),
    /// Bytes.
    VarChar(u16),
    /// Characters.
    NChar(u16),
    /// Characters.
    NVarChar(u16),
    /// Bytes.
    Binary(u16),
    /// Bytes.
    VarBinary(u16),
    VarCharMax,
    NVarCharMax,
    VarBinaryMax,
    Xml,
    SqlVariant,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub(crate) name: String,
    pub(crate) kind: Type,
    pub(crate) flags: u16,
}

const NULLABLE: u16 = 1;
const IDENTITY: u16 = 0x10;

impl Column {
    /// A column that may hold NULL.
    pub fn new(name: &str, kind: Type) -> Self {
        Self { name: name.to_owned(), kind, flags: NULLABLE }
    }

    /// The column as one whose values the server counts.
    #[must_use]
    pub fn identity(mut self) -> Self {
        self.flags = IDENTITY;
        self
    }
}

/// SQL_Latin1_General_CP1_CI_AS: code page 1252.
pub(crate) const COLLATION: [u8; 5] = [0x09, 0x04, 0xD0, 0x00, 0x34];

/// TYPE_INFO of the protocol.
pub(crate) fn describe(kind: Type) -> Vec<u8> {
    match kind {
        Type::Bit => vec![0x68, 1],
        Type::TinyInt => vec![0x26, 1],
        Type::SmallInt => vec![0x26, 2],
        Type::Int => vec![0x26, 4],
        Type::BigInt => vec![0x26, 8],
        Type::Real => vec![0x6D, 4],
        Type::Float => vec![0x6D, 8],
        Type::SmallMoney => vec![0x6E, 4],
        Type::Money => vec![0x6E, 8],
        Type::Decimal(precision, scale) => vec![0x6A, 17, precision, scale],
        Type::Date => vec![0x28],
        Type::Time(scale) => vec![0x29, scale],
        Type::SmallDateTime => vec![0x6F, 4],
        Type::DateTime => vec![0x6F, 8],
        Type::DateTime2(scale) => vec![0x2A, scale],
        Type::DateTimeOffset(scale) => vec![0x2B, scale],
        Type::UniqueIdentifier => vec![0x24, 16],
        Type::Char(bytes) => collated(0xAF, bytes),
        Type::VarChar(bytes) => collated(0xA7, bytes),
        Type::NChar(characters) => collated(0xEF, characters * 2),
        Type::NVarChar(characters) => collated(0xE7, characters * 2),
        Type::Binary(bytes) => sized(0xAD, bytes),
        Type::VarBinary(bytes) => sized(0xA5, bytes),
        Type::VarCharMax => collated(0xA7, u16::MAX),
        Type::NVarCharMax => collated(0xE7, u16::MAX),
        Type::VarBinaryMax => sized(0xA5, u16::MAX),
        Type::Xml => vec![0xF1, 0],
        Type::SqlVariant => vec![0x62, 0x49, 0x1F, 0, 0],
    }
}

/// Whether values go out in pieces of any length.
pub(crate) fn is_long(kind: Type) -> bool {
    matches!(kind, Type::VarCharMax | Type::NVarCharMax | Type::VarBinaryMax | Type::Xml)
}

fn sized(token: u8, bytes: u16) -> Vec<u8> {
    let [low, high] = bytes.to_le_bytes();
    vec![token, low, high]
}

fn collated(token: u8, bytes: u16) -> Vec<u8> {
    [sized(token, bytes), COLLATION.to_vec()].concat()
}
