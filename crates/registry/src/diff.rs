//! What differs between two key trees.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::name::{KeyPath, Name};
use crate::tree::Key;
use crate::value::Value;

/// One difference between two trees. The spelling of names and last-write times are none.
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
    /// A class name that differs, as it is in the first and in the second tree; `None` where there is none.
    ClassChanged(KeyPath, Option<Name>, Option<Name>),
    /// A security descriptor that differs, as it is in the first and in the second tree; `None` where it is the default one.
    SecurityChanged(KeyPath, Option<Arc<[u8]>>, Option<Arc<[u8]>>),
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
            Self::ClassChanged(path, before, after) => {
                let quoted = |class: &Option<Name>| class.as_ref().map(|class| format!("\"{class}\""));
                about(f, path, "class", (quoted(before), quoted(after)))
            }
            Self::SecurityChanged(path, before, after) => {
                let length = |bytes: &Option<Arc<[u8]>>| bytes.as_ref().map(|bytes| format!("{} bytes", bytes.len()));
                about(f, path, "security descriptor,", (length(before), length(after)))
            }
        }
    }
}

/// A line on what a key has, did not have before, or has no more.
fn about(
    f: &mut fmt::Formatter<'_>,
    path: &KeyPath,
    what: &str,
    pair: (Option<String>, Option<String>),
) -> fmt::Result {
    match pair {
        (Some(before), Some(after)) => write!(f, "~ [{path}] {what} {before} → {after}"),
        (None, Some(after)) => write!(f, "+ [{path}] {what} {after}"),
        (before, None) => write!(f, "- [{path}] {what} {}", before.unwrap_or_default()),
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
/// A key that came or went is listed with each of its values and subkeys, so that no loss hides in one line; its class
/// name and security descriptor came or went with it. Of a key in both trees these differ too where only one has them:
/// trees of files that have no place for them are first to be [reduced](Key::reduce) to what both have.
pub fn diff(before: &Key, after: &Key) -> Vec<Change> {
    let mut walk = Walk { path: KeyPath::default(), changes: Vec::new() };
    walk.key((Some(before), Some(after)));
    walk.changes
}

struct Walk {
    path: KeyPath,
    changes: Vec<Change>,
}

impl Walk {
    fn contents(&mut self, before: &Key, after: &Key) {
        for (name, pair) in (Join { before: before.values(), after: after.values(), held: (None, None) }) {
            self.value(name, pair);
        }
        for (name, pair) in (Join { before: before.subkeys(), after: after.subkeys(), held: (None, None) }) {
            self.path.push(name);
            self.key(pair);
            self.path.pop();
        }
    }

    fn about(&mut self, before: &Key, after: &Key) {
        let (one, other) = (before.class(), after.class());
        if one != other {
            self.changes.push(Change::ClassChanged(self.path.clone(), one.cloned(), other.cloned()));
        }
        let (one, other) = (before.security(), after.security());
        if one != other {
            self.changes.push(Change::SecurityChanged(self.path.clone(), one.cloned(), other.cloned()));
        }
    }

    fn key(&mut self, pair: Pair<'_, Key>) {
        match pair {
            (None, Some(_)) => self.changes.push(Change::KeyAdded(self.path.clone())),
            (Some(_), None) => self.changes.push(Change::KeyRemoved(self.path.clone())),
            (Some(before), Some(after)) => self.about(before, after),
            (None, None) => {}
        }
        self.contents(pair.0.unwrap_or(&Key::EMPTY), pair.1.unwrap_or(&Key::EMPTY));
    }

    fn value(&mut self, name: &Name, pair: Pair<'_, Value>) {
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

type Pair<'a, T> = (Option<&'a T>, Option<&'a T>);
type Held<'a, T> = Option<(&'a Name, &'a T)>;

/// Walks two sorted sequences side by side.
struct Join<'a, T, B, A> {
    before: B,
    after: A,
    held: (Held<'a, T>, Held<'a, T>),
}

impl<'a, T, B, A> Iterator for Join<'a, T, B, A>
where
    B: Iterator<Item = (&'a Name, &'a T)>,
    A: Iterator<Item = (&'a Name, &'a T)>,
{
    type Item = (&'a Name, Pair<'a, T>);

    fn next(&mut self) -> Option<Self::Item> {
        let before = self.held.0.take().or_else(|| self.before.next());
        let after = self.held.1.take().or_else(|| self.after.next());
        match (before, after) {
            (Some((name, one)), Some((other_name, other))) => match name.cmp(other_name) {
                Ordering::Equal => Some((name, (Some(one), Some(other)))),
                Ordering::Less => {
                    self.held.1 = after;
                    Some((name, (Some(one), None)))
                }
                Ordering::Greater => {
                    self.held.0 = before;
                    Some((other_name, (None, Some(other))))
                }
            },
            (Some((name, one)), None) => Some((name, (Some(one), None))),
            (None, Some((name, other))) => Some((name, (None, Some(other)))),
            (None, None) => None,
        }
    }
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
        key.set_class(Some("old".into()));
        key.set_security(Some([1, 2][..].into()));
        before.create(&path(r"HKLM\SMS\Gone\Deep")).set_value("x", Value::string("lost"));
        before.create(&path(r"HKLM\SMS\Known")).set_security(Some([1][..].into()));

        let mut after = before.clone();
        after.remove(&path(r"HKLM\SMS\Gone"));
        let key = after.create(&path(r"HKLM\SMS"));
        key.remove_value("");
        key.set_value("COUNTER", Value::dword(2));
        key.set_value("New", Value::string("a\u{1b}[31m"));
        key.set_class(Some("new".into()));
        key.set_security(Some([1][..].into()));
        key.set_last_write(Some(1));
        after.create(&path(r"HKLM\SMS\Known")).set_security(None);
        after.create(&path(r"HKLM\SMS\New"));

        let lines: Vec<String> = diff(&before, &after).iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        ~ [HKLM\SMS] class "old" → "new"
        ~ [HKLM\SMS] security descriptor, 2 bytes → 1 bytes
        - [HKLM\SMS] @ = REG_SZ "old"
        ~ [HKLM\SMS] "Counter" = REG_DWORD 0x00000001 (1) → REG_DWORD 0x00000002 (2)
        + [HKLM\SMS] "New" = REG_SZ "a\u{1b}[31m"
        - [HKLM\SMS\Gone]
        - [HKLM\SMS\Gone\Deep]
        - [HKLM\SMS\Gone\Deep] "x" = REG_SZ "lost"
        - [HKLM\SMS\Known] security descriptor, 1 bytes
        + [HKLM\SMS\New]
        "#);
        assert_eq!(diff(&after, &after), []);
    }
}
