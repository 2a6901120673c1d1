//! Token names, and the references to them inside a word.
//!
//! Two styles exist in genuine files: `%NAME%`, for tokens and environment variables, and the bare word. The product's
//! rule for bare words is not public; ours is the longest known name that the word begins with, so that
//! `SITE_CODEBackup` becomes `ABCBackup` while `MY_SITE_CODES` stays. See docs/control-file.md.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::lexer::is_name_character;

/// Tokens that the product sets itself; a control file must not define them.
pub const PREDEFINED_TOKENS: &[&str] = &[
    "BACKUP_DEST_DIR",
    "METERING_DB_SERVER",
    "PROVIDER_SERVER",
    "SITE_CODE",
    "SITE_DB_NAME",
    "SITE_DB_SERVER",
    "SITE_DB_SERVER_ROOT_DIR",
    "SITE_SERVER",
    "SITE_SERVER_ROOT_DIR",
];

/// Tokens that the control files of the product define. Known even where a file does not define them, so that a lost
/// definition is found instead of its name being taken for a folder.
pub const STANDARD_TOKENS: &[&str] = &[
    "BACKUP_DESTINATION",
    "METERING_DB_SERVER_DEST",
    "METERING_SERVER_DEST",
    "PROVIDER_SERVER_DEST",
    "SITE_BACKUP_DESTINATION",
    "SITE_DB_SERVER_DEST",
    "SITE_SERVER_DEST",
];

/// Every name that can be referred to: exactly as written when bare, in any case between percent signs.
#[derive(Debug)]
pub(crate) struct Names {
    exact: BTreeMap<String, ()>,
    by_upper_case: BTreeMap<String, String>,
}

impl Names {
    /// The names of the product and `others`.
    pub(crate) fn new<'a>(others: impl IntoIterator<Item = &'a str>) -> Self {
        let product = PREDEFINED_TOKENS.iter().chain(STANDARD_TOKENS).copied();
        let exact: BTreeMap<_, _> = product.chain(others).map(|name| (name.to_owned(), ())).collect();
        let by_upper_case = exact.keys().map(|name| (name.to_uppercase(), name.clone())).collect();
        Names { exact, by_upper_case }
    }

    pub(crate) fn ignoring_case(&self, name: &str) -> Option<&str> {
        match self.exact.get_key_value(name) {
            Some((exact, ())) => Some(exact),
            None => self.by_upper_case.get(&name.to_uppercase()).map(String::as_str),
        }
    }

    fn longest_prefix(&self, word: &str) -> Option<&str> {
        let mut bound = word;
        loop {
            let (name, ()) = self.exact.range::<str, _>((Bound::Unbounded, Bound::Included(bound))).next_back()?;
            if !name.is_empty() && bound.starts_with(name.as_str()) {
                return Some(name);
            }
            // A name that is a prefix of `bound` and longer than what both share would sort after `name`.
            let common = bound.chars().zip(name.chars()).take_while(|(left, right)| left == right);
            let length = common.map(|(character, _)| character.len_utf8()).sum();
            bound = &bound[..length];
            if bound.is_empty() {
                return None;
            }
        }
    }
}

/// A piece of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part<'a> {
    pub(crate) kind: PartKind<'a>,
    pub(crate) source: &'a str,
    pub(crate) offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PartKind<'a> {
    Literal,
    /// `%NAME%`: a token or an environment variable.
    Percent(&'a str),
    /// `%%`: a percent sign.
    EscapedPercent,
    StrayPercent,
    Bare,
    /// A word in the style of token names that only begins with a known one, like `SITE_SERVER_ROOT` when only
    /// `SITE_SERVER` is known: whether that is a reference and a rest, or a misspelt token, cannot be told.
    LookAlike(&'a str),
}

/// Splits `text` into references and what is between them.
pub(crate) fn split<'a>(text: &'a str, names: &Names) -> Vec<Part<'a>> {
    let mut splitter = Splitter { text, offset: 0, parts: Vec::new() };
    while splitter.offset < text.len() {
        splitter.next(names);
    }
    splitter.parts
}

struct Splitter<'a> {
    text: &'a str,
    offset: usize,
    parts: Vec<Part<'a>>,
}

