//! The key tree: keys with their values, subkeys and what else Windows keeps of a key.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;

use crate::name::{KeyPath, Name};
use crate::value::{Value, ValueType};

/// How much of a key a kind of file has a place for; each has what those before it have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// Values and subkeys, as in `.reg` text.
    Values,
    /// Class names too, as in Wine's files.
    Classes,
    /// Security descriptors too, as in hives.
    Descriptors,
}

/// How many keys have what a kind of file has no place for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Excess {
    /// Keys with a class name.
    pub classes: usize,
    /// Keys with a security descriptor.
    pub descriptors: usize,
}

impl Excess {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (classes, descriptors) = (self.classes, self.descriptors);
        match (classes, descriptors) {
            (0, _) => write!(f, "the security descriptors of {descriptors} keys"),
            (_, 0) => write!(f, "the class names of {classes} keys"),
            _ => write!(f, "the class names of {classes} and the security descriptors of {descriptors} keys"),
        }
    }
}

/// A registry key: its values and its subkeys, each in the order of their names.
///
/// Class name, last-write time and security descriptor are `None` where the key has none, or the default one, and where
/// its source has no place for them: which of the two, its [`Detail`] says.
///
/// Two keys are equal when names, values, classes and descriptors are: names are compared without regard to case, and
/// last-write times not at all. A name keeps the spelling under which it was first set.
///
/// Adding in the order of names is fast; each addition in between moves what is behind it.
#[derive(Clone, Default)]
pub struct Key {
    values: Sorted<Value>,
    subkeys: Sorted<Key>,
    class: Option<Box<Name>>,
    last_write: Option<NonZeroU64>,
    security: Option<Arc<[u8]>>,
}

impl Key {
    /// A key without values and subkeys.
    pub const EMPTY: Self =
        Self { values: Sorted::EMPTY, subkeys: Sorted::EMPTY, class: None, last_write: None, security: None };

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
        self.values.set(name.into(), value);
    }

    /// Removes a value and returns it.
    pub fn remove_value(&mut self, name: impl Into<Name>) -> Option<Value> {
        self.values.remove(&name.into())
    }

    /// The direct subkeys.
    pub fn subkeys(&self) -> impl ExactSizeIterator<Item = (&Name, &Key)> {
        self.subkeys.iter()
    }

    /// The class name, which programs hardly use.
    pub fn class(&self) -> Option<&Name> {
        self.class.as_deref()
    }

    /// Sets the class name; an empty one is none.
    pub fn set_class(&mut self, class: Option<Name>) {
        self.class = class.filter(|class| !class.is_empty()).map(Box::new);
    }

    /// When the key was last written, in units of 100 ns since 1601 (a FILETIME).
    pub fn last_write(&self) -> Option<u64> {
        self.last_write.map(NonZeroU64::get)
    }

    /// Sets the last-write time; zero is none.
    pub fn set_last_write(&mut self, time: Option<u64>) {
        self.last_write = time.and_then(NonZeroU64::new);
    }

    /// The security descriptor in its self-relative form. Keys that have the same share its bytes.
    pub fn security(&self) -> Option<&Arc<[u8]>> {
        self.security.as_ref()
    }

    /// Sets the security descriptor, which is not looked into.
    pub fn set_security(&mut self, security: Option<Arc<[u8]>>) {
        self.security = security;
    }

    /// Whether Windows follows the key to another: it has the value `SymbolicLinkValue` of the type `REG_LINK`.
    pub fn is_link(&self) -> bool {
        self.value("SymbolicLinkValue").is_some_and(|value| value.kind() == ValueType::LINK)
    }

    /// How many keys this is with all below it.
    pub fn count(&self) -> usize {
        1 + self.subkeys().map(|(_, key)| key.count()).sum::<usize>()
    }

    /// The newest last-write time of this key and all below it.
    pub fn newest_write(&self) -> Option<u64> {
        self.subkeys().map(|(_, key)| key.newest_write()).fold(self.last_write(), Option::max)
    }

    /// The key at `path` below this one.
    pub fn get(&self, path: &KeyPath) -> Option<&Key> {
        path.names().iter().try_fold(self, |key, name| key.subkeys.get(name))
    }

    /// The key at `path` below this one, created with all that leads to it where it is missing.
    pub fn create(&mut self, path: &KeyPath) -> &mut Key {
        path.names().iter().fold(self, |key, name| key.subkeys.entry(name.clone(), Key::default))
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

    /// Drops what lies beyond `detail`, of this key and all below it; tells what that was.
    pub fn reduce(&mut self, detail: Detail) -> Excess {
        let mut excess = Excess::default();
        if detail < Detail::Classes {
            excess.classes += usize::from(self.class.take().is_some());
        }
        if detail < Detail::Descriptors {
            excess.descriptors += usize::from(self.security.take().is_some());
        }
        for (_, key) in &mut self.subkeys.0 {
            let below = key.reduce(detail);
            excess.classes += below.classes;
            excess.descriptors += below.descriptors;
        }
        excess
    }

    /// Adds what `other` has: its values and what it knows of class, time and security win, nothing goes.
    pub fn merge(&mut self, other: Key) {
        for (name, value) in other.values.0 {
            self.set_value(name, value);
        }
        for (name, key) in other.subkeys.0 {
            self.subkeys.entry(name, Key::default).merge(key);
        }
        self.class = other.class.or(self.class.take());
        self.last_write = other.last_write.or(self.last_write);
        self.security = other.security.or(self.security.take());
    }

    /// Takes class, time and security from `other` where this key, or one below it, does not know them.
    pub(crate) fn inherit(&mut self, other: &Key) {
        self.class = self.class.take().or_else(|| other.class.clone());
        self.last_write = self.last_write.or(other.last_write);
        self.security = self.security.take().or_else(|| other.security.clone());
        for (name, key) in &mut self.subkeys.0 {
            if let Some(other) = other.subkeys.get(name) {
                key.inherit(other);
            }
        }
    }

    /// Puts values in any order in place of those that are there. Of those with one name only one is kept;
    /// returns whether there were any.
    pub(crate) fn fill_values(&mut self, values: Vec<(Name, Value)>) -> bool {
        self.values.fill(values)
    }

    /// The same for subkeys.
    pub(crate) fn fill_subkeys(&mut self, subkeys: Vec<(Name, Key)>) -> bool {
        self.subkeys.fill(subkeys)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
            && self.class == other.class
            && self.security == other.security
            && self.subkeys == other.subkeys
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("values", &self.values)
            .field("subkeys", &self.subkeys)
            .field("class", &self.class)
            .field("last_write", &self.last_write)
            .field("security", &self.security)
            .finish()
    }
}

