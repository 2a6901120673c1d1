//! Values, and what one looks like to a person.

use std::fmt;

/// A value: a type and bytes that need not fit it.
///
/// Takes 24 bytes, and memory of its own only for more than 18 bytes of data.
#[derive(Clone, PartialEq, Eq)]
pub struct Value(Repr);

/// Which form a value has follows from the length of its data alone; what a short one leaves unused is zero.
#[derive(Clone, PartialEq, Eq)]
enum Repr {
    Short(ValueType, u8, [u8; SHORT]),
    Long(ValueType, Box<[u8]>),
}

const SHORT: usize = 18;

const _: () = assert!(size_of::<Value>() == 24);

impl Value {
    /// A value of any type with any bytes.
    pub fn new(kind: ValueType, data: impl AsRef<[u8]> + Into<Box<[u8]>>) -> Self {
        let bytes = data.as_ref();
        let mut short = [0; SHORT];
        match short.get_mut(..bytes.len()) {
            Some(place) => {
                place.copy_from_slice(bytes);
                let len = bytes.len() as u8;
                Self(Repr::Short(kind, len, short))
            }
            None => Self(Repr::Long(kind, data.into())),
        }
    }

    /// A `REG_SZ` with its terminator.
    pub fn string(text: &str) -> Self {
        Self::terminated(text.encode_utf16())
    }

    /// A little-endian `REG_DWORD`.
    pub fn dword(number: u32) -> Self {
        Self::new(ValueType::DWORD, &number.to_le_bytes()[..])
    }

    /// The type as it is stored.
    pub fn kind(&self) -> ValueType {
        match &self.0 {
            Repr::Short(kind, ..) | Repr::Long(kind, _) => *kind,
        }
    }

    /// The bytes as they are stored: a string's terminator is among them, or missing.
    pub fn data(&self) -> &[u8] {
        match &self.0 {
            Repr::Short(_, len, bytes) => &bytes[..usize::from(*len)],
            Repr::Long(_, bytes) => bytes,
        }
    }

    pub(crate) fn terminated(units: impl IntoIterator<Item = u16>) -> Self {
        let data: Vec<u8> = units.into_iter().chain([0]).flat_map(u16::to_le_bytes).collect();
        Self::new(ValueType::SZ, data)
    }

    /// The text of a `REG_SZ` or `REG_EXPAND_SZ` that ends with its only NUL and is Unicode.
    pub fn as_string(&self) -> Option<String> {
        match self.kind() {
            ValueType::SZ | ValueType::EXPAND_SZ => String::from_utf16(&self.terminated_units()?).ok(),
            _ => None,
        }
    }

    /// The number of a `REG_DWORD` of four bytes.
    pub fn as_dword(&self) -> Option<u32> {
        match self.kind() {
            ValueType::DWORD => Some(u32::from_le_bytes(self.data().try_into().ok()?)),
            _ => None,
        }
    }

    /// The bytes as UTF-16 without the terminator, if they are an even number and end with the only NUL among them.
    pub(crate) fn terminated_units(&self) -> Option<Vec<u16>> {
        let mut units = self.units()?;
        (units.iter().position(|&unit| unit == 0)? + 1 == units.len()).then(|| units.pop())?;
        Some(units)
    }

    fn units(&self) -> Option<Vec<u16>> {
        let (pairs, []) = self.data().as_chunks() else { return None };
        Some(pairs.iter().copied().map(u16::from_le_bytes).collect())
    }

    /// The strings of a `REG_MULTI_SZ` that is a list of terminated strings and one more NUL.
    fn as_strings(&self) -> Option<Vec<String>> {
        let units = self.units()?;
        let list = units.strip_suffix(&[0])?;
        if list.is_empty() {
            return Some(Vec::new());
        }
        let list = list.strip_suffix(&[0])?;
        list.split(|&unit| unit == 0).map(|text| String::from_utf16(text).ok()).collect()
    }

