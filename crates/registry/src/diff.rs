//! What differs between two key trees.

use std::collections::BTreeMap;
use std::fmt;

use crate::name::{KeyPath, Name};
use crate::tree::{Key, Value};

/// One difference between two trees. The spelling of names is not one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A key that only the second tree has.
    KeyAdded(KeyPath),
    /// A key that only the first tree has.
    KeyRemoved(KeyPath),
    /// A value that only the second tree has.
    ValueAdded(KeyPath, Name, Value),
    /// A value that only the first tree has.
    ValueRemoved(KeyPath, Name, Value),
    /// A value that differs, as it is in the first and in the second tree.
    ValueChanged(KeyPath, Name, Value, Value),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyAdded(path) => write!(f, "+ [{path}]"),
            Self::KeyRemoved(path) => write!(f, "- [{path}]"),
            Self::ValueAdded(path, name, value) => write!(f, "+ [{path}] {} = {value}", Quoted(name)),
            Self::ValueRemoved(path, name, value) => write!(f, "- [{path}] {} = {value}", Quoted(name)),
            Self::ValueChanged(path, name, before, after) => {
                write!(f, "~ [{path}] {} = {before} → {after}", Quoted(name))
            }
        }
    }
}

/// A value's name as `.reg` text shows it.
struct Quoted<'a>(&'a Name);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("@") } else { write!(f, "\"{}\"", self.0) }
    }
}

/// Lists what turns `before` into `after`, key by key in the order of their names.
///
/// A key that came or went is listed with each of its values and subkeys, so that no loss hides in one line.
pub fn diff(before: &Key, after: &Key) -> Vec<Change> {
    let mut walk = Walk { path: KeyPath::default(), changes: Vec::new() };
    walk.contents(before, after);
    walk.changes
}

struct Walk {
    path: KeyPath,
    changes: Vec<Change>,
}

impl Walk {
    fn contents(&mut self, before: &Key, after: &Key) {
        for (name, pair) in join(before.values(), after.values()) {
            self.value(name, pair);
        }
        for (name, pair) in join(before.subkeys(), after.subkeys()) {
            self.path.push(name);
            self.key(pair);
            self.path.pop();
        }
    }

    fn key(&mut self, pair: (Option<&Key>, Option<&Key>)) {
        match pair {
            (None, Some(_)) => self.changes.push(Change::KeyAdded(self.path.clone())),
            (Some(_), None) => self.changes.push(Change::KeyRemoved(self.path.clone())),
            _ => {}
        }
        self.contents(pair.0.unwrap_or(&Key::EMPTY), pair.1.unwrap_or(&Key::EMPTY));
    }

    fn value(&mut self, name: &Name, pair: (Option<&Value>, Option<&Value>)) {
        if pair.0 == pair.1 {
            return;
        }
        let (path, name) = (self.path.clone(), name.clone());
        self.changes.extend(match pair {
            (Some(before), Some(after)) => Some(Change::ValueChanged(path, name, before.clone(), after.clone())),
            (None, Some(after)) => Some(Change::ValueAdded(path, name, after.clone())),
            (Some(before), None) => Some(Change::ValueRemoved(path, name, before.clone())),
            (None, None) => None,
        });
    }
}

type Joined<'a, T> = BTreeMap<&'a Name, (Option<&'a T>, Option<&'a T>)>;

fn join<'a, T>(
    before: impl Iterator<Item = (&'a Name, &'a T)>,
    after: impl Iterator<Item = (&'a Name, &'a T)>,
) -> Joined<'a, T> {
    let mut joined: Joined<'a, T> = before.map(|(name, item)| (name, (Some(item), None))).collect();
    for (name, item) in after {
        joined.entry(name).or_default().1 = Some(item);
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_one_line() {
        let path = |text: &str| text.parse::<KeyPath>().unwrap();
        let mut before = Key::default();
        let key = before.create(&path(r"HKLM\SMS"));
        key.set_value("", Value::string("old"));
        key.set_value("Counter", Value::dword(1));
        key.set_value("Same", Value::dword(7));
        before.create(&path(r"HKLM\SMS\Gone\Deep")).set_value("x", Value::string("lost"));

        let mut after = before.clone();
        after.remove(&path(r"HKLM\SMS\Gone"));
        let key = after.create(&path(r"HKLM\SMS"));
        key.remove_value("");
        key.set_value("COUNTER", Value::dword(2));
        key.set_value("New", Value::string("a\u{1b}[31m"));
        after.create(&path(r"HKLM\SMS\New"));

        let lines: Vec<String> = diff(&before, &after).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        - [HKLM\SMS] @ = REG_SZ "old"
        ~ [HKLM\SMS] "Counter" = REG_DWORD 0x00000001 (1) → REG_DWORD 0x00000002 (2)
        + [HKLM\SMS] "New" = REG_SZ "a\u{1b}[31m"
        - [HKLM\SMS\Gone]
        - [HKLM\SMS\Gone\Deep]
        - [HKLM\SMS\Gone\Deep] "x" = REG_SZ "lost"
        + [HKLM\SMS\New]
        "#);
        assert_eq!(diff(&after, &after), []);
    }
}
