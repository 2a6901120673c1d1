//! Tables of a TOML document that remember where everything stands and which keys were asked for.
//!
//! Deserialising with serde would end at the first problem; here each is noted and reading goes on.

use std::cell::RefCell;
use std::fmt;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One problem of a `site.toml`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{line}:{column}: {message}{}", Remedy(.remedy.as_deref()))]
pub struct ConfigError {
    /// The line, from 1.
    pub line: usize,
    /// The character in the line, from 1.
    pub column: usize,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do about it, where that can be said.
    pub remedy: Option<String>,
}

struct Remedy<'a>(Option<&'a str>);

impl fmt::Display for Remedy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

/// The text, and what was found wrong with it.
pub(super) struct Source<'t> {
    text: &'t str,
    errors: RefCell<Vec<ConfigError>>,
}

impl<'t> Source<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, errors: RefCell::default() }
    }

    pub(super) fn report(&self, at: usize, message: impl Into<String>, remedy: Option<String>) {
        let (line, column) = place(self.text, at);
        self.errors.borrow_mut().push(ConfigError { line, column, message: message.into(), remedy });
    }

    /// All problems in the order of the text.
    pub(super) fn into_errors(self) -> Vec<ConfigError> {
        let mut errors = self.errors.into_inner();
        errors.sort();
        errors.dedup();
        errors
    }
}

fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// A table. Keys that nobody asked for are reported by [`finish`](Self::finish).
pub(super) struct Section<'d> {
    source: &'d Source<'d>,
    /// As messages name it: `[site]`.
    name: String,
    at: usize,
    table: &'d DeTable<'d>,
    asked: RefCell<Vec<&'static str>>,
}

/// A key's value.
pub(super) struct Value<'d> {
    source: &'d Source<'d>,
    pub(super) key: &'d str,
    pub(super) key_at: usize,
    pub(super) at: usize,
    value: &'d DeValue<'d>,
}

/// A text and where it stands.
pub(super) struct Text<'d> {
    source: &'d Source<'d>,
    pub(super) at: usize,
    pub(super) text: &'d str,
}

impl<'d> Section<'d> {
    pub(super) fn root(source: &'d Source<'d>, table: &'d DeTable<'d>) -> Self {
        Self { source, name: "this file".to_owned(), at: 0, table, asked: RefCell::default() }
    }

    /// The value of `key`, which from now on is a known one.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'d>> {
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&key) {
            asked.push(key);
        }
        let (key, value) = self.table.get_key_value(key)?;
        Some(self.value(key, value))
    }

    fn value(&self, key: &'d Spanned<toml::de::DeString<'d>>, value: &'d Spanned<DeValue<'d>>) -> Value<'d> {
        Value {
            source: self.source,
            key: key.get_ref(),
            key_at: key.span().start,
            at: value.span().start,
            value: value.get_ref(),
        }
    }

    /// As [`get`](Self::get); that there is none is a problem, solved by writing `example`.
    pub(super) fn require(&self, key: &'static str, example: &str) -> Option<Value<'d>> {
        let value = self.get(key);
        if value.is_none() {
            self.report(format!("`{key}` is missing in {}", self.name), Some(format!("write {example}")));
        }
        value
    }

    /// Every value, in the order of the text.
    pub(super) fn values(&self) -> Vec<Value<'d>> {
        let mut values: Vec<_> = self.table.iter().map(|(key, value)| self.value(key, value)).collect();
        values.sort_by_key(|value| value.key_at);
        values
    }

    /// Refuses keys that have a meaning, but not yet.
    pub(super) fn not_yet(&self, keys: &[&'static str], remedy: &str) {
        for value in keys.iter().filter_map(|key| self.get(key)) {
            let message = format!("`{}` in {} is not in this version", value.key, self.name);
            value.report_key(message, Some(remedy.to_owned()));
        }
    }

    /// Whether nothing wrong was found anywhere so far.
    pub(super) fn is_clean(&self) -> bool {
        self.source.errors.borrow().is_empty()
    }

    /// Reports a problem of the whole table.
    pub(super) fn report(&self, message: impl Into<String>, remedy: Option<String>) {
        self.source.report(self.at, message, remedy);
    }

    /// Reports the keys that nobody asked for; `elsewhere` names the table in which a key would be known.
    pub(super) fn finish(&self, elsewhere: impl Fn(&str) -> Option<&'static str>) {
        let asked = self.asked.borrow();
        for value in self.values().iter().filter(|value| !asked.contains(&value.key)) {
            let remedy = match (nearest(value.key, &asked), elsewhere(value.key)) {
                (Some(known), _) => format!("did you mean `{known}`?"),
                (None, Some(table)) => format!("it belongs in {table}"),
                (None, None) => format!("known are {}", list(&asked)),
            };
            let message = format!("unknown key `{}` in {}", value.key, self.name);
            value.report_key(message, Some(remedy));
        }
    }
}