/// A map by name that takes no more memory than its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sorted<T>(Vec<(Name, T)>);

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<T> Sorted<T> {
    const EMPTY: Self = Self(Vec::new());

    fn iter(&self) -> impl ExactSizeIterator<Item = (&Name, &T)> {
        self.0.iter().map(|(name, item)| (name, item))
    }

    fn find(&self, name: &Name) -> Result<usize, usize> {
        // Most are added in order.
        match self.0.last() {
            Some((last, _)) if last < name => Err(self.0.len()),
            _ => self.0.binary_search_by(|(other, _)| other.cmp(name)),
        }
    }

    fn get(&self, name: &Name) -> Option<&T> {
        self.find(name).ok().map(|at| &self.0[at].1)
    }

    fn get_mut(&mut self, name: &Name) -> Option<&mut T> {
        self.find(name).ok().map(|at| &mut self.0[at].1)
    }

    fn entry(&mut self, name: Name, new: impl FnOnce() -> T) -> &mut T {
        let at = self.find(&name).unwrap_or_else(|at| {
            self.0.insert(at, (name, new()));
            at
        });
        &mut self.0[at].1
    }

    fn set(&mut self, name: Name, item: T) {
        match self.find(&name) {
            Ok(at) => self.0[at].1 = item,
            Err(at) => self.0.insert(at, (name, item)),
        }
    }

    fn remove(&mut self, name: &Name) -> Option<T> {
        self.find(name).ok().map(|at| self.0.remove(at).1)
    }

    fn fill(&mut self, mut items: Vec<(Name, T)>) -> bool {
        let before = items.len();
        if !items.is_sorted_by(|(a, _), (b, _)| a < b) {
            // In place: a stable sort would take half as much memory again.
            items.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            items.dedup_by(|(later, _), (earlier, _)| later == earlier);
        }
        self.0 = items;
        self.0.len() < before
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
    fn merging_adds_and_inheriting_fills_what_is_not_known() {
        let mut old = Key::default();
        old.create(&path("a")).set_value("x", Value::dword(1));
        old.create(&path("a")).set_class(Some("class".into()));
        old.create(&path("a")).set_security(Some([1][..].into()));
        let mut new = Key::default();
        new.create(&path("A")).set_value("y", Value::dword(2));
        new.create(&path("A")).set_security(Some([2][..].into()));
        new.create(&path("A")).set_last_write(Some(7));

        let mut merged = old.clone();
        merged.merge(new.clone());
        let key = merged.get(&path("a")).unwrap();
        assert_eq!((key.values().len(), key.last_write(), merged.newest_write()), (2, Some(7), Some(7)));
        assert_eq!(key.security().map(|bytes| bytes[0]), Some(2));
        new.inherit(&old);
        let key = new.get(&path("a")).unwrap();
        assert_eq!((key.values().len(), key.class()), (1, Some(&"class".into())));
        assert_eq!(key.security().map(|bytes| bytes[0]), Some(2));
    }

    #[test]
    fn additions_in_any_order_are_sorted() {
        let names = ["m", "C", "z", "a", "B", "c"];
        let mut one_by_one = Key::default();
        names.iter().for_each(|&name| one_by_one.set_value(name, Value::string(name)));
        let mut filled = Key::default();
        assert!(filled.fill_values(names.map(|name| (name.into(), Value::string(name))).into()), "c came twice");
        let order = |key: &Key| key.values().map(|(name, _)| name.to_string()).collect::<String>();
        assert_eq!((order(&one_by_one), order(&filled)), ("aBCmz".to_owned(), "aBCmz".to_owned()));
        assert_eq!(one_by_one.value("C").and_then(Value::as_string).as_deref(), Some("c"), "the last is set");
    }
}
