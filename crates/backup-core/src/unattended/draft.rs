//! A script on its way: keys are added to sections, and rules that are broken are kept.

use super::Refused;
use super::values::{self, Form};

/// A section of the script with its keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// Keys with their values.
    pub keys: Vec<(&'static str, String)>,
}

/// The one key whose value is nobody else's business.
const PRODUCT_ID: &str = "ProductID";

/// What is written so far, and what is wrong.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) sections: Vec<Section>,
    pub(super) refused: Vec<Refused>,
}

impl Draft {
    pub(super) fn section(&mut self, name: &'static str) {
        self.sections.push(Section { name, keys: Vec::new() });
    }

    /// Adds a key to the last section.
    pub(super) fn put(&mut self, key: &'static str, value: impl ToString) {
        let section = self.sections.last_mut().expect("a key has a section");
        section.keys.push((key, value.to_string()));
    }

    pub(super) fn refuse(&mut self, key: &'static str, reason: impl Into<String>, remedy: impl Into<String>) {
        self.refused.push(Refused { key, reason: reason.into(), remedy: remedy.into() });
    }

    /// Adds a key that may be left out, when its value is one.
    pub(super) fn may(&mut self, key: &'static str, value: Option<&str>, form: Form) {
        let Some(value) = value else { return };
        match values::check(value, form) {
            Ok(()) => self.put(key, value),
            Err((reason, remedy)) => {
                // A product key is in no message.
                let shown = if key == PRODUCT_ID { "the product key".to_owned() } else { shown(value) };
                self.refuse(key, format!("{shown} {reason}"), remedy);
            }
        }
    }

    /// Adds a key that must be there.
    pub(super) fn must(&mut self, key: &'static str, value: Option<&str>, form: Form, remedy: &str) {
        match value {
            Some(_) => self.may(key, value, form),
            None => self.refuse(key, "is missing", remedy),
        }
    }

    /// Adds a port where one is named.
    pub(super) fn may_port(&mut self, key: &'static str, port: Option<u16>) {
        match port {
            Some(0) => self.refuse(key, "0 is no port", "name a port from 1 to 65535"),
            Some(port) => self.put(key, port),
            None => {}
        }
    }

    /// Refuses a value that has no meaning here.
    pub(super) fn forbid(&mut self, key: &'static str, is_given: bool, reason: &str) {
        if is_given {
            self.refuse(key, reason, "leave it out");
        }
    }
}

/// A value in a message, which is one line.
fn shown(value: &str) -> String {
    let line: String = value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("`{line}`")
}

pub(super) fn to_ini(sections: &[Section]) -> String {
    let section = |section: &Section| {
        let keys: String = section.keys.iter().map(|(key, value)| format!("{key}={value}\r\n")).collect();
        format!("[{}]\r\n{keys}", section.name)
    };
    sections.iter().map(section).collect::<Vec<_>>().join("\r\n")
}

pub(super) fn without_product_key(sections: &[Section]) -> Vec<Section> {
    let mut sections = sections.to_vec();
    for (key, value) in sections.iter_mut().flat_map(|section| &mut section.keys) {
        if *key == PRODUCT_ID && !values::is_evaluation(value) {
            "***".clone_into(value);
        }
    }
    sections
}