/// The known word that `word` was most likely meant to be.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let distance = |known: &str| strsim::damerau_levenshtein(&plain(word), &plain(known));
    let (distance, known) = known.iter().map(|known| (distance(known), *known)).min()?;
    // A third of the letters may be wrong; more than that would be guessing.
    (distance <= word.chars().count().max(3) / 3).then_some(known)
}

fn list(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

impl<'d> Value<'d> {
    pub(super) fn report(&self, message: impl Into<String>, remedy: Option<String>) {
        self.source.report(self.at, message, remedy);
    }

    /// Reports a problem of the key itself.
    pub(super) fn report_key(&self, message: impl Into<String>, remedy: Option<String>) {
        self.source.report(self.key_at, message, remedy);
    }

    fn wrong_type(&self, example: &str) {
        let message = format!("`{}` cannot be {}", self.key, kind_of(self.value));
        self.report(message, Some(format!("write it as {example}")));
    }

    /// The value as text; `example` shows how to write it.
    pub(super) fn text(&self, example: &str) -> Option<Text<'d>> {
        match self.value {
            DeValue::String(text) => Some(Text { source: self.source, at: self.at, text }),
            _ => {
                self.wrong_type(example);
                None
            }
        }
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        if self.value.as_bool().is_none() {
            self.wrong_type("true or false");
        }
        self.value.as_bool()
    }

    /// The value as a whole number; what is none is `None` and not reported.
    pub(super) fn integer(&self) -> Option<u32> {
        let number = self.value.as_integer()?;
        u32::from_str_radix(number.as_str(), number.radix()).ok()
    }

    pub(super) fn texts(&self, example: &str) -> Option<Vec<Text<'d>>> {
        let Some(items) = self.value.as_array() else {
            self.wrong_type(example);
            return None;
        };
        let item = |item: &'d Spanned<DeValue<'d>>| {
            Value { at: item.span().start, value: item.get_ref(), ..*self }.text("texts between quotes")
        };
        items.iter().map(item).collect()
    }

    /// The value as a table that messages call `name`.
    pub(super) fn section(&self, name: impl Into<String>, example: &str) -> Option<Section<'d>> {
        let Some(table) = self.value.as_table() else {
            self.wrong_type(example);
            return None;
        };
        // An inline table begins at its value, one with a header at its header; both is where to look.
        Some(Section { source: self.source, name: name.into(), at: self.at, table, asked: RefCell::default() })
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a bare date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl Text<'_> {
    /// The value that `parse` makes of the text; its error is the message.
    pub(super) fn parse<T>(&self, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        parse(self.text).map_err(|message| self.report(message, None)).ok()
    }

    /// The value of the word among `choices`.
    pub(super) fn choose<T: Clone>(&self, what: &str, choices: &[(&str, T)]) -> Option<T> {
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == self.text) {
            return Some(value.clone());
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let remedy = match nearest(self.text, &words) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("known are {}", list(&words)),
        };
        self.report(format!("`{}` is not a {what}", self.text), Some(remedy));
        None
    }

    pub(super) fn report(&self, message: impl Into<String>, remedy: Option<String>) {
        self.source.report(self.at, message, remedy);
    }
}