impl<'a> Splitter<'a> {
    fn next(&mut self, names: &Names) {
        let rest = &self.text[self.offset..];
        if rest.starts_with('%') {
            let (kind, length) = percent(rest);
            return self.push(kind, length);
        }
        let word = rest.find(|character| !is_name_character(character)).unwrap_or(rest.len());
        if word == 0 {
            let other = rest.find(|character| character == '%' || is_name_character(character));
            return self.push(PartKind::Literal, other.unwrap_or(rest.len()));
        }
        let word = &rest[..word];
        match names.longest_prefix(word).map(str::len) {
            None => self.push(PartKind::Literal, word.len()),
            Some(name) if name < word.len() && word.chars().all(is_token_style) => {
                self.push(PartKind::LookAlike(&word[..name]), word.len());
            }
            Some(name) => {
                self.push(PartKind::Bare, name);
                self.push(PartKind::Literal, word.len() - name);
            }
        }
    }

    fn push(&mut self, kind: PartKind<'a>, length: usize) {
        if length > 0 {
            let source = &self.text[self.offset..][..length];
            self.parts.push(Part { kind, source, offset: self.offset });
            self.offset += length;
        }
    }
}

fn is_token_style(character: char) -> bool {
    matches!(character, 'A'..='Z' | '0'..='9' | '_')
}

fn percent(rest: &str) -> (PartKind<'_>, usize) {
    let after = &rest[1..];
    if after.starts_with('%') {
        return (PartKind::EscapedPercent, 2);
    }
    // Parentheses occur in the names of environment variables: %ProgramFiles(x86)%.
    let is_part_of_name = |character| is_name_character(character) || matches!(character, '(' | ')');
    let length = after.find(|character| !is_part_of_name(character)).unwrap_or(after.len());
    if length > 0 && after[length..].starts_with('%') {
        (PartKind::Percent(&after[..length]), length + 2)
    } else {
        (PartKind::StrayPercent, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shows references in brackets, look-alikes in braces, stray signs as `!`.
    fn check(text: &str, expect: &str) {
        let names = Names::new(["DEST", "DEST_DIR"]);
        let shown: String = split(text, &names)
            .iter()
            .map(|part| match part.kind {
                PartKind::Literal => part.source.to_owned(),
                PartKind::Percent(name) => format!("[{name}]"),
                PartKind::EscapedPercent => "%".to_owned(),
                PartKind::StrayPercent => "!".to_owned(),
                PartKind::Bare => format!("[{}]", part.source),
                PartKind::LookAlike(name) => format!("{{{}:{name}}}", part.source),
            })
            .collect();
        assert_eq!(shown, expect);
    }

    #[test]
    fn bare_words_take_the_longest_name_they_begin_with() {
        check(r"BACKUP_DEST_DIR\SITE_CODE", r"[BACKUP_DEST_DIR]\[SITE_CODE]");
        check("SITE_CODEBackup", "[SITE_CODE]Backup");
        check("SITE_CODE_old", "[SITE_CODE]_old");
        check("DEST_DIRx DESTx", "[DEST_DIR]x [DEST]x");
        check("MY_SITE_CODES xSITE_CODE éSITE_CODE", "MY_SITE_CODES xSITE_CODE éSITE_CODE");
        check("site_code", "site_code");
        check(r"\\SITE_SERVER\SMS_EXECUTIVE", r"\\[SITE_SERVER]\SMS_EXECUTIVE");
    }

    #[test]
    fn words_that_look_like_a_longer_token_are_not_guessed_at() {
        check(r"SITE_SERVER_ROOT\x", r"{SITE_SERVER_ROOT:SITE_SERVER}\x");
        check("SITE_CODES", "{SITE_CODES:SITE_CODE}");
    }

    #[test]
    fn percent_signs() {
        check("%SITE_CODE%Backup", "[SITE_CODE]Backup");
        check("%SITE_CODE%SITE_CODE", "[SITE_CODE][SITE_CODE]");
        check(r"%ProgramFiles(x86)%\a", r"[ProgramFiles(x86)]\a");
        check("100%% and 5% or %a b%", "100% and 5! or !a b!");
        check("%", "!");
    }
}