    fn interpreted(&self) -> Option<String> {
        match self.kind() {
            ValueType::SZ | ValueType::EXPAND_SZ => self.as_string().map(|text| format!("{text:?}")),
            ValueType::MULTI_SZ => self.as_strings().map(|texts| format!("{texts:?}")),
            ValueType::DWORD => self.as_dword().map(|number| format!("{number:#010x} ({number})")),
            ValueType::QWORD => {
                let number = u64::from_le_bytes(self.data().try_into().ok()?);
                Some(format!("{number:#018x} ({number})"))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Value {
    /// Shows type and data on one line; of long binary data, the length and how it begins.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 16;
        if let Some(text) = self.interpreted() {
            return write!(f, "{} {text}", self.kind());
        }
        write!(f, "{} {} bytes", self.kind(), self.data().len())?;
        for byte in self.data().iter().take(SHOWN) {
            write!(f, " {byte:02x}")?;
        }
        f.write_str(if self.data().len() > SHOWN { " …" } else { "" })
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:02x?}", self.kind(), self.data())
    }
}

/// A value's type: any number; those that Windows defines have names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueType(pub u32);

impl ValueType {
    /// Text in UTF-16 with a NUL at its end.
    pub const SZ: Self = Self(1);
    /// Text in which `%NAME%` stands for an environment variable.
    pub const EXPAND_SZ: Self = Self(2);
    /// Bytes.
    pub const BINARY: Self = Self(3);
    /// Nothing said about the bytes.
    pub const NONE: Self = Self(0);
    /// A little-endian number of 32 bits.
    pub const DWORD: Self = Self(4);
    /// The path of the key that a symbolic link leads to.
    pub const LINK: Self = Self(6);
    /// A list of texts, each with a NUL at its end, and one more NUL.
    pub const MULTI_SZ: Self = Self(7);
    /// A little-endian number of 64 bits.
    pub const QWORD: Self = Self(11);
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const NAMES: [&str; 12] = [
            "REG_NONE",
            "REG_SZ",
            "REG_EXPAND_SZ",
            "REG_BINARY",
            "REG_DWORD",
            "REG_DWORD_BIG_ENDIAN",
            "REG_LINK",
            "REG_MULTI_SZ",
            "REG_RESOURCE_LIST",
            "REG_FULL_RESOURCE_DESCRIPTOR",
            "REG_RESOURCE_REQUIREMENTS_LIST",
            "REG_QWORD",
        ];
        match NAMES.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "type {:#x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_any_length_is_kept() {
        for length in 0..40 {
            let data = vec![0x5a; length];
            let value = Value::new(ValueType::NONE, data.as_slice());
            assert_eq!((value.data(), &value), (data.as_slice(), &Value::new(ValueType::NONE, data.clone())));
        }
    }

    #[test]
    fn values_read_well_whatever_they_hold() {
        let show = |kind, data: &[u8]| Value::new(ValueType(kind), data).to_string();
        let shown = [
            Value::string("C:\\SMS \"x\"").to_string(),
            show(1, b"a\0b"),
            show(7, b"a\0\0\0b\0\0\0\0\0"),
            show(7, b"\0\0"),
            Value::dword(42).to_string(),
            show(4, b"\x01"),
            show(11, b"\x01\0\0\0\0\0\0\0"),
            show(0, b""),
            show(3, &[0xff; 20]),
            show(0x1234_5678, b"\x01"),
        ];
        insta::assert_snapshot!(shown.join("\n"), @r#"
        REG_SZ "C:\\SMS \"x\""
        REG_SZ 3 bytes 61 00 62
        REG_MULTI_SZ ["a", "b"]
        REG_MULTI_SZ []
        REG_DWORD 0x0000002a (42)
        REG_DWORD 1 bytes 01
        REG_QWORD 0x0000000000000001 (1)
        REG_NONE 0 bytes
        REG_BINARY 20 bytes ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff …
        type 0x12345678 1 bytes 01
        "#);
    }
}
