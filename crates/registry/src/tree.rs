//! The key tree: keys, values, and what a value looks like to a person.

use std::collections::BTreeMap;
use std::fmt;

use crate::name::{KeyPath, Name};

/// A registry key: its values and its subkeys, each in the order of their names.
///
/// Two keys are equal when Windows could not tell them apart: names are compared without regard to case. A name keeps
/// the spelling under which it was first set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Key {
    values: BTreeMap<Name, Value>,
    subkeys: BTreeMap<Name, Key>,
}

impl Key {
    /// A key without values and subkeys.
    pub const EMPTY: Self = Self { values: BTreeMap::new(), subkeys: BTreeMap::new() };

    /// The values, the default value first.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (&Name, &Value)> {
        self.values.iter()
    }

    /// The value called `name`; the empty name is the default value.
    pub fn value(&self, name: impl Into<Name>) -> Option<&Value> {
        self.values.get(&name.into())
    }

    /// Sets a value, in place of one of the same name.
    pub fn set_value(&mut self, name: impl Into<Name>, value: Value) {
        self.values.insert(name.into(), value);
    }

    /// Removes a value and returns it.
    pub fn remove_value(&mut self, name: impl Into<Name>) -> Option<Value> {
        self.values.remove(&name.into())
    }

    /// The direct subkeys.
    pub fn subkeys(&self) -> impl ExactSizeIterator<Item = (&Name, &Key)> {
        self.subkeys.iter()
    }

    /// How many keys this is with all below it.
    pub fn count(&self) -> usize {
        1 + self.subkeys.values().map(Self::count).sum::<usize>()
    }

    /// The key at `path` below this one.
    pub fn get(&self, path: &KeyPath) -> Option<&Key> {
        path.names().iter().try_fold(self, |key, name| key.subkeys.get(name))
    }

    /// The key at `path` below this one, created with all that leads to it where it is missing.
    pub fn create(&mut self, path: &KeyPath) -> &mut Key {
        path.names().iter().fold(self, |key, name| key.subkeys.entry(name.clone()).or_default())
    }

    /// Puts `key` at `path`, in place of all that is there.
    pub fn replace(&mut self, path: &KeyPath, key: Key) {
        *self.create(path) = key;
    }

    /// Removes the key at `path` with all below it, and returns it. Removing the root leaves it empty.
    pub fn remove(&mut self, path: &KeyPath) -> Option<Key> {
        let Some((last, parents)) = path.names().split_last() else {
            return Some(std::mem::take(self));
        };
        let parent = parents.iter().try_fold(self, |key, name| key.subkeys.get_mut(name))?;
        parent.subkeys.remove(last)
    }
}

/// A value: a type and bytes that need not fit it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The type as it is stored.
    pub kind: ValueType,
    /// The bytes as they are stored: a string's terminator is among them, or missing.
    pub data: Vec<u8>,
}

impl Value {
    /// A `REG_SZ` with its terminator.
    pub fn string(text: &str) -> Self {
        Self::terminated(text.encode_utf16())
    }

    /// A little-endian `REG_DWORD`.
    pub fn dword(number: u32) -> Self {
        Self { kind: ValueType::DWORD, data: number.to_le_bytes().into() }
    }

    pub(crate) fn terminated(units: impl IntoIterator<Item = u16>) -> Self {
        let data = units.into_iter().chain([0]).flat_map(u16::to_le_bytes).collect();
        Self { kind: ValueType::SZ, data }
    }

    /// The text of a `REG_SZ` or `REG_EXPAND_SZ` that ends with its only NUL and is Unicode.
    pub fn as_string(&self) -> Option<String> {
        match self.kind {
            ValueType::SZ | ValueType::EXPAND_SZ => String::from_utf16(&self.terminated_units()?).ok(),
            _ => None,
        }
    }

    /// The number of a `REG_DWORD` of four bytes.
    pub fn as_dword(&self) -> Option<u32> {
        match self.kind {
            ValueType::DWORD => Some(u32::from_le_bytes(self.data.as_slice().try_into().ok()?)),
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
        let (pairs, []) = self.data.as_chunks() else { return None };
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
        match self.kind {
            ValueType::SZ | ValueType::EXPAND_SZ => self.as_string().map(|text| format!("{text:?}")),
            ValueType::MULTI_SZ => self.as_strings().map(|texts| format!("{texts:?}")),
            ValueType::DWORD => self.as_dword().map(|number| format!("{number:#010x} ({number})")),
            ValueType::QWORD => {
                let number = u64::from_le_bytes(self.data.as_slice().try_into().ok()?);
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
            return write!(f, "{} {text}", self.kind);
        }
        write!(f, "{} {} bytes", self.kind, self.data.len())?;
        for byte in self.data.iter().take(SHOWN) {
            write!(f, " {byte:02x}")?;
        }
        f.write_str(if self.data.len() > SHOWN { " …" } else { "" })
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
    /// A little-endian number of 32 bits.
    pub const DWORD: Self = Self(4);
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

    fn path(text: &str) -> KeyPath {
        text.parse().unwrap()
    }

    #[test]
    fn names_that_differ_in_case_are_one() {
        let mut root = Key::default();
        root.create(&path(r"HKLM\Software\SMS")).set_value("Counter", Value::dword(1));
        root.create(&path(r"hklm\SOFTWARE\sms")).set_value("COUNTER", Value::dword(2));
        let key = root.get(&path(r"HKLM\SOFTWARE\Sms")).unwrap();
        assert_eq!(key.values().map(|(name, _)| name.to_string()).collect::<Vec<_>>(), ["Counter"]);
        assert_eq!(key.value("counter").and_then(Value::as_dword), Some(2));
    }

    #[test]
    fn removing_takes_the_subtree_and_leaves_the_parents() {
        let mut root = Key::default();
        root.create(&path(r"a\b\c"));
        assert!(root.remove(&path(r"a\x\c")).is_none());
        assert!(root.remove(&path(r"A\B")).is_some_and(|removed| removed.get(&path("c")).is_some()));
        assert_eq!(root.get(&path("a")), Some(&Key::EMPTY));
        root.remove(&KeyPath::default());
        assert_eq!(root, Key::EMPTY);
    }

    #[test]
    fn values_read_well_whatever_they_hold() {
        let show = |kind, data: &[u8]| Value { kind: ValueType(kind), data: data.to_vec() }.to_string();
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
